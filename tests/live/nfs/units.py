"""The units under systemd itself: the packaged one with the binary's path changed, ours as it is, and the session's with its socket."""
import os
import re
import unittest

from server import MOUNT, OTHER
from world import ACCOUNTS, HOST, OURS, PROGRAM, UNITS, World, active, as_user, journal, read, run, shown, systemctl, use_packaged_unit, wait_for, write

SESSION = f"/run/user/{ACCOUNTS['alice']}"
USER_UNITS = "/usr/lib/systemd/user"
# What systemd-analyze counts against a unit: 0 none, 10 all. The capabilities, /tmp and /home of users, and the network are the daemon's work.
EXPOSURE = 3.8
# systemd for a user without a login: no PAM, its folder made by the unit.
SESSION_UNIT = """[Service]
User=alice
Type=notify
NotifyAccess=all
Delegate=yes
RuntimeDirectory=user/{uid}
Environment=XDG_RUNTIME_DIR={session}
ExecStart=/lib/systemd/systemd --user
"""
# A context towards the NFS server, by a program that has no ticket of its own.
INITIATE = """import gssapi
name = gssapi.Name("nfs@{host}", gssapi.NameType.hostbased_service)
print(len(gssapi.SecurityContext(name=name, usage="initiate").step()) > 100)
"""


class Units(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        World.make()
        use_packaged_unit()
        if os.path.ismount(MOUNT):  # as long as the server is mounted anywhere, its contexts are kept
            run("umount", MOUNT)

    def pid(self, unit):
        return int(shown(unit, "MainPID")["MainPID"])

    def serves(self, unit):
        """A mount with contexts of its own; the server knows its root by machine_uid."""
        before = journal(unit).count("event=machine_mapped")
        run("mount", "-t", "nfs4", "-o", "sec=krb5i,nosharecache", f"{HOST}:/", OTHER)
        try:
            self.assertEqual(os.stat(OTHER).st_mode & 0o777, 0o777)
        finally:
            run("umount", OTHER)
        self.assertGreater(journal(unit).count("event=machine_mapped"), before)

    def reloads(self, unit):
        before, pid = journal(unit).count("New config loaded"), self.pid(unit)
        systemctl("reload", unit)
        wait_for(lambda: journal(unit).count("New config loaded") > before, "the reload")
        self.assertEqual((self.pid(unit), active(unit)), (pid, "active"))

    def stops(self, unit):
        systemctl("stop", unit)
        self.assertEqual(shown(unit, "ActiveState", "Result"), {"ActiveState": "inactive", "Result": "success"})
        for path in ("/run/gssproxy.sock", "/run/gssproxy.pid", "/var/lib/gssproxy/default.sock"):
            self.assertFalse(os.path.exists(path), path)

    def test_the_packaged_unit_with_the_binarys_path_changed_reloads_and_stops(self):
        pid = self.pid("gssproxy")
        self.assertEqual((read(f"/proc/{pid}/comm"), read("/run/gssproxy.pid")), ("gage-proxyd\n", f"{pid}\n"))
        self.reloads("gssproxy")
        self.stops("gssproxy")

    def test_our_unit_is_what_the_nfs_packages_ask_for(self):
        """They want gssproxy.service, which is installed, too: enabled, ours is started in its place, and nothing stops it."""
        os.unlink(f"{UNITS}/gssproxy.service")
        write(f"{UNITS}/gage-proxyd.service", read(OURS))
        systemctl("enable", "gage-proxyd")
        systemctl("restart", "auth-rpcgss-module")
        wait_for(lambda: active("gage-proxyd") != "activating", "the start")
        told = shown("gage-proxyd", "ActiveState", "StatusText", "Names")
        self.assertEqual((told["ActiveState"], told["StatusText"]), ("active", "serving"), journal("gage-proxyd"))
        self.assertEqual(set(told["Names"].split()), {"gage-proxyd.service", "gssproxy.service"})
        self.assertEqual(read("/run/gssproxy.pid"), f"{self.pid('gage-proxyd')}\n")
        self.serves("gage-proxyd")

    def test_our_unit_reloads(self):
        self.reloads("gage-proxyd")
        self.serves("gage-proxyd")

    def test_our_unit_comes_back_after_it_was_killed(self):
        pid = self.pid("gage-proxyd")
        os.kill(pid, 9)
        wait_for(lambda: shown("gage-proxyd", "NRestarts", "ActiveState") == {"NRestarts": "1", "ActiveState": "active"}, "the restart")
        self.assertNotEqual(self.pid("gage-proxyd"), pid)
        self.serves("gage-proxyd")

    def test_our_unit_is_hardened_and_the_daemons_own_sandbox_whole_in_it(self):
        said = run("systemd-analyze", "security", "--no-pager", "gage-proxyd")
        exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said).group(1))
        self.assertLessEqual(exposure, EXPOSURE, said)
        self.assertNotRegex(journal("gage-proxyd"), "event=(sandbox|keys_failed|config_warning|start_failed|kernel_failed)")
        status = read(f"/proc/{self.pid('gage-proxyd')}/status")
        self.assertRegex(status, r"NoNewPrivs:\t1\n(.*\n)*Seccomp:\t2")

    def test_our_unit_stops(self):
        self.stops("gage-proxyd")

    def test_the_sessions_unit_starts_by_its_socket_and_ends_when_idle(self):
        World.login("alice")
        unit = read(f"{USER_UNITS}/gssuserproxy.service")
        self.assertIn("/usr/sbin/gssproxy -i -u\n", unit)
        write("/etc/systemd/user/gssuserproxy.service", unit.replace("/usr/sbin/gssproxy -i -u", PROGRAM + " -i -u --idle-timeout=2"))
        write("/run/systemd/system/session.service", SESSION_UNIT.format(uid=ACCOUNTS["alice"], session=SESSION))
        systemctl("start", "session")
        self.session("start gssuserproxy.socket")
        for _ in range(2):
            self.assertEqual(self.session("show --property=ActiveState gssuserproxy.service"), "ActiveState=inactive\n")
            write("/tmp/initiate.py", INITIATE.format(host=HOST))
            said = as_user("alice", f"GSS_USE_PROXY=yes GSSPROXY_BEHAVIOR=REMOTE_ONLY GSSPROXY_SOCKET={SESSION}/gssproxy/default.sock "
                                    "KRB5CCNAME=MEMORY:none /usr/bin/python3 /tmp/initiate.py")
            self.assertEqual(said, "True\n")
            wait_for(lambda: "inactive" in self.session("show --property=ActiveState gssuserproxy.service"), "the end when idle")
            self.assertEqual(self.session("show --property=Result gssuserproxy.service"), "Result=success\n")
        systemctl("stop", "session")

    def session(self, words):
        return as_user("alice", f"XDG_RUNTIME_DIR={SESSION} systemctl --user {words}")
