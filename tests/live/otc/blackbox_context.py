"""Contexts between two parties that use the system's GSS library: what each step returns, flags, lifetimes, times, bindings, half-open
export, single use, and each refusal's status. Claims from doc/otc.md and RFC 2743; nothing but public calls.
"""
import os
import subprocess
import sys
import tempfile
import time
import unittest

import gss

gss.use_otc()

import otc_pair  # noqa: E402
from otc_pair import Pair, link, secret  # noqa: E402

ALWAYS = gss.MUTUAL | gss.CONF | gss.INTEG | gss.TRANS
WEEK = 7 * 86400


class Steps(otc_pair.Case):
    def test_three_tokens_and_who_is_complete_when(self):
        text = secret()
        cred_i, cred_a = link(text), link(text, gss.ACCEPT)
        one = gss.init(cred_i).ok()
        self.assertEqual((one.major, one.flags & gss.PROT_READY, one.token[:1]), (gss.CONTINUE, 0, b"\x60"))
        two = gss.accept(cred_a, one.token).ok()
        self.assertEqual((two.major, two.flags & gss.PROT_READY, len(two.token)), (gss.CONTINUE, 0, 91))
        three = gss.init(cred_i, two.token, one.context).ok()
        self.assertEqual((three.major, three.flags & gss.PROT_READY, len(three.token)), (gss.COMPLETE, gss.PROT_READY, 33))
        four = gss.accept(cred_a, three.token, two.context).ok()
        self.assertEqual((four.major, four.flags & gss.PROT_READY, four.token), (gss.COMPLETE, gss.PROT_READY, b""))
        self.assertEqual((three.mech, four.mech, four.delegated.value), (gss.OTC, gss.OTC, None))

    def test_flags_are_those_stated_whatever_is_asked_for(self):
        for asked in (0, gss.REPLAY, gss.SEQUENCE, gss.REPLAY | gss.SEQUENCE, gss.DELEG | gss.ANON, gss.IDENTIFY | gss.EXTENDED_ERROR,
                      gss.DCE_STYLE, 0xFFFF & ~gss.CHANNEL_BOUND):
            pair = Pair(flags=asked)
            granted = ALWAYS | gss.PROT_READY | asked & (gss.REPLAY | gss.SEQUENCE)
            for result, local in ((pair.last_i, 1), (pair.last_a, 0)):
                self.assertEqual(hex(result.flags), hex(granted))
                seen = gss.inquire_context(result.context).ok()
                self.assertEqual((hex(seen.flags), seen.local, seen.open, seen.mech), (hex(granted), local, 1, gss.OTC))

    def test_inquire_context_answers_on_an_acceptor_that_waits(self):
        text = secret()
        one = gss.init(link(text, title="a key", label="laptop")).ok()
        two = gss.accept(link(text, gss.ACCEPT), one.token).ok()
        seen = gss.inquire_context(two.context).ok()
        self.assertEqual((seen.open, seen.flags & gss.PROT_READY), (0, 0))
        self.assertTrue(gss.display_name(seen.source).ok().text.endswith(b"/initiator"))
        self.assertEqual(gss.get_name_attribute(seen.source, b"otc:title").ok().value, b"a key")

    def test_calls_that_need_a_complete_context_say_so(self):
        text = secret()
        one = gss.init(link(text)).ok()
        two = gss.accept(link(text, gss.ACCEPT), one.token).ok()
        for context in (one.context, two.context):
            for result in (gss.wrap(context, b"x"), gss.get_mic(context, b"x"), gss.unwrap(context, bytes(40)),
                           gss.verify_mic(context, b"x", bytes(34)), gss.wrap_size_limit(context, 100)):
                self.refused("NO_CONTEXT", result)
            self.assertEqual(gss.pseudo_random(context, b"x", 8).major, gss.UNAVAILABLE)

    def test_tokens_out_of_order_are_refused_and_the_right_one_still_follows(self):
        text = secret()
        cred_i, cred_a = link(text), link(text, gss.ACCEPT)
        one = gss.init(cred_i).ok()
        two = gss.accept(cred_a, one.token).ok()
        for wrong in (one.token, b"\x03" + bytes(32)):
            self.assertEqual(gss.init(cred_i, wrong, one.context).major, gss.DEFECTIVE_TOKEN)
        three = gss.init(cred_i, two.token, one.context).ok()
        for wrong in (two.token, one.token, b"\x03" + bytes(32)):
            self.assertEqual(gss.accept(cred_a, wrong, two.context).major, gss.DEFECTIVE_TOKEN)
        done = gss.accept(cred_a, three.token, two.context).ok()
        self.refused("COMPLETE_ALREADY", gss.accept(cred_a, three.token, done.context))
        self.delivered(b"x", gss.unwrap(done.context, gss.wrap(three.context, b"x").ok().token))

    def test_ones_own_token_is_named_reflected_or_refused(self):
        text = secret()
        one = gss.init(link(text)).ok()
        self.assertEqual(gss.init(link(text), one.token, one.context).major, gss.DEFECTIVE_TOKEN)

    def test_a_foreign_token_never_reaches_a_context(self):
        text = secret()
        krb5 = b"\x60\x0f\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01\x00\x6e\x00"
        for token in (krb5, b"GET / HTTP/1.1\r\n", b"\x60", b"\x00"):
            result = gss.accept(link(text, gss.ACCEPT), token)
            self.assertTrue(result.failed)
            self.assertEqual((result.token, result.context.value), (b"", None))


class Times(otc_pair.Case):
    def test_the_default_lifetime_is_seven_days_from_completion(self):
        pair = Pair()
        for result in (pair.last_i, pair.last_a):
            for left in (result.left, gss.context_time(result.context).ok().left, gss.inquire_context(result.context).ok().left):
                self.assertTrue(WEEK - 60 <= left <= WEEK, left)

    def test_time_req_and_otc_lifetime_bound_it(self):
        for store, asked, least in (({"lifetime": "1h"}, 0, 3600), ({"lifetime": "1h"}, 60, 60), ({"lifetime": "1h"}, 7200, 3600),
                                    ({"lifetime": "90s"}, 0, 90), ({"lifetime": "2d"}, 0, 2 * 86400), ({"lifetime": "1w"}, 0, WEEK),
                                    ({"lifetime": "5m"}, gss.INDEFINITE, 300)):
            text = secret()
            pair = Pair(creds=(link(text, **store), link(text, gss.ACCEPT)), time=asked)
            for result in (pair.last_i, pair.last_a):
                self.assertTrue(least - 30 <= result.left <= least, f"{store} {asked}: {result.left}")

    def test_the_acceptors_limit_holds_for_both(self):
        text = secret()
        pair = Pair(creds=(link(text), link(text, gss.ACCEPT, lifetime="1h")))
        self.assertTrue(all(3540 <= result.left <= 3600 for result in (pair.last_i, pair.last_a)))

    def test_an_indefinite_lifetime_is_reported_as_such(self):
        text = secret()
        pair = Pair(creds=(link(text, lifetime="indefinite"), link(text, gss.ACCEPT, lifetime="indefinite")))
        for result in (pair.last_i, pair.last_a):
            self.assertEqual((result.left, gss.context_time(result.context).ok().left), (gss.INDEFINITE, gss.INDEFINITE))

    def test_an_expired_credential_makes_no_token(self):
        self.refused("EXPIRED", gss.acquire(store=[("otc_secret", secret()), ("otc_not_after", "2001-01-01T00:00:00Z")]))

    def test_the_credentials_end_does_not_end_the_context(self):
        text = secret()
        pair = Pair(creds=(link(text, not_after="1h"), link(text, gss.ACCEPT)))
        self.assertTrue(all(result.left > WEEK - 60 for result in (pair.last_i, pair.last_a)))

    def test_a_link_lasts_a_day_to_be_claimed(self):
        left = gss.inquire_cred(link(secret())).ok().left
        self.assertTrue(86400 - 60 <= left <= 86400, left)
        self.assertEqual(gss.inquire_cred(link(secret(), not_after="never")).ok().left, gss.INDEFINITE)

    def test_time_req_of_the_credential_lowers_its_end(self):
        made = gss.acquire(store=[("otc_secret", secret())], time=600).ok()
        self.assertTrue(540 <= gss.inquire_cred(made.cred).ok().left <= 600)
        made = gss.acquire(store=[("otc_secret", secret()), ("otc_not_after", "60s")], time=600).ok()
        self.assertTrue(0 < gss.inquire_cred(made.cred).ok().left <= 60)

    def test_a_context_that_is_over_refuses_every_call(self):
        pair = Pair(time=1)
        token, mic = gss.wrap(pair.i, b"x").ok().token, gss.get_mic(pair.i, b"x").ok().token
        wait_until(lambda: gss.context_time(pair.i).failed and gss.context_time(pair.a).failed)
        for result in (gss.context_time(pair.i), gss.wrap(pair.i, b"x"), gss.get_mic(pair.i, b"x"), gss.unwrap(pair.a, token),
                       gss.verify_mic(pair.a, b"x", mic)):
            self.refused("CONTEXT_EXPIRED", result)

    def test_a_credential_that_expires_between_token_1_and_token_2_is_not_released(self):
        text = secret()
        cred_i = link(text, not_after="1s")
        one = gss.init(cred_i).ok()
        two = gss.accept(link(text, gss.ACCEPT), one.token).ok()
        wait_until(lambda: gss.init(cred_i).failed)
        result = self.refused("EXPIRED", gss.init(cred_i, two.token, one.context))
        if result.token:
            self.refused("REFUSED", gss.accept(link(text, gss.ACCEPT), result.token, two.context))


def wait_until(true):
    for _ in range(200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("did not come true")


class Bindings(otc_pair.Case):
    def test_equal_bindings_are_reported_as_bound_on_both_sides(self):
        for make in (lambda: gss.bindings(b"tls"), lambda: gss.bindings(b""), lambda: gss.bindings(None),
                     lambda: gss.bindings(b"x", (2, b"\x7f\0\0\1"), (255, b""))):
            pair = Pair(bindings=(make(), make()))
            for result in (pair.last_i, pair.last_a):
                self.assertTrue(result.flags & gss.CHANNEL_BOUND)
                self.assertTrue(gss.inquire_context(result.context).ok().flags & gss.CHANNEL_BOUND)

    def test_bindings_of_one_side_alone_leave_the_flag_clear(self):
        for both in ((gss.bindings(b"tls"), None), (None, gss.bindings(b"tls"))):
            pair = Pair(bindings=both)
            self.assertFalse((pair.last_i.flags | pair.last_a.flags) & gss.CHANNEL_BOUND)

    def test_any_difference_is_bad_bindings_on_both_sides(self):
        for other in (gss.bindings(b"tlt"), gss.bindings(b"tls", (1, b"")), gss.bindings(b"tls", (0, b"a")), gss.bindings(b"tls", (0, b""), (0, b"a")),
                      gss.bindings(b"")):
            text = secret()
            cred_i = link(text)
            mine = gss.bindings(b"tls")
            one = gss.init(cred_i, binding=mine).ok()
            two = self.refused("BAD_BINDINGS", gss.accept(link(text, gss.ACCEPT), one.token, binding=other))
            self.refused("BAD_BINDINGS", gss.init(cred_i, two.token, one.context, binding=mine))

    def test_malformed_bindings_are_refused(self):
        bad = gss.bindings(b"x")
        bad.application_data = gss.Buffer(5, None)
        self.refused("BAD_BINDING_ARG", gss.init(link(secret()), binding=bad))


class Secrets(otc_pair.Case):
    def test_a_wrong_secret_is_named(self):
        one = gss.init(link(secret())).ok()
        result = self.refused("WRONG_SECRET", gss.accept(link(secret(), gss.ACCEPT), one.token))
        self.assertEqual((result.context.value, result.token), (None, b""))

    def test_swapped_roles_are_refused(self):
        text = secret()
        self.refused("ROLE", gss.init(link(text, gss.ACCEPT)))
        one = gss.init(link(text)).ok()
        self.refused("ROLE", gss.accept(link(text), one.token))

    def test_equal_sides_and_other_kinds_are_named(self):
        text = secret()
        with tempfile.TemporaryDirectory() as folder:
            a, b, bare = (otc_pair.write_file(os.path.join(folder, n), text, s) for n, s in (("a", "a"), ("b", "b"), ("bare", None)))
            cred = {p: gss.acquire(store=[("otc_secret_file", p)], usage=gss.BOTH).ok().cred for p in (a, b)}
            self.refused("EQUAL_SIDES", gss.accept(cred[a], gss.init(cred[a]).ok().token))
            self.refused("EQUAL_SIDES", gss.accept(cred[b], gss.init(cred[b]).ok().token))
            self.refused("OTHER_SIDE", gss.accept(link(text, gss.ACCEPT), gss.init(cred[a]).ok().token))
            self.refused("OTHER_SIDE", gss.accept(cred[b], gss.init(link(text)).ok().token))
            Pair(creds=(cred[a], cred[b]))
            Pair(creds=(cred[b], cred[a]))
            Pair(creds=(gss.acquire(store=[("otc_secret_file", bare)]).ok().cred, link(text, gss.ACCEPT)))

    def test_one_acceptor_takes_many_secret_files(self):
        with tempfile.TemporaryDirectory() as folder:
            texts = [secret() for _ in range(64)]
            files = [otc_pair.write_file(os.path.join(folder, f"b{n}"), t, "b") for n, t in enumerate(texts)]
            cred = gss.acquire(store=[("otc_secret_file", f) for f in files], usage=gss.ACCEPT).ok().cred
            for n in (0, 31, 63):
                mine = otc_pair.write_file(os.path.join(folder, f"a{n}"), texts[n], "a")
                Pair(creds=(gss.acquire(store=[("otc_secret_file", mine)]).ok().cred, cred))

    def test_token_1_replayed_to_two_acceptors_gains_one_context_only(self):
        text = secret()
        cred_i = link(text)
        one = gss.init(cred_i).ok()
        answers = [gss.accept(link(text, gss.ACCEPT), one.token).ok() for _ in range(2)]
        three = gss.init(cred_i, answers[1].token, one.context).ok()
        self.assertEqual(gss.accept(link(text, gss.ACCEPT), three.token, answers[0].context).major, gss.DEFECTIVE_TOKEN)
        gss.accept(link(text, gss.ACCEPT), three.token, answers[1].context).ok()

    def test_an_authority_refuses_what_was_used(self):
        text = secret()
        with tempfile.TemporaryDirectory() as folder:
            store = {"used": os.path.join(folder, "used")}
            cred_i, cred_a = link(text), link(text, gss.ACCEPT, **store)
            Pair(creds=(cred_i, cred_a))
            one = gss.init(cred_i).ok()
            two = self.refused("USED", gss.accept(cred_a, one.token))
            self.refused("USED", gss.init(cred_i, two.token, one.context))

    def test_the_used_store_survives_processes_and_races(self):
        """Eight processes accept one token at once: one makes a context."""
        text = secret()
        with tempfile.TemporaryDirectory() as folder:
            token = gss.init(link(text)).ok().token
            code = ("import sys; sys.path.insert(0, sys.argv[1]); import gss, otc_pair; text, path, token = sys.stdin.read().split();"
                    "print(hex(gss.accept(otc_pair.link(text, gss.ACCEPT, used=path), bytes.fromhex(token)).major))")
            jobs = [subprocess.Popen([sys.executable, "-c", code, str(gss.ROOT / "tests/lib")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     text=True) for _ in range(8)]
            for job in jobs:
                job.stdin.write(f"{text} {folder}/used {token.hex()}\n")
                job.stdin.close()
            majors = sorted(job.stdout.read().strip() for job in jobs)
            for job in jobs:
                job.stdout.close()
                job.wait()
        self.assertEqual(majors, sorted([hex(gss.CONTINUE)] + [hex(gss.FAILURE | gss.DUPLICATE)] * 7))


class HalfOpen(otc_pair.Case):
    def test_either_side_is_exported_between_every_two_tokens(self):
        text = secret()
        cred_i, cred_a = link(text), link(text, gss.ACCEPT)
        one = gss.init(cred_i).ok()
        one.context = self.moved(one.context)
        two = gss.accept(cred_a, one.token).ok()
        two.context = self.moved(two.context)
        three = gss.init(cred_i, two.token, one.context).ok()
        done = gss.accept(cred_a, three.token, two.context).ok()
        i, a = self.moved(three.context), self.moved(done.context)
        for sender, receiver in ((i, a), (a, i)):
            self.delivered(b"x", gss.unwrap(receiver, gss.wrap(sender, b"x").ok().token))

    def moved(self, context):
        made = gss.export_context(context).ok()
        self.assertIsNone(context.value, "an export ends the exporter's copy")
        return gss.import_context(made.token).ok().context

    def test_bindings_flags_and_lifetime_travel_with_it(self):
        text = secret()
        cred_i, cred_a = link(text, lifetime="1h"), link(text, gss.ACCEPT)
        one = gss.init(cred_i, binding=gss.bindings(b"x"), flags=gss.REPLAY).ok()
        two = gss.accept(cred_a, one.token, binding=gss.bindings(b"x")).ok()
        two.context = self.moved(two.context)
        three = gss.init(cred_i, two.token, self.moved(one.context), binding=gss.bindings(b"x"), flags=gss.REPLAY).ok()
        done = gss.accept(cred_a, three.token, two.context, binding=gss.bindings(b"x")).ok()
        for result in (three, done):
            seen = gss.inquire_context(self.moved(result.context)).ok()
            self.assertEqual(hex(seen.flags), hex(ALWAYS | gss.REPLAY | gss.PROT_READY | gss.CHANNEL_BOUND))
            self.assertTrue(3500 < seen.left <= 3600)

    def test_whoever_imports_it_needs_no_secret(self):
        """The initiator needs no credential at all; the acceptor any of the mechanism, because MIT's library asks for one."""
        text = secret()
        one = gss.init(link(text)).ok()
        two = gss.accept(link(text, gss.ACCEPT), one.token).ok()
        three = gss.init(None, two.token, self.moved(one.context)).ok()
        waiting = self.moved(two.context)
        self.assertEqual(gss.accept(None, three.token, waiting).major, gss.NO_CRED)
        gss.accept(link(secret(), gss.ACCEPT), three.token, waiting).ok()


if __name__ == "__main__":
    unittest.main()
