"""doc/vectors/transfer.json against the second implementation that makes it, both ways: every value made, every value read back. The
C implementation is held to the same file by tests/unit/transfer/vectors.c."""
import base64
import json
import pathlib
import unittest

import transfer
from transfer import Refused

FILE = pathlib.Path(__file__).resolve().parents[2] / "doc/vectors/transfer.json"


class Vectors(unittest.TestCase):
    def setUp(self):
        self.file = json.loads(FILE.read_text())

    def test_the_published_file_is_what_the_second_implementation_makes(self):
        made = transfer.vectors()
        self.assertEqual(list(made), list(self.file))
        for part, values in made.items():
            with self.subTest(part):
                self.assertEqual(values, self.file[part])

    def test_envelopes_are_opened_and_their_transcript_follows(self):
        running = transfer.T0
        for e in self.file["envelopes"]:
            sealed = base64.b64decode(e["data"])
            p = transfer.parse_packet(transfer.open_envelope(bytes.fromhex(e["secret"]), sealed))
            self.assertEqual([p[k] for k in ("role", "attempt", "seq", "ack", "final")],
                             [e[k] for k in ("role", "attempt", "seq", "ack", "final")])
            for kind, name in ((1, "context"), (2, "message"), (3, "delete")):
                self.assertEqual(p["tokens"].get(kind, b"").hex(), e[name])
            running = transfer.transcript(running, p["role"], p["seq"], sealed)
            self.assertEqual(running.hex(), e["transcript"])

    def test_every_changed_octet_of_an_envelope_is_refused(self):
        e = self.file["envelopes"][0]
        sealed = base64.b64decode(e["data"])
        for i in range(len(sealed)):
            with self.assertRaises(Refused):
                transfer.open_envelope(bytes.fromhex(e["secret"]), sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1:])

    def test_packets_outside_the_document_are_refused(self):
        good = bytes.fromhex(self.file["envelopes"][0]["packet"])
        for at, value in ((0, 2), (1, 3), (2, 1), (3, 0), (12, 2), (13, 4), (13, 0), (14, 4), (len(good) - 1, 1)):
            with self.subTest(at=at), self.assertRaises(Refused):
                transfer.parse_packet(good[:at] + bytes([value]) + good[at + 1:])

    def test_messages_are_read_back(self):
        for m in self.file["messages"]:
            covered, records = transfer.parse_message(bytes.fromhex(m["message"]))
            self.assertEqual(covered.hex(), m["message"][2:66])
            self.assertEqual(records[-1][0], m["type"])
            with self.assertRaises(Refused):
                transfer.parse_message(bytes.fromhex(m["message"]) + b"\0")

    def test_invitations_are_read_back_from_every_form(self):
        for i in self.file["invitations"]:
            for form in ("link", "uri", "file"):
                mailbox, secret = transfer.parse_invitation(i[form])
                self.assertEqual((mailbox, secret.hex()), (i["mailbox"], i["secret"]))

    def test_lengths_are_padded_as_the_document_says(self):
        self.assertEqual([transfer.padded(n) for n in (1, 512, 513, 544, 545, 700, 2048, 2049, 4095, 1 << 20)],
                         [512, 512, 544, 544, 576, 704, 2048, 2176, 4096, 1 << 20])
        self.assertEqual(transfer.first_length(100, 7), transfer.padded(2155))


if __name__ == "__main__":
    unittest.main()
