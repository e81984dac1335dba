"""The systemd units: ours, and the packaged daemon's with the binary's path changed. systemd itself is played by this file: a private
mount namespace, the unit's command, NOTIFY_SOCKET, LISTEN_FDS, the capability bounding set."""
import os
import re
import shlex
import signal
import socket
import subprocess
import tempfile
import unittest

import gssapi
from daemon import CHECKOUT, PROGRAM, Daemon, Wire, wait_for
from gssx import COMPLETE, CONTINUE, KERNEL_CALL, KRB5, call, good, service
from mounts import own_mounts
from realm import Realm

OURS = os.path.join(CHECKOUT, "dist/gage-proxyd.service")
THEIRS = "/lib/systemd/system/gssproxy.service"
USER_UNIT = "/usr/lib/systemd/user/gssuserproxy.service"
# /run and /var/lib are the test's own, with the folders that the package gssproxy has there; /etc has the realm's keytab where the packaged configuration expects it, and is read-only after.
PRIVATE = """set -e
mount -t tmpfs -o mode=755 tmpfs /run; mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir -p /var/lib/gssproxy/rcache /var/lib/gssproxy/clients /var/lib/upper /var/lib/work; chmod 755 /var/lib/gssproxy
mount -t overlay -o lowerdir=/etc,upperdir=/var/lib/upper,workdir=/var/lib/work overlay /etc
cp "$KEYTAB" /etc/krb5.keytab; chmod 600 /etc/krb5.keytab; mkdir -p /etc/gssproxy
mount -o remount,ro,bind /etc
exec "$@"
"""


def settings(unit):
    with open(unit) as f:
        return re.findall(r"(?m)^(\w+)=(.*)$", f.read())


def setting(unit, name):
    return [value for key, value in settings(unit) if key == name]


def command(unit):
    """The unit's ExecStart with the binary's path changed, and nothing else."""
    words = shlex.split(setting(unit, "ExecStart")[0])
    return [PROGRAM, *words[1:]]


class Manager:
    """What systemd would be to the daemon."""

    def __init__(self, realm, unit, words=None, before=()):
        self.realm, self.unit = realm, unit
        self.dir = tempfile.mkdtemp(prefix="gage-units-")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(os.path.join(self.dir, "notify"))
        self.notify.settimeout(30)
        self.env = dict(realm.env, NOTIFY_SOCKET=os.path.join(self.dir, "notify"), KEYTAB=realm.keytab)
        for name in ("KRB5_KTNAME", "KRB5RCACHEDIR", "KRB5CCNAME"):
            self.env.pop(name)
        self.env.update(v.split("=", 1) for v in setting(unit, "Environment"))
        self.log = open(os.path.join(self.dir, "log"), "wb")
        self.process = subprocess.Popen(["sh", "-c", PRIVATE, "sh", *before, *(words or command(unit))], env=self.env, preexec_fn=own_mounts,
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def told(self):
        return dict(line.split("=", 1) for line in self.notify.recv(4096).decode().splitlines())

    def text(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as f:
            return f.read()

    def path(self, pid, path):
        """A path of the daemon's namespace."""
        return f"/proc/{pid}/root{path}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        self.log.close()
        self.notify.close()
        subprocess.run(["rm", "-rf", self.dir], check=True)


class Units(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def token(self):
        return gssapi.SecurityContext(name=gssapi.Name("nfs@localhost", gssapi.NameType.hostbased_service), usage="initiate").step()

    def serves_nfs(self, path):
        with Wire(path) as wire:
            result = call(wire, "accept_sec_context", call=KERNEL_CALL, token=self.token())
        self.assertEqual(result["status"]["major"], COMPLETE, result["status"]["minor_string"])

    def test_our_unit_is_one_that_systemd_takes(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(OURS) as f, open(os.path.join(folder, "gage-proxyd.service"), "w") as out:
                out.write(f.read().replace("/usr/sbin/gage-proxyd", PROGRAM))
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", out.name], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
            self.assertNotRegex(done.stderr, r"gage-proxyd\.service")

    def test_our_unit_hardens_what_can_be_hardened(self):
        named = dict(settings(OURS))
        for name in ("NoNewPrivileges", "PrivateDevices", "ProtectClock", "ProtectKernelModules", "RestrictNamespaces", "LockPersonality",
                     "MemoryDenyWriteExecute", "RestrictSUIDSGID"):
            self.assertEqual(named.get(name), "yes", name)
        for name in ("CapabilityBoundingSet", "SystemCallFilter", "RestrictAddressFamilies"):
            self.assertTrue(named.get(name), name)

    def bounded(self):
        kept = [c.removeprefix("CAP_").lower() for c in setting(OURS, "CapabilityBoundingSet")[0].split()]
        return ["setpriv", "--no-new-privs", "--bounding-set", "-all," + ",".join("+" + c for c in kept)]

    def test_our_unit_starts_tells_reloads_and_ends(self):
        """With the packaged configuration, the unit's capabilities and /etc read-only."""
        with Manager(self.realm, OURS, before=self.bounded()) as manager:
            ready = manager.told()
            self.assertEqual((ready["READY"], ready["STATUS"]), ("1", "serving"), manager.text())
            pid = manager.process.pid
            self.serves_nfs(manager.path(pid, "/run/gssproxy.sock"))
            self.assertTrue(os.path.exists(manager.path(pid, "/run/gssproxy/replay")))
            os.kill(pid, signal.SIGHUP)
            reloading = manager.told()
            self.assertEqual(reloading["RELOADING"], "1")
            self.assertGreater(int(reloading["MONOTONIC_USEC"]), 0)
            self.assertEqual(manager.told()["READY"], "1")
            self.serves_nfs(manager.path(pid, "/run/gssproxy.sock"))
            os.kill(pid, signal.SIGTERM)
            self.assertEqual(manager.told(), {"STOPPING": "1"})
            self.assertEqual(manager.process.wait(20), 0)
            self.assertNotRegex(manager.text(), "event=(sandbox|config_warning|keys_failed)")

    def test_the_packaged_unit_with_the_binarys_path_changed_works(self):
        """Type=forking: it returns when it serves, and its process id is in PIDFile."""
        pid_file = setting(THEIRS, "PIDFile")[0]
        self.assertEqual(setting(THEIRS, "Type"), ["forking"])
        after = ' "$@"; code=$?; cat ' + pid_file + "; exec sleep 600"
        with Manager(self.realm, THEIRS, ["sh", "-c", after.lstrip(), "sh", *command(THEIRS)]) as manager:
            manager.env.pop("NOTIFY_SOCKET")
            pid = int(wait_for(lambda: re.search(r"(?m)^(\d+)$", manager.text()), "the process id").group(1))
            try:
                self.assertIn("Initialization complete.", manager.text())
                self.serves_nfs(manager.path(pid, "/run/gssproxy.sock"))
                with Wire(manager.path(pid, "/run/gssproxy.sock")) as wire:
                    os.kill(pid, signal.SIGHUP)
                    good(wire, "indicate_mechs")
            finally:
                os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not os.path.exists(f"/proc/{pid}") or open(f"/proc/{pid}/stat").read().split()[2] == "Z", "the end")

    def test_the_packaged_user_unit_with_the_binarys_path_changed_works(self):
        """Socket activation, and the end when idle: user mode's own, as the command has no time-out of its own."""
        with Daemon(self.realm) as daemon, socket.socket(socket.AF_UNIX) as listener:
            path = daemon.path("default.sock-of-the-session")
            listener.bind(path)
            os.chmod(path, 0o600)
            listener.listen(5)
            launcher = ("import os,sys; os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()));"
                        "os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])")
            os.set_inheritable(listener.fileno(), True)
            process = subprocess.Popen(["/usr/bin/python3", "-c", launcher, str(listener.fileno()), *command(USER_UNIT), "--idle-timeout=2"],
                                       env=dict(self.realm.env, XDG_RUNTIME_DIR=daemon.dir), pass_fds=[listener.fileno()],
                                       stderr=subprocess.PIPE, text=True)
            with Wire(path) as wire:
                first = call(wire, "init_sec_context", target=service("host@localhost"), mech=KRB5, flags=2)
                self.assertEqual(first["status"]["major"], CONTINUE, first["status"]["minor_string"])
            self.assertEqual(process.wait(30), 0)
            self.assertIn("Terminating, after idling", process.stderr.read())
            with socket.socket(socket.AF_UNIX) as again:  # the manager's socket stays for the next one
                self.assertEqual(again.connect_ex(path), 0)


if __name__ == "__main__":
    unittest.main()
