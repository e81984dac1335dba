"""gage-relayd as a service: options, certificates, signals, limits, slow and hostile clients, kill and restart."""
import contextlib
import http.client
import os
import resource
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from relay import RELAYD, Relay, ids, in_thread, new_id, spki_pin


def run(*options, **more):
    return subprocess.run([RELAYD, *options], capture_output=True, text=True, timeout=30, **more)


def make_certificate(folder, name):
    key, cert = os.path.join(folder, name + ".key"), os.path.join(folder, name + ".crt")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
                    "-days", "2", "-subj", "/CN=" + name, "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return cert, key


class Options(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.store = f"sqlite:///{self.folder.name}/relay.db"

    def refused(self, code, word, *options):
        done = run(*options)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(word, done.stderr)

    def test_A26_clear_text_is_refused_on_an_address_that_others_can_reach(self):
        self.refused(5, "insecure_http", "--insecure-http", "--listen", "0.0.0.0:0", "--store", self.store)
        self.refused(5, "insecure_http", "--insecure-http", "--listen", "[::]:0", "--store", self.store, "--check")

    def test_a_reachable_address_needs_certificate_and_public_url(self):
        self.refused(5, "tls_cert", "--listen", "0.0.0.0:0", "--store", self.store)

    def test_metrics_are_refused_on_an_address_that_others_can_reach_unless_asked_for(self):
        conf = os.path.join(self.folder.name, "c")
        common = ["--listen", "127.0.0.1:0", "--store", self.store, "--metrics", "0.0.0.0:0", "--config", conf, "--check"]
        open(conf, "w").write("[relay]\n")
        self.refused(5, "metrics_reachable", *common)
        open(conf, "w").write("[relay]\nmetrics_reachable = yes\n")
        self.assertEqual(run(*common).returncode, 0)

    def test_slips_are_named_with_their_exit_status(self):
        self.refused(2, "--help", "--listne", "x")
        self.refused(5, "store", "--listen", "127.0.0.1:0")
        self.refused(5, "ADDR:PORT", "--listen", "nonsense", "--store", self.store)
        self.refused(5, "go together", "--listen", "127.0.0.1:0", "--store", self.store, "--tls-cert", "/nowhere")
        self.refused(5, "/nowhere", "--listen", "127.0.0.1:0", "--store", self.store, "--tls-cert", "/nowhere", "--tls-key", "/nowhere")
        conf = os.path.join(self.folder.name, "c")
        open(conf, "w").write("[limits]\npayload_maximum = 3\n")
        self.refused(5, "payload_max", "--listen", "127.0.0.1:0", "--store", self.store, "--config", conf)

    def test_check_says_that_a_configuration_is_good_and_opens_nothing(self):
        done = run("--check", "--listen", "127.0.0.1:0", "--store", self.store)
        self.assertEqual((done.returncode, os.listdir(self.folder.name)), (0, []), done.stderr)

    def test_several_listeners_and_a_unix_socket_serve_one_store(self):
        path = os.path.join(self.folder.name, "socket")
        with Relay(listen=("127.0.0.1:0", "[::1]:0", "unix:" + path)) as relay:
            self.assertEqual(len(relay.listeners), 3)
            box = relay.box(new_id())
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)
                with relay.context().wrap_socket(s, server_hostname="localhost") as t:
                    t.sendall(f"GET {box} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    self.assertTrue(t.recv(100).startswith(b"HTTP/1.1 200"))

    def test_A26_clear_text_on_loopback_when_asked_for(self):
        with Relay(options=["--insecure-http"]) as relay:
            self.assertTrue(relay.url.startswith("http://127.0.0.1:"))
            claim = new_id()
            self.assertEqual(relay.read(relay.box(claim), claim).status, 200)

    def test_sockets_that_are_passed_in_are_served(self):
        with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
            def pass_it():
                os.dup2(listener.fileno(), 3)
                os.environ["LISTEN_PID"] = str(os.getpid())
            script = 'import os,sys; os.environ["LISTEN_PID"]=str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])'
            os.set_inheritable(listener.fileno(), True)
            process = subprocess.Popen(["/usr/bin/python3", "-c", script, RELAYD, "--store", f"sqlite:///{folder}/relay.db"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, close_fds=False,
                                       preexec_fn=lambda: os.dup2(listener.fileno(), 3), env={**os.environ, "LISTEN_FDS": "1"})
            try:
                self.assertTrue(process.stdout.readline().startswith(f"listening https://127.0.0.1:{listener.getsockname()[1]} pin "))
            finally:
                process.terminate()
                self.assertEqual(process.wait(15), 0)
                process.stdout.close()
                process.stderr.close()

    def test_readiness_and_stopping_are_told_to_the_service_manager(self):
        path = os.path.join(self.folder.name, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            s.settimeout(20)
            with Relay(env={**os.environ, "NOTIFY_SOCKET": path}) as relay:
                self.assertIn(b"READY=1", s.recv(1000))
                relay.process.send_signal(signal.SIGHUP)
                self.assertIn(b"RELOADING=1", s.recv(1000))
                self.assertIn(b"READY=1", s.recv(1000))
                relay.process.terminate()
                self.assertIn(b"STOPPING=1", s.recv(1000))


class Signals(unittest.TestCase):
    def test_hup_takes_a_new_certificate_and_keeps_the_old_one_where_the_new_is_bad(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = make_certificate(folder, "one")
            with Relay(options=["--tls-cert", cert, "--tls-key", key]) as relay:
                def served():
                    return ssl.get_server_certificate(("127.0.0.1", relay.port))
                self.assertEqual(served(), open(cert).read())
                new_cert, new_key = make_certificate(folder, "two")
                os.replace(new_cert, cert)
                relay.process.send_signal(signal.SIGHUP)
                self.until(relay, "reload_failed", 1)
                os.replace(new_key, key)
                relay.process.send_signal(signal.SIGHUP)
                self.until(relay, "event=reloaded", 1)
                self.assertEqual(served(), open(cert).read())

    def until(self, relay, word, count):
        for _ in range(500):
            if relay.log_text().count(word) >= count:
                return
            time.sleep(0.02)
        self.fail(f"no {word} in {relay.log_text()}")

    def test_hup_without_the_certificate_of_before_keeps_it_and_all_else_and_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = make_certificate(folder, "one")
            with Relay(relay={"tls_cert": cert, "tls_key": key}) as relay:
                del relay.sections["relay"]["tls_cert"], relay.sections["relay"]["tls_key"]
                relay.sections["limits"]["payload_max"] = "1K"
                relay.write_conf()
                relay.process.send_signal(signal.SIGHUP)
                self.until(relay, "reload_failed", 1)
                self.assertIn("tls_cert is gone", relay.log_text())
                self.assertEqual(ssl.get_server_certificate(("127.0.0.1", relay.port)), open(cert).read())
                self.assertFalse(os.path.exists(relay.path("relay.db.tls-cert.pem")))

    def test_hup_takes_new_limits_and_refuses_bad_ones(self):
        with Relay() as relay:
            claim = new_id()
            path = relay.box(claim)
            relay.sections["limits"]["payload_max"] = "1K"
            relay.write_conf()
            relay.process.send_signal(signal.SIGHUP)
            self.until(relay, "event=reloaded", 1)
            self.assertEqual(relay.update(path, claim, "x" * 2000).status, 413)
            relay.sections["limits"]["payload_max"] = "lots"
            relay.write_conf()
            relay.process.send_signal(signal.SIGHUP)
            self.until(relay, "reload_failed", 1)
            self.assertEqual(relay.update(path, claim, "x" * 900).status, 200)

    def test_term_answers_waiting_readers_and_exits_0(self):
        with Relay(options=["--metrics", "127.0.0.1:0"]) as relay:
            claims = [new_id() for _ in range(20)]
            waits = [in_thread(relay.read, relay.box(claim), claim, 1, 50) for claim in claims]
            relay.until_metric("waiting_reads", 20)
            relay.process.terminate()
            for wait in waits:
                answer = wait()
                self.assertEqual((answer.status, answer.json["unchanged"], answer.headers["Connection"]), (200, True, "close"))
            self.assertEqual(relay.process.wait(12), 0)

    def test_a_reader_of_the_log_that_has_stopped_stops_neither_service_nor_hup_nor_term(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
        with Relay(options=["--metrics", "127.0.0.1:0"], preexec=lambda: os.dup2(writer, 2)) as relay:
            relay.sections["limits"]["payload"] = "nonsense"
            relay.write_conf()
            relay.process.send_signal(signal.SIGHUP)
            claim = new_id()
            self.assertEqual(relay.read(relay.box(claim), claim).status, 200)
            relay.process.terminate()
            self.assertEqual(relay.process.wait(15), 0)

    def test_term_exits_0_with_a_client_that_never_reads_or_ends(self):
        with Relay() as relay:
            with relay.connect() as half, socket.create_connection(("127.0.0.1", relay.port)):
                half.sendall(b"PUT /v1/m/" + new_id().encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
                time.sleep(0.2)
                relay.process.terminate()
                self.assertEqual(relay.process.wait(15), 0)

    def test_kill_under_load_loses_nothing_that_was_acknowledged(self):
        with Relay() as relay:
            for _ in range(3):
                acknowledged, stop = [], threading.Event()

                def write():
                    claim = new_id()
                    try:
                        connection = relay.http(10)
                        path = "/v1/m/" + relay.create(claim, connection=connection).json["urlLink"].rsplit("/", 1)[1]
                        n = 0
                        while not stop.is_set():
                            n += 1
                            if relay.update(path, claim, str(n), connection=connection).status == 200:
                                acknowledged.append((path, claim, n))
                    except (OSError, http.client.HTTPException):
                        pass
                threads = [threading.Thread(target=write) for _ in range(8)]
                for thread in threads:
                    thread.start()
                while len(acknowledged) < 100:
                    time.sleep(0.01)
                relay.kill()
                stop.set()
                for thread in threads:
                    thread.join()
                relay.start()
                last = {(path, claim): n for path, claim, n in acknowledged}
                self.assertTrue(last)
                for (path, claim), n in last.items():
                    self.assertGreaterEqual(int(relay.read(path, claim).json["payload"]["data"]), n)


class Hostile(unittest.TestCase):
    def test_slow_heads_bodies_and_handshakes_are_cut(self):
        with Relay(options=["--metrics", "127.0.0.1:0"], limits={"head_timeout": "1s", "body_timeout": "2s"}) as relay:
            with socket.create_connection(("127.0.0.1", relay.port), timeout=20) as mute:
                self.assertEqual(mute.recv(10), b"")
            with relay.connect() as s:
                s.sendall(b"GET /healthz HTTP/1.1\r\n")
                received = b""
                try:
                    while True:
                        s.sendall(b"X-A: b\r\n")
                        time.sleep(0.2)
                except OSError:
                    pass
            with relay.connect() as s:
                s.sendall(b"PUT /v1/m/" + new_id().encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
                received = b"-"
                while received:
                    try:
                        received = s.recv(1000)
                    except OSError:
                        break
            self.assertGreaterEqual(relay.metric("connections_late_total"), 2)
            self.assertEqual(relay.request("GET", "/healthz").status, 200)

    def test_an_idle_connection_is_closed_and_not_counted_as_slow(self):
        with Relay(options=["--metrics", "127.0.0.1:0"], limits={"idle_timeout": "1s", "head_timeout": "30s"}) as relay:
            with relay.connect() as s:
                s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertTrue(s.recv(1000).startswith(b"HTTP/1.1 200"))
                self.assertEqual(s.recv(1000), b"")
            self.assertEqual(relay.metric("connections_late_total"), 0)

    def test_an_idle_relay_makes_a_write_durable_in_the_thread_that_took_it(self):
        with Relay(options=["--metrics", "127.0.0.1:0"]) as relay:
            claims = [new_id() for _ in range(10)]
            paths = [relay.box(claim) for claim in claims]
            self.assertGreater(relay.metric("store_immediate_total"), 0)
            relay.kill()
            relay.start()
            for path, claim in zip(paths, claims):
                self.assertEqual(relay.read(path, claim).status, 200)

    def test_connections_of_one_prefix_are_limited(self):
        with Relay(limits={"limit_loopback": "yes", "connections_per_prefix": 3}) as relay:
            held = [relay.connect() for _ in range(3)]
            with self.assertRaises(OSError):
                relay.connect().recv(1)
            for s in held:
                s.close()
            for _ in range(200):
                try:
                    self.assertEqual(relay.request("GET", "/healthz").status, 200)
                    break
                except OSError:
                    time.sleep(0.02)
            else:
                self.fail("no connection after the others ended")

    def test_out_of_descriptors_it_goes_on_when_some_are_free_again(self):
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        with Relay(options=["--metrics", "127.0.0.1:0"], preexec=few) as relay:
            self.assertIn("files_limited", relay.log_text())
            held = []
            for _ in range(150):
                s = socket.create_connection(("127.0.0.1", relay.port), timeout=5)
                held.append(s)
            time.sleep(0.5)
            for s in held:
                s.close()
            for _ in range(200):
                try:
                    self.assertEqual(relay.request("GET", "/healthz", timeout=5).status, 200)
                    break
                except OSError:
                    time.sleep(0.05)
            else:
                self.fail("it serves nobody any more")

    def test_garbage_on_many_connections_harms_nobody(self):
        with Relay(options=["--metrics", "127.0.0.1:0"]) as relay:
            for n in range(60):
                with socket.create_connection(("127.0.0.1", relay.port), timeout=5) as s:
                    s.sendall(os.urandom(700) if n % 2 else b"\x16\x03\x01\x02\x00" + os.urandom(512))
            claim = new_id()
            self.assertEqual(relay.read(relay.box(claim), claim).status, 200)
            relay.until_metric("body_bytes", 0)  # the request ends after its answer


if __name__ == "__main__":
    unittest.main()
