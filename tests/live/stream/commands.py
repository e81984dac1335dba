"""The commands connect, listen, forward and secret, with a real KDC and with secret files, over real sockets."""
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tunnels import (E_CLOSED, E_EXPIRED, E_REFUSED, E_UNAVAILABLE, E_USAGE, GAGE, PATIENCE, Case, connect, echo,  # noqa: E402
                     free_port, read_all, wait_for)


class StandardStreams(Case):
    def test_both_directions_pass_and_both_ends_end_with_0(self):
        a = self.listen()
        b = self.connect(a.port)
        self.talk(a, b, os.urandom(3_000_000), b"answer")

    def test_every_kind_of_record(self):
        for kind in ("aead", "wrap", "bare"):
            with self.subTest(kind):
                a = self.listen("--records", kind)
                self.talk(a, self.connect(a.port, "--records", kind), b"x" * 200_000, b"answer")

    def test_roles_do_not_follow_from_who_connected(self):
        a = self.listen("--role", "initiator", "--target", "gage@localhost", allow="gage/localhost")
        b = self.connect(a.port, "--role", "acceptor", "--allow", "krb5:alice@TEST.GAGE")
        self.talk(a, b, b"turned round")

    def test_ipv6_and_unix_sockets(self):
        path = self.path("socket")
        for address in ("[::1]:%d" % free_port(), "unix:" + path, "unix:" + path):  # the last over a stale socket
            with self.subTest(address):
                a = self.listen(address=address)
                self.talk(a, self.gage("connect", "--target", "gage@localhost", address), b"hello")
        self.assertTrue(stat.S_ISSOCK(os.stat(path).st_mode))


class Names(Case):
    def test_a_name_not_allowed_is_refused_and_both_sides_say_so(self):
        a = self.listen("--exec", "cat", allow="bob")
        b = self.connect(a.port)
        b.finish(b"x")
        self.assertEqual(b.p.returncode, E_REFUSED)
        self.assertIn("krb5:alice@TEST.GAGE is not among the names allowed", b.err())
        a.wait_log("event=failed")

    def test_patterns_and_spellings(self):
        for allow in ("alice", "krb5:alice", "alice@TEST.GAGE", "krb5:*@TEST.GAGE", "krb5:al?ce@*", "*"):
            with self.subTest(allow):
                a = self.listen("--exec", "cat", allow=allow)
                b = self.connect(a.port)
                self.assertEqual(b.finish(b"x"), b"x", b.err())
        for allow in ("Alice", "alice/admin", "otc:alice@TEST.GAGE", "krb5:*@OTHER", "krb:alice", "alice@TEST.GAGE "):
            with self.subTest(allow):
                a = self.listen("--exec", "cat", allow=allow)
                b = self.connect(a.port)
                self.assertEqual(b.finish(b"x"), b"")
                self.assertEqual(b.p.returncode, E_REFUSED)

    def test_who_is_welcome_must_be_said(self):
        done = subprocess.run([GAGE, "listen", str(free_port())], env=self.realm.env, capture_output=True, text=True)
        self.assertEqual(done.returncode, E_USAGE)
        self.assertIn("--allow", done.stderr)

    def test_an_initiator_refuses_an_acceptor_of_another_name(self):
        a = self.listen("--exec", "cat")
        b = self.connect(a.port, "--allow", "krb5:host/*")
        b.finish(b"x")
        self.assertEqual(b.p.returncode, E_REFUSED)
        a.wait_log("refuses us")

    def test_a_connection_to_oneself_is_refused(self):
        env = dict(self.realm.env, KRB5_CLIENT_KTNAME=self.realm.keytab, KRB5CCNAME="MEMORY:self")
        self.realm.run("kinit", "-k", "-t", self.realm.keytab, "-c", self.path("self"), "gage/localhost")
        env["KRB5CCNAME"] = "FILE:" + self.path("self")
        a = self.listen("--exec", "cat", allow="*")
        b = self.connect(a.port, env=env)
        b.finish(b"x")
        self.assertEqual(b.p.returncode, E_REFUSED)
        self.assertIn("own name", b.err())
        a = self.listen("--exec", "cat", "--allow-self", allow="*")
        self.assertEqual(self.connect(a.port, "--allow-self", env=env).finish(b"x"), b"x")


class Programs(Case):
    def test_executed_program_learns_who_it_serves(self):
        a = self.listen("--exec", "env; cat", env=dict(self.realm.env, GAGE_PEER="forged", GAGE_OLD="1"))
        lines = self.connect(a.port).finish(b"end").decode().splitlines()
        found = dict(line.split("=", 1) for line in lines if line.startswith("GAGE_"))
        self.assertEqual(found.pop("GAGE_PEER_ADDRESS").split(":")[0], "127.0.0.1")
        self.assertLess(abs(int(found.pop("GAGE_EXPIRES")) - time.time() - 43200), 1200)
        self.assertEqual(found, {
            "GAGE_PROTECTED": "1", "GAGE_PEER": "krb5:alice@TEST.GAGE", "GAGE_PEER_NAME": "alice@TEST.GAGE",
            "GAGE_PEER_MECH": "krb5", "GAGE_ROLE": "acceptor", "GAGE_RECORDS": "aead",
            "GAGE_PEER_EXPORTED": "0401000b06092a864886f712010202" + "0000000f" + b"alice@TEST.GAGE".hex()})
        self.assertEqual(lines[-1], "end")

    def test_executed_program_inherits_its_connection_and_nothing_it_could_change(self):
        listing = "ls -l /proc/self/fd; for f in 3 4 5 6 7; do (echo evil >>/proc/self/fd/$f) 2>&- && echo written; done; true"
        a = self.listen("--exec", listing, "--metrics", f"127.0.0.1:{free_port()}")
        mute = connect(a.port)
        self.addCleanup(mute.close)
        found = self.connect(a.port).finish(b"").decode()
        targets = [line.split(" -> ")[1].split(":")[0] for line in found.splitlines() if " -> " in line]
        self.assertEqual(targets[:2], ["socket", "socket"])
        self.assertNotIn("socket", targets[2:])
        self.assertTrue(all(t.startswith("/proc/") or t == "/memfd" for t in targets[3:]), found)
        self.assertNotIn("written", found)

    def test_connect_can_execute_too(self):
        a = self.listen("--exec", "cat -n")
        done = self.path("got")
        b = self.connect(a.port, "--exec", f"printf 'one\\n'; head -n 1 > {done}")
        b.finish(b"")
        self.assertEqual(b.p.returncode, 0, b.err())
        wait_for(lambda: os.path.exists(done) and open(done).read() == "     1\tone\n", "the program's output")

    def test_a_cut_connection_ends_the_program(self):
        marker = self.path("alive")
        a = self.listen("--exec", f"trap 'rm -f {marker}; exit' TERM; echo $$ > {marker}; cat; sleep 60 & wait")
        b = self.connect(a.port)
        wait_for(lambda: os.path.exists(marker), "the program")
        b.p.kill()
        wait_for(lambda: not os.path.exists(marker), "the program's end")
        self.assertIn("authenticated end", a.wait_log("event=failed").err())


class SecretFiles(Case):
    def pair_of_files(self, *options):
        a, b = self.path(os.urandom(4).hex()), self.path(os.urandom(4).hex())
        done = subprocess.run([GAGE, "secret", *options, a, b], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return a, b

    def no_kerberos(self):
        return {k: v for k, v in self.realm.env.items() if not k.startswith("KRB5")} | {"KRB5_CONFIG": "/dev/null"}

    def test_a_pair_connects_without_kerberos_in_every_kind_and_role(self):
        one, other = self.pair_of_files()
        env = self.no_kerberos()
        for kind in ("aead", "wrap"):
            for role in ("initiator", "acceptor"):
                with self.subTest(kind + " " + role):
                    a = self.listen("--mech", "otc", "--secret-file", one, "--role", role, "--records", kind, allow=None, env=env)
                    b = self.connect(a.port, "--mech", "otc", "--secret-file", other, "--role", "any", env=env)
                    self.talk(a, b, b"y" * 100_000)

    def test_files_are_private_and_never_overwritten(self):
        one, other = self.pair_of_files("--label", "laptop", "--expires", "24h")
        for path in (one, other):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertIn("label=laptop\n", open(one).read())
        before = open(one).read()
        done = subprocess.run([GAGE, "secret", one, self.path("new")], capture_output=True, text=True)
        self.assertEqual((done.returncode, open(one).read()), (8, before))
        done = subprocess.run([GAGE, "secret", self.path("new"), one], capture_output=True, text=True)
        self.assertEqual((done.returncode, os.path.exists(self.path("new"))), (8, False))

    def test_copies_of_one_side_and_strangers_fail_with_a_sentence(self):
        one, other = self.pair_of_files()
        stranger, _ = self.pair_of_files()
        env = self.no_kerberos()
        for file, words in ((one, "equal sides"), (stranger, "secret")):
            with self.subTest(words):
                a = self.listen("--mech", "otc", "--secret-file", one, "--exec", "cat", allow=None, env=env)
                b = self.connect(a.port, "--mech", "otc", "--secret-file", file, env=env)
                b.finish(b"x")
                self.assertNotEqual(b.p.returncode, 0)
                self.assertIn(words, a.wait_log("event=failed").err())
                self.assertIn("the peer says", b.err())

    def test_one_listener_takes_kerberos_and_secret_files(self):
        one, other = self.pair_of_files()
        a = self.listen("--secret-file", one, "--exec", "echo $GAGE_PEER_MECH", allow="*")
        self.assertEqual(self.connect(a.port, "--mech", "krb5").finish(b""), b"krb5\n")
        b = self.connect(a.port, "--mech", "otc", "--secret-file", other)
        self.assertEqual(b.finish(b""), b"otc\n", b.err())


class Sidecars(Case):
    def test_a_pair_carries_many_connections_at_once(self):
        front, a, b = self.pair(self.server().port)
        sockets = [connect(front) for _ in range(60)]
        for i, s in enumerate(sockets):
            s.sendall(b"%06d" % i)
        for i, s in enumerate(sockets):
            self.assertEqual(s.recv(6, socket.MSG_WAITALL), b"%06d" % i)
            s.close()
        wait_for(lambda: a.err().count("event=closed") + a.err().count("event=failed") >= 20, "connections to end")

    def test_half_close_and_back_pressure_reach_the_other_end_in_every_kind_of_record(self):
        def swallow(connection):
            time.sleep(0.3)  # everything between must stop and go on again
            connection.sendall(str(len(read_all(connection))).encode())
        backend = self.server(swallow)
        for kind, size in (("aead", 40_000_000), ("wrap", 20_000_000), ("bare", 20_000_000)):
            with self.subTest(kind):
                front, _, _ = self.pair(backend.port, far=("--records", kind), near=("--records", kind))
                s = connect(front)
                s.sendall(bytes(size))
                s.shutdown(socket.SHUT_WR)
                self.assertEqual(read_all(s), str(size).encode())
                s.close()

    def test_both_directions_full_at_once_do_not_lock_up(self):
        front, _, _ = self.pair(self.server(echo).port)
        s = connect(front)
        size = 30_000_000
        got = []
        t = threading.Thread(target=lambda: got.append(len(read_all(s))))
        t.start()
        s.sendall(bytes(size))
        s.shutdown(socket.SHUT_WR)
        t.join(60)
        self.assertEqual(got, [size])
        s.close()

    def test_a_passive_listener_serves_plain_and_protected_clients(self):
        front, a, b = self.pair(self.server().port, far=("--passive", "--policy", "prefer"))
        for port in (front, a.middle):
            s = connect(port)
            s.sendall(b"AMQP\0\1\0\0")
            self.assertEqual(s.recv(8, socket.MSG_WAITALL), b"AMQP\0\1\0\0")
            s.close()
        self.assertIn("event=protected", a.err())
        self.assertIn("event=clear", a.err())

    def test_policy_plain_refuses_and_prefer_takes_it(self):
        front, a, b = self.pair(self.server().port, far=("--policy", "plain"), near=("--policy", "prefer"))
        s = connect(front)
        s.sendall(b"hello")
        self.assertEqual(s.recv(5, socket.MSG_WAITALL), b"hello")
        s.close()
        b.wait_log("event=clear")

    def test_a_backend_that_is_not_there_breaks_the_connection(self):
        front, a, b = self.pair(free_port())
        s = connect(front)
        with self.assertRaises(OSError):
            if s.recv(1) == b"":
                raise OSError
        a.wait_log("cannot be connected to")
        s.close()


class Service(Case):
    def test_sigterm_drains(self):
        a = self.listen("--exec", "cat")
        b = self.connect(a.port)
        b.p.stdin.write(b"one")
        b.p.stdin.flush()
        self.assertEqual(b.p.stdout.read(3), b"one")
        a.p.terminate()
        a.wait_log("event=draining")
        c = self.connect(a.port)
        c.finish(b"")
        self.assertEqual(c.p.returncode, E_UNAVAILABLE)
        self.assertEqual(b.finish(b"two"), b"two")
        self.assertEqual(b.p.returncode, 0)
        self.assertEqual(a.p.wait(PATIENCE), 0)

    def test_what_does_not_end_is_cut_after_the_drain_timeout(self):
        a = self.listen("--exec", "cat", "--drain-timeout", "1s")
        b = self.connect(a.port)
        a.wait_log("event=protected")
        a.p.terminate()
        self.assertEqual(a.p.wait(PATIENCE), 0)
        self.assertIn("event=cut", a.err())
        b.p.wait(PATIENCE)
        self.assertEqual(b.p.returncode, E_CLOSED)

    def test_socket_activation(self):
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        helper = ("import os,sys\nfd=int(sys.argv[1])\nos.dup2(fd,3)\nos.set_inheritable(3,True)\n"
                  "os.environ.update(LISTEN_FDS='1',LISTEN_PID=str(os.getpid()))\nos.execv(sys.argv[2],sys.argv[2:])")
        log = tempfile.TemporaryFile()
        p = subprocess.Popen(["/usr/bin/python3", "-c", helper, str(listener.fileno()), GAGE, "listen", "--allow", "alice",
                              "--exec", "cat", "-"], env=self.realm.env, pass_fds=[listener.fileno()], stderr=log)
        listener.close()
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        self.assertEqual(self.connect(port).finish(b"activated"), b"activated")

    def test_max_connections_makes_others_wait_not_fail(self):
        a = self.listen("--exec", "cat", "--max-connections", "1")
        b = self.connect(a.port)
        a.wait_log("event=protected")
        c = self.connect(a.port)
        b.finish(b"")
        self.assertEqual(c.finish(b"later"), b"later")

    def test_mute_peers_keep_nobody_out_where_places_are_few(self):
        a = self.listen("--exec", "cat", "--max-connections", "3", "--max-handshakes", "1000")
        mute = [connect(a.port) for _ in range(12)]
        for m in mute:
            self.addCleanup(m.close)
        a.wait_log("event=full")
        self.assertEqual(self.connect(a.port).finish(b"in"), b"in")
        a.wait_log("its place was needed")

    def test_metrics(self):
        port = free_port()
        a = self.listen("--exec", "cat", "--metrics", f"127.0.0.1:{port}")
        self.connect(a.port).finish(b"12345")
        a.wait_log("event=closed")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
            text = answer.read().decode()
        for line in ("gage_stream_connections_total 1", "gage_stream_protected_total 1",
                     "gage_stream_received_bytes_total 5", "gage_stream_sent_bytes_total 5", "gage_stream_connections 0",
                     "gage_stream_handshakes 0"):
            self.assertIn("\n" + line + "\n", text)

    def test_idle_connections_end_where_told_to(self):
        a = self.listen("--exec", "cat", "--idle-timeout", "1s")
        b = self.connect(a.port)
        self.assertEqual(b.p.wait(PATIENCE), E_CLOSED)
        a.wait_log("nothing moved")

    def test_a_context_that_expires_closes_the_connection_unless_told_otherwise(self):
        self.realm.kinit("alice", ccache="FILE:" + self.path("short"), options=("-l", "4s"))
        env = dict(self.realm.env, KRB5CCNAME="FILE:" + self.path("short"))
        a = self.listen("--exec", "cat", "--outlive")
        b = self.connect(a.port, env=env)
        a.wait_log("event=protected")
        self.assertEqual(b.p.wait(PATIENCE), E_EXPIRED)
        self.assertIn("has expired", b.err())
        self.assertIn("event=expiring", b.err())
