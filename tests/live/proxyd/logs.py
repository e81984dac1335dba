"""Where lines go: libkrb5's trace in the log whatever standard error is, and syslog where nobody else would see them."""
import os
import re
import signal
import socket
import subprocess
import unittest

import gssapi
from daemon import PROGRAM, Daemon, Wire, wait_for
from gssx import COMPLETE, call
from mounts import BIND, RECURSIVE, mount, own_mounts
from realm import Realm

TRACED = r'event=krb5_trace text="\[\d+\] [\d.]+: .*host/localhost'


class Logs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def accept(self, daemon):
        token = gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate").step()
        with Wire(daemon.socket) as wire:
            status = call(wire, "accept_sec_context", token=token)["status"]
        self.assertEqual(status["major"], COMPLETE, status["minor_string"])

    def lines(self, daemon):
        return len(re.findall("event=krb5_trace", daemon.text()))

    def reload(self, daemon, settings):
        before = daemon.text().count("New config loaded")
        daemon.write_conf(settings=settings)
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: daemon.text().count("New config loaded") > before, "the new configuration")

    def test_the_librarys_trace_is_logged_from_level_3_on_and_a_reload_switches_it(self):
        with Daemon(self.realm, settings="debug_level = 2\n") as daemon:
            self.accept(daemon)
            self.assertEqual(self.lines(daemon), 0)
            self.reload(daemon, "debug_level = 3\n")
            self.accept(daemon)
            wait_for(lambda: re.search(TRACED, daemon.text()), "the trace")
            self.reload(daemon, "debug = yes\n")
            seen = wait_for(lambda: self.lines(daemon), "what was under way")
            calls = daemon.text().count("event=call ")
            self.accept(daemon)
            wait_for(lambda: daemon.text().count("event=call ") > calls, "the call's line")
            self.assertEqual(self.lines(daemon), seen)

    def test_a_daemon_that_became_a_user_traces_too(self):
        daemon = Daemon(self.realm, settings="run_as_user = nobody\n", options=["--debug-level=3"])
        os.chmod(daemon.dir, 0o777)
        self.realm.run("chmod", "-R", "a+rX", self.realm.dir)
        with daemon:
            self.accept(daemon)
            wait_for(lambda: re.search(TRACED, daemon.text()), "the trace")

    def test_the_place_that_krb5_trace_names_gets_it_instead(self):
        daemon = Daemon(self.realm, settings="debug_level = 3\n")
        daemon.env["KRB5_TRACE"] = daemon.path("trace")
        with daemon:
            self.accept(daemon)
            with open(daemon.path("trace")) as f:
                self.assertIn("host/localhost", f.read())
            self.assertEqual(self.lines(daemon), 0)

    def test_the_trace_comes_where_standard_error_is_a_socket(self):
        """As under systemd, where /dev/stderr cannot be opened."""
        with Daemon(self.realm) as daemon:
            daemon.stop()
            ours, theirs = socket.socketpair()
            with ours, theirs:
                ours.settimeout(20)
                words = [PROGRAM, "-i", "-c", daemon.path("gssproxy.conf"), "-C", daemon.path("conf.d"), "-s", daemon.path("s"), "--debug-level=3"]
                process = subprocess.Popen(words, env=dict(daemon.env, JOURNAL_STREAM="8:1"), stdout=theirs, stderr=theirs)
                try:
                    self.until(ours, b"Initialization complete.")
                    self.accept(daemon)
                    self.until(ours, b"<7>event=krb5_trace ")
                finally:
                    process.terminate()
                    process.wait(20)

    def until(self, stream, words):
        said = b""
        while words not in said:
            more = stream.recv(65536)
            self.assertTrue(more, said)
            said += more

    def test_in_the_background_syslog_gets_the_lines(self):
        with Daemon(self.realm, settings="pid_file = {dir}/pid\n") as daemon, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            daemon.stop()
            devices = daemon.path("dev")
            os.mkdir(devices)
            for name in ("null", "zero", "random", "urandom"):
                open(os.path.join(devices, name), "w").close()
            log.bind(os.path.join(devices, "log"))
            os.chmod(os.path.join(devices, "log"), 0o666)
            log.settimeout(20)

            def own_devices():
                own_mounts()
                for name in ("null", "zero", "random", "urandom"):
                    mount("/dev/" + name, os.path.join(devices, name), flags=BIND)
                mount(devices, "/dev", flags=BIND | RECURSIVE)

            words = [PROGRAM, "-D", "-c", daemon.path("gssproxy.conf"), "-C", daemon.path("conf.d"), "-s", daemon.path("s")]
            inherited = dict(daemon.env, JOURNAL_STREAM="8:1")  # of some service around: it names another stream than ours
            done = subprocess.run(words, env=inherited, preexec_fn=own_devices, capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
            with open(daemon.path("pid")) as f:
                pid = int(f.read())
            try:
                self.accept(daemon)
                with Wire(daemon.socket) as wire:
                    call(wire, "accept_sec_context", token=b"none")
                heard = {}
                while len(heard) < 2:
                    line = log.recv(65536).decode()
                    found = re.fullmatch(r"<(\d+)>\w+ +\d+ [\d:]+ gage-proxyd\[(\d+)\]: event=(\w+) .*", line)
                    self.assertTrue(found, line)
                    self.assertEqual(int(found.group(2)), pid)
                    if found.group(3) != "credential_use" or 'result="complete"' in line:
                        heard[found.group(3)] = int(found.group(1))
                self.assertEqual(heard, {"credential_use": 10 << 3 | 6, "call_failed": 10 << 3 | 5})
            finally:
                os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not os.path.exists(daemon.socket), "the end")


if __name__ == "__main__":
    unittest.main()
