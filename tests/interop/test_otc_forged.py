"""What a hostile holder of the secret can send, and damage by those who hold nothing: each is refused by the plugin with its name, and
changes no state. The second implementation makes the tokens.
"""
import os
import struct
import unittest

import otc
import otc_plugin as plugin
from otc_core import ALWAYS, NO_BINDINGS, REPLAY, SEQUENCE, Ask, Credential, Refused, Secret, fresh_id, public_of, x25519
from otc_plugin import raw


class Base(unittest.TestCase):
    def setUp(self):
        self.text = os.urandom(32)
        self.secret = Secret.link(self.text)

    def refused(self, name, call, *args):
        with self.assertRaises(raw.GSSError) as caught:
            call(*args)
        self.assertEqual(plugin.name_of(caught.exception), name)
        return caught.exception

    def acceptor(self, **store):
        return plugin.Acceptor(plugin.link(self.text, **store))

    def ours(self, **options):
        return otc.Initiator(self.secret, Credential(fresh_id(os.urandom)), REPLAY | SEQUENCE, **options)


def token1_of(secret, payload, side=None, version=1, suite=1, e=None, kid=None, inner_type=1):
    """Token 1 with any payload and any header, made as the document says."""
    salt, e = os.urandom(16), e or public_of(os.urandom(32))
    header = bytes([version, suite, secret.side if side is None else side]) + salt + (kid or otc.kid_of(secret.psk, salt))
    noise = otc.Noise(otc.prologue_of(header), secret.psk)
    noise.mix_public(e)
    return otc.frame(bytes([inner_type]) + header + e + noise.encrypt(payload))


def payload1(id=bytes(16), not_after=0, lifetime=60, flags=ALWAYS, bindings=NO_BINDINGS, label=b"\0", purpose=b"\0", title=b"\0\0",
             format=b"\0", rest=b""):
    return id + struct.pack(">QII", not_after, lifetime, flags) + bindings + label + purpose + title + format + rest


class Token1(Base):
    def test_the_forger_can_make_a_good_one(self):
        self.assertTrue(self.acceptor().step(token1_of(self.secret, payload1(title=struct.pack(">H", 1024) + b"t" * 1024))))

    def test_payloads_that_the_document_does_not_allow_are_damaged(self):
        bad = {
            "empty": b"", "one byte short": payload1()[:-1], "bytes left over": payload1(rest=b"\0"), "lifetime 0": payload1(lifetime=0),
            "no MUTUAL": payload1(flags=ALWAYS & ~2), "no TRANS": payload1(flags=ALWAYS & ~0x100), "DELEG": payload1(flags=ALWAYS | 1),
            "ANON": payload1(flags=ALWAYS | 0x40), "PROT_READY": payload1(flags=ALWAYS | 0x80),
            "CHANNEL_BOUND": payload1(flags=ALWAYS | 0x800), "flag 31": payload1(flags=ALWAYS | 1 << 31),
            "bindings 2": payload1(bindings=b"\2" + bytes(32)), "no bindings, but a hash": payload1(bindings=b"\0" * 32 + b"\1"),
            "label that is not UTF-8": payload1(label=b"\1\xff"), "label with an overlong form": payload1(label=b"\2\xc0\x80"),
            "label with a surrogate": payload1(label=b"\3\xed\xa0\x80"), "label with NUL": payload1(label=b"\1\0"),
            "label with ESC": payload1(label=b"\1\x1b"), "label with DEL": payload1(label=b"\1\x7f"),
            "purpose with C1": payload1(purpose=b"\2\xc2\x9b"), "title with newline": payload1(title=b"\0\1\n"),
            "format with RLO": payload1(format=b"\3\xe2\x80\xae"), "label with LRI": payload1(label=b"\3\xe2\x81\xa6"),
            "label with LRM": payload1(label=b"\3\xe2\x80\x8e"), "label with ALM": payload1(label=b"\2\xd8\x9c"),
            "title of 1025": payload1(title=struct.pack(">H", 1025) + b"t" * 1025), "label cut": payload1(label=b"\xff"),
        }
        for what, payload in bad.items():
            with self.subTest(what):
                self.refused("DAMAGED", self.acceptor().step, token1_of(self.secret, payload))

    def test_texts_of_full_length_and_odd_characters_are_taken(self):
        for label in ("é" * 127, "\u200d\ufeff", "\U0001f511", ""):
            data = label.encode()
            self.acceptor().step(token1_of(self.secret, payload1(label=bytes([len(data)]) + data)))

    def test_headers_that_the_document_does_not_allow_have_their_names(self):
        cases = {"UNSUPPORTED": ({"version": 2}, {"suite": 2}, {"version": 0}), "WRONG_SECRET": ({"kid": bytes(32)},),
                 "DAMAGED": ({"side": 0x63}, {"side": 0xFF}), "OTHER_SIDE": ({"side": 0x61}, {"side": 0x62})}
        for name, options in cases.items():
            for option in options:
                with self.subTest(name, **option):
                    self.refused(name, self.acceptor().step, token1_of(self.secret, payload1(), **option))

    def test_an_ephemeral_key_of_low_order_is_refused(self):
        for e in (bytes(32), b"\1" + bytes(31), (2**255 - 20).to_bytes(32, "little"), (2**255 - 19).to_bytes(32, "little")):
            self.refused("DAMAGED", self.acceptor().step, token1_of(self.secret, payload1(), e=e))

    def test_framing_is_strict(self):
        inner = token1_of(self.secret, payload1())[len(b"\x60") + 2:]
        good = token1_of(self.secret, payload1())
        body = good[3:] if good[1] == 0x81 else good[2:]
        self.assertEqual(good[:2], b"\x60\x81", "long enough for a long form")
        bad = {"longer form than needed": b"\x60\x82" + len(body).to_bytes(2, "big") + body, "indefinite": b"\x60\x80" + body + b"\0\0",
               "byte after": good + b"\0", "length too great": b"\x60\x81" + bytes([len(body) + 1]) + body, "tag": b"\x61" + good[1:],
               "three-byte length": b"\x60\x83\0\0" + bytes([len(body)]) + body}
        for what, token in bad.items():
            with self.subTest(what), self.assertRaises(raw.GSSError) as caught:
                self.acceptor().step(token)
            self.assertEqual(caught.exception.maj_code & 0xFFFF0000, plugin.gss.DEFECTIVE_TOKEN, what)
        self.assertTrue(inner)

    def test_damage_at_every_byte_is_refused(self):
        token = self.ours().token1
        for at in range(len(token)):
            for bit in (0x01, 0x80):
                bad = token[:at] + bytes([token[at] ^ bit]) + token[at + 1:]
                with self.assertRaises(raw.GSSError) as caught:
                    self.acceptor().step(bad)
                major = caught.exception.maj_code & 0xFFFF0000
                in_salt_or_kid = 3 + 35 + 1 + 3 <= at < 3 + 35 + 1 + 51
                allowed = {plugin.gss.DEFECTIVE_CREDENTIAL} if in_salt_or_kid else {plugin.gss.DEFECTIVE_TOKEN, plugin.gss.BAD_MECH}
                self.assertIn(major, allowed, f"byte {at}, {bad[at]:#x}: {caught.exception}")

    def test_every_truncation_is_refused(self):
        token = self.ours().token1
        for length in range(1, len(token)):
            with self.assertRaises(raw.GSSError) as caught:
                self.acceptor().step(token[:length])
            self.assertEqual(caught.exception.maj_code & 0xFFFF0000, plugin.gss.DEFECTIVE_TOKEN, length)


class Token2(Base):
    def setUp(self):
        super().setUp()
        self.plugin = plugin.Initiator(plugin.link(self.text, otc_lifetime="1h"))

    def answer(self, result=0, flags=ALWAYS | REPLAY | SEQUENCE, lifetime=3600, bindings=NO_BINDINGS, rest=b"", secret=None, e=None):
        """Token 2 with any payload. Returns (token, noise after it)."""
        inner = otc.unframe(self.plugin.token1)
        header, e1, c1 = inner[1:52], inner[52:84], inner[84:]
        noise = otc.Noise(otc.prologue_of(header), (secret or self.secret).psk)
        noise.mix_public(e1)
        Ask.decode(noise.decrypt(c1))
        private = os.urandom(32)
        noise.mix_public(e or public_of(private))
        noise.mix_key(x25519(private, e1))
        return b"\x02" + (e or public_of(private)) + noise.encrypt(struct.pack(">BII", result, flags, lifetime) + bindings + rest)

    def test_answers_that_the_document_does_not_allow_are_damaged(self):
        none = {"flags": 0, "lifetime": 0}
        for what, options in {
                "other flags": {"flags": ALWAYS}, "DELEG": {"flags": ALWAYS | REPLAY | SEQUENCE | 1}, "lifetime 0": {"lifetime": 0},
                "lifetime above the one asked for": {"lifetime": 3601}, "without end": {"lifetime": 0xFFFFFFFF},
                "bindings 2": {"bindings": b"\2" + bytes(32)}, "left over": {"rest": b"\0"}, "refusal with flags": {"result": 1, "lifetime": 0},
                "refusal with lifetime": {"result": 1, "flags": 0}, "refusal with bindings": {"result": 3, **none, "bindings": b"\1" * 33},
                "low order": {"e": bytes(32)}}.items():
            with self.subTest(what):
                self.refused("DAMAGED", self.plugin.step, self.answer(**options))
        self.plugin.step(self.answer())

    def test_each_refusal_has_its_name_and_leaves_the_context_waiting(self):
        for result, name in ((1, "EXPIRED"), (2, "USED"), (3, "BAD_BINDINGS"), (4, "REFUSED"), (255, "REFUSED")):
            with self.subTest(name):
                self.refused(name, self.plugin.step, self.answer(result, 0, 0))
        self.plugin.step(self.answer())
        self.assertFalse(self.plugin.more)

    def test_damage_at_every_byte_is_refused_and_the_right_one_still_follows(self):
        token = self.answer()
        for at in range(len(token)):
            with self.assertRaises(raw.InvalidTokenError):
                self.plugin.step(token[:at] + bytes([token[at] ^ 1]) + token[at + 1:])
        for length in range(1, len(token)):
            with self.assertRaises(raw.InvalidTokenError):
                self.plugin.step(token[:length])
        self.plugin.step(token)

    def test_other_kinds_of_token_are_out_of_order(self):
        for token in (self.plugin.token1, b"\x03" + bytes(32), b"\x14\x01" + bytes(32), b"\x11\x01" + bytes(32)):
            with self.assertRaises(raw.InvalidTokenError):
                self.plugin.step(token)
        self.plugin.step(self.answer())

    def test_a_second_receiver_gets_an_authenticated_refusal(self):
        """Two acceptors answer one token 1: the initiator's half-open state, taken twice, completes with one and refuses the other."""
        first, second = (otc.Acceptor([self.secret]) for _ in range(2))
        tokens = [a.step(self.plugin.token1) for a in (first, second)]
        half_open = raw.export_sec_context(self.plugin.context)
        contexts = []
        for token in tokens:
            self.plugin.context = raw.import_sec_context(half_open)
            contexts.append((self.plugin.step(token), self.plugin.context))
        first.finish(contexts[0][0])
        with self.assertRaises(Refused) as caught:
            second.finish(raw.delete_sec_context(contexts[1][1], local_only=False))
        self.assertEqual(caught.exception.name, "REFUSED")
        with self.assertRaises(Refused):
            second.finish(contexts[0][0])


class Token3(Base):
    def setUp(self):
        super().setUp()
        self.i, self.a = self.ours(), self.acceptor()
        self.token3 = self.i.step(self.a.step(self.i.token1))

    def test_damage_at_every_byte_is_refused_and_the_right_one_still_follows(self):
        for at in range(len(self.token3)):
            with self.assertRaises(raw.InvalidTokenError):
                self.a.finish(self.token3[:at] + bytes([self.token3[at] ^ 1]) + self.token3[at + 1:])
        for length in range(1, len(self.token3)):
            with self.assertRaises(raw.InvalidTokenError):
                self.a.finish(self.token3[:length])
        with self.assertRaises(raw.InvalidTokenError):
            self.a.finish(self.token3 + b"\0")
        self.a.finish(self.token3)
        self.assertFalse(self.a.more)

    def test_a_delete_token_in_its_place_ends_the_exchange(self):
        token = self.i.context.delete()
        for at in range(len(token)):
            with self.assertRaises(raw.InvalidTokenError):
                self.a.finish(token[:at] + bytes([token[at] ^ 1]) + token[at + 1:])
        self.refused("REFUSED", self.a.finish, token)

    def test_so_does_one_after_messages_that_were_kept_back(self):
        self.i.context.wrap(b"x")
        self.refused("REFUSED", self.a.finish, self.i.context.delete())

    def test_messages_do_not_pass_before_it(self):
        first, mic = self.i.context.wrap(b"first"), self.i.context.get_mic(b"x")
        for call, args in ((raw.unwrap, (first,)), (raw.wrap, (b"x",)), (raw.get_mic, (b"x",)), (raw.verify_mic, (b"x", mic))):
            with self.assertRaises(raw.MissingContextError):
                call(self.a.context, *args)
        self.a.finish(self.token3)
        self.assertEqual(raw.unwrap(self.a.context, first).message, b"first")


if __name__ == "__main__":
    unittest.main()
