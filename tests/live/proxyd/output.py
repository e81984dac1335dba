"""Lines that nobody takes: a reader of the log or of the audit lines that is slow, stops or goes, and a disk that is full."""
import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import unittest

import gssapi
from daemon import ACCEPTOR, PROGRAM, READY, Daemon, Wire, wait_for
from gssx import ACCEPT, KRB5, PROCEDURES, call, encode, good
from mounts import mount, own_mounts
from realm import Realm

SMALL_PIPE = 4096
METRICS = "metrics_socket = {dir}/metrics\n"
LONG = b"x" * 400  # a name no mechanism knows: its failure makes a long line


class Heard(Daemon):
    """Its standard error is what `ends` gives: our end, its end."""

    def __init__(self, realm, ends, **more):
        self.ours, self.theirs = ends
        super().__init__(realm, wait=False, **more)

    def start(self):
        self.log = open(self.path("log"), "ab")
        self.process = subprocess.Popen([PROGRAM, "-i", "-c", self.path("gssproxy.conf"), "-C", self.path("conf.d"), "-s", self.path("default.sock")],
                                        env=self.env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.theirs, preexec_fn=self.before)
        os.close(self.theirs)
        said = b""
        while READY.encode() + b"\n" not in said:
            more = os.read(self.ours, 4096)
            assert more, said
            said += more

    def __exit__(self, *_):
        super().__exit__()
        os.close(self.ours)

    def metric(self, name):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path("metrics"))
            s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
        return int(re.search(rf"(?m)^gage_proxyd_{name} (\d+)$", text).group(1))


def pipe():
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, SMALL_PIPE)
    return ours, theirs


def stream():
    """As journald's: a connected socket."""
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return ours.detach(), theirs.detach()


class Output(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def token(self):
        return gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate").step()

    def use(self, wire, count):
        """Uses of the credential that fail: a line of the log and one of the audit each."""
        for _ in range(count):
            call(wire, "accept_sec_context", token=b"no token")

    def serves(self, daemon):
        with Wire(daemon.socket) as wire:
            good(wire, "accept_sec_context", token=self.token())

    def read_all(self, descriptor):
        """What comes until its writer has gone."""
        return b"".join(iter(lambda: os.read(descriptor, 65536), b"")).decode()

    # ---- a reader that stops ----

    def check_unread(self, ends, uses):
        with Heard(self.realm, ends, settings=METRICS) as daemon:
            with Wire(daemon.socket) as wire:
                self.use(wire, uses)
            self.serves(daemon)
            for n in range(3):  # what the main thread says
                daemon.write_conf(ACCEPTOR + ACCEPTOR.replace("test", f"more{n}").replace("/sock", f"/more{n}"))
                daemon.signal(signal.SIGHUP)
                wait_for(lambda: os.path.exists(daemon.path(f"more{n}")), "the reload")
            self.assertGreater(daemon.metric("audit_lines_lost_total"), 0)
            self.serves(daemon)
            lines = []
            while not any(re.match(r"event=(log|audit)_lost lines=[1-9]", line) for line in lines):
                lines += os.read(daemon.ours, 65536).decode().splitlines()
            self.serves(daemon)
            self.assertEqual(daemon.stop(), 0)

    def test_a_pipe_that_nobody_reads_stops_nobody(self):
        self.check_unread(pipe(), 8000)

    def test_a_stream_that_nobody_reads_stops_nobody(self):
        self.check_unread(stream(), 8000)

    def test_a_daemon_whose_output_nobody_reads_ends_when_it_is_told_to(self):
        with Heard(self.realm, pipe()) as daemon:
            with Wire(daemon.socket) as wire:
                self.use(wire, 100)
            self.assertEqual(daemon.stop(), 0)

    def test_a_reader_that_has_gone_stops_nobody(self):
        ours, theirs = pipe()
        with Heard(self.realm, (ours, theirs), settings=METRICS) as daemon:
            null = os.open("/dev/null", os.O_RDONLY)
            os.dup2(null, ours)
            os.close(null)
            with Wire(daemon.socket) as wire:
                self.use(wire, 50)
            wait_for(lambda: daemon.metric("audit_lines_lost_total") == 50, "fifty lines counted")
            self.serves(daemon)

    def test_a_slow_reader_gets_every_line_of_the_audit(self):
        """Far more than is kept: the calls wait for it."""
        with Heard(self.realm, pipe(), settings=METRICS) as daemon:
            request = struct.pack(">10I", 7, 0, 2, 400112, 1, 9, 0, 0, 0, 0) + encode(PROCEDURES["accept_sec_context"][1], {"token": b"no token"})
            count, got = 8000, []

            def ask():
                with Wire(daemon.socket) as wire:
                    for _ in range(count):
                        wire.send(request)
                        wire.receive()
                daemon.signal(signal.SIGTERM)
            asking = threading.Thread(target=ask)
            asking.start()
            for piece in iter(lambda: os.read(daemon.ours, 1024), b""):
                got.append(piece)
            asking.join()
            text = b"".join(got).decode()
            self.assertEqual(text.count("event=credential_use "), count)
            self.assertNotIn("event=audit_lost", text)
            self.assertEqual(daemon.stop(), 0)

    def test_lines_are_whole_though_several_write_them(self):
        """Two daemons on one pipe."""
        ours, theirs = pipe()
        with Heard(self.realm, (ours, os.dup(theirs))) as one, Heard(self.realm, (os.dup(ours), theirs)) as other:
            def ask(daemon):
                with Wire(daemon.socket) as wire:
                    self.use(wire, 200)
                daemon.signal(signal.SIGTERM)
            threads = [threading.Thread(target=ask, args=(d,)) for d in (one, other)]
            for t in threads:
                t.start()
            lines = self.read_all(ours).splitlines()
            for t in threads:
                t.join()
            self.assertEqual(sum(line.startswith("event=credential_use ") for line in lines), 400)
            self.assertEqual([line for line in lines if not re.match(r"(dropped=\d+ )?event=\w+ .*\"$", line)], [])

    # ---- a file ----

    def audited(self, path):
        with open(path) as f:
            return f.read().splitlines()

    def test_a_file_that_is_truncated_or_renamed_is_written_on(self):
        with Daemon(self.realm, settings="audit = {dir}/audit\n") as daemon, Wire(daemon.socket) as wire:
            path, old = daemon.path("audit"), daemon.path("audit.1")
            self.use(wire, 3)
            wait_for(lambda: len(self.audited(path)) == 3, "three lines")
            os.truncate(path, 0)
            self.use(wire, 2)
            wait_for(lambda: len(self.audited(path)) == 2, "two lines and nothing before them")
            os.rename(path, old)
            self.use(wire, 1)
            wait_for(lambda: len(self.audited(old)) == 3, "the third, in the renamed file")
            daemon.signal(signal.SIGHUP)
            wait_for(lambda: "New config loaded successfully." in daemon.text(), "the reload, not only the new file")
            self.use(wire, 4)
            wait_for(lambda: len(self.audited(path)) == 4, "four lines in the new file")
            self.assertEqual(len(self.audited(old)), 3)
            self.assertTrue(all(line.startswith("event=credential_use ") for line in self.audited(path) + self.audited(old)))

    def test_reloads_that_change_where_lines_go_lose_no_line_and_no_descriptor(self):
        with Daemon(self.realm, settings="audit = {dir}/audit\n") as daemon, Wire(daemon.socket) as wire:
            fds = f"/proc/{daemon.process.pid}/fd"
            self.use(wire, 1)
            good(wire, "indicate_mechs")
            before = len(os.listdir(fds))
            for n, where in enumerate(("stderr", "{dir}/other", "off", "{dir}/audit") * 3, 1):
                daemon.write_conf(settings=f"audit = {where}\n")
                daemon.signal(signal.SIGHUP)
                wait_for(lambda: daemon.text().count("New config loaded successfully.") == n, "the reload")
                self.use(wire, 5)
                good(wire, "indicate_mechs")  # is read when the line before has been written
            self.assertEqual(len(os.listdir(fds)), before)
            wait_for(lambda: [self.uses(daemon.path(name)) for name in ("audit", "other", "log")] == [16, 15, 15], "the lines")

    def uses(self, path):
        return sum(line.startswith("event=credential_use ") for line in self.audited(path))

    def test_a_full_disk_is_said_once_and_counted_and_lines_are_written_again_when_it_has_room(self):
        daemon = Daemon(self.realm, settings="audit = {dir}/small/audit\n" + METRICS)
        os.mkdir(daemon.path("small"))
        daemon.before = lambda: (own_mounts(), mount("none", daemon.path("small"), "tmpfs", options="size=8k"))
        with daemon, Wire(daemon.socket) as wire:
            path = f"/proc/{daemon.process.pid}/root" + daemon.path("small/audit")
            self.use(wire, 100)
            wait_for(lambda: "event=audit_failed reason=\"No space left on device\"" in daemon.text(), "the reason")
            kept = wait_for(lambda: os.path.getsize(path) == 8192 and self.audited(path), "a full file")
            whole = sum(" us=" in line for line in kept)
            wait_for(lambda: Heard.metric(daemon, "audit_lines_lost_total") >= 100 - whole, "what was lost is counted")
            with open(path, "r+") as f:
                f.truncate(4000)
            self.use(wire, 3)
            wait_for(lambda: re.search(r"event=audit_lost lines=(\d+)", daemon.text()), "the number of lines lost")
            # The last line is written after its call was answered.
            wait_for(lambda: sum(line.startswith("event=credential_use ") and line.endswith('"') for line in self.audited(path)[-3:]) == 3,
                     "three whole lines at the end")
            self.assertEqual(daemon.text().count("event=audit_failed"), 1)

    def test_a_pipe_of_a_name_serves_as_long_as_it_is_read_and_stops_nobody(self):
        daemon = Daemon(self.realm, settings="audit = {dir}/audit\n" + METRICS, wait=False)
        os.mkfifo(daemon.path("audit"))
        with daemon:
            self.assertNotEqual(daemon.process.wait(20), 0)
            self.assertIn("nobody reads the audit pipe", daemon.text())
            daemon.stop()
            reader = os.open(daemon.path("audit"), os.O_RDONLY | os.O_NONBLOCK)
            daemon.wait = True
            daemon.start()
            with Wire(daemon.socket) as wire:
                self.use(wire, 8000)
                self.assertGreater(Heard.metric(daemon, "audit_lines_lost_total"), 0)
                os.close(reader)
                self.use(wire, 10)
            self.serves(daemon)


if __name__ == "__main__":
    unittest.main()
