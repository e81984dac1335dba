"""A relay that does what a test tells it to: the mailbox API over TLS, in memory, with a hook before every answer.

The transfers themselves are tested against gage-relayd; this one is for what an honest relay never does.

    with Mailbox() as relay:
        relay.hook = lambda request: (500, {}, b"")       # or None, to go on as an honest relay
        ... relay.url, relay.pin, relay.requests ...
"""
import base64
import hashlib
import http.server
import json
import pathlib
import ssl
import subprocess
import tempfile
import threading
import time
import uuid


def make_certificate(folder, name="127.0.0.1"):
    """A self-signed certificate for the address; returns its files and the pin of its key."""
    folder = pathlib.Path(folder)
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=gage test", "-addext", f"subjectAltName=IP:{name},DNS:localhost", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    return cert, key, pin_of(cert)


def pin_of(cert):
    public = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-pubkey"], check=True, capture_output=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public, check=True, capture_output=True).stdout
    return "sha256//" + base64.b64encode(hashlib.sha256(der).digest()).decode()


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    def json(self):
        return json.loads(self.body)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_):
        pass

    def serve(self):
        relay = self.server.relay
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self.command, self.path, self.headers, self.rfile.read(length))
        relay.requests.append(request)
        answer = relay.hook(request) if relay.hook else None
        if answer is None:
            answer = relay.serve(request)
        if answer == "drop":
            self.close_connection = True
            return
        status, headers, body = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Mailbox-Request-ID" in self.headers:
            self.send_header("Mailbox-Request-ID", self.headers["Mailbox-Request-ID"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve


class Mailbox:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        cert, key, self.pin = make_certificate(self.folder.name)
        self.cert = cert
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # clients that hang up are part of the tests
        self.server.relay = self
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self.server.server_port}"
        self.boxes, self.requests, self.hook = {}, [], None
        self.changed = threading.Condition()

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.folder.cleanup()

    # ---- an honest relay ----

    def serve(self, request):
        with self.changed:
            if request.method == "POST" and request.path == "/v1/m":
                return self.create(request)
            box = self.boxes.get(request.path)
            if box is None:
                return self.answer(404, {"title": "no such mailbox"})
            return getattr(self, request.method.lower())(request, box)

    @staticmethod
    def answer(status, value, version=None):
        headers = {"Content-Type": "application/json"}
        if version is not None:
            headers["Mailbox-Version"] = str(version)
        return status, headers, json.dumps(value).encode()

    def create(self, request):
        asked, ident = request.json(), request.headers["Mailbox-Request-ID"]
        for path, box in self.boxes.items():
            if box["created by"] == ident:
                return self.answer(201, box["answer"], 1)
        path = "/v1/m/" + str(uuid.uuid4())
        answer = {"urlLink": self.url + path, "isPushNotificationSupported": False,
                  "expiration": asked["mailboxConfiguration"]["expiration"]}
        self.boxes[path] = {"created by": ident, "answer": answer, "sender": request.headers["Mailbox-Device-Claim"], "receiver": None,
                            "payload": asked["payload"], "display": asked["displayInformation"], "version": 1, "ids": set(),
                            "expiration": answer["expiration"]}
        return self.answer(200, answer, 1)

    def get(self, request, box):
        shown = box["display"]
        page = (f'<html><head><meta property="og:title" content="{shown["title"]}">'
                f'<meta property="og:description" content="{shown["description"]}"></head></html>')
        return 200, {"Content-Type": "text/html"}, page.encode()

    def allowed(self, request, box):
        return request.headers["Mailbox-Device-Claim"] in (box["sender"], box["receiver"])

    def post(self, request, box):
        claim = request.headers["Mailbox-Device-Claim"]
        if box["receiver"] is None and claim != box["sender"]:
            box["receiver"] = claim
        if not self.allowed(request, box):
            return self.answer(401, {"title": "claimed by somebody else"})
        wait = (request.headers.get("Prefer") or "").removeprefix("wait=")
        after = request.headers.get("Mailbox-After")
        deadline = time.monotonic() + (float(wait) if wait else 0)
        while after is not None and box["version"] <= int(after) and request.path in self.boxes and time.monotonic() < deadline:
            self.changed.wait(deadline - time.monotonic())
        if request.path not in self.boxes:
            return self.answer(404, {"title": "no such mailbox"})
        return self.answer(200, {"payload": box["payload"], "displayInformation": box["display"], "expiration": box["expiration"],
                                 "version": box["version"]}, box["version"])

    def put(self, request, box):
        if not self.allowed(request, box):
            return self.answer(401, {"title": "claimed by somebody else"})
        ident = request.headers["Mailbox-Request-ID"]
        if ident in box["ids"]:
            return self.answer(201, {"isPushNotificationSupported": False}, box["version"])
        match = request.headers.get("If-Match")
        if match is not None and match.strip('"') != str(box["version"]):
            return self.answer(412, {"title": "another version"}, box["version"])
        box["payload"] = request.json()["payload"]
        box["version"] += 1
        box["ids"].add(ident)
        self.changed.notify_all()
        return self.answer(200, {"isPushNotificationSupported": False}, box["version"])

    def delete(self, request, box):
        if not self.allowed(request, box):
            return self.answer(401, {"title": "claimed by somebody else"})
        del self.boxes[request.path]
        self.changed.notify_all()
        return self.answer(200, {})
