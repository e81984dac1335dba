"""What live tests of the stream commands share: starting gage, waiting for ports, plain servers, a realm for each class of cases."""
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from realm import Realm, free_port  # noqa: F401 (handed on)

ROOT = pathlib.Path(__file__).resolve().parents[3]
PREFIX = pathlib.Path(os.environ.get("GAGE_PREFIX", ROOT / "build/root"))
GAGE = str(PREFIX / "bin/gage")
PATIENCE = 20
E_REFUSED, E_CLOSED, E_TIMEOUT, E_STATE, E_USAGE, E_UNAVAILABLE, E_EXPIRED = 15, 26, 17, 10, 2, 16, 13  # exit statuses


def wait_for(condition, what):
    for _ in range(PATIENCE * 50):
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("waited in vain for " + what)


class Gage:
    """A gage process. err() is what it has logged so far."""

    def __init__(self, env, *arguments, stdin=subprocess.PIPE, **options):
        self.log = tempfile.TemporaryFile()
        self.p = subprocess.Popen([GAGE, *map(str, arguments)], env=env, stdin=stdin, stdout=subprocess.PIPE,
                                  stderr=self.log, **options)

    def err(self):
        self.log.seek(0)
        return self.log.read().decode()

    def wait_log(self, text):
        def look():
            if self.p.poll() is not None and text not in self.err():
                raise AssertionError(f"gage ended with {self.p.returncode}: {self.err()}")
            return text in self.err()
        wait_for(look, f"{text!r} in the log")
        return self

    def finish(self, data=b"", timeout=PATIENCE):
        """Feeds standard input, returns standard output; the status is in .p.returncode."""
        out, _ = self.p.communicate(data, timeout=timeout)
        return out

    def stop(self):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()
        for pipe in (self.p.stdin, self.p.stdout):
            if pipe:
                pipe.close()
        self.log.close()


class Server:
    """A plain TCP server on loopback; `serve(connection)` runs in a thread for each."""

    def __init__(self, serve):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.serve, self.threads = serve, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            t = threading.Thread(target=self.guard, args=(connection,), daemon=True)
            t.start()

    def guard(self, connection):
        with connection:
            try:
                self.serve(connection)
            except OSError:
                pass

    def stop(self):
        self.listener.close()


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


def read_all(connection):
    parts = []
    while data := connection.recv(65536):
        parts.append(data)
    return b"".join(parts)


def connect(port, host="127.0.0.1"):
    s = socket.create_connection((host, port), timeout=PATIENCE)
    return s


def port_is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def without_gage(env):
    return {k: v for k, v in env.items() if not re.match("GAGE_", k)}


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm().start()
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.addClassCleanup(cls.realm.stop)

    def gage(self, *arguments, env=None, **options):
        g = Gage(env or self.realm.env, *arguments, **options)
        self.addCleanup(g.stop)
        return g

    def listen(self, *options, port=None, address=None, allow="alice", **kw):
        port = port or free_port()
        g = self.gage("listen", *(("--allow", allow) if allow else ()), *options, address or f"127.0.0.1:{port}", **kw)
        g.wait_log("event=listening")
        g.port = port
        return g

    def connect(self, port, *options, **kw):
        return self.gage("connect", "--target", "gage@localhost", *options, f"127.0.0.1:{port}", **kw)

    def server(self, serve=echo):
        s = Server(serve)
        self.addCleanup(s.stop)
        return s

    def forward(self, *arguments, **kw):
        return self.gage("forward", *arguments, **kw).wait_log("event=listening")

    def pair(self, backend, far=(), near=()):
        """Two sidecars before the backend: the port for plain clients, and both processes."""
        middle, front = free_port(), free_port()
        a = self.forward("--protect", "local", "--allow", "alice", *far, f"127.0.0.1:{middle}", f"127.0.0.1:{backend}")
        b = self.forward("--target", "gage@localhost", *near, f"127.0.0.1:{front}", f"127.0.0.1:{middle}")
        a.middle = middle
        return front, a, b

    def talk(self, a, b, data, answer=b""):
        """b's standard input to a's output, and a's answer back; both must end well."""
        def feed(pipe):
            with pipe:
                pipe.write(data)
        writer = threading.Thread(target=feed, args=(b.p.stdin,))
        writer.start()  # more than all buffers between hold, so a must read meanwhile
        b.p.stdin = None
        self.assertEqual(a.finish(answer), data)
        writer.join(PATIENCE)
        self.assertEqual(b.finish(None), answer, b.err())
        self.assertEqual((a.p.returncode, b.p.returncode), (0, 0), a.err() + b.err())

    def path(self, name):
        return os.path.join(self.folder.name, name)
