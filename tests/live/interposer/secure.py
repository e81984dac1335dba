"""gage_proxy.so in programs that run with more privileges than their caller, and so have no environment to trust."""
import base64
import os
import shutil
import subprocess
import unittest

from kit import ACCEPT_ONLY, OURS, REALM, Realm, daemon_for, first_token
from mounts import mount, own_mounts

PROGRAM = os.environ["GAGE_TEST_SECURE"]
SOCKETS, LINES = "/var/lib/gssproxy", "/etc/gss/mech.d"
OTHER_GROUP = 65534


class Secure(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        own_mounts()  # of this process: the plugin's default paths are the system's
        for path in (SOCKETS, LINES):
            mount("none", path, "tmpfs")
        with open(os.path.join(LINES, "proxy.conf"), "w") as f:
            f.write(f"gage_proxy 2.16.840.1.113730.3.8.15.1 {OURS} <interposer>\n")
        cls.realm = Realm()
        cls.realm.start()

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def accepts(self, name, mode=0o2755, argv0=None, **env):
        """What the program says that was copied to this name."""
        path = os.path.join(SOCKETS, name)
        shutil.copy(PROGRAM, path)
        os.chown(path, 0, OTHER_GROUP)
        os.chmod(path, mode)
        token = base64.b64decode(first_token(self.realm))
        done = subprocess.run([argv0 or path], executable=path, input=token, env=env, capture_output=True, timeout=60)
        return done.stdout.decode().strip()

    def daemon(self, program):
        path = f"{SOCKETS}/default.sock.{program}"
        made = daemon_for(self.realm, ACCEPT_ONLY.replace("{dir}/sock", path))
        made.socket = path
        return made

    def test_a_socket_of_the_programs_name_is_used_whatever_the_environment_says(self):
        with self.daemon("special"):
            self.assertEqual(self.accepts("special"), f"alice@{REALM}")
            self.assertEqual(self.accepts("special", GSS_USE_PROXY="no", GSSPROXY_SOCKET="/nowhere", GSSPROXY_BEHAVIOR="LOCAL_ONLY"), f"alice@{REALM}")

    def test_the_name_is_the_files_and_not_what_the_caller_says(self):
        with self.daemon("special"):
            self.assertEqual(self.accepts("other", argv0=f"{SOCKETS}/special"), "refused")
            self.assertEqual(self.accepts("special", argv0="other"), f"alice@{REALM}")

    def test_a_program_without_further_privileges_does_not_use_it(self):
        with self.daemon("plain"):
            self.assertEqual(self.accepts("plain", mode=0o755), "refused")
            self.assertEqual(self.accepts("plain", mode=0o755, GSS_USE_PROXY="yes", GSSPROXY_SOCKET=f"{SOCKETS}/default.sock.plain"), f"alice@{REALM}")


if __name__ == "__main__":
    unittest.main()
