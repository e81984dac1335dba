"""gage-proxyd (or the packaged gssproxy) under test, its clients with the packaged plugin, and raw calls on its socket.

    with Realm() as realm, Daemon(realm, SERVICE) as daemon: daemon.client("accept", token) ...

SERVICE is the body of configuration files; {dir} is the daemon's folder, {keytab} the realm's keytab, {uid} our own uid.
"""
import json
import os
import re
import shutil
import signal as signals
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
PREFIX = os.environ.get("GAGE_PREFIX", os.path.join(CHECKOUT, "build", "root"))
PROGRAM = os.path.join(PREFIX, "sbin", "gage-proxyd")
PACKAGED = "/usr/sbin/gssproxy"
PLUGIN = "/usr/lib/x86_64-linux-gnu/gssproxy/proxymech.so"
OURS = os.path.join(PREFIX, "lib", "gage", "gss", "gage_proxy.so")
WRAPPER = "/usr/lib/x86_64-linux-gnu/libnss_wrapper.so"
SANITIZER = r"ERROR: \w+Sanitizer: |WARNING: ThreadSanitizer: |: runtime error: "  # how a report begins
READY = "Initialization complete."
ACCEPTOR = """[service/test]
  mechs = krb5
  euid = {uid}
  socket = {dir}/sock
  cred_store = keytab:{keytab}
"""


def wait_for(condition, what, seconds=20):
    """Waits for a state, not for a time: the limit only ends a test that would hang."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("did not come about: " + what)


class Daemon:
    def __init__(self, realm, services=ACCEPTOR, settings="", program=PROGRAM, options=(), env=None, wait=True):
        self.realm, self.program, self.options, self.wait = realm, program, list(options), wait
        self.services, self.settings = services, settings
        self.dir = tempfile.mkdtemp(prefix="gage-proxyd-")
        os.chmod(self.dir, 0o755)
        self.socket = os.path.join(self.dir, "sock")
        self.env = dict(realm.env, **(env or {}))
        self.env["KRB5CCNAME"] = "FILE:" + os.path.join(self.dir, "no-such-cache")
        if "TSAN_OPTIONS" in self.env:  # it may run no program; ThreadSanitizer, when it tries, leaves two pipes open
            self.env["TSAN_OPTIONS"] = "external_symbolizer_path= " + self.env["TSAN_OPTIONS"]
        self.plugin = PLUGIN  # or OURS: what its clients have
        self.process = self.before = None  # before: called in the child, before the program runs

    def path(self, name):
        return os.path.join(self.dir, name)

    def fill(self, text):
        for key, value in {"dir": self.dir, "keytab": self.realm.keytab, "uid": os.getuid()}.items():
            text = text.replace("{%s}" % key, str(value))
        return text

    def write_conf(self, services=None, settings=None):
        self.services = self.services if services is None else services
        self.settings = self.settings if settings is None else settings
        ours = f"state_dir = {self.dir}/state\nreplay_cache = file2:{self.dir}/replay\n" if self.program == PROGRAM else ""
        with open(self.path("gssproxy.conf"), "w") as f:
            f.write("[gssproxy]\n" + ours + self.fill(self.settings) + "\n")
        os.makedirs(self.path("conf.d"), exist_ok=True)
        with open(self.path("conf.d/10-test.conf"), "w") as f:
            f.write(self.fill(self.services))

    def wrap_accounts(self):
        """When it starts again, the accounts are those of the files passwd and group in its folder, whatever becomes of these.
        (The wrapper's own way of loading, RTLD_DEEPBIND, is refused by AddressSanitizer.)"""
        self.env.update(LD_PRELOAD=WRAPPER, NSS_WRAPPER_PASSWD=self.path("passwd"), NSS_WRAPPER_GROUP=self.path("group"),
                        NSS_WRAPPER_DISABLE_DEEPBIND="1")

    def __enter__(self):
        self.write_conf()
        self.start()
        return self

    def start(self):
        self.log = open(self.path("log"), "ab")
        if self.program == PACKAGED and "KRB5RCACHEDIR" in self.env:
            self.env["KRB5RCACHENAME"] = "file2:" + self.path("replay")
        self.seen = os.path.getsize(self.path("log"))
        self.process = subprocess.Popen(
            [self.program, "-i", "-c", self.path("gssproxy.conf"), "-C", self.path("conf.d"),
             "-s", self.path("default.sock"), *self.options],
            env=self.env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=self.before)
        if self.wait:
            wait_for(lambda: self.is_ready() or self.process.poll() is not None, "ready")
            if self.process.poll() is not None:
                raise AssertionError("the daemon ended: " + self.text())

    def is_ready(self):
        """Ours says so; the packaged daemon is ready when it takes a connection."""
        if self.program == PROGRAM:
            return READY in self.text()[self.seen:]
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.socket) == 0

    def text(self):
        with open(self.path("log"), errors="replace") as f:
            return f.read()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, number=signals.SIGTERM):
        """Ends it; returns its exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.log.close()
        self.process = None
        report = re.search(SANITIZER, self.text())
        if report:
            raise AssertionError("the daemon under a sanitizer: " + self.text()[report.start():])
        return status

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    def client_env(self, behavior="REMOTE_FIRST", **more):
        """The environment of an application that uses the plugin and can reach no key itself."""
        mechs = self.path(os.path.basename(self.plugin) + ".conf")
        with open(mechs, "w") as f:
            f.write(f"gssproxy_v1 2.16.840.1.113730.3.8.15.1 {self.plugin} <interposer>\n")
        env = dict(self.realm.env, GSS_USE_PROXY="yes", GSSPROXY_SOCKET=self.socket, GSSPROXY_BEHAVIOR=behavior,
                   GSS_MECH_CONFIG=mechs, KRB5_KTNAME="FILE:/nonexistent/keytab",
                   KRB5CCNAME="FILE:" + self.path("client-cache"))
        env.update(more)
        return env

    def client(self, command, *args, env=None, **more):
        """Runs a command of client.py with the plugin; returns what it says, a dictionary."""
        return run_client(command, *args, env=env or self.client_env(**more))


    def scripts(self):
        """The modules of these tests where any uid can read them: the checkout may lie in somebody's home."""
        there = self.path("scripts")
        if not os.path.isdir(there):
            os.mkdir(there, 0o755)
            for folder in (HERE, os.path.join(HERE, "../../lib")):
                for name in os.listdir(folder):
                    if name.endswith(".py"):
                        shutil.copy(os.path.join(folder, name), there)
        return there

    def python_as(self, uid, source, *args, **env):
        """Starts Python source as another uid; its output is to be read by the caller."""
        source = f"import sys; sys.path.insert(0, {self.scripts()!r})\n" + source
        return subprocess.Popen([sys.executable, "-c", source, *map(str, args)], user=uid, group=uid, extra_groups=[], text=True,
                                env=dict(self.realm.env, PYTHONDONTWRITEBYTECODE="1", **env), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run_client(command, *args, env, uid=None, check=True):
    script = [sys.executable, os.path.join(HERE, "client.py"), command, *args]
    done = subprocess.run(script, env=env, capture_output=True, text=True, timeout=120,
                          **({"user": uid, "group": uid, "extra_groups": []} if uid is not None else {}))
    if done.returncode != 0 or not done.stdout.strip():
        raise AssertionError(f"client {command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


class Wire:
    """Raw records on a daemon's socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, body):
        self.socket.sendall(struct.pack(">I", 0x80000000 | len(body)) + body)

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        (header,) = struct.unpack(">I", self.exactly(4))
        assert header & 0x80000000
        return self.exactly(header & 0x7fffffff)

    def call(self, procedure, args=b"", xid=7):
        self.send(struct.pack(">10I", xid, 0, 2, 400112, 1, procedure, 0, 0, 0, 0) + args)
        return self.receive()

    def results(self, procedure, args):
        """The results of an accepted call."""
        reply = self.call(procedure, args)
        assert struct.unpack(">6I", reply[:24]) == (7, 1, 0, 0, 0, 0), reply[:24].hex()
        return reply[24:]
