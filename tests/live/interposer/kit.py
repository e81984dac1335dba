"""What the tests of gage_proxy.so share: daemons whose clients load it, both daemons, both sides of a context."""
import json
import os
import socket
import struct
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, "..", "proxyd"))
from daemon import OURS, PACKAGED, PLUGIN, PROGRAM, Daemon, run_client, wait_for  # noqa: E402,F401
from realm import REALM, Realm  # noqa: E402,F401

BOTH_ROLES = """[service/test]
  mechs = krb5
  euid = {uid}
  socket = {dir}/sock
  cred_store = keytab:{keytab}
  cred_store = client_keytab:{keytab}
  cred_store = ccache:FILE:{dir}/service-cache
  krb5_principal = gage/localhost
  trusted = yes
"""
ACCEPT_ONLY = "[service/test]\nmechs = krb5\neuid = {uid}\nsocket = {dir}/sock\ncred_store = keytab:{keytab}\n"
DAEMONS = (PROGRAM, PACKAGED)


def daemon_for(realm, *args, plugin=OURS, **more):
    made = Daemon(realm, *args, **more)
    made.plugin = plugin
    return made


def pair(daemon, role, *extra, behavior="REMOTE_FIRST", env=None, **more):
    """A context and messages both ways: `role` with the plugin, the other side without."""
    peer = daemon.path("peer.json")
    with open(peer, "w") as f:
        json.dump(daemon.realm.env, f)
    env = dict(env or daemon.client_env(behavior, **more), PEER_ENV=peer)
    return run_client("pair", "host@localhost", role, *extra, env=env)


def first_token(realm, target="host@localhost", *extra):
    return run_client("initiate", target, *extra, env=realm.env)["token"]


class Between:
    """Stands between clients and a daemon's socket: .procedures are those called, .connections how often a client connected. `meddle(procedure,
    n, reply)` gives the bytes that go to the client instead of the n-th call's whole record, None to hang up, MUTE to leave it without."""
    MUTE = object()

    def __init__(self, daemon, meddle=None, before=None):
        self.upstream, self.meddle, self.before = daemon.socket, meddle or (lambda p, n, reply: reply), before
        self.path = daemon.path("between")
        self.procedures, self.connections, self.lock = [], 0, threading.Lock()

    def __enter__(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(30)
        self.listener.close()
        os.unlink(self.path)

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.relay, args=(client,), daemon=True).start()

    def relay(self, client):
        with client, socket.socket(socket.AF_UNIX) as daemon:
            try:
                daemon.connect(self.upstream)
                while True:
                    if self.before is not None and self.before(len(self.procedures)):
                        return  # with what the client sent unread
                    call = self.record(client)
                    (procedure,) = struct.unpack(">I", call[24:28])
                    with self.lock:
                        self.procedures.append(procedure)
                        n = len(self.procedures)
                    daemon.sendall(call)
                    reply = self.meddle(procedure, n, self.record(daemon))
                    if reply is self.MUTE:
                        client.recv(1)  # until the client gives up
                        return
                    if reply is None:
                        return
                    client.sendall(reply)
            except (OSError, EOFError):
                pass

    def record(self, peer):
        header = self.exactly(peer, 4)
        return header + self.exactly(peer, struct.unpack(">I", header)[0] & 0x7fffffff)

    def exactly(self, peer, n):
        data = b""
        while len(data) < n:
            more = peer.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data
