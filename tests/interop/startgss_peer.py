"""gage's stream against the second implementation (startgss.py) in both roles and all kinds of records, and the vectors."""
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../live/stream")]
from tunnels import GAGE, PREFIX, ROOT, Gage, Realm, connect, free_port  # noqa: E402

REALM = Realm().start()
ONE, OTHER = os.path.join(REALM.dir, "a"), os.path.join(REALM.dir, "b")
subprocess.run([GAGE, "secret", ONE, OTHER], check=True, capture_output=True)
oid = "1.2.840.113556.1.8000.2554.24440.38443.969.19271.45423.7573767.5064887"
with tempfile.NamedTemporaryFile("w", delete=False, dir=REALM.dir) as config:
    config.write(f"gage_otc {oid} {PREFIX}/lib/gage/gss/gage_otc.so\n")
os.environ.update({k: v for k, v in REALM.env.items() if k.startswith("KRB5")}, GSS_MECH_CONFIG=config.name)

import gssapi  # noqa: E402 (after the environment)
import startgss  # noqa: E402

TARGET = gssapi.Name("gage@localhost", gssapi.NameType.hostbased_service)
OTC = gssapi.OID.from_int_seq(oid)


def tearDownModule():
    REALM.stop()


class Peer(unittest.TestCase):
    def start(self, *arguments):
        g = Gage(REALM.env, *arguments)
        self.addCleanup(g.stop)
        return g

    def listen(self, *options):
        port = free_port()
        g = self.start("listen", "--exec", "cat", *options, f"127.0.0.1:{port}").wait_log("event=listening")
        g.port = port
        return g

    def stream(self, sock, **options):
        sock.settimeout(20)
        self.addCleanup(sock.close)
        return startgss.Stream(sock, target=TARGET, **options)

    def echoes(self, s):
        data = [b"one", os.urandom(startgss.DATA_MAX), b"three"]
        for piece in data:
            s.send(piece)
        if s.kind != "bare":
            s.send(b"")
            self.assertEqual(s.receive_all(), b"".join(data))
            return
        got = b""
        while len(got) < len(b"".join(data)):
            got += s.receive()
        self.assertEqual(got, b"".join(data))

    def test_initiator_in_every_kind_of_record(self):
        for kind in ("aead", "wrap", "bare"):
            with self.subTest(kind):
                g = self.listen("--allow", "alice", "--records", kind)
                s = self.stream(connect(g.port), role="initiator", records=kind)
                self.assertEqual((s.kind, s.initiator, s.peer), (kind, True, "gage/localhost@TEST.GAGE"))
                self.echoes(s)

    def test_acceptor_in_every_kind_of_record(self):
        for kind in ("aead", "wrap", "bare"):
            with self.subTest(kind):
                g = self.listen("--role", "initiator", "--target", "gage@localhost", "--records", kind)
                s = self.stream(connect(g.port), role="acceptor", records=kind)
                self.assertEqual((s.kind, s.initiator, s.peer), (kind, False, "alice@TEST.GAGE"))
                self.echoes(s)

    def test_offers_decide_the_kind_alike(self):
        for ours, theirs, kind in (("any", "any", "aead"), ("any", "wrap", "wrap"), ("wrap", "any", "wrap")):
            with self.subTest((ours, theirs)):
                g = self.listen("--allow", "alice", "--records", theirs)
                s = self.stream(connect(g.port), role="any", records=ours)
                self.assertEqual(s.kind, kind)
                self.echoes(s)

    def test_either_side_passive(self):
        g = self.listen("--allow", "alice", "--passive")
        self.echoes(self.stream(connect(g.port), role="initiator"))
        g = self.listen("--allow", "alice")
        self.echoes(self.stream(connect(g.port), role="initiator", passive=True))

    def test_it_serves_gages_connect(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        g = self.start("connect", "--target", "gage@localhost", f"127.0.0.1:{listener.getsockname()[1]}")
        sock, _ = listener.accept()
        s = self.stream(sock, role="acceptor")
        s.send(b"from python")
        s.send(b"")
        self.assertEqual(g.finish(b"from C"), b"from python")
        self.assertEqual(s.receive_all(), b"from C")
        self.assertEqual(g.p.returncode, 0, g.err())

    def test_a_crowd_of_small_records_waits_for_a_slow_reader_and_passes_whole(self):
        for kind in ("aead", "wrap"):
            with self.subTest(kind):
                port = free_port()
                self.start("listen", "--exec", "sleep 0.3; wc -c", "--allow", "alice", f"127.0.0.1:{port}").wait_log("event=listening")
                s = self.stream(connect(port), role="initiator", records=kind)
                for _ in range(10_000):
                    s.send(bytes(300))
                s.send(b"")
                self.assertEqual(s.receive_all().strip(), b"3000000")

    def test_one_time_credentials_in_both_roles(self):
        store = {b"otc_secret_file": ONE.encode()}
        for role in ("initiator", "acceptor"):
            with self.subTest(role):
                other = {"initiator": "acceptor", "acceptor": "initiator"}[role]
                creds = gssapi.Credentials(usage={"initiator": "initiate", "acceptor": "accept"}[role], mechs=[OTC], store=store)
                g = self.listen("--mech", "otc", "--secret-file", OTHER, "--role", other)
                s = self.stream(connect(g.port), role=role, mech=OTC, creds=creds, accept_creds=creds)
                self.assertEqual(s.kind, "aead")
                self.echoes(s)

    def test_edited_transcript_and_offer_are_refused_by_gage(self):
        g = self.listen("--allow", "alice")
        real = startgss.Agreement.__init__

        def forged(self, context, initiator, transcript, offer, label=startgss.LABEL):
            real(self, context, initiator, bytes(32), offer, label)
        startgss.Agreement.__init__ = forged
        try:
            with self.assertRaises(Exception):
                self.stream(connect(g.port), role="initiator")
        finally:
            startgss.Agreement.__init__ = real
        g.wait_log("somebody between us changed it")
        g.wait_log("GAGE_E_MISMATCH")


    def between(self, port, edit):
        """A man in the middle: the port of one who passes everything on, but for the first line of each direction, which edit(line, towards) gives."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def pass_on(source, sink, towards):
            line = b""
            while not line.endswith(b"\n"):
                line += source.recv(1)
            sink.sendall(edit(line, towards))
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

        def guard(*arguments):
            try:
                pass_on(*arguments)
            except OSError:
                pass

        def serve():
            near, _ = listener.accept()
            far = connect(port)
            for s in (near, far):
                self.addCleanup(s.close)
            for ends in ((near, far, "gage"), (far, near, "peer")):
                threading.Thread(target=guard, args=ends, daemon=True).start()
        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]

    def test_an_edited_line_is_found_by_both_ends_and_both_name_it(self):
        for edited in ("gage", "peer"):
            for role in ("initiator", "acceptor"):
                with self.subTest(f"the line towards {edited}, the peer as {role}"):
                    options = ("--allow", "alice") if role == "initiator" else ("--role", "initiator", "--target", "gage@localhost")
                    g = self.listen(*options)

                    def edit(line, towards):  # another number of the same role
                        return b"STARTGSS %d\n" % (int(line[9:]) ^ 1) if towards == edited else line
                    with self.assertRaisesRegex(startgss.Failed, "another transcript"):
                        self.stream(connect(self.between(g.port, edit)), role=role)
                    g.wait_log("GAGE_E_MISMATCH")
                    g.wait_log("somebody between us changed it")

    def test_numbers_edited_into_one_role_fail_before_any_token(self):
        g = self.listen("--allow", "alice")
        port = self.between(g.port, lambda line, towards: b"STARTGSS %d\n" % ((3 << 30) + 5) if towards == "gage" else line)
        with self.assertRaises(startgss.Failed):
            self.stream(connect(port), role="initiator")
        g.wait_log("GAGE_E_STATE")
        g.wait_log("insist on being the acceptor")


class Vectors(unittest.TestCase):
    """doc/vectors/startgss.json, made by gage, followed by this implementation."""

    @classmethod
    def setUpClass(cls):
        cls.vectors = json.loads((ROOT / "doc/vectors/startgss.json").read_text())

    def test_lines(self):
        for row in self.vectors["lines"]:
            line = bytes.fromhex(row["line"])
            if row["number"] is None:
                with self.assertRaises(startgss.Failed):
                    startgss.read_number(line)
            else:
                self.assertEqual(startgss.read_number(line), row["number"])

    def test_roles(self):
        for row in self.vectors["roles"]:
            if row["initiator"] is None:
                with self.assertRaises(startgss.Failed):
                    startgss.is_initiator(row["one"], row["other"])
            else:
                self.assertEqual(startgss.is_initiator(row["one"], row["other"]), row["initiator"] == "one")

    def test_records_and_key_update(self):
        for row in self.vectors["records"]:
            d = startgss.Direction(startgss.hkdf_expand(bytes.fromhex(row["prk"]), row["direction"].encode(), 32),
                                   row["update_records"], row["update_bytes"])
            for record in row["frames"]:
                self.assertEqual(d.seal(bytes.fromhex(record["data"])).hex(), record["frame"])

    def test_agreement(self):
        for row in self.vectors["agreements"]:
            v = {k: bytes.fromhex(x) for k, x in row.items()}
            self.assertEqual(v["body_i"], bytes([len(v["label"])]) + v["label"] + b"i" + v["transcript"]
                             + bytes([len(v["offer_i"])]) + v["offer_i"] + v["share_i"] + v["random_i"])
            private = startgss.X25519PrivateKey.from_private_bytes(v["private_i"])
            dh = private.exchange(startgss.X25519PublicKey.from_public_bytes(v["share_a"]))
            salt = startgss.hashlib.sha256(v["transcript"] + startgss.len4(v["token_i"]) + v["token_i"]
                                           + startgss.len4(v["token_a"]) + v["token_a"]).digest()
            self.assertEqual(salt, v["salt"])
            self.assertEqual(startgss.hkdf_extract(salt, v["p"] + dh), v["prk"])
