"""What live tests of the stream commands share: starting gage, waiting for ports, plain servers."""
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import threading
import time

from realm import Realm, free_port  # noqa: F401 (handed on)

ROOT = pathlib.Path(__file__).resolve().parents[3]
PREFIX = pathlib.Path(os.environ.get("GAGE_PREFIX", ROOT / "build/root"))
GAGE = str(PREFIX / "bin/gage")
PATIENCE = 20


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
