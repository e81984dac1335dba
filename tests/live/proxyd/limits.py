"""Limits and shares: what one uid, connection or slow client takes, it takes from itself."""
import fcntl
import os
import struct
import subprocess
import sys
import termios
import threading
import unittest

import gssapi
from daemon import Daemon, Wire, wait_for
from gssx import PROCEDURES, decode, encode, good
from realm import Realm

ANY = """[service/any]
  mechs = krb5
  euid = {uid}
  allow_any_uid = yes
  socket = {dir}/sock
  cred_store = keytab:{keytab}
"""
ONE, OTHER = 10001, 10002


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()
        os.chmod(cls.realm.dir, 0o755)
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def as_uid(self, daemon, uid, *args):
        """as_uid.py as that uid, ended with the test."""
        script = os.path.join(daemon.scripts(), "as_uid.py")
        process = subprocess.Popen([sys.executable, script, *map(str, args)], user=uid, group=uid, extra_groups=[], text=True,
                                   env=dict(self.realm.env, PYTHONDONTWRITEBYTECODE="1"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: process.stdin.closed or process.communicate())
        return process

    def ask(self, process):
        process.stdin.write("\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    # ---- turns ----

    def test_one_connection_gets_its_share_beside_sixty_of_another_uid(self):
        with Daemon(self.realm, ANY, settings="audit = off\n") as daemon:
            crowd, one = (self.as_uid(daemon, uid, "load", n, daemon.socket, 16) for uid, n in ((ONE, 60), (OTHER, 1)))
            before = wait_for(lambda: self.both_at_work(crowd, one), "both at work")
            wait_for(lambda: int(self.ask(one)) > before[1] + 3000, "calls of the one")
            counts = [int(self.ask(p)) - n for p, n in zip((crowd, one), before)]
            self.assertLess(counts[0] / counts[1], 10, "in the order in which calls come it would be 60")

    def both_at_work(self, *processes):
        counts = [int(self.ask(p)) for p in processes]
        return counts if min(counts) > 500 else None

    # ---- slow readers and writers ----

    def served(self, daemon, uid):
        """A client of that uid is served now."""
        made = self.as_uid(daemon, uid, "make", "acquire", daemon.socket)
        return "value" in made.communicate(timeout=60)[0]

    def test_clients_that_do_not_read_long_replies_hold_up_themselves_alone(self):
        keep = ANY + "  keep_keys = yes\n"
        with Daemon(self.realm, keep, settings="max_bytes_per_uid = 2097152\n") as daemon:
            slow = [Wire(daemon.socket) for _ in range(16)]
            token = gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate").step()
            context = good(slow[0], "accept_sec_context", token=token)["context"]
            body = struct.pack(">10I", 7, 0, 2, 400112, 1, 13, 0, 0, 0, 0)
            body += encode(PROCEDURES["wrap"][1], {"context": context, "conf": 1, "messages": [bytes(262144)]})
            for wire in slow:
                wire.send(body)
            self.assertTrue(self.served(daemon, OTHER))
            writers = [threading.Thread(target=wire.send, args=(body,), daemon=True) for wire in slow]
            for writer in writers:
                writer.start()
            self.assertTrue(self.served(daemon, OTHER))
            self.assertTrue(any(w.is_alive() for w in writers), "past its share the uid is not read")
            for wire in slow * 2:
                result, at = decode(PROCEDURES["wrap"][2], wire.receive()[24:])
                self.assertEqual(result["status"]["major"], 0, result["status"]["minor_string"])
                self.assertGreater(len(result["tokens"][0]), 262144)

    def begin_record(self, daemon, claim, sent):
        """A connection that sent the header of a record and part of it, as far as the daemon takes it."""
        wire = Wire(daemon.socket)
        wire.socket.sendall(struct.pack(">I", 0x80000000 | claim))
        wire.socket.setblocking(False)
        wire.written = 0
        self.push(wire, sent)
        return wire

    def push(self, wire, until):
        while wire.written < until:
            try:
                wire.written += wire.socket.send(bytes(min(65536, until - wire.written)))
            except BlockingIOError:
                return

    def taken(self, wires):
        """How many bytes of their records the daemon has read; what a socket still holds counts by pages, so this is the least."""
        for wire in wires:
            self.push(wire, 600000)
        waiting = [struct.unpack("i", fcntl.ioctl(w.socket, termios.TIOCOUTQ, bytes(4)))[0] for w in wires]
        return sum(wire.written for wire, n in zip(wires, waiting) if n == 0)

    def test_records_begun_count_whole_against_their_uid(self):
        """Twenty times 600,000 bytes of a megabyte: two of them fit, the others are not read; who closes makes room."""
        with Daemon(self.realm, ANY, settings="max_bytes_per_uid = 2000000\n") as daemon:
            wires = [self.begin_record(daemon, 1000000, 600000) for _ in range(20)]
            wait_for(lambda: self.taken(wires) >= 2 * 600000, "two records read")
            self.assertTrue(self.served(daemon, OTHER))
            self.assertLessEqual(self.taken(wires), 4 * 600000)
            for wire in wires[:-1]:
                wire.socket.close()
            last = wires[-1]
            last.socket.setblocking(True)
            last.socket.sendall(bytes(1000000 - last.written))
            self.assertEqual(last.receive()[:12], struct.pack(">3I", 0, 1, 1), "zeros are a call of no RPC version: denied")

    def test_records_in_many_fragments_count_as_the_longest_there_may_be(self):
        """A byte of each of twenty records, and only then the fragment that claims the rest."""
        with Daemon(self.realm, ANY, settings="max_bytes_per_uid = 2000000\n") as daemon:
            wires = [Wire(daemon.socket) for _ in range(20)]
            for wire in wires:
                wire.socket.sendall(struct.pack(">I", 1) + b"x")
            self.assertTrue(self.served(daemon, OTHER), "after them")
            for wire in wires:
                wire.socket.sendall(struct.pack(">I", 0x80000000 | 1000000))
                wire.socket.setblocking(False)
                wire.written = 0
            wait_for(lambda: self.taken(wires) >= 2 * 600000, "two records read")
            self.assertTrue(self.served(daemon, OTHER))
            self.assertLessEqual(self.taken(wires), 4 * 600000)

    def test_half_a_record_ends_with_the_idle_time_out_though_its_sender_drips(self):
        with Daemon(self.realm, ANY, settings="idle_timeout = 2s\n") as daemon:
            wire = self.begin_record(daemon, 1000, 1)
            with Wire(daemon.socket) as other:
                wait_for(lambda: self.dripped_out(wire), "the end of the connection")
                good(other, "indicate_mechs")

    def dripped_out(self, wire):
        try:
            wire.socket.send(b"x")
        except (BrokenPipeError, ConnectionResetError):
            return True
        return False

    def test_connections_at_the_limit_of_a_uid_leave_room_for_another(self):
        with Daemon(self.realm, ANY, settings="max_connections_per_uid = 30\n") as daemon:
            crowd = self.as_uid(daemon, ONE, "load", 30, daemon.socket, 4)
            wait_for(lambda: int(self.ask(crowd)) > 100, "the crowd at work")
            refused = self.as_uid(daemon, ONE, "make", "acquire", daemon.socket)
            self.assertNotIn("value", refused.communicate(timeout=60)[0])
            self.assertTrue(self.served(daemon, OTHER))
            crowd.communicate(timeout=60)
            wait_for(lambda: self.served(daemon, ONE), "room for the uid again")


if __name__ == "__main__":
    unittest.main()
