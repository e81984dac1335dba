"""A gage-relayd on loopback for one test file, and the requests one makes to it.

    with Relay() as relay:  relay.create(...), relay.request("POST", path, ...), relay.connect() for a raw TLS socket
"""
import hashlib
import http.client
import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
PREFIX = pathlib.Path(os.environ.get("GAGE_PREFIX", ROOT / "build/root"))
RELAYD = str(PREFIX / "sbin/gage-relayd")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:300]!r}"


def new_id():
    return str(uuid.uuid4())


def waiting(after, wait):
    """The headers of a request that waits, or does not."""
    headers = {} if after is None else {"Mailbox-After": str(after)}
    return headers if wait is None else {**headers, "Prefer": f"wait={wait}"}


class Relay:
    """conf: lines of [relay] and [limits] as {"relay": {...}, "limits": {...}}; options: further arguments."""

    def __init__(self, options=(), relay=None, limits=None, listen=("127.0.0.1:0",), folder=None, env=None, preexec=None):
        self.own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="gage-relay-")
        self.options, self.sections = list(options), {"relay": relay or {}, "limits": limits or {}}
        self.listen, self.env, self.preexec = listen, env, preexec
        self.process = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write_conf(self):
        with open(self.path("relay.conf"), "w") as f:
            for section, values in self.sections.items():
                f.write(f"[{section}]\n" + "".join(f"{k} = {v}\n" for k, v in values.items()))

    def command(self):
        listen = [word for address in self.listen for word in ("--listen", address)]
        return [RELAYD, *listen, "--store", f"sqlite:///{self.path('relay.db')}", "--config", self.path("relay.conf"), *self.options]

    def start(self):
        self.write_conf()
        self.log = open(self.path("log"), "ab")
        self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env=self.env, preexec_fn=self.preexec, pass_fds=())
        self.lines = []
        lines = queue.Queue()

        def read(stream):
            for line in stream:
                lines.put(line.rstrip("\n"))
            lines.put(None)
        threading.Thread(target=read, args=(self.process.stdout,), daemon=True).start()
        while True:
            line = lines.get(timeout=20)
            if line is None:
                raise RuntimeError("the relay did not start: " + self.log_text())
            self.lines.append(line)
            if line == "ready":
                break
        self.listeners = [line.split()[1] for line in self.lines if line.startswith("listening ")]
        self.pin = next((line.split(" pin ")[1] for line in self.lines if " pin " in line), None)
        self.metrics_url = next((line.split()[1] for line in self.lines if line.startswith("metrics ")), None)
        self.url = self.listeners[0]
        self.secure = self.url.startswith("https:")
        if "://" in self.url:
            self.port = int(self.url.rsplit(":", 1)[1])
        return self

    def log_text(self):
        return open(self.path("log")).read()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process is not None:
            self.process.stdout.close()
            self.log.close()
            self.process = None
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()
        self.process = None

    # ---- connections ----

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.path("relay.db.tls-cert.pem"))
        return context

    def connect(self, timeout=20):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context().wrap_socket(sock, server_hostname="localhost") if self.secure else sock

    def http(self, timeout=70):
        if self.secure:
            return http.client.HTTPSConnection("localhost", self.port, context=self.context(), timeout=timeout)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(self, method, path, headers=None, body=None, connection=None, timeout=70):
        own = connection is None
        connection = connection or self.http(timeout)
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        if own:
            connection.close()
        return answer

    # ---- the API ----

    def create(self, claim, request_id=None, data="first", rights="RWD", expiration="2099-01-01T00:00:00Z", title="A title",
               description="A description", image="", config=True, connection=None, **more):
        body = {"payload": {"type": "AEAD_AES_256_GCM", "data": data},
                "displayInformation": {"title": title, "description": description, "imageURL": image}, **more}
        if config:
            body["mailboxConfiguration"] = {"accessRights": rights, "expiration": expiration}
        return self.request("POST", "/v1/m", ids(claim, request_id or new_id()), body, connection)

    def box(self, claim, **options):
        """A fresh mailbox's path."""
        answer = self.create(claim, **options)
        assert answer.status == 200, answer
        return "/v1/m/" + answer.json["urlLink"].rsplit("/", 1)[1]

    def read(self, path, claim, after=None, wait=None, connection=None, body=None):
        headers = {**ids(claim), **waiting(after, wait)}
        return self.request("POST", path, headers, body, connection)

    def update(self, path, claim, data, request_id=None, if_match=None, connection=None, after=None, wait=None, **more):
        headers = {**ids(claim, request_id or new_id()), **waiting(after, wait)}
        if if_match is not None:
            headers["If-Match"] = if_match
        return self.request("PUT", path, headers, {"payload": {"type": "AEAD_AES_256_GCM", "data": data}, **more}, connection)

    def relinquish(self, path, claim, request_id=None):
        return self.request("PATCH", path, ids(claim, request_id or new_id()))

    def delete(self, path, claim, request_id=None, later=False):
        headers = {"Prefer": "respond-async"} if later else {}
        return self.request("DELETE", path, {**ids(claim, request_id or new_id()), **headers})

    def metrics(self):
        host, port = self.metrics_url.removeprefix("http://").rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()

    def metric(self, name):
        for line in self.metrics().splitlines():
            if line.startswith(f"gage_relay_{name} "):
                return float(line.split()[1])
        raise KeyError(name)

    def until_metric(self, name, wanted, seconds=20):
        for _ in range(seconds * 50):
            if self.metric(name) == wanted:
                return
            time.sleep(0.02)
        raise AssertionError(f"{name} is {self.metric(name)}, not {wanted}")


def ids(claim, request_id=None):
    headers = {"Mailbox-Device-Claim": claim} if claim is not None else {}
    if request_id is not None:
        headers["Mailbox-Request-ID"] = request_id
    return headers


def in_thread(function, *args, **options):
    """Runs it beside; the returned function waits for its result."""
    results = queue.Queue()

    def run():
        try:
            results.put((function(*args, **options), None))
        except BaseException as e:
            results.put((None, e))
    threading.Thread(target=run, daemon=True).start()

    def wait(seconds=60):
        result, error = results.get(timeout=seconds)
        if error is not None:
            raise error
        return result
    return wait


def spki_pin(cert_pem_path):
    import base64
    der = subprocess.run(["openssl", "x509", "-in", cert_pem_path, "-pubkey", "-noout"], capture_output=True, check=True).stdout
    key = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=der, capture_output=True, check=True).stdout
    return "sha256//" + base64.b64encode(hashlib.sha256(key).digest()).decode()
