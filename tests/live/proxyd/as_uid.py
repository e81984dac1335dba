"""What a test does as another uid; whatever uid runs this.

  as_uid.py make|use acquire|context SOCKET [VALUE]   makes or uses a handle; prints JSON
  as_uid.py load CONNECTIONS SOCKET AHEAD             keeps AHEAD calls under way on each connection; each line on standard input is
                                                      answered with the number of answers so far; ends with its input
"""
import base64
import json
import os
import selectors
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from daemon import Wire  # noqa: E402
from gssx import ACCEPT, CRED, CTX, KRB5, PROCEDURES, call, decode, encode, good, user  # noqa: E402


def make_context(wire):
    import gssapi
    initiator = gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate")
    return good(wire, "accept_sec_context", token=initiator.step())["context"]


def costly_record():
    """A call that costs the daemon several times what it costs the client, with a short answer."""
    body = struct.pack(">10I", 7, 0, 2, 400112, 1, 3, 0, 0, 0, 0)
    body += encode(PROCEDURES["import_and_canon_name"][1], {"name": user("somebody@SOMEWHERE"), "mech": KRB5})
    return struct.pack(">I", 0x80000000 | len(body)) + body


def load(connections, path, ahead):
    record, select, answered, partial = costly_record(), selectors.DefaultSelector(), 0, {}
    for _ in range(connections):
        wire = Wire(path)
        wire.send(record[4:])
        size = len(wire.receive()) + 4  # every answer is as long
        select.register(wire.socket, selectors.EVENT_READ)
        partial[wire.socket] = 0
        wire.socket.sendall(record * ahead)
    select.register(sys.stdin, selectors.EVENT_READ)
    while True:
        for key, _ in select.select():
            if key.fileobj is sys.stdin:
                if not sys.stdin.readline():
                    return
                print(answered, flush=True)
                continue
            try:
                got = key.fileobj.recv(1 << 20)
            except ConnectionResetError:
                return
            if not got:
                return
            whole, partial[key.fileobj] = divmod(partial[key.fileobj] + len(got), size)
            answered += whole
            key.fileobj.sendall(record * whole)


def main():
    action, kind, path = sys.argv[1:4]
    if action == "load":
        load(int(kind), path, int(sys.argv[4]))
        return
    with Wire(path) as wire:
        if action == "make":
            value = good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"] if kind == "acquire" else make_context(wire)
            print(json.dumps({"value": base64.b64encode(encode(CRED if kind == "acquire" else CTX, value)).decode()}))
            return
        data = base64.b64decode(sys.argv[4])
        if kind == "acquire":
            result = call(wire, "release_cred", type=1, cred=decode(CRED, data)[0])
        else:
            result = call(wire, "wrap_size_limit", context=decode(CTX, data)[0], size=100)
        print(json.dumps({"major": result["status"]["major"]}))


if __name__ == "__main__":
    main()
