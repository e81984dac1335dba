"""The plugin against the second implementation: establishment in both roles, messages of every kind in both directions."""
import os
import random
import tempfile
import unittest

import gss
import otc
import otc_plugin as plugin
from otc_core import ACCEPTOR, ALWAYS, INITIATOR, NO_BINDINGS, REPLAY, SEQUENCE, Credential, Secret, fresh_id
from otc_plugin import raw
from otc_store import export_context, secret_text, write_secret_file

STATUS = {raw.DuplicateTokenError: "DUPLICATE", raw.ExpiredTokenError: "OLD", raw.TokenTooLateError: "UNSEQ", raw.TokenTooEarlyError: "GAP"}
SIZES = (0, 1, 15, 16, 17, 4096, 100_003)


def flags_of(names):
    bits = {"replay": raw.RequirementFlag.replay_detection, "sequence": raw.RequirementFlag.out_of_sequence_detection}
    always = [raw.RequirementFlag.integrity]  # python3-gssapi takes no flags at all for its own default
    return always + [bits[name] for name in names], sum({"replay": REPLAY, "sequence": SEQUENCE}[name] for name in names)


def plugin_initiates(secret, credential=None, flags=("replay", "sequence"), bindings=plugin.NONE, **store):
    """(the plugin's Initiator, our Acceptor), established."""
    i = plugin.Initiator(plugin.link(secret, **store), flags_of(flags)[0], bindings[0])
    a = otc.Acceptor([Secret.link(secret)], bindings=bindings[1])
    a.finish(i.step(a.step(i.token1)))
    return i, a.context


def plugin_accepts(secret, credential=None, flags=("replay", "sequence"), bindings=plugin.NONE, **store):
    """(the plugin's Acceptor, our Initiator), established."""
    i = otc.Initiator(Secret.link(secret), credential or Credential(fresh_id(os.urandom)), flags_of(flags)[1], bindings=bindings[1])
    a = plugin.Acceptor(plugin.link(secret, **store), bindings[0])
    a.finish(i.step(a.step(i.token1)))
    return a, i.context


class Base(unittest.TestCase):
    def both_roles(self, **options):
        return [make(os.urandom(32), **options) for make in (plugin_initiates, plugin_accepts)]

    def refused(self, name, call, *args):
        with self.assertRaises(raw.GSSError) as caught:
            call(*args)
        self.assertEqual(plugin.name_of(caught.exception), name)
        return caught.exception


class Establishment(Base):
    def check(self, theirs, mine, flags):
        self.assertFalse(theirs.more)
        self.assertEqual(int(theirs.flags) & ~gss.PROT_READY, flags)
        self.assertEqual(mine.flags, flags & ~gss.CHANNEL_BOUND)
        self.assertAlmostEqual(theirs.lifetime, mine.lifetime, delta=5)

    def test_both_roles_agree_on_flags_and_lifetime(self):
        for asked, granted in (((), 0), (("replay",), REPLAY), (("sequence",), SEQUENCE), (("replay", "sequence"), REPLAY | SEQUENCE)):
            for theirs, mine in self.both_roles(flags=asked):
                self.check(theirs, mine, ALWAYS | granted)

    def test_both_sides_of_a_pair_of_files_initiate_and_accept(self):
        secret = os.urandom(32)
        with tempfile.TemporaryDirectory() as folder:
            for side, other in ("ab", "ba"):
                path = os.path.join(folder, side)
                write_secret_file(path, secret, side, label=f"laptop {side}", purpose="backup")
                i, a = plugin.Initiator({"otc_secret_file": path}), otc.Acceptor([Secret.pair(other, secret)])
                a.finish(i.step(a.step(i.token1)))
                self.assertEqual((a.context.credential.label, a.context.credential.purpose), (f"laptop {side}".encode(), b"backup"))
                self.assertNotEqual(a.context.credential.not_after, 0)
                i, a = otc.Initiator(Secret.pair(other, secret), Credential(fresh_id(os.urandom))), plugin.Acceptor({"otc_secret_file": path})
                a.finish(i.step(a.step(i.token1)))
                self.assertEqual(raw.unwrap(a.context, i.context.wrap(b"x")).message, b"x")

    def test_the_credential_arrives_and_names_both_parties(self):
        texts = {"label": "Zoë's laptop", "purpose": "backup", "title": "Schlüssel", "format": "file"}
        i, mine = plugin_initiates(os.urandom(32), **{"otc_" + key: text for key, text in texts.items()})
        self.assertEqual({key: getattr(mine.credential, key).decode() for key in texts}, texts)
        self.check_names(i, mine, texts)
        a, mine = plugin_accepts(os.urandom(32), Credential(fresh_id(os.urandom), **{key: text.encode() for key, text in texts.items()}))
        self.check_names(a, mine, texts)

    def check_names(self, theirs, mine, texts):
        made = raw.inquire_context(theirs.context)
        for role, name in ((INITIATOR, made.initiator_name), (ACCEPTOR, made.target_name)):
            self.assertEqual(raw.display_name(name, False).name.decode(), mine.credential.principal(role))
            self.assertEqual(raw.export_name(name), mine.credential.exported_name(role))
            for key, text in texts.items():
                attribute = raw.get_name_attribute(name, b"otc:" + key.encode())
                self.assertEqual((attribute.values, attribute.authenticated, attribute.complete), ([text.encode()], False, True))

    def test_equal_channel_bindings_bind_on_both_sides(self):
        for bindings in (plugin.channel(b"tls-exporter:x"), plugin.channel(b""), plugin.channel(b"x" * 300, kind=2, address=b"\x7f\0\0\1")):
            for theirs, mine in self.both_roles(bindings=bindings):
                self.check(theirs, mine, ALWAYS | REPLAY | SEQUENCE | gss.CHANNEL_BOUND)
                self.assertTrue(mine.bound)

    def test_bindings_of_one_side_alone_are_accepted_and_do_not_bind(self):
        theirs, ours = plugin.channel(b"tls-exporter:x")
        for bindings in ((theirs, NO_BINDINGS), (None, ours)):
            for they, mine in self.both_roles(bindings=bindings):
                self.check(they, mine, ALWAYS | REPLAY | SEQUENCE)
                self.assertFalse(mine.bound)

    def test_different_bindings_are_refused_by_both_sides(self):
        here, there = plugin.channel(b"here"), plugin.channel(b"there")
        with self.assertRaises(otc.Refused) as caught:
            secret = os.urandom(32)
            i = plugin.Initiator(plugin.link(secret), bindings=here[0])
            otc.Acceptor([Secret.link(secret)], bindings=there[1]).step(i.token1)
        self.assertEqual(caught.exception.name, "BAD_BINDINGS")
        self.refused("BAD_BINDINGS", i.step, caught.exception.token)
        i = otc.Initiator(Secret.link(secret), Credential(fresh_id(os.urandom)), bindings=here[1])
        error = self.refused("BAD_BINDINGS", plugin.Acceptor(plugin.link(secret), there[0]).step, i.token1)
        with self.assertRaises(otc.Refused) as caught:
            i.step(error.token)
        self.assertEqual(caught.exception.name, "BAD_BINDINGS")

    def test_a_wrong_secret_and_wrong_sides_have_names_of_their_own(self):
        secret = os.urandom(32)
        ours = otc.Initiator(Secret.link(secret), Credential(bytes(16)))
        self.refused("WRONG_SECRET", plugin.Acceptor(plugin.link(os.urandom(32))).step, ours.token1)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a")
            write_secret_file(path, secret, "a")
            self.refused("OTHER_SIDE", plugin.Acceptor({"otc_secret_file": path}).step, ours.token1)
            ours = otc.Initiator(Secret.pair("a", secret), Credential(bytes(16)))
            self.refused("EQUAL_SIDES", plugin.Acceptor({"otc_secret_file": path}).step, ours.token1)

    def test_the_lesser_lifetime_holds(self):
        secret = os.urandom(32)
        for asked, limit in (("1h", 7200), ("3h", 7200), ("indefinite", 7200)):
            i = plugin.Initiator(plugin.link(secret, otc_lifetime=asked))
            a = otc.Acceptor([Secret.link(secret)], lifetime=limit)
            a.finish(i.step(a.step(i.token1)))
            self.assertEqual(a.context.lifetime, 3600 if asked == "1h" else 7200)
            self.assertAlmostEqual(i.lifetime, a.context.lifetime, delta=5)


class Messages(Base):
    def test_wrap_arrives_both_ways_in_every_size(self):
        for theirs, mine in self.both_roles():
            for size in SIZES:
                for conf in (True, False):
                    data = os.urandom(size)
                    token = raw.wrap(theirs.context, data, confidential=conf)
                    self.assertEqual(token.encrypted, conf)
                    self.assertEqual(mine.unwrap(token.message), (data, conf, ""))
                    got = raw.unwrap(theirs.context, mine.wrap(data, conf))
                    self.assertEqual((got.message, got.encrypted, got.qop), (data, conf, 0))

    def test_mics_verify_both_ways(self):
        for theirs, mine in self.both_roles():
            for size in SIZES:
                data = os.urandom(size)
                mine.verify_mic(data, raw.get_mic(theirs.context, data))
                raw.verify_mic(theirs.context, data, mine.get_mic(data))
            token = mine.get_mic(b"this")
            self.refused("BAD_MIC", raw.verify_mic, theirs.context, b"that", token)

    def test_wraps_and_mics_share_one_sequence_under_one_epoch(self):
        for theirs, mine in self.both_roles():
            tokens = [raw.wrap(theirs.context, b"x").message, raw.get_mic(theirs.context, b"x"), raw.wrap(theirs.context, b"x", False).message]
            self.assertEqual([t[10:18] for t in tokens], [n.to_bytes(8, "big") for n in range(3)])
            self.assertEqual([t[0] for t in tokens], [0x11, 0x13, 0x12])
            self.assertEqual({t[1:10] for t in tokens}, {bytes([1 - mine.role]) + tokens[0][2:10]})

    def test_damage_at_every_byte_is_refused_and_the_right_token_follows(self):
        for theirs, mine in self.both_roles():
            for token in (mine.wrap(b"message"), mine.wrap(b"message", False)):
                for at in range(len(token)):
                    bad = bytearray(token)
                    bad[at] ^= 0x10
                    with self.assertRaises(raw.InvalidTokenError):
                        raw.unwrap(theirs.context, bytes(bad))
                for length in range(1, len(token)):
                    with self.assertRaises(raw.InvalidTokenError):
                        raw.unwrap(theirs.context, token[:length])
                self.assertEqual(raw.unwrap(theirs.context, token).message, b"message")

    def test_a_reflected_token_is_named(self):
        for theirs, _ in self.both_roles():
            self.refused("REFLECTED", raw.unwrap, theirs.context, raw.wrap(theirs.context, b"x").message)

    def status(self, context, token):
        try:
            raw.unwrap(context, token)
            return ""
        except raw.GSSError as e:
            return STATUS[type(e)]

    def test_order_is_judged_alike_over_random_schedules(self):
        """The same numbers in the same order to the plugin and to the model: the statuses must be the same."""
        for flags in (("replay", "sequence"), ("replay",), ("sequence",), ()):
            a, mine = plugin_accepts(os.urandom(32), flags=flags)
            model = otc.Context(ACCEPTOR, mine.credential, mine.flags, mine.lifetime, mine.prk)
            draw, at = random.Random(7), 0
            for n in range(3000):
                at = max(0, at + draw.choice((1, 1, 1, 1, 0, -1, 2, -3, 40, -1024, -1023, -1025, 1024, -30)))
                mine.send = at
                token = mine.wrap(b"x")
                self.assertEqual(self.status(a.context, token), model.unwrap(token)[2], f"{flags}: message {n}, number {at}")

    def test_keys_change_with_every_65536_numbers(self):
        """Real messages across the first boundary, both ways; far boundaries by numbers set in an exported context."""
        theirs, mine = plugin_initiates(os.urandom(32))
        for n in range(65_600):
            token = raw.wrap(theirs.context, b"x").message
            if n < 3 or n > 65_500:
                self.assertEqual(mine.unwrap(token)[0], b"x")
        for n in range(65_530, 65_545):
            mine.send = n
            self.assertEqual(self.status(theirs.context, mine.wrap(b"x")), "GAP" if n == 65_530 else "")

    def test_far_numbers_work_and_the_last_is_the_last(self):
        theirs, mine = plugin_initiates(os.urandom(32))
        ours = otc.Context(INITIATOR, mine.credential, mine.flags, mine.lifetime, mine.prk)
        for start in (2**32 - 2, 2**48 - 2, 2**64 - 4):
            ours.send = mine.next = start
            c = raw.import_sec_context(mech_form(export_context(ours, NO_BINDINGS)))
            for n in range(start, min(start + 5, 2**64 - 1)):
                self.assertEqual(mine.unwrap(raw.wrap(c, b"x").message), (b"x", True, ""))
        self.refused("USED_UP", raw.wrap, c, b"x")
        self.refused("USED_UP", raw.get_mic, c, b"x")

    def test_four_epochs_and_more_are_read_at_once(self):
        a, mine = plugin_accepts(os.urandom(32))
        copies = [mine.copy() for _ in range(9)]
        for n in range(90):
            copies[n % 9].send = n
            self.assertEqual(raw.unwrap(a.context, copies[n % 9].wrap(b"%d" % n)).message, b"%d" % n)

    def test_the_delete_token_is_read_both_ways(self):
        for theirs, mine in self.both_roles():
            early = mine.wrap(b"early")
            raw.process_context_token(theirs.context, mine.delete())
            self.refused("ENDED", raw.wrap, theirs.context, b"x")
            self.assertEqual(raw.unwrap(theirs.context, early).message, b"early")
            self.refused("ENDED", raw.unwrap, theirs.context, mine.wrap(b"late"))
        for theirs, mine in self.both_roles():
            early = raw.wrap(theirs.context, b"early").message
            mine.read_delete(raw.delete_sec_context(theirs.context, local_only=False))
            self.assertEqual(mine.final, 1)
            self.assertEqual(mine.unwrap(early)[0], b"early")

    def test_a_delete_token_must_come_after_what_was_received(self):
        for theirs, mine in self.both_roles():
            raw.unwrap(theirs.context, mine.wrap(b"x"))
            mine.send = 0
            self.refused("DAMAGED", raw.process_context_token, theirs.context, mine.delete())
            mine.send = 1
            raw.process_context_token(theirs.context, mine.delete())

    def test_the_number_after_the_last_is_no_messages(self):
        for theirs, mine in self.both_roles():
            mine.send = 2**64 - 1
            self.refused("DAMAGED", raw.unwrap, theirs.context, mine.make(mine.next_header(0x11), b"x", b""))
            raw.process_context_token(theirs.context, mine.delete())

    def test_a_forged_delete_token_changes_nothing(self):
        for theirs, mine in self.both_roles():
            token = bytearray(mine.delete())
            for at in range(len(token)):
                token[at] ^= 1
                with self.assertRaises(raw.GSSError):
                    raw.process_context_token(theirs.context, bytes(token))
                token[at] ^= 1
            self.assertEqual(mine.unwrap(raw.wrap(theirs.context, b"x").message)[0], b"x")


def mech_form(token):
    """What gss_import_sec_context of the mechglue takes."""
    return len(gss.OTC).to_bytes(4, "big") + gss.OTC + token


if __name__ == "__main__":
    unittest.main()
