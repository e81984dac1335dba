"""The stage of the transfer tests: a real relay on loopback, and people with a home of their own who run gage."""
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from mailbox import make_certificate

ROOT = pathlib.Path(__file__).resolve().parents[3]
PREFIX = pathlib.Path(os.environ.get("GAGE_PREFIX", ROOT / "build/root"))
GAGE = PREFIX / "bin/gage"
RELAYD = PREFIX / "sbin/gage-relayd"
LONG = 40  # seconds after which a test that hangs is given up

# Exit statuses, of include/gage/error.h.
STATUS = {name: int(number) for name, number in
          re.findall(r"X\((\w+), (\d+), \"", (ROOT / "include/gage/error.h").read_text())}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(true, what, seconds=LONG):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"still not so after {seconds} s: {what}")
        time.sleep(0.005)


class Relay:
    """gage-relayd over SQLite. Can be stopped, killed and started again at the same address with the same store."""

    def __init__(self, *options, env=None):
        self.folder = tempfile.TemporaryDirectory(prefix="gage-relay-")
        self.home = pathlib.Path(self.folder.name)
        self.cert, self.key, self.pin = make_certificate(self.home)
        self.place = socket.socket()  # bound, never listening: nobody else gets the port while the relay is dead
        self.place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.place.bind(("127.0.0.1", 0))
        self.port = self.place.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self.options, self.env = options, env or {}
        self.process = None

    def start(self, env=None):
        log = open(self.home / "log", "ab")
        self.process = subprocess.Popen(
            [RELAYD, "--listen", f"127.0.0.1:{self.port}", "--public-url", self.url, "--tls-cert", self.cert, "--tls-key", self.key,
             "--store", f"sqlite://{self.home}/relay.db", *self.options],
            env={**os.environ, **self.env, **(env or {})}, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        until(self.answers, "the relay answers: " + self.log()[-500:])
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("the relay ended: " + self.log()[-2000:])
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def log(self):
        path = self.home / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self, how=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(LONG)
        self.process = None

    def kill(self):
        self.stop(signal.SIGKILL)

    def stored(self):
        """Every byte the relay keeps on disk."""
        return b"".join(p.read_bytes() for p in sorted(self.home.glob("relay.db*")))

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        self.place.close()
        self.folder.cleanup()


class Person:
    """Somebody with a home, a working folder and gage."""

    def __init__(self, relay=None):
        self.folder = tempfile.TemporaryDirectory(prefix="gage-person-")
        self.home = pathlib.Path(self.folder.name)
        self.work = self.home / "work"
        self.work.mkdir()
        self.started = []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "GSS_", "LD_"))}
        self.env.update(HOME=str(self.home), LC_ALL="C.UTF-8", TERM="xterm", no_proxy="*")
        if relay is not None:
            self.configure(f"[relay]\nurl = {relay.url}\npin = {relay.pin}\n")

    def configure(self, text):
        path = self.home / ".config/gage"
        path.mkdir(parents=True, exist_ok=True)
        (path / "gage.conf").write_text(text)

    def file(self, name, content=b"secret", mode=0o600):
        path = self.work / name
        path.write_bytes(content)
        path.chmod(mode)
        return name

    def start(self, *words, env=None, stdin=subprocess.DEVNULL, **kwargs):
        """A gage in the background, without a terminal."""
        process = subprocess.Popen([GAGE, *words], cwd=self.work, env={**self.env, **(env or {})}, stdin=stdin, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True, text=True, **kwargs)
        self.started.append(process)
        return process

    def run(self, *words, input="", env=None, timeout=LONG):
        return subprocess.run([GAGE, *words], cwd=self.work, env={**self.env, **(env or {})}, input=input, capture_output=True,
                              start_new_session=True, text=True, timeout=timeout)

    def state(self):
        """The records of this person, as gage list tells them."""
        return json.loads(self.run("list", "--json").stdout or "[]")

    def records(self):
        folder = self.home / ".local/state/gage"
        return [p for p in folder.glob("*")] if folder.exists() else []

    def close(self):
        """Leaves neither a process nor a file behind, also where a test failed."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Terminal:
    """A gage on a terminal of its own: what it shows, and what is typed."""

    def __init__(self, person, *words, env=None, rows=40, columns=120):
        self.shown = ""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.chdir(person.work)
            os.execve(GAGE, [str(GAGE), *map(str, words)], {**person.env, **(env or {})})
        self.pid, self.status = pid, None
        import fcntl
        import struct
        import termios
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, wait):
        ready, _, _ = select.select([self.fd], [], [], wait)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.shown += data.decode("utf-8", "replace")
        return bool(data)

    def expect(self, pattern, seconds=LONG):
        """Waits until the pattern has been shown since the last expect; returns the match."""
        end = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.shown)
            if match:
                self.shown = self.shown[match.end():]
                return match
            if time.monotonic() > end or not self.read(0.1):
                raise AssertionError(f"{pattern!r} was not shown, but: {self.shown[-2000:]!r}")

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait(self):
        """Reads to the end; returns the exit status (negative: the signal)."""
        end = time.monotonic() + LONG
        while self.read(0.1):
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"did not end, but showed: {self.shown[-2000:]!r}")
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def finish(process, timeout=LONG):
    """Waits for a gage; returns its exit status, standard output and error."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"did not end: {out}\n{err}")
    return process.returncode, out, err


def events(text):
    return [json.loads(line) for line in text.splitlines()]


def read_line(process):
    """The next line of standard output, leaving all that follows to finish()."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(process.stdout.fileno(), 1)
        if not byte:
            break
        line += byte
    return line.decode()


def read_link(process):
    """The link that a share just printed."""
    line = read_line(process).strip()
    if not line.startswith(("https://", "gage:")):
        raise AssertionError(f"no link, but {line!r}: {finish(process)}")
    return line


def read_event(process, name):
    """The next JSON event of this name, or None where the output ends before it."""
    while line := read_line(process):
        event = json.loads(line)
        if event["event"] == name:
            return event
    return None


def share_and_accept(sender, receiver, file, *accept_words, share_words=()):
    """A whole transfer; returns both gages' (status, output, errors)."""
    share = sender.start("share", *share_words, file)
    link = read_link(share)
    accept = receiver.run("accept", "--yes", *accept_words, "-", input=link + "\n")
    return finish(share), (accept.returncode, accept.stdout, accept.stderr), link


class Stage(unittest.TestCase):
    """A relay for the tests of a class, and two people for each test."""

    @classmethod
    def setUpClass(cls):
        cls.relay = cls.enterClassContext(Relay())

    def setUp(self):
        self.sender = self.enterContext(Person(self.relay))
        self.receiver = self.enterContext(Person(self.relay))
