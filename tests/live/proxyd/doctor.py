"""gage doctor --proxy, and gage-proxyd --explain behind it: why a client is refused, and what to do."""
import json
import os
import shutil
import signal
import subprocess
import unittest

from daemon import ACCEPTOR, PREFIX, PROGRAM, Daemon
from realm import Realm

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def doctor(self, daemon, *words, **env):
        """{topic: finding}; of several of one topic, the worst."""
        done = subprocess.run([os.path.join(PREFIX, "bin/gage"), "doctor", "--json", "--proxy-config", daemon.path("all.conf"), *words],
                              capture_output=True, text=True, timeout=120,
                              env={**daemon.env, "HOME": daemon.dir, "GSS_USE_PROXY": "yes", "GSSPROXY_SOCKET": daemon.socket, **env})
        rows, order = {}, ["good", "note", "bad"]
        for row in json.loads(done.stdout):
            if row["topic"] not in rows or order.index(row["verdict"]) > order.index(rows[row["topic"]]["verdict"]):
                rows[row["topic"]] = row
        self.assertEqual(done.returncode != 0, any(r["verdict"] == "bad" for r in rows.values()), done)
        self.assertTrue(all(r.get("fix") for r in rows.values() if r["verdict"] == "bad"), rows)
        return rows

    def running(self, services=ACCEPTOR, settings=""):
        """One file, as --proxy-config takes it."""
        daemon = Daemon(self.realm, services, settings)
        write = daemon.write_conf

        def and_whole(*args, **more):
            write(*args, **more)
            with open(daemon.path("all.conf"), "w") as f:
                for name in ("gssproxy.conf", "conf.d/10-test.conf"):
                    f.write(open(daemon.path(name)).read())
        daemon.write_conf = and_whole
        return daemon

    def check(self, rows, topic, verdict, *words):
        self.assertEqual(rows[topic]["verdict"], verdict, rows)
        for word in words:
            self.assertIn(word, rows[topic]["found"] + " | " + rows[topic].get("fix", ""), rows[topic])

    def test_all_is_well_where_it_is(self):
        with self.running() as daemon:
            rows = self.doctor(daemon)
            for topic in ("proxy client", "proxy service", "proxy socket", "proxy keys", "proxy clock"):
                self.check(rows, topic, "good")
            self.assertIn("answers uid 0", rows["proxy socket"]["found"])

    def test_without_the_word_the_proxy_is_not_looked_at(self):
        with self.running() as daemon:
            done = subprocess.run([os.path.join(PREFIX, "bin/gage"), "doctor", "--json"], capture_output=True, text=True,
                                  env=dict(daemon.env, HOME=daemon.dir))
            self.assertFalse([r for r in json.loads(done.stdout) if r["topic"].startswith("proxy")])

    def test_the_environment_that_does_not_ask(self):
        with self.running() as daemon:
            self.check(self.doctor(daemon, GSSPROXY_BEHAVIOR="LOCAL_ONLY"), "proxy client", "note", "LOCAL_ONLY", "unset it")
            self.check(self.doctor(daemon, GSS_USE_PROXY="no"), "proxy client", "note", "GSS_USE_PROXY=yes")

    def test_a_socket_that_is_not_there_or_nobody_listens_on(self):
        with self.running() as daemon:
            daemon.stop()
            self.check(self.doctor(daemon), "proxy socket", "bad", "No such file", "start gage-proxyd")
            daemon.start()
            daemon.stop(signal.SIGKILL)
            self.check(self.doctor(daemon), "proxy socket", "bad", "Connection refused", "nobody listens")

    def test_a_uid_and_a_program_that_no_service_serves(self):
        with self.running(ACCEPTOR + "  program = /usr/sbin/httpd\n") as daemon:
            rows = self.doctor(daemon, "--for-uid", "1234")
            self.check(rows, "proxy service", "bad", "no service serves uid 1234", "euid = 1234")
            rows = self.doctor(daemon, "--for-program", "/usr/bin/curl")
            self.check(rows, "proxy service", "bad", "as /usr/bin/curl")
            self.check(self.doctor(daemon), "proxy service", "note", "if its program is /usr/sbin/httpd", "--for-program")
            self.check(self.doctor(daemon, "--for-program", "/usr/sbin/httpd"), "proxy service", "good")

    def test_a_service_on_another_socket(self):
        with self.running(ACCEPTOR.replace("/sock", "/other")) as daemon:
            self.check(self.doctor(daemon), "proxy service", "bad", "on another socket", f"GSSPROXY_SOCKET={daemon.path('other')}")

    def test_a_daemon_that_runs_with_another_configuration(self):
        with self.running() as daemon:
            daemon.write_conf(ACCEPTOR.replace("euid = {uid}", "euid = 4711"))
            self.reload(daemon)
            daemon.write_conf(ACCEPTOR)
            self.check(self.doctor(daemon), "proxy socket", "bad", "closed the connection", "systemctl reload gage-proxyd")

    def reload(self, daemon):
        from daemon import wait_for
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: "New config loaded" in daemon.text(), "reload")

    def test_a_keytab_that_is_missing_or_not_for_the_daemons_user(self):
        with self.running(ACCEPTOR.replace("{keytab}", "{dir}/keytab"), "run_as_user = nobody\n") as daemon:
            self.check(self.doctor(daemon), "proxy keys", "bad", "nobody cannot read keytab:", "No such file", "ktadd -k")
            shutil.copy(self.realm.keytab, daemon.path("keytab"))
            os.chmod(daemon.path("keytab"), 0o600)
            self.check(self.doctor(daemon), "proxy keys", "bad", "Permission denied", "chown nobody")
            os.chown(daemon.path("keytab"), 65534, 65534)
            self.check(self.doctor(daemon), "proxy keys", "good")

    def test_a_mechanism_that_is_not_installed(self):
        with self.running(ACCEPTOR.replace("mechs = krb5", "mechs = krb5, 1.2.3.4.5")) as daemon:
            self.check(self.doctor(daemon), "proxy service", "bad", "1.2.3.4.5", "install its plugin")

    def test_a_clock_that_kerberos_refuses(self):
        """It is the KDC's that is set: libfaketime and a sanitizer in one program wait for each other."""
        with self.running() as daemon:
            self.with_kdc_at("-10m", lambda: self.check(self.doctor(daemon), "proxy clock", "bad", "ahead of the KDC's", "set-ntp"))
            self.with_kdc_at("+90s", lambda: self.check(self.doctor(daemon), "proxy clock", "note", "behind the KDC's"))

    def with_kdc_at(self, time, look):
        self.realm.stop_kdc()
        self.realm.start_kdc(LD_PRELOAD=FAKETIME, FAKETIME=time)
        try:
            look()
        finally:
            self.realm.stop_kdc()
            self.realm.start_kdc()

    def test_a_kdc_that_does_not_answer(self):
        with self.running(ACCEPTOR + "  cred_usage = accept\n") as daemon:
            self.realm.stop_kdc()
            try:
                self.check(self.doctor(daemon), "proxy clock", "note", "cannot be asked")
                daemon.write_conf(ACCEPTOR)
                self.check(self.doctor(daemon), "proxy clock", "bad", "krb5.conf")
            finally:
                self.realm.start_kdc()

    def test_a_configuration_with_a_slip(self):
        with self.running() as daemon:
            with open(daemon.path("all.conf"), "a") as f:
                f.write("  min_lifetime = soon\n")
            self.check(self.doctor(daemon), "proxy", "bad", "all.conf:", "min_lifetime", "--check")

    def test_the_lines_of_explain_have_four_fields(self):
        with self.running() as daemon:
            done = subprocess.run([PROGRAM, "--explain", "-c", daemon.path("all.conf"), "-s", daemon.socket], capture_output=True, text=True,
                                  env=daemon.env)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            for line in done.stdout.splitlines():
                self.assertRegex(line, r"^(good|note)\t[a-z ]+\t[^\t]+\t[^\t]*$")


if __name__ == "__main__":
    unittest.main()
