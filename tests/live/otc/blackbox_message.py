"""Messages between two parties: wrap, MIC, IOV forms, limits, order, the end of a context, PRF; and that nothing survives a failed unwrap."""
import ctypes
import os
import random
import subprocess
import sys
import unittest

import gss

gss.use_otc()

from gss import ALLOCATE, IOV_DATA, IOV_HEADER, IOV_MIC, IOV_PADDING, IOV_SIGN_ONLY, IOV_STREAM, IOV_TRAILER  # noqa: E402
import otc_pair  # noqa: E402
from otc_pair import Pair  # noqa: E402

OVERHEAD = 34


class Wrap(otc_pair.Case):
    def setUp(self):
        self.pair = Pair()

    def test_messages_arrive_in_every_size(self):
        for sender, receiver in self.pair.ways():
            for size in (0, 1, 15, 16, 17, 65_535, 65_536, 3_000_001):
                for conf in (0, 1):
                    data = os.urandom(size)
                    made = gss.wrap(sender, data, conf).ok()
                    self.assertEqual((made.conf, len(made.token)), (conf, size + OVERHEAD))
                    got = gss.unwrap(receiver, made.token)
                    self.delivered(data, got)
                    self.assertEqual((got.conf, got.qop), (conf, 0))

    def test_confidential_means_unreadable_and_integrity_means_readable(self):
        data = b"a recognisable sentence" * 4
        self.assertNotIn(data[:23], gss.wrap(self.pair.i, data, 1).ok().token)
        self.assertIn(data, gss.wrap(self.pair.i, data, 0).ok().token)

    def test_wrap_size_limit_is_exact(self):
        for conf in (0, 1):
            for output in (0, 1, OVERHEAD - 1, OVERHEAD, OVERHEAD + 1, 1000, 0xFFFFFFFF):
                limit = gss.wrap_size_limit(self.pair.i, output, conf).ok().limit
                self.assertEqual(limit, max(output - OVERHEAD, 0))
            self.assertEqual(len(gss.wrap(self.pair.i, bytes(gss.wrap_size_limit(self.pair.i, 5000, conf).limit), conf).ok().token), 5000)

    def test_qop_other_than_0_is_refused_everywhere(self):
        i = self.pair.i
        for qop in (1, 0x80000000):
            for result in (gss.wrap(i, b"x", qop=qop), gss.get_mic(i, b"x", qop=qop), gss.wrap_size_limit(i, 100, qop=qop),
                           gss.wrap_iov(i, [(IOV_HEADER | ALLOCATE, None), (IOV_DATA, b"x")], qop=qop),
                           gss.get_mic_iov(i, [(IOV_DATA, b"x"), (IOV_MIC | ALLOCATE, None)], qop=qop)):
                self.refused("BAD_QOP", result)

    def test_damage_truncation_and_foreign_bytes_deliver_nothing(self):
        for sender, receiver in self.pair.ways():
            for conf in (0, 1):
                token = gss.wrap(sender, b"secret message", conf).ok().token
                bad = [token[:at] + bytes([token[at] ^ 0x40]) + token[at + 1:] for at in range(len(token))]
                bad += [token[:n] for n in range(1, len(token))] + [token + b"\0", os.urandom(60), b"\x60" + token]
                for candidate in bad:
                    result = gss.unwrap(receiver, candidate)
                    self.assertEqual((hex(result.major & ~0x3000000), result.data), (hex(gss.DEFECTIVE_TOKEN), b""), candidate.hex())
                self.delivered(b"secret message", gss.unwrap(receiver, token))

    def test_names_of_what_is_wrong(self):
        i, a = self.pair.i, self.pair.a
        token = gss.wrap(i, b"x").ok().token
        self.refused("REFLECTED", gss.unwrap(i, token))
        self.refused("REFLECTED", gss.verify_mic(i, b"x", gss.get_mic(i, b"x").ok().token))
        self.refused("DAMAGED", gss.unwrap(a, token[:-1] + bytes([token[-1] ^ 1])))
        self.refused("TRUNCATED", gss.unwrap(a, token[:20]))
        self.refused("WRONG_STATE", gss.unwrap(a, gss.get_mic(i, b"x").ok().token))
        self.refused("BAD_MIC", gss.verify_mic(a, b"y", gss.get_mic(i, b"x").ok().token))
        other = Pair()
        self.refused("DAMAGED", gss.unwrap(other.a, token))

    def test_mics_verify_and_nothing_else_does(self):
        for sender, receiver in self.pair.ways():
            for data in (b"", b"x", os.urandom(100_000)):
                token = gss.get_mic(sender, data).ok().token
                self.assertEqual(len(token), OVERHEAD)
                self.assertEqual(gss.verify_mic(receiver, data, token).ok().qop, 0)
                self.assertEqual(gss.verify_mic(receiver, data + b"\0", token).major, gss.BAD_SIG)

    def test_order_over_random_schedules_is_what_the_table_says(self):
        """A plain model of the window beside the plugin."""
        for flags in (gss.REPLAY | gss.SEQUENCE, gss.REPLAY, gss.SEQUENCE, 0):
            pair, draw, seen, following = Pair(flags=flags), random.Random(3), set(), 0
            tokens = [gss.wrap(pair.i, b"%d" % n).ok().token for n in range(2600)]
            order = [max(0, min(2599, n + draw.choice((0, 0, 1, -1, 5, -5, 300, -1023, -1024, -1025)))) for n in range(0, 2600)]
            for n in order:
                expected = judge(n, following, seen, flags)
                self.delivered(b"%d" % n, gss.unwrap(pair.a, tokens[n]), expected)
                following, seen = max(following, n + 1), seen | {n}

    def test_many_messages_across_the_re_keying_boundary(self):
        for n in range(65_540):
            token = gss.wrap(self.pair.i, b"x").token
            if n % 4096 == 0 or n > 65_530:
                self.assertEqual(gss.unwrap(self.pair.a, token).ok().data, b"x")
        self.delivered(b"y", gss.unwrap(self.pair.i, gss.wrap(self.pair.a, b"y").ok().token))


def judge(n, following, seen, flags):
    if n < following - 1024:
        late = gss.OLD
    elif n in seen:
        late = gss.DUPLICATE
    else:
        return (gss.UNSEQ if n < following else gss.GAP if n > following else 0) if flags & gss.SEQUENCE else 0
    return late if flags & (gss.REPLAY | gss.SEQUENCE) else 0


class Huge(otc_pair.Case):
    """Lengths whose memory does not exist: refused, or told, before a byte is touched. In a child, for a crash is the failure."""
    CODE = """
import ctypes, sys
sys.path.insert(0, sys.argv[1])
import gss, otc_pair
pair, length = otc_pair.Pair(), int(sys.argv[2])
huge = gss.Buffer(length, 8)
out, state = gss.Buffer(), ctypes.c_int()
by = ctypes.byref
if sys.argv[3] == "wrap":
    result = gss.call("wrap", pair.i, ctypes.c_int(1), ctypes.c_uint32(0), by(huge), by(state), by(out))
elif sys.argv[3] == "mic":
    result = gss.call("get_mic", pair.i, ctypes.c_uint32(0), by(huge), by(out))
else:
    array = (gss.Iov * 3)()
    array[0].type, array[1].type, array[2].type = gss.IOV_HEADER, gss.IOV_DATA, gss.IOV_DATA
    array[1].buffer, array[2].buffer = huge, huge
    name = "wrap_iov_length" if sys.argv[3] == "length" else "wrap_iov"
    if name == "wrap_iov":
        array[0].type |= gss.ALLOCATE
    result = gss.call(name, pair.i, ctypes.c_int(1), ctypes.c_uint32(0), by(state), array, ctypes.c_int(3))
print(hex(result.major), gss.text_of(result.minor))
"""

    def run_child(self, length, what):
        done = subprocess.run([sys.executable, "-c", self.CODE, str(gss.ROOT / "tests/lib"), str(length), what], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""), f"{what} {length}")
        return done.stdout.split(" ", 1)

    def test_more_than_a_token_can_protect_is_refused_not_read(self):
        for length in (2**36 - 31, 2**36, 2**62, 2**64 - 35, 2**64 - 16, 2**64 - 1):
            for what in ("wrap", "mic", "iov"):
                major, text = self.run_child(length, what)
                self.assertEqual((major, text.strip()), (hex(gss.FAILURE), otc_pair.STATUS["TOO_LONG"][2]), f"{what} {length}")

    def test_lengths_near_2_to_the_32_do_not_wrap_round(self):
        for length in (2**32 - 16, 2**32 - 1, 2**32):
            self.run_child(length, "length")


class Iov(otc_pair.Case):
    def setUp(self):
        self.pair = Pair()

    def layout(self, sender, data=b"message", conf=1, header=b"\0" * OVERHEAD):
        return gss.wrap_iov(sender, [(IOV_HEADER, header), (IOV_DATA, data)], conf).ok()

    def test_header_and_data_joined_are_a_token_of_wrap(self):
        for sender, receiver in self.pair.ways():
            for conf in (0, 1):
                made = self.layout(sender, conf=conf)
                self.assertEqual(made.conf, conf)
                self.delivered(b"message", gss.unwrap(receiver, b"".join(made.parts)))

    def test_a_token_of_wrap_opens_by_iov_and_as_a_stream(self):
        for sender, receiver in self.pair.ways():
            for conf in (0, 1):
                token = gss.wrap(sender, b"message", conf).ok().token
                got = gss.unwrap_iov(receiver, [(IOV_HEADER, token[:OVERHEAD]), (IOV_DATA, token[OVERHEAD:])]).ok()
                self.assertEqual((got.parts[1], got.conf, got.qop), (b"message", conf, 0))
                token = gss.wrap(sender, b"message", conf).ok().token
                got = gss.unwrap_iov(receiver, [(IOV_STREAM, token), (IOV_DATA, None)]).ok()
                self.assertEqual((got.parts[1], got.conf), (b"message", conf))

    def test_many_data_buffers_padding_and_trailer(self):
        parts = [(IOV_HEADER | ALLOCATE, None), (IOV_DATA, b"one"), (IOV_DATA, b""), (IOV_DATA, b"two" * 1000), (IOV_PADDING | ALLOCATE, None),
                 (IOV_TRAILER | ALLOCATE, None)]
        made = gss.wrap_iov(self.pair.i, parts).ok()
        self.assertEqual([len(p) for p in made.parts], [OVERHEAD, 3, 0, 3000, 0, 0])
        back = [(kind & 0xFFFF, data) for (kind, _), data in zip(parts, made.parts)]
        got = gss.unwrap_iov(self.pair.a, back).ok()
        self.assertEqual(got.parts[1:4], [b"one", b"", b"two" * 1000])

    def test_lengths_are_told_before(self):
        parts = [(IOV_HEADER, None), (IOV_DATA, b"12345"), (IOV_PADDING, None), (IOV_TRAILER, None)]
        array = gss.iov_array(parts)
        state = ctypes.c_int()
        gss.call("wrap_iov_length", self.pair.i, ctypes.c_int(1), ctypes.c_uint32(0), ctypes.byref(state), array, ctypes.c_int(4)).ok()
        self.assertEqual([e.buffer.length for e in array], [OVERHEAD, 5, 0, 0])

    def test_sign_only_is_bound_and_in_its_place(self):
        for conf in (0, 1):
            parts = [(IOV_SIGN_ONLY, b"head"), (IOV_HEADER, bytes(OVERHEAD)), (IOV_DATA, b"body"), (IOV_SIGN_ONLY, b"foot")]
            made = gss.wrap_iov(self.pair.i, parts, conf).ok()
            self.assertEqual((made.parts[0], made.parts[3]), (b"head", b"foot"))
            back = [(kind, data) for (kind, _), data in zip(parts, made.parts)]
            for wrong in ([(IOV_SIGN_ONLY, b"Head"), *back[1:]], back[1:], [*back[:3], (IOV_SIGN_ONLY, b"foo")]):
                result = gss.unwrap_iov(self.pair.a, wrong)
                self.refused("DAMAGED", result)
            self.assertEqual(gss.unwrap_iov(self.pair.a, back).ok().parts[2], b"body")

    def test_a_failed_unwrap_wipes_the_buffers_in_place(self):
        for conf in (0, 1):
            made = self.layout(self.pair.i, b"a secret that must not stay" * 100, conf)
            header = made.parts[0][:-1] + bytes([made.parts[0][-1] ^ 1])
            got = gss.unwrap_iov(self.pair.a, [(IOV_HEADER, header), (IOV_DATA, made.parts[1])])
            self.refused("DAMAGED", got)
            self.assertEqual(got.parts[1].strip(b"\0"), b"")
            stream = header + made.parts[1]
            got = gss.unwrap_iov(self.pair.a, [(IOV_STREAM, stream), (IOV_DATA, None)])
            self.refused("DAMAGED", got)
            self.assertNotIn(b"secret", b"".join(got.parts))

    def test_mic_over_pieces_is_the_mic_over_the_whole(self):
        for sender, receiver in self.pair.ways():
            made = gss.get_mic_iov(sender, [(IOV_DATA, b"one"), (IOV_SIGN_ONLY, b"two"), (IOV_MIC | ALLOCATE, None)]).ok()
            self.assertEqual(len(made.parts[2]), OVERHEAD)
            gss.verify_mic(receiver, b"onetwo", made.parts[2]).ok()
            token = gss.get_mic(sender, b"onetwo").ok().token
            gss.verify_mic_iov(receiver, [(IOV_DATA, b"onet"), (IOV_DATA, b"wo"), (IOV_MIC, token)]).ok()
            self.assertEqual(gss.verify_mic_iov(receiver, [(IOV_DATA, b"onet"), (IOV_MIC, token)]).major, gss.BAD_SIG)

    def test_buffers_that_do_not_fit_are_refused_and_take_no_number(self):
        i = self.pair.i
        for parts in ([(IOV_DATA, b"x")], [(IOV_HEADER, bytes(33)), (IOV_DATA, b"x")], []):
            self.refused("BAD_IOV", gss.wrap_iov(i, parts))
        self.refused("BAD_IOV", gss.get_mic_iov(i, [(IOV_DATA, b"x")]))
        self.assertEqual(gss.wrap(i, b"x").ok().token[10:18], bytes(8))


class End(otc_pair.Case):
    def setUp(self):
        self.pair = Pair()

    def test_the_delete_token_ends_the_context_authentically(self):
        for forward in (True, False):
            pair = Pair()
            sender, receiver = (pair.i, pair.a) if forward else (pair.a, pair.i)
            early = gss.wrap(sender, b"early").ok().token
            token = gss.delete(sender, with_token=True).ok().token
            self.assertEqual(len(token), OVERHEAD)
            for at in range(len(token)):
                bad = gss.process(receiver, token[:at] + bytes([token[at] ^ 1]) + token[at + 1:])
                self.assertEqual(bad.major, gss.DEFECTIVE_TOKEN)
            gss.process(receiver, token).ok()
            gss.process(receiver, token).ok()
            self.refused("ENDED", gss.wrap(receiver, b"x"))
            self.refused("ENDED", gss.get_mic(receiver, b"x"))
            self.delivered(b"early", gss.unwrap(receiver, early))

    def test_what_a_copy_sends_after_the_end_is_refused(self):
        exported = gss.export_context(self.pair.i).ok().token
        one, two = (gss.import_context(exported).ok().context for _ in range(2))
        gss.process(self.pair.a, gss.delete(one, with_token=True).ok().token).ok()
        self.refused("ENDED", gss.unwrap(self.pair.a, gss.wrap(two, b"x").ok().token))

    def test_other_tokens_end_nothing(self):
        for token in (gss.wrap(self.pair.i, b"x").ok().token, gss.get_mic(self.pair.i, b"x").ok().token, self.pair.third, bytes(34)):
            self.assertEqual(gss.process(self.pair.a, token).major, gss.DEFECTIVE_TOKEN)
        gss.wrap(self.pair.a, b"x").ok()

    def test_delete_without_a_token_is_local(self):
        self.assertEqual((gss.delete(self.pair.i).ok().major, self.pair.i.value), (0, None))

    def test_a_kept_back_token_3_turns_into_a_refusal(self):
        text = otc_pair.secret()
        cred_i, cred_a = otc_pair.link(text), otc_pair.link(text, gss.ACCEPT)
        one = gss.init(cred_i).ok()
        two = gss.accept(cred_a, one.token).ok()
        three = gss.init(cred_i, two.token, one.context).ok()
        refusal = gss.delete(three.context, with_token=True).ok().token
        self.refused("REFUSED", gss.accept(cred_a, refusal, two.context))


class Prf(otc_pair.Case):
    def test_both_sides_get_the_same_and_others_do_not(self):
        pair, other = Pair(), Pair()
        one = gss.pseudo_random(pair.i, b"input", 100).ok().data
        self.assertEqual(gss.pseudo_random(pair.a, b"input", 100).ok().data, one)
        self.assertEqual(len({one, gss.pseudo_random(pair.i, b"other", 100).ok().data, gss.pseudo_random(other.i, b"input", 100).ok().data}), 3)
        self.assertEqual(gss.pseudo_random(pair.i, b"input", 8160).ok().data[:100], one)

    def test_partial_keys_and_too_much_are_refused(self):
        pair = Pair()
        self.refused("NOT_AVAILABLE", gss.pseudo_random(pair.i, b"x", 16, key=1))
        self.refused("PRF_LIMIT", gss.pseudo_random(pair.i, b"x", 8161))

    def test_it_survives_export(self):
        pair = Pair()
        before = gss.pseudo_random(pair.i, b"x", 32).ok().data
        copy = gss.import_context(gss.export_context(pair.i).ok().token).ok().context
        self.assertEqual(gss.pseudo_random(copy, b"x", 32).ok().data, before)


class Copies(otc_pair.Case):
    def test_double_import_and_forks_never_repeat_a_key_and_nonce(self):
        """Epoch and number name key and nonce: over all copies that sent anything, no pair comes twice, and the receiver notices."""
        pair = Pair()
        tokens = [gss.wrap(pair.i, b"x").ok().token]
        exported = gss.export_context(pair.i).ok().token
        for _ in range(2):
            copy = gss.import_context(exported).ok().context
            for _ in range(3):
                tokens.append(self.in_a_child(lambda: gss.wrap(copy, b"x").ok().token + gss.get_mic(copy, b"x").ok().token))
                tokens.append(gss.wrap(copy, b"x").ok().token)
                tokens.append(gss.get_mic(copy, b"x").ok().token)
        both = [t[:35] for t in tokens if len(t) == 69] + [t[35:] for t in tokens if len(t) == 69] + [t for t in tokens if len(t) != 69]
        self.assertEqual(len(both), 1 + 2 * 3 * 4)
        pairs = [t[2:18] for t in both]
        self.assertEqual(len(set(pairs)), len(pairs))
        statuses = [gss.unwrap(pair.a, t).ok().major for t in both if t[0] == 0x11]
        self.assertIn(gss.DUPLICATE, statuses)
        self.assertEqual({t[1] for t in both}, {0})

    def test_a_fork_before_the_first_message_has_two_epochs(self):
        pair = Pair()
        child = self.in_a_child(lambda: gss.wrap(pair.i, b"x").ok().token)
        parent = gss.wrap(pair.i, b"x").ok().token
        self.assertNotEqual(child[2:10], parent[2:10])
        self.delivered(b"x", gss.unwrap(pair.a, child))
        self.delivered(b"x", gss.unwrap(pair.a, parent), gss.DUPLICATE)

    @staticmethod
    def in_a_child(make):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writer, make())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as f:
            data = f.read()
        os.waitpid(pid, 0)
        return data


if __name__ == "__main__":
    unittest.main()
