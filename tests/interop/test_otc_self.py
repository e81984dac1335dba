"""The second implementation against itself and against published vectors: it must be right before it judges the plugin."""
import os
import tempfile
import unittest

import otc
from otc_core import (ALWAYS, FOREVER, LINK, NO_BINDINGS, REPLAY, SEQUENCE, Credential, Refused, Secret, bindings_of, expand, extract,
                      fresh_id, public_of, x25519)
from otc_store import (HeldCredential, UsedStore, export_acceptor, export_context, export_credential, export_initiator, import_context,
                       import_credential, parse_secret, read_secret_file, secret_text, write_secret_file)

# Noise_NNpsk0_25519_AESGCM_SHA256 as published with the cacophony implementation (its vectors are in the public domain).
NOISE = {
    "prologue": "4a6f686e2047616c74",
    "psk": "54686973206973206d7920417573747269616e20706572737065637469766521",
    "e1": "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
    "e2": "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
    "payload1": "4c756477696720766f6e204d69736573",
    "message1": "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79447c37a89fc17813788d30df2d59501d60"
                "66f5f8aecc3406bbd9829f2d24a531b1",
    "payload2": "4d757272617920526f746862617264",
    "message2": "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088432f29d79368ef9de4e1ae7a362fb05bf0"
                "ad668e026bf5714554497b3a720461",
    "hash": "9f3b1f9afd7767767b5b9d1069844a6154fdbdcc36dfb3e31c0fffc5c973d530",
}
DATA = {"app": bindings_of(0, b"", 0, b"", b"tls-exporter:1"), "other": bindings_of(0, b"", 0, b"", b"tls-exporter:2")}


def parties(flags=REPLAY | SEQUENCE, bindings=(NO_BINDINGS, NO_BINDINGS), secrets=None, not_after=0, **options):
    mine, theirs = secrets or [Secret.link(os.urandom(32))] * 2
    i = otc.Initiator(mine, Credential(fresh_id(os.urandom), not_after, label=b"laptop"), flags, bindings=bindings[0])
    return i, otc.Acceptor([theirs], bindings=bindings[1], **options)


def establish(*args, **options):
    i, a = parties(*args, **options)
    a.finish(i.step(a.step(i.token1)))
    return i.context, a.context


class Base(unittest.TestCase):
    def refuses(self, name, call, *args):
        with self.assertRaises(Refused) as caught:
            call(*args)
        self.assertEqual(caught.exception.name, name)
        return caught.exception


class Primitives(Base):
    def test_hkdf_gives_the_first_vector_of_rfc_5869(self):
        prk = extract(bytes(range(13)), b"\x0b" * 22)
        self.assertEqual(prk.hex(), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
        self.assertEqual(expand(prk, bytes(range(0xF0, 0xFA)), 42).hex(),
                         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")

    def test_noise_gives_the_published_messages_and_hash(self):
        v = {name: bytes.fromhex(text) for name, text in NOISE.items()}
        noise = otc.Noise(v["prologue"], v["psk"])
        noise.mix_public(public_of(v["e1"]))
        self.assertEqual(public_of(v["e1"]) + noise.encrypt(v["payload1"]), v["message1"])
        noise.mix_public(public_of(v["e2"]))
        noise.mix_key(x25519(v["e1"], public_of(v["e2"])))
        self.assertEqual(public_of(v["e2"]) + noise.encrypt(v["payload2"]), v["message2"])
        self.assertEqual(noise.h, v["hash"])

    def test_refuses_an_ephemeral_key_of_low_order(self):
        self.refuses("DAMAGED", x25519, os.urandom(32), bytes(32))


class Handshake(Base):
    def test_both_sides_have_the_same_keys_and_flags(self):
        i, a = establish()
        self.assertEqual((i.prk, i.flags, i.lifetime), (a.prk, a.flags, a.lifetime))
        self.assertEqual(i.flags, ALWAYS | REPLAY | SEQUENCE)
        self.assertEqual(i.prf(b"x", 100), a.prf(b"x", 100))

    def test_no_altered_token_passes(self):
        i, a = parties()
        for at in range(len(i.token1)):
            token = bytearray(i.token1)
            token[at] ^= 1
            with self.assertRaises(Refused):
                a.step(bytes(token))
        token2 = a.step(i.token1)
        for at in range(len(token2)):
            with self.assertRaises(Refused):
                i.step(token2[:at] + bytes([token2[at] ^ 1]) + token2[at + 1:])
        token3 = i.step(token2)
        for at in range(len(token3)):
            with self.assertRaises(Refused):
                a.finish(token3[:at] + bytes([token3[at] ^ 1]) + token3[at + 1:])
        a.finish(token3)

    def test_refuses_wrong_secret_and_wrong_sides(self):
        secret = os.urandom(32)
        for mine, theirs, name in ((Secret.link(secret), Secret.link(os.urandom(32)), "WRONG_SECRET"),
                                   (Secret.pair("a", secret), Secret.pair("a", secret), "EQUAL_SIDES"),
                                   (Secret.pair("a", secret), Secret.link(secret), "OTHER_SIDE"),
                                   (Secret.link(secret), Secret.pair("b", secret), "OTHER_SIDE")):
            i, a = parties(secrets=(mine, theirs))
            self.refuses(name, a.step, i.token1)
        establish(secrets=(Secret.pair("b", secret), Secret.pair("a", secret)))

    def test_bindings_bind_where_both_have_them(self):
        self.assertFalse(establish()[0].bound)
        self.assertFalse(establish(bindings=(DATA["app"], NO_BINDINGS))[1].bound)
        self.assertEqual([c.bound for c in establish(bindings=(DATA["app"], DATA["app"]))], [True, True])
        i, a = parties(bindings=(DATA["app"], DATA["other"]))
        self.refuses("BAD_BINDINGS", i.step, self.refuses("BAD_BINDINGS", a.step, i.token1).token)

    def test_a_delete_token_in_place_of_token_3_ends_the_exchange(self):
        i, a = parties()
        i.step(a.step(i.token1))
        self.refuses("REFUSED", a.finish, i.context.delete())

    def test_an_expired_credential_is_released_to_nobody(self):
        clock = [1000]
        i = otc.Initiator(Secret.link(bytes(32)), Credential(bytes(16), not_after=1000), now=lambda: clock[0])
        a = otc.Acceptor([Secret.link(bytes(32))])
        token2 = a.step(i.token1)
        clock[0] = 1001
        refused = self.refuses("EXPIRED", i.step, token2)
        self.refuses("REFUSED", a.finish, refused.token)

    def test_the_used_store_lets_a_link_make_one_context(self):
        with tempfile.TemporaryDirectory() as folder:
            link = Secret.link(os.urandom(32))
            store = UsedStore(folder + "/used")
            establish(secrets=(link, link), used=store)
            i, a = parties(secrets=(link, link), used=store)
            self.refuses("USED", i.step, self.refuses("USED", a.step, i.token1).token)

    def test_half_open_and_complete_contexts_survive_export(self):
        i, a = parties()
        token2 = a.step(i.token1)
        i2, a2 = import_context(export_initiator(i)), import_context(export_acceptor(a))
        a2.finish(i2.step(token2))
        sender = import_context(export_context(i2.context, NO_BINDINGS))
        self.assertEqual(a2.context.unwrap(sender.wrap(b"hello")), (b"hello", True, ""))


class Messages(Base):
    def setUp(self):
        self.i, self.a = establish()

    def test_every_kind_arrives_and_no_altered_token_does(self):
        for kind, token, read in (("conf", self.i.wrap(b"one"), self.a.unwrap), ("integ", self.i.wrap(b"two", conf=False), self.a.unwrap),
                                  ("mic", self.i.get_mic(b"three"), lambda t: self.a.verify_mic(b"three", t)),
                                  ("delete", self.i.delete(), self.a.read_delete)):
            with self.subTest(kind):
                for at in range(len(token)):
                    with self.assertRaises(Refused):
                        read(token[:at] + bytes([token[at] ^ 1]) + token[at + 1:])
                read(token)

    def test_order_is_judged_as_the_table_says(self):
        tokens = [self.i.wrap(b"%d" % n) for n in range(1030)]
        for n, status in ((0, ""), (2, "GAP"), (1, "UNSEQ"), (1, "DUPLICATE"), (1027, "GAP"), (3, "OLD"), (4, "UNSEQ"), (1027, "DUPLICATE")):
            self.assertEqual(self.a.unwrap(tokens[n])[2], status, n)

    def test_without_replay_and_sequence_nothing_is_said(self):
        i, a = establish(flags=0)
        token = i.wrap(b"x")
        self.assertEqual([a.unwrap(token)[2] for _ in range(2)], ["", ""])

    def test_a_delete_token_ends_what_comes_later_only(self):
        early, end = self.i.wrap(b"early"), self.i.delete()
        self.a.read_delete(end)
        self.a.read_delete(end)
        self.refuses("ENDED", self.a.wrap, b"x")
        self.assertEqual(self.a.unwrap(early)[0], b"early")
        self.refuses("ENDED", self.a.unwrap, self.i.wrap(b"late"))

    def test_copies_of_a_context_never_use_one_key_and_nonce(self):
        one, two = self.i.copy(), self.i.copy()
        self.assertNotEqual(one.wrap(b"x")[2:10], two.wrap(b"x")[2:10])

    def test_a_reflected_token_is_refused(self):
        self.refuses("REFLECTED", self.i.unwrap, self.i.wrap(b"x"))

    def test_the_last_number_is_the_last(self):
        self.i.send = self.a.next = 2**64 - 2
        self.a.unwrap(self.i.wrap(b"x"))
        self.refuses("USED_UP", self.i.wrap, b"x")
        self.a.read_delete(self.i.delete())

    def test_the_lifetime_ends_every_call(self):
        self.i.now = lambda: self.i.expires + 1
        self.refuses("CONTEXT_EXPIRED", self.i.wrap, b"x")


class Forms(Base):
    def test_a_secret_reads_back_in_every_form_and_no_other(self):
        secret = bytes(range(224, 256))
        text = secret_text(secret)
        for form in (text, text + "=", text + "%3D", text + "%3d=", text.replace("-", "+").replace("_", "/")):
            self.assertEqual(parse_secret(form), secret)
        for form in ("", text[:-1], text + "A", text + "\n", " " + text, text + "===", text[:-1] + chr(ord(text[-1]) + 1)):
            self.refuses("BAD_SECRET", parse_secret, form)

    def test_a_secret_file_reads_back(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/a"
            write_secret_file(path, bytes(range(32)), "a", label="laptop")
            self.assertEqual(read_secret_file(path), (Secret.pair("a", bytes(range(32))), {"label": "laptop"}))
            os.chmod(path, 0o604)
            self.refuses("SECRET_FILE_OPEN", read_secret_file, path)

    def test_a_credential_token_reads_back(self):
        held = HeldCredential(2, [(Secret(LINK, bytes(32)), 7)], Credential(fresh_id(os.urandom), 5, b"l", b"p", b"t", b"f"), FOREVER, True, 9,
                              "/used")
        self.assertEqual(import_credential(export_credential(held)), held)
        self.refuses("BAD_IMPORT_CRED", import_credential, export_credential(held) + b"x")

    def test_an_exported_name_is_framed_as_rfc_2743_says(self):
        name = Credential(bytes(16)).exported_name(1)
        self.assertEqual(name[:6].hex(), "040100230621")
        self.assertEqual(name[-45:], b"00000000-0000-0000-0000-000000000000/acceptor")
        self.assertEqual(name[39:43], bytes([0, 0, 0, 45]))


if __name__ == "__main__":
    unittest.main()
