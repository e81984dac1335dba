"""Reloads without end, the end in the middle of work, a socket that somebody else removed."""
import os
import signal
import struct
import threading
import unittest

import gssapi
from daemon import ACCEPTOR, Daemon, Wire, wait_for
from gssx import ACCEPT, FAILURE, INITIATE, KRB5, PROCEDURES, call, decode, encode, good, user
from realm import REALM, Realm

SLOW = ACCEPTOR + "  cred_store = client_keytab:{keytab}\n  call_deadline = 1s\n"


class Storms(unittest.TestCase):
    def setUp(self):
        self.realm = Realm()
        self.realm.start()
        self.addCleanup(self.realm.stop)
        os.environ.update({k: v for k, v in self.realm.env.items() if k.startswith("KRB5")})

    def token(self):
        return gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate").step()

    def load(self, path, stop, done, errors):
        try:
            with Wire(path) as wire:
                while not stop.is_set():
                    good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])
                    done.append(1)
        except Exception as error:  # noqa: BLE001
            errors.append(repr(error))

    def replace_services(self, daemon, text):
        with open(daemon.path("new"), "w") as f:
            f.write(daemon.fill(text))
        os.rename(daemon.path("new"), daemon.path("conf.d/10-test.conf"))

    def test_a_storm_of_reloads_under_load_leaves_the_last_configuration_and_nothing_else(self):
        """The main file is written in its place meanwhile: what is read may be half of it, and reading has to end."""
        with Daemon(self.realm) as daemon, Wire(daemon.socket) as wire:
            fds = f"/proc/{daemon.process.pid}/fd"
            good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])
            before = len(os.listdir(fds))
            with open(daemon.path("gssproxy.conf")) as f:
                main = f.read()
            stop, done, errors = threading.Event(), [], []
            threads = [threading.Thread(target=self.load, args=(daemon.socket, stop, done, errors)) for _ in range(6)]
            for t in threads:
                t.start()
            for i in range(600):
                self.replace_services(daemon, ACCEPTOR + ACCEPTOR.replace("test", "more").replace("/sock", f"/more{i}"))
                daemon.signal(signal.SIGHUP)
                with open(daemon.path("gssproxy.conf"), "w") as f:
                    f.write(main + "# some more text\n" * (i % 500))
            daemon.signal(signal.SIGHUP)
            wait_for(lambda: os.path.exists(daemon.path("more599")), "the last one")
            self.replace_services(daemon, ACCEPTOR)
            daemon.signal(signal.SIGHUP)
            wait_for(lambda: not os.path.exists(daemon.path("more599")), "the one we began with")
            stop.set()
            for t in threads:
                t.join()
            self.assertEqual(errors, [])
            self.assertGreater(len(done), 0)
            self.assertEqual([name for name in os.listdir(daemon.dir) if name.startswith("more")], [])
            wait_for(lambda: len(os.listdir(fds)) == before, "as many descriptors as before")

    def pipeline(self, path, go, results):
        """Many calls ahead; how many whole answers came, and what was left of another."""
        body = struct.pack(">10I", 7, 0, 2, 400112, 1, 6, 0, 0, 0, 0) + encode(PROCEDURES["acquire_cred"][1], {"usage": ACCEPT, "mechs": [KRB5]})
        got, record = b"", struct.pack(">I", 0x80000000 | len(body)) + body
        with Wire(path) as wire:
            try:
                while True:
                    wire.socket.sendall(record * 8)
                    got += wire.socket.recv(1 << 20)
                    go.release()
            except (BrokenPipeError, ConnectionResetError):
                pass
            try:
                for more in iter(lambda: wire.socket.recv(1 << 20), b""):
                    got += more
            except ConnectionResetError:
                pass
        whole = 0
        while len(got) >= 4:
            size = 4 + (struct.unpack(">I", got[:4])[0] & 0x7fffffff)
            if len(got) < size:
                break
            result, at = decode(PROCEDURES["acquire_cred"][2], got[28:size])
            whole += result["status"]["major"] == 0 and at == size - 28
            got = got[size:]
        results.append((whole, got))

    def test_the_end_in_the_middle_of_work_tears_no_answer(self):
        with Daemon(self.realm) as daemon:
            go, results = threading.Semaphore(0), []
            threads = [threading.Thread(target=self.pipeline, args=(daemon.socket, go, results)) for _ in range(8)]
            for t in threads:
                t.start()
            for _ in range(200):
                go.acquire()
            self.assertEqual(daemon.stop(), 0)
            for t in threads:
                t.join()
            self.assertEqual([left for _, left in results], [b""] * 8)
            self.assertGreater(sum(whole for whole, _ in results), 0)
            self.assertFalse(os.path.exists(daemon.socket))

    def test_a_call_whose_time_is_not_over_is_answered_before_the_end(self):
        with Daemon(self.realm, SLOW) as daemon, Wire(daemon.socket) as wire:
            self.realm.kdc.send_signal(signal.SIGSTOP)
            try:
                answers = []
                asking = threading.Thread(target=lambda: answers.append(
                    call(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user("host/localhost@" + REALM))["status"]))
                asking.start()
                wait_for(lambda: self.waiting_at(self.realm.port) >= 1, "the call at the KDC")
                self.assertEqual(daemon.stop(), 0)
                asking.join()
                self.assertEqual([a["major"] for a in answers], [FAILURE])
                self.assertIn(b"does not answer", answers[0]["minor_string"])
            finally:
                self.realm.kdc.send_signal(signal.SIGCONT)

    def waiting_at(self, port):
        with open("/proc/net/tcp") as f:
            return sum(line.split()[2:4] == [f"0100007F:{port:04X}", "01"] for line in f)

    def test_a_reload_makes_a_socket_again_that_somebody_removed(self):
        with Daemon(self.realm) as daemon, Wire(daemon.socket) as kept:
            os.unlink(daemon.socket)
            good(kept, "indicate_mechs")
            daemon.signal(signal.SIGHUP)
            wait_for(lambda: os.path.exists(daemon.socket), "the socket")
            with Wire(daemon.socket) as wire:
                good(wire, "accept_sec_context", token=self.token())
            good(kept, "indicate_mechs")
            self.assertEqual(daemon.stop(), 0)
            self.assertFalse(os.path.exists(daemon.socket))

    def test_what_somebody_put_in_the_place_of_a_socket_is_left_alone(self):
        with Daemon(self.realm) as daemon:
            os.unlink(daemon.socket)
            with open(daemon.socket, "w") as f:
                f.write("mine")
            daemon.signal(signal.SIGHUP)
            wait_for(lambda: "event=reload_failed" in daemon.text(), "the reason")
            self.assertIn("exists and is not a socket", daemon.text())
            self.assertEqual(daemon.stop(), 0)
            with open(daemon.socket) as f:
                self.assertEqual(f.read(), "mine")


if __name__ == "__main__":
    unittest.main()
