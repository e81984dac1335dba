"""The ticket cache of an initiating sidecar: in memory while its file stays, and never longer than that."""
import fcntl
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tunnels import Case, connect, free_port  # noqa: E402

SETTLED = 4  # seconds after which a file is taken for settled, and a failed copy is tried again


class TicketCache(Case):
    def setUp(self):
        self.cache = self.path("cache-" + self.id())
        env = self.ticket("alice")
        backend = self.server().port
        middle, self.front = free_port(), free_port()
        self.far = self.forward("--protect", "local", "--allow", "alice", "--allow", "bob", f"127.0.0.1:{middle}",
                                f"127.0.0.1:{backend}")
        self.near = self.forward("--target", "gage@localhost", f"127.0.0.1:{self.front}", f"127.0.0.1:{middle}",
                                 env=env)

    def ticket(self, user, *options):
        return self.realm.kinit(user, ccache="FILE:" + self.cache, options=options)

    def passes(self):
        """Whether a byte comes back."""
        try:
            with connect(self.front) as s:
                s.sendall(b"x")
                return s.recv(1) == b"x"
        except (ConnectionError, socket.timeout):
            return False

    def held(self):
        """After this the tickets are in memory."""
        self.assertTrue(self.passes())  # puts the service's ticket into the file
        time.sleep(SETTLED)
        self.assertTrue(self.passes())

    def last_peer(self):
        return [line for line in self.far.err().splitlines() if "event=protected" in line][-1]

    def test_a_cache_that_stays_is_not_read_again_and_the_kdc_not_asked(self):
        self.held()
        self.realm.stop_kdc()
        self.addCleanup(self.realm.start_kdc)
        with open(self.cache, "r+b") as f:
            fcntl.lockf(f, fcntl.LOCK_EX)  # whoever reads it waits
            for _ in range(20):
                self.assertTrue(self.passes(), self.near.err())

    def test_another_ticket_counts_at_once(self):
        self.held()
        self.assertIn("krb5:alice@", self.last_peer())
        self.ticket("bob")
        self.assertTrue(self.passes())
        self.assertIn("krb5:bob@", self.last_peer())
        self.held()
        self.assertIn("krb5:bob@", self.last_peer())

    def test_a_cache_renamed_into_place_counts_at_once(self):
        self.held()
        old = os.stat(self.cache)
        self.realm.kinit("bob", ccache="FILE:" + self.cache + ".new")
        os.utime(self.cache + ".new", ns=(old.st_atime_ns, old.st_mtime_ns))
        os.rename(self.cache + ".new", self.cache)
        self.assertTrue(self.passes())
        self.assertIn("krb5:bob@", self.last_peer())

    def test_a_cache_that_is_gone_is_gone_at_once(self):
        self.held()
        os.unlink(self.cache)
        self.assertFalse(self.passes())
        self.near.wait_log("event=failed")
        self.ticket("bob")
        self.assertTrue(self.passes())
        self.assertIn("krb5:bob@", self.last_peer())

    def test_tickets_end_when_they_end_and_new_ones_count_at_once(self):
        self.ticket("alice", "-l", f"{2 * SETTLED}s")
        started = time.monotonic()
        self.held()
        time.sleep(max(0, 2 * SETTLED + 1 - (time.monotonic() - started)))
        self.assertFalse(self.passes())
        self.near.wait_log("xpired")
        self.ticket("alice")
        self.assertTrue(self.passes())

    def test_many_at_once_share_the_copy(self):
        self.held()
        sockets = [connect(self.front) for _ in range(60)]
        for i, s in enumerate(sockets):
            s.sendall(b"%06d" % i)
        for i, s in enumerate(sockets):
            self.assertEqual(s.recv(6, socket.MSG_WAITALL), b"%06d" % i)
            s.close()
