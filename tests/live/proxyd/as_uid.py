"""Makes or uses a handle as whatever uid runs this: as_uid.py make|use acquire|context SOCKET [VALUE]. Prints JSON."""
import base64
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from daemon import Wire  # noqa: E402
from gssx import ACCEPT, CRED, CTX, KRB5, call, decode, empty, encode, good  # noqa: E402


def make_context(wire):
    import gssapi
    initiator = gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate")
    return good(wire, "accept_sec_context", token=initiator.step())["context"]


def main():
    action, kind, path = sys.argv[1:4]
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
