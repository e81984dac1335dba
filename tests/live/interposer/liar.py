"""A daemon that lies: stands between a client and a daemon, hands calls on, and changes what comes back.

    with Liar(daemon, lie) as liar: ... GSSPROXY_SOCKET=liar.path ...

`lie(liar, procedure, results, reply)` is called for each answer: the procedure's name, its results as a dictionary (gssx.py), and the whole reply
as bytes. It returns what to send: `liar.record(body)`, `liar.changed(reply, procedure, results)`, any bytes, or a list of such, of which each is
sent when the client has read what came before. None is the truth; CLOSE ends the connection.
"""
import fcntl
import os
import shutil
import socket
import struct
import tempfile
import termios
import threading

from kit import wait_for  # before gssx: it knows where that is
from gssx import PROCEDURES, decode, encode  # isort: skip

BY_NUMBER = {number: name for name, (number, _, _) in PROCEDURES.items() if not name.startswith("release_")}
CLOSE = "close"
HEADER = 24  # of an accepted reply


def read(stream, n):
    data = b""
    while len(data) < n:
        more = stream.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def read_record(stream):
    return read(stream, struct.unpack(">I", read(stream, 4))[0] & 0x7FFFFFFF)


def unread(stream):
    return struct.unpack("i", fcntl.ioctl(stream, termios.TIOCOUTQ, bytes(4)))[0]


class Liar:
    def __init__(self, daemon, lie):
        self.daemon, self.lie = daemon, lie
        self.dir = tempfile.mkdtemp(prefix="gage-liar-")
        self.path = os.path.join(self.dir, "sock")
        self.calls, self.connections = [], 0

    def __enter__(self):
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(self.path)
        self.listening.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        shutil.rmtree(self.dir)

    def accept(self):
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        truth = socket.socket(socket.AF_UNIX)
        truth.connect(self.daemon.socket)
        with client, truth:
            try:
                while self.one_call(client, truth):
                    pass
            except (EOFError, OSError):
                pass

    def one_call(self, client, truth):
        call = read_record(client)
        procedure = BY_NUMBER.get(struct.unpack_from(">I", call, 20)[0], "release")
        self.calls.append(procedure)
        truth.sendall(self.record(call))
        reply = read_record(truth)
        results = decode(PROCEDURES[procedure][2], reply, HEADER)[0] if procedure in PROCEDURES else None
        sent = self.lie(self, procedure, results, reply)
        for part in sent if isinstance(sent, list) else [self.record(reply) if sent is None else sent]:
            if part == CLOSE:
                return False
            wait_for(lambda: not unread(client), "the client read")
            client.sendall(part)
        return True

    @staticmethod
    def record(body):
        return struct.pack(">I", 0x80000000 | len(body)) + body

    def changed(self, reply, procedure, results):
        return self.record(reply[:HEADER] + encode(PROCEDURES[procedure][2], results))
