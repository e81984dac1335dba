"""Names: who the parties are, what they say of themselves, and that a label is never a user. Claims of section 9 of doc/otc.md."""
import os
import pwd
import tempfile
import unittest

import gss

gss.use_otc()

import otc_pair  # noqa: E402
from otc_pair import Pair, link, secret  # noqa: E402

UUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
GLOBAL_TYPES = (gss.NT_USER, gss.NT_HOST, None)


def parties(**texts):
    """(context, initiator's name, acceptor's name) of both sides."""
    text = secret()
    pair = Pair(creds=(link(text, **texts), link(text, gss.ACCEPT)))
    return [(c, seen.source, seen.target) for c in (pair.i, pair.a) for seen in (gss.inquire_context(c).ok(),)]


def shown(name):
    return gss.display_name(name).ok().text


def exported(name):
    return gss.export_name(name).ok().data


class Principals(otc_pair.Case):
    def test_they_are_the_credentials_id_and_the_role(self):
        (_, i1, a1), (_, i2, a2) = parties()
        self.assertRegex(shown(i1), rb"\A" + UUID + rb"/initiator\Z")
        self.assertEqual(shown(a1), shown(i1).replace(b"initiator", b"acceptor"))
        self.assertEqual((shown(i2), shown(a2)), (shown(i1), shown(a1)))

    def test_the_acceptors_call_returns_the_initiators_name(self):
        pair = Pair()
        self.assertEqual(exported(pair.last_a.source), exported(gss.inquire_context(pair.a).ok().source))

    def test_they_compare_export_and_import(self):
        (_, i1, a1), (_, i2, a2) = parties()
        _, (_, other, _) = parties()
        for one, two, equal in ((i1, i2, 1), (a1, a2, 1), (i1, a1, 0), (i1, other, 0)):
            self.assertEqual(gss.compare_name(one, two).ok().equal, equal)
            self.assertEqual(int(exported(one) == exported(two)), equal)
        back = gss.import_name(exported(i1), gss.NT_EXPORT).ok().name
        self.assertEqual((exported(back), shown(back), gss.compare_name(back, i2).ok().equal), (exported(i1), shown(i1), 1))
        for copy in (gss.duplicate_name(i1).ok().name, gss.canonicalize_name(i1).ok().name, gss.canonicalize_name(back).ok().name):
            self.assertEqual((exported(copy), gss.compare_name(copy, i1).ok().equal), (exported(i1), 1))

    def test_an_exported_name_is_framed_byte_for_byte(self):
        (_, i, _), _ = parties()
        head = b"\x04\x01\x00\x23\x06\x21" + gss.OTC
        self.assertEqual(exported(i), head + len(shown(i)).to_bytes(4, "big") + shown(i))

    def test_malformed_exported_names_do_not_import(self):
        (_, i, _), _ = parties()
        good = exported(i)
        at = good.index(shown(i))
        for what, bad in {"short": good[:-1], "long": good + b"x", "role": good[:-9] + b"Initiator", "no id": good.replace(shown(i)[:36], b"x" * 36),
                          "upper case": good[:at] + good[at:].upper(), "length": good[:at - 1] + bytes([good[at - 1] + 1]) + good[at:],
                          "braces": good.replace(b"-", b"_")}.items():
            result = gss.import_name(bad, gss.NT_EXPORT)
            if not result.failed:
                result = gss.canonicalize_name(result.name)
            self.assertTrue(result.failed, what)
            self.assertIn(result.major, (gss.BAD_NAME, gss.DEFECTIVE_TOKEN), what)

    def test_every_context_of_a_pair_of_files_has_an_id_of_its_own(self):
        text = secret()
        with tempfile.TemporaryDirectory() as folder:
            creds = [gss.acquire(store=[("otc_secret_file", otc_pair.write_file(os.path.join(folder, side), text, side))], usage=gss.BOTH).ok().cred
                     for side in "ab"]
        ids = {shown(gss.inquire_context(Pair(creds=order).i).ok().source)[:36] for order in (creds, creds, creds[::-1])}
        self.assertEqual(len(ids), 3)

    def test_every_context_of_a_link_has_its_one_id(self):
        text = secret()
        creds = link(text), link(text, gss.ACCEPT)
        ids = {shown(gss.inquire_context(Pair(creds=creds).i).ok().source) for _ in range(2)}
        self.assertEqual(len(ids), 1)
        self.assertEqual(ids, {shown(gss.inquire_cred(creds[0]).ok().name)})


class Attributes(otc_pair.Case):
    TEXTS = {"label": "Zoë's laptop \U0001f511", "purpose": "backup", "title": "a key", "format": "file"}

    def test_both_names_on_both_sides_carry_what_token_1_said(self):
        for _, *names in parties(**self.TEXTS, not_after="2099-01-02T03:04:05Z"):
            for name, role in zip(names, (b"initiator", b"acceptor")):
                expected = {b"otc:" + k.encode(): (v.encode(), 0) for k, v in self.TEXTS.items()}
                expected |= {b"otc:id": (shown(name)[:36], 1), b"otc:role": (role, 1), b"otc:not-after": (b"2099-01-02T03:04:05Z", 0)}
                listed = gss.inquire_name(name).ok()
                self.assertEqual((sorted(listed.attributes), listed.is_mn, listed.mech), (sorted(expected), 1, gss.OTC))
                for attribute, (value, authenticated) in expected.items():
                    got = gss.get_name_attribute(name, attribute).ok()
                    self.assertEqual((got.value, got.authenticated, got.complete, got.more), (value, authenticated, 1, 0), attribute)

    def test_empty_ones_are_absent(self):
        (_, name, _), _ = parties(not_after="never")
        self.assertEqual(sorted(gss.inquire_name(name).ok().attributes), [b"otc:id", b"otc:role"])
        for attribute in (b"otc:label", b"otc:not-after", b"otc:", b"label", b""):
            self.assertTrue(gss.get_name_attribute(name, attribute).failed, attribute)

    def test_imported_names_claim_nothing_as_authenticated(self):
        (_, name, _), _ = parties(**self.TEXTS)
        back = gss.import_name(exported(name), gss.NT_EXPORT).ok().name
        self.assertEqual(sorted(gss.inquire_name(back).ok().attributes), [b"otc:id", b"otc:role"])
        for attribute in (b"otc:id", b"otc:role"):
            self.assertEqual(gss.get_name_attribute(back, attribute).ok().authenticated, 0)

    def test_none_can_be_set_or_deleted(self):
        (_, name, _), _ = parties(**self.TEXTS)
        by = gss.byref
        result = gss.call("set_name_attribute", name, gss.c_int(1), by(gss.buffer(b"otc:label")), by(gss.buffer(b"root")))
        self.assertEqual(result.major, gss.UNAVAILABLE)
        self.assertEqual(gss.call("delete_name_attribute", name, by(gss.buffer(b"otc:label"))).major, gss.UNAVAILABLE)
        self.assertEqual(gss.get_name_attribute(name, b"otc:label").ok().value, self.TEXTS["label"].encode())

    def test_texts_that_could_fool_a_terminal_are_not_taken(self):
        for key in ("label", "purpose", "title", "format"):
            for bad in ("a\nb", "\x1b[31m", "\x7f", "\u009b", "\u202e", "\u2066", "x" * (1025 if key == "title" else 256)):
                self.refused("BAD_VALUE", gss.acquire(store=[("otc_secret", secret()), ("otc_" + key, bad)]))


class NotAUser(otc_pair.Case):
    """A label `root` must never become user root."""

    def test_no_name_of_the_mechanism_is_any_user(self):
        users = [b"root", pwd.getpwuid(os.getuid()).pw_name.encode(), b"nobody", b"0"]
        names = [name for _, *both in parties(label="root", purpose="root", title="root", format="root") for name in both]
        names += [gss.canonicalize_name(gss.import_name(b"root", kind).ok().name).ok().name for kind in (gss.NT_USER, None)]
        for name in names:
            for user in users + [shown(name)]:
                self.assertEqual(gss.userok(name, user), 0, user)
                result = gss.authorize_localname(name, gss.import_name(user).ok().name)
                self.assertIn(result.major, (gss.UNAUTHORIZED, gss.UNAVAILABLE), user)  # the library asks an attribute after the mechanism

    def test_no_name_maps_to_a_local_name(self):
        for _, *names in parties(label="root"):
            for name in names + [gss.canonicalize_name(gss.import_name(b"root").ok().name).ok().name]:
                result = gss.localname(name)
                self.assertEqual((hex(result.major), result.text), (hex(gss.UNAVAILABLE), b""))

    def test_a_wildcard_never_equals_a_principal(self):
        (_, i, a), _ = parties(label="root")
        for kind in GLOBAL_TYPES:
            for text in (shown(i), shown(a), b"root"):
                wildcard = gss.import_name(text, kind).ok().name
                for candidate in (wildcard, gss.canonicalize_name(wildcard).ok().name):
                    for name in (i, a):
                        self.assertEqual(gss.compare_name(candidate, name).ok().equal, 0, (kind, text))
                        self.assertEqual(gss.compare_name(name, candidate).ok().equal, 0, (kind, text))


class Wildcards(otc_pair.Case):
    def made(self, text, kind=gss.NT_USER):
        return gss.canonicalize_name(gss.import_name(text, kind).ok().name).ok().name

    def test_they_display_as_imported_and_are_nobody(self):
        for kind in (gss.NT_USER, gss.NT_HOST):
            name = self.made(b"http@example.org", kind)
            got = gss.display_name(name).ok()
            self.assertEqual((got.text, got.kind), (b"http@example.org", kind))
            self.refused("NAME_NOT_MN", gss.export_name(name))

    def test_they_equal_only_the_same_type_and_bytes(self):
        one = self.made(b"a@b")
        self.assertEqual(gss.compare_name(one, self.made(b"a@b")).ok().equal, 1)
        self.assertEqual(gss.compare_name(one, self.made(b"a@c")).ok().equal, 0)
        self.assertEqual(gss.compare_name(one, self.made(b"a@b", gss.NT_HOST)).ok().equal, 0)

    def test_any_of_them_is_a_fitting_target(self):
        for text, kind in ((b"anybody", gss.NT_USER), (b"http@example.org", gss.NT_HOST), (b"x", None), (b"y" * 1024, gss.NT_USER)):
            Pair(target=gss.import_name(text, kind).ok().name)

    def test_too_long_ones_are_refused(self):
        result = gss.canonicalize_name(gss.import_name(b"y" * 1025).ok().name)
        self.refused("BAD_NAME", result)

    def test_a_principal_as_target_must_be_the_credentials_acceptor(self):
        text = secret()
        cred = link(text)
        mine = shown(gss.inquire_cred(cred).ok().name)
        _, (_, other_i, other_a) = parties()
        right = gss.import_name(self.frame(mine.replace(b"initiator", b"acceptor")), gss.NT_EXPORT).ok().name
        gss.init(cred, target=right).ok()
        for wrong in (other_a, other_i, gss.import_name(self.frame(mine), gss.NT_EXPORT).ok().name):
            self.refused("BAD_NAME", gss.init(cred, target=wrong))

    @staticmethod
    def frame(principal):
        return b"\x04\x01\x00\x23\x06\x21" + gss.OTC + len(principal).to_bytes(4, "big") + principal


if __name__ == "__main__":
    unittest.main()
