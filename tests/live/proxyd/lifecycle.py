"""Starting, reloading, ending; user mode; restarts between a token and its replay; the handle in a user's cache."""
import os
import re
import signal
import socket
import struct
import subprocess
import time
import unittest

import gssapi
from daemon import ACCEPTOR, PROGRAM, READY, Daemon, Wire, run_client, wait_for
from gssx import ACCEPT, COMPLETE, KRB5, NO_CONTEXT, call, good, service
from realm import REALM, Realm


class Lifecycle(unittest.TestCase):
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

    def run_program(self, *arguments, env=None):
        return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, env=env or self.realm.env)

    def test_each_ending_signal_ends_with_0_and_removes_the_sockets(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            with Daemon(self.realm) as daemon:
                self.assertTrue(os.path.exists(daemon.socket))
                self.assertEqual(daemon.stop(number), 0)
                self.assertFalse(os.path.exists(daemon.socket))

    def test_a_reload_opens_new_sockets_drops_old_ones_and_keeps_connections(self):
        with Daemon(self.realm, ACCEPTOR + ACCEPTOR.replace("test", "old").replace("/sock", "/old")) as daemon:
            kept, dropped = Wire(daemon.socket), Wire(daemon.path("old"))
            good(dropped, "indicate_mechs")
            self.reload(daemon, ACCEPTOR + ACCEPTOR.replace("test", "new").replace("/sock", "/new"))
            good(Wire(daemon.path("new")), "indicate_mechs")
            good(kept, "indicate_mechs")
            self.assertFalse(os.path.exists(daemon.path("old")))
            with self.assertRaises(EOFError):
                call(dropped, "indicate_mechs")  # no service matches it any more
            wait_for(lambda: "event=no_service" in daemon.text(), "notice")

    def reload(self, daemon, services):
        before = daemon.text().count("New config loaded successfully.")
        daemon.write_conf(services)
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: daemon.text().count("New config loaded successfully.") > before, "reload")

    def test_a_bad_file_keeps_the_old_configuration_and_says_why(self):
        with Daemon(self.realm) as daemon:
            daemon.write_conf(ACCEPTOR + "  min_lifetime = soon\n")
            daemon.signal(signal.SIGHUP)
            wait_for(lambda: "event=reload_failed" in daemon.text(), "the reason")
            self.assertIn("10-test.conf:6: min_lifetime", daemon.text())
            good(Wire(daemon.socket), "accept_sec_context", token=self.token())

    def test_a_second_daemon_does_not_take_the_first_ones_socket(self):
        with Daemon(self.realm) as daemon:
            second = self.run_program("-i", "-c", daemon.path("gssproxy.conf"), "-C", daemon.path("conf.d"), "-s", daemon.path("x"))
            self.assertNotEqual(second.returncode, 0)
            self.assertIn("another daemon listens on", second.stderr)
            good(Wire(daemon.socket), "indicate_mechs")

    def test_in_the_background_it_returns_when_it_serves_and_writes_its_pid(self):
        with Daemon(self.realm, settings="pid_file = {dir}/pid\n") as daemon:
            daemon.stop()
            done = self.run_program("-c", daemon.path("gssproxy.conf"), "-C", daemon.path("conf.d"), "-s", daemon.path("default.sock"),
                                    env=daemon.env)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(READY, done.stderr)
            with open(daemon.path("pid")) as f:
                pid = int(f.read())
            try:
                good(Wire(daemon.socket), "indicate_mechs")
            finally:
                os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not os.path.exists(daemon.socket), "the end")

    def test_an_ap_req_replayed_across_a_restart_is_refused(self):
        with Daemon(self.realm) as daemon:
            token = self.token()
            good(Wire(daemon.socket), "accept_sec_context", token=token)
            daemon.stop(signal.SIGKILL)
            daemon.start()
            wait_for(lambda: self.listens(daemon.socket), "the restart")
            status = call(Wire(daemon.socket), "accept_sec_context", token=token)["status"]
            self.assertNotEqual(status["major"], COMPLETE)
            self.assertIn(b"Request is a replay", status["minor_string"])

    def listens(self, path):
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(path) == 0

    def test_handles_outlive_a_restart_and_contexts_do_not(self):
        with Daemon(self.realm) as daemon:
            with Wire(daemon.socket) as wire:
                cred = good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"]
                context = good(wire, "accept_sec_context", token=self.token())["context"]
            daemon.stop()
            daemon.start()
            wait_for(lambda: self.listens(daemon.socket), "the restart")
            with Wire(daemon.socket) as wire:
                good(wire, "accept_sec_context", token=self.token(), cred=cred)
                status = call(wire, "wrap", context=context, messages=[b"x"])["status"]
            self.assertEqual(status["major"], NO_CONTEXT)
            self.assertIn(b"restarted", status["minor_string"])

    def test_handles_end_when_the_services_policy_changes(self):
        with Daemon(self.realm) as daemon:
            cred = good(Wire(daemon.socket), "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"]
            self.reload(daemon, ACCEPTOR + "  krb5_principal = nfs/localhost\n")
            self.assertNotEqual(call(Wire(daemon.socket), "accept_sec_context", token=self.token(), cred=cred)["status"]["major"], COMPLETE)

    def test_check_and_print_config_end_without_serving(self):
        with Daemon(self.realm) as daemon:
            daemon.stop()
            arguments = ["-c", daemon.path("gssproxy.conf"), "-C", daemon.path("conf.d")]
            check = self.run_program("--check", *arguments)
            self.assertEqual((check.returncode, check.stdout), (0, "the configuration is good: 1 service\n"))
            shown = self.run_program("--print-config", *arguments)
            self.assertRegex(shown.stdout, r"mechs = krb5 +# .*10-test.conf:2")
            self.assertRegex(shown.stdout, r"min_lifetime = 15 +# default")
            self.assertFalse(os.path.exists(daemon.socket))

    def test_print_config_shows_what_is_in_force_and_who_said_it(self):
        with Daemon(self.realm, settings="debug_level = 1000\nsyslog_status = on\n") as daemon:
            daemon.stop()
            arguments = ["--print-config", "-c", daemon.path("gssproxy.conf"), "-C", daemon.path("conf.d")]
            shown = self.run_program(*arguments).stdout
            self.assertRegex(shown, r"(?m)^  debug_level = 100 +# .*gssproxy\.conf:\d+$")
            self.assertRegex(shown, r"(?m)^  syslog_status = yes +# .*gssproxy\.conf:\d+$")
            self.assertRegex(shown, r"(?m)^  debug = no +# default$")
            shown = self.run_program("-d", "--debug-level", "2", *arguments).stdout
            self.assertRegex(shown, r"(?m)^  debug_level = 2 +# the command line$")
            self.assertRegex(shown, r"(?m)^  debug = yes +# the command line$")
            self.assertEqual(len(re.findall(r"(?m)^  debug_level = ", shown)), 1)

    def test_help_has_the_names_that_gssproxy_gives_it(self):
        said = [self.run_program(*words) for words in (["--help"], ["--usage"], ["-?"], ["-i", "-?"])]
        self.assertEqual({(one.returncode, one.stderr, one.stdout) for one in said}, {(0, "", said[0].stdout)})
        self.assertTrue(said[0].stdout.startswith("usage: gage-proxyd "))
        for words in (["-x"], ["--nothing"], ["-c"], ["?"]):
            wrong = self.run_program(*words)
            self.assertEqual((wrong.returncode, wrong.stdout), (2, ""))
            self.assertIn("see gage-proxyd --help", wrong.stderr)

    def test_a_service_matches_by_program(self):
        services = ACCEPTOR + "  program = /usr/bin/true\n" + ACCEPTOR.replace("test", "python") + "  program = %s\n" % os.path.realpath("/usr/bin/python3")
        with Daemon(self.realm, services, settings="debug_level = 1\n") as daemon:
            good(Wire(daemon.socket), "indicate_mechs")
            wait_for(lambda: 'service="python"' in daemon.text(), "the log line")
            self.reload(daemon, ACCEPTOR + "  program = /usr/bin/true\n")
            with self.assertRaises(EOFError):
                call(Wire(daemon.socket), "indicate_mechs")

    def test_metrics_are_served_on_their_socket(self):
        with Daemon(self.realm, settings="metrics_socket = {dir}/metrics\n") as daemon:
            good(Wire(daemon.socket), "indicate_mechs")
            self.assertTrue(self.scrape(daemon).startswith("HTTP/1.0 200 OK\r\n"))
            for line in ('calls_total{procedure="indicate_mechs"} 1\n', 'calls_inside{service="test"} 0\n'):
                wait_for(lambda: "gage_proxyd_" + line in self.scrape(daemon), line)  # counted once the call has ended

    def scrape(self, daemon):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(daemon.path("metrics"))
            s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: s.recv(65536), b"")).decode()

    def test_idle_connections_of_users_are_closed_and_roots_are_kept(self):
        services = ACCEPTOR + "  allow_any_uid = yes\n"
        with Daemon(self.realm, services, settings="idle_timeout = 1s\n") as daemon, Wire(daemon.socket) as ours:
            theirs = subprocess.run(["/usr/bin/python3", "-c", "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
                                     "s.settimeout(30); print(len(s.recv(1)))", daemon.socket], user=10001, group=10001, extra_groups=[],
                                    capture_output=True, text=True)
            self.assertEqual(theirs.stdout, "0\n", theirs.stderr)
            good(ours, "indicate_mechs")

    def test_a_missing_folder_is_made_so_that_other_users_reach_the_socket(self):
        services = ACCEPTOR.replace("/sock", "/fresh/sock") + "  allow_any_uid = yes\n"
        with Daemon(self.realm, services) as daemon:
            for folder, mode in (("fresh", 0o755), ("state", 0o755)):
                self.assertEqual(os.stat(daemon.path(folder)).st_mode & 0o777, mode)
            self.assertEqual(os.stat(daemon.path("state/gage-handles.key")).st_mode & 0o777, 0o600)
            done = subprocess.run(["/usr/bin/python3", "-c", "import socket,sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])",
                                   daemon.path("fresh/sock")], user=10001, group=10001, extra_groups=[], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_warm_credential_of_a_replaced_keytab_is_not_used(self):
        with Daemon(self.realm, ACCEPTOR.replace("{keytab}", "{dir}/keytab")) as daemon:
            keytab = daemon.path("keytab")
            with open(self.realm.keytab, "rb") as f:
                right = f.read()
            for content, works in ((right, True), (b"\5\2", False), (right, True)):
                with open(keytab, "wb") as f:
                    f.write(content)
                status = call(Wire(daemon.socket), "accept_sec_context", token=self.token())["status"]
                self.assertEqual(status["major"] == COMPLETE, works, status["minor_string"])

    # ---- user mode ----

    def user_mode(self, folder, *options, **more):
        env = dict(self.realm.env, XDG_RUNTIME_DIR=folder)
        return subprocess.Popen([PROGRAM, "-u", *options], env=env, stderr=subprocess.PIPE, text=True, **more)

    def test_user_mode_serves_ones_own_session_until_it_is_told_to_end(self):
        """As gssproxy: nobody would start it again, so being idle does not end it where it opened the socket itself."""
        with Daemon(self.realm) as daemon:
            process = self.user_mode(daemon.dir, "-i", "--idle-timeout=1")
            path = os.path.join(daemon.dir, "gssproxy", "default.sock")
            wait_for(lambda: os.path.exists(path), "the socket")
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            with Wire(path) as wire:
                result = call(wire, "init_sec_context", target=service("host@localhost"), mech=KRB5, flags=2)
                self.assertTrue(result["token"], result["status"]["minor_string"])
            time.sleep(2.5)
            self.assertIsNone(process.poll())
            process.terminate()
            self.assertEqual(process.wait(30), 0)
            self.assertNotIn("idling", process.stderr.read())

    def test_user_mode_goes_into_the_background_unless_it_is_told_not_to(self):
        with Daemon(self.realm) as daemon:
            process = self.user_mode(daemon.dir)
            self.assertEqual(process.wait(30), 0)
            path = os.path.join(daemon.dir, "gssproxy", "default.sock")
            with Wire(path) as wire:
                pid = struct.unpack("3i", wire.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
                self.assertEqual(len(wire.call(0)), 24)
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not os.path.exists(path), "the end")

    def test_the_words_that_exclude_each_other_are_refused_in_either_order(self):
        with Daemon(self.realm) as daemon:
            for words in (("-i", "-D"), ("-D", "-i"), ("--daemon", "--interactive")):
                done = self.run_program("-c", daemon.path("gssproxy.conf"), *words)
                self.assertEqual(done.returncode, 2, words)
                self.assertIn("exclude each other", done.stderr)

    def test_user_mode_takes_the_socket_that_the_manager_passes(self):
        with Daemon(self.realm) as daemon, socket.socket(socket.AF_UNIX) as listener:
            path = daemon.path("passed")
            listener.bind(path)
            listener.listen(16)
            launcher = ("import os,sys; os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()));"
                        "os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])")
            env = dict(self.realm.env, XDG_RUNTIME_DIR=daemon.dir)
            os.set_inheritable(listener.fileno(), True)
            process = subprocess.Popen(["/usr/bin/python3", "-c", launcher, str(listener.fileno()), PROGRAM, "-i", "-u", "--idle-timeout=1"],
                                       env=env, pass_fds=[listener.fileno()], stderr=subprocess.PIPE, text=True)
            with Wire(path) as wire:
                self.assertEqual(len(wire.call(0)), 24)
            self.assertEqual(process.wait(30), 0)
            self.assertIn("Terminating, after idling", process.stderr.read())
            self.assertTrue(os.path.exists(path), "a passed socket is not ours to remove")

    # ---- what the plugin leaves in a user's cache ----

    def test_extract_ccache_gives_the_user_the_credential_behind_the_handle(self):
        services = ACCEPTOR + "  cred_store = client_keytab:{keytab}\n  cred_store = ccache:FILE:{dir}/daemon-cache\n"
        with Daemon(self.realm, services) as daemon:
            env = daemon.client_env()
            got = run_client("acquire", "initiate", env=env)
            self.assertEqual(got.get("name"), f"host/localhost@{REALM}", got)
            kept, target = env["KRB5CCNAME"], "FILE:" + daemon.path("extracted")
            with open(kept.removeprefix("FILE:"), "rb") as f:
                self.assertIn(b"X-GSSPROXY:", f.read())
            done = self.run_program("-c", daemon.path("gssproxy.conf"), "-C", daemon.path("conf.d"), "--extract-ccache", kept,
                                    "--into-ccache", target, env=daemon.env)
            self.assertEqual(done.returncode, 0, done.stderr)
            listed = subprocess.run(["klist", target], capture_output=True, text=True, env=self.realm.env).stdout
            self.assertIn(f"host/localhost@{REALM}", listed)
            self.assertIn(f"krbtgt/{REALM}", listed)
            bad = self.run_program("--extract-ccache", target, "-c", daemon.path("gssproxy.conf"), env=daemon.env)
            self.assertNotEqual(bad.returncode, 0)


if __name__ == "__main__":
    unittest.main()
