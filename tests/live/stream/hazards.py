"""What the path or a bad peer can do to the stream commands: each hazard has its own error and its own words, with a real KDC."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tunnels import (E_REFUSED, E_STATE, E_TIMEOUT, E_UNAVAILABLE, Case, connect, echo, free_port, read_all,  # noqa: E402
                     wait_for)


class Hazards(Case):
    def raw(self, port, data=b""):
        s = connect(port)
        self.addCleanup(s.close)
        s.sendall(data)
        return s

    def test_an_echo_service_is_a_refusal(self):
        s = self.server(echo)
        b = self.connect(s.port)
        b.finish(b"secret")
        self.assertEqual(b.p.returncode, E_REFUSED)
        self.assertIn("refused protection", b.err())

    def test_nothing_leaves_in_the_clear_towards_a_plain_peer(self):
        seen = []

        def plain(connection):
            connection.sendall(b"220 hello\r\n")
            seen.append(read_all(connection))
        s = self.server(plain)
        b = self.connect(s.port)
        b.finish(b"secret")
        self.assertEqual(b.p.returncode, E_REFUSED)
        wait_for(lambda: seen, "the plain server")
        self.assertRegex(seen[0], rb"^STARTGSS \d+\n$")

    def test_a_mute_peer_meets_the_deadline_and_hinders_nobody(self):
        a = self.listen("--exec", "cat", "--handshake-timeout", "2s")
        mute = [self.raw(a.port) for _ in range(10)]
        self.assertEqual(self.connect(a.port).finish(b"x"), b"x")
        a.wait_log("was waiting for the peer's STARTGSS line")
        self.assertTrue(all(read_all(m).startswith(b"STARTGSS") for m in mute))

    def test_unauthenticated_connections_of_one_source_are_limited(self):
        a = self.listen("--exec", "cat", "--max-handshakes", "3")
        mute = [self.raw(a.port) for _ in range(3)]
        for m in mute:
            self.assertEqual(m.recv(8), b"STARTGSS")
        self.assertEqual(self.raw(a.port).recv(8), b"")
        a.wait_log("event=limited")
        mute[0].close()
        wait_for(lambda: self.connect(a.port).finish(b"x") == b"x", "room again")

    def test_a_mute_kdc_meets_the_deadline_beside_live_connections(self):
        backend = self.server()
        front, a, b = self.pair(backend.port, near=("--handshake-timeout", "3s"))
        live = connect(front)
        self.addCleanup(live.close)
        live.sendall(b"ping")
        self.assertEqual(live.recv(4), b"ping")
        self.realm.kinit("alice")  # a fresh cache without a service ticket: the KDC will be asked
        self.realm.kdc.send_signal(signal.SIGSTOP)
        try:
            stuck = connect(front)
            self.addCleanup(stuck.close)
            for _ in range(20):
                live.sendall(b"ping")
                self.assertEqual(live.recv(4), b"ping")
            b.wait_log("a KDC that does not answer?")
            with self.assertRaises(OSError):
                if stuck.recv(1) == b"":
                    raise OSError
        finally:
            self.realm.kdc.send_signal(signal.SIGCONT)

    def test_an_injected_fin_resets_the_application(self):
        got = []

        def backend(connection):
            try:
                while connection.recv(100):
                    pass
                got.append("end of file")
            except ConnectionResetError:
                got.append("reset")
        s = self.server(backend)
        middle = free_port()
        a = self.forward("--protect", "local", "--allow", "alice", f"127.0.0.1:{middle}", f"127.0.0.1:{s.port}")
        b = self.connect(middle)
        b.p.stdin.write(b"half")
        b.p.stdin.flush()
        a.wait_log("event=protected")
        b.p.kill()
        wait_for(lambda: got, "the application to hear of it")
        self.assertEqual(got, ["reset"])
        self.assertIn("without an authenticated end", a.wait_log("event=failed").err())

    def test_token_bombs_are_refused_on_their_announcement(self):
        a = self.listen("--exec", "cat")
        s = self.raw(a.port, b"STARTGSS 5\n\x00\xff\xff\xff")
        answer = read_all(s)
        self.assertIn(b"outside 1 to 131072", answer)

    def test_two_passive_sides_find_out(self):
        a = self.listen("--exec", "cat", "--passive", "--look-timeout", "1s")
        b = self.connect(a.port, "--passive", "--look-timeout", "1s")
        b.finish(b"x")
        self.assertEqual(b.p.returncode, E_TIMEOUT)
        self.assertIn("are both sides passive", b.err())

    def test_both_insisting_on_one_role_fail_at_once(self):
        a = self.listen("--exec", "cat")
        b = self.connect(a.port, "--role", "acceptor", "--allow", "alice")
        b.finish(b"x")
        self.assertEqual(b.p.returncode, E_STATE)
        self.assertIn("insist on being the acceptor", b.err())

    def test_without_a_ticket_the_sentence_names_the_lack(self):
        a = self.listen("--exec", "cat")
        env = dict(self.realm.env, KRB5CCNAME="FILE:" + self.path("nothing"))
        b = self.connect(a.port, env=env)
        b.finish(b"x")
        self.assertNotEqual(b.p.returncode, 0)
        self.assertRegex(b.err(), "(?i)credential")
        a.wait_log("the peer says")

    def test_nobody_there_is_said_so(self):
        b = self.connect(free_port())
        b.finish(b"")
        self.assertEqual(b.p.returncode, E_UNAVAILABLE)
