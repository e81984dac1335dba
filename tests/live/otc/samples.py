"""Unmodified GSS programs on the mechanism: MIT's sample client and server (Debian's krb5-gss-samples) and python3-gssapi.

gss-client takes a password (-pass), so it runs as it is: the link secret is its password. gss-server can only ask gss_acquire_cred for a
name's default acceptor credential, and this mechanism has none, by design. So as it is, gss-server refuses with "no credential", which is
tested; and with give_cred.so preloaded, which answers gss_acquire_cred from a secret file, it does all the rest unmodified: accept,
names, export and import of its context, unwrap, MIC. python3-gssapi needs neither.
"""
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import gss

gss.use_otc()

import gssapi  # noqa: E402
import otc_pair  # noqa: E402
from realm import Realm, free_port  # noqa: E402

NOOP, CONTEXT, DATA, MIC, CONTEXT_NEXT, WRAPPED, ENCRYPTED, SEND_MIC = (1 << n for n in range(8))
MECH = gssapi.OID(elements=gss.OTC)
# gss-client loses the closing brace of a dotted OID that it converts itself, so it gets the form of gss_str_to_oid.
BRACED = "{ " + gss.OTC_TEXT.replace(".", " ") + " }"
GIVE_CRED = os.environ.get("GAGE_GIVE_CRED", "")


class Server:
    """What gss-server does, with python3-gssapi: one connection, its messages in .messages, the client's name in .name."""

    def __init__(self, creds):
        self.creds, self.messages, self.name, self.error = creds, [], None, None
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def finish(self):
        self.thread.join(30)
        self.socket.close()
        if self.error:
            raise self.error

    def serve(self):
        try:
            with self.socket.accept()[0] as self.peer:
                self.talk()
        except Exception as e:
            self.error = e

    def receive(self):
        head = self.exactly(5)
        return head[0], self.exactly(struct.unpack(">I", head[1:])[0])

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.peer.recv(n - len(data))
            if not more:
                raise ConnectionError("the client closed the connection")
            data += more
        return data

    def send(self, flags, data):
        self.peer.sendall(bytes([flags]) + struct.pack(">I", len(data)) + data)

    def talk(self):
        self.receive()  # the announcement: a context follows
        context = gssapi.SecurityContext(creds=self.creds, usage="accept")
        while not context.complete:
            answer = context.step(self.receive()[1])
            if answer:
                self.send(CONTEXT, answer)
        self.name = str(context.initiator_name)
        while True:
            flags, data = self.receive()
            if flags & NOOP:
                return
            message = context.unwrap(data).message if flags & WRAPPED else data
            self.messages.append((message, bool(flags & WRAPPED and flags & ENCRYPTED)))
            self.send(MIC, context.get_signature(message)) if flags & SEND_MIC else self.send(NOOP, b"")


def client(port, password, *options, message="hello from MIT's sample"):
    """Runs gss-client. The secret is a throw-away one: a password option is all the sample offers."""
    secret = ["-user", "anybody", "-pass", password] if password else []
    return subprocess.run(["gss-client", "-port", str(port), "-mech", BRACED, *secret, *options, "localhost", "host@localhost",
                           message], capture_output=True, text=True, timeout=30, env=environment())


def environment(**more):
    """Without Kerberos of this machine: nothing may leave it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("KRB5")}
    return dict(env, KRB5_CONFIG="/dev/null", KRB5CCNAME="FILE:/nonexistent", KRB5_KTNAME="FILE:/nonexistent", **more)


class Client(unittest.TestCase):
    def run_client(self, *options):
        text = otc_pair.secret()
        creds = gssapi.Credentials.acquire(store={"otc_secret": text}, usage="accept", mechs=[MECH]).creds
        server = Server(gssapi.Credentials(base=creds))
        done = client(server.port, text, *options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        server.finish()
        return server, done

    def test_gss_client_talks_to_python3_gssapi(self):
        server, done = self.run_client()
        self.assertEqual(server.messages, [(b"hello from MIT's sample", True)])
        self.assertTrue(server.name.endswith("/initiator"), server.name)
        self.assertIn("Signature verified.", done.stdout)
        for said in ("context flag: GSS_C_MUTUAL_FLAG", "context flag: GSS_C_REPLAY_FLAG", "context flag: GSS_C_CONF_FLAG",
                     "context flag: GSS_C_INTEG_FLAG"):
            self.assertIn(said, done.stdout)

    def test_its_options_work(self):
        for options, expected in ((("-nx",), False), (("-nw",), False), (("-seq", "-noreplay"), True), (("-nomutual",), True), (("-nm",), True)):
            server, _ = self.run_client(*options)
            self.assertEqual(server.messages, [(b"hello from MIT's sample", expected)], options)

    def test_a_hundred_messages_in_one_context(self):
        server, _ = self.run_client("-mcount", "100")
        self.assertEqual(len(server.messages), 100)

    def test_a_text_that_is_no_secret_is_explained(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            done = client(listener.getsockname()[1], "not a secret")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(otc_pair.STATUS["BAD_SECRET"][2], done.stdout + done.stderr)

    def test_without_a_password_it_has_no_credential(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            done = client(listener.getsockname()[1], None)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("No credentials were supplied", done.stdout + done.stderr)


class MitServer:
    """gss-server on a free port of loopback, for one connection; .output after `with`."""

    def __init__(self, env, *options):
        self.port, self.env, self.options = free_port(), env, options

    def __enter__(self):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(["gss-server", "-port", str(self.port), "-once", *self.options, "host@localhost"], env=self.env,
                                        stdout=self.log, stderr=self.log)
        for _ in range(500):
            if self.listening():
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        self.__exit__()
        raise RuntimeError(self.output)

    def listening(self):
        """A look at the kernel's table: a connection made to find out would be the one that it serves."""
        with open("/proc/net/tcp") as f, open("/proc/net/tcp6") as g:
            return any(line.split()[1].endswith(f":{self.port:04X}") and line.split()[3] == "0A" for line in [*f, *g] if ":" in line)

    def __exit__(self, *_):
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.seek(0)
        self.output = self.log.read()
        self.log.close()


class BothSamples(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.text = otc_pair.secret()
        self.path = otc_pair.write_file(os.path.join(folder.name, "secret"), self.text)

    def talk(self, *server_options, text=None):
        with MitServer(environment(LD_PRELOAD=GIVE_CRED, GIVE_CRED_FILE=self.path), "-verbose", *server_options) as server:
            done = client(server.port, text or self.text)
        return done, server.output

    def test_client_and_server_talk(self):
        done, output = self.talk()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + output)
        self.assertIn("Signature verified.", done.stdout)
        self.assertIn("hello from MIT's sample", output)
        self.assertRegex(output, 'Accepted connection: "?[0-9a-f-]{36}/initiator')

    def test_the_server_exports_and_imports_its_context_between(self):
        done, output = self.talk("-export")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr + output)
        self.assertIn("hello from MIT's sample", output)

    def test_a_wrong_secret_is_explained_by_the_server(self):
        done, output = self.talk(text=otc_pair.secret())
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(otc_pair.STATUS["WRONG_SECRET"][2], output)

    def test_without_help_the_server_has_no_credential_and_says_so(self):
        """With Kerberos in its keytab gss-server starts; a client of this mechanism is refused, and nothing falls back."""
        with Realm(users=()) as realm:
            env = dict(realm.env, GSS_MECH_CONFIG=os.environ["GSS_MECH_CONFIG"])
            with MitServer(env) as server:
                done = client(server.port, self.text)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("No credentials were supplied", server.output)


if __name__ == "__main__":
    unittest.main()
