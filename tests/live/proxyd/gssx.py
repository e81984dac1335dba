"""The GSS-PROXY protocol in Python, from doc/proxy.md: XDR by table, and a client that makes any call by hand."""
import struct

KRB5 = bytes.fromhex("2a864886f712010202")
SPNEGO = bytes.fromhex("2b0601050502")
NT_USER = bytes.fromhex("2a864886f71201020101")
NT_HOST = bytes.fromhex("2a864886f71201020104")
NT_PRINCIPAL = bytes.fromhex("2a864886f71201020201")
NT_STRING_UID = bytes.fromhex("2a864886f71201020103")
COMPLETE, CONTINUE = 0, 1
NO_CRED, DEFECTIVE_CRED, NO_CONTEXT, BAD_NAME, UNAUTHORIZED = 7 << 16, 10 << 16, 8 << 16, 2 << 16, 15 << 16
FAILURE, DEFECTIVE_TOKEN, UNAVAILABLE, BAD_MECH, EXPIRED = 13 << 16, 9 << 16, 16 << 16, 1 << 16, 11 << 16
BAD_NAMETYPE = 3 << 16
INITIATE, ACCEPT, BOTH = 1, 2, 3

U32, U64, BOOL, BYTES = "u32", "u64", "bool", "bytes"


def array(kind):
    return ("array", kind)


def optional(kind):
    return ("optional", kind)


OPTION = {"option": BYTES, "value": BYTES}
OPTIONS = array(OPTION)
OIDS = array(BYTES)
ATTRIBUTE = {"attr": BYTES, "value": BYTES, "extensions": OPTIONS}
STATUS = {"major": U64, "mech": BYTES, "minor": U64, "major_string": BYTES, "minor_string": BYTES, "server_ctx": BYTES,
          "options": OPTIONS}
CALL = {"locale": BYTES, "server_ctx": BYTES, "options": OPTIONS}
NAME = {"display": BYTES, "type": BYTES, "exported": BYTES, "composite": BYTES, "attributes": array(ATTRIBUTE),
        "extensions": OPTIONS}
ELEMENT = {"name": NAME, "mech": BYTES, "usage": U32, "initiator_time": U64, "acceptor_time": U64, "options": OPTIONS}
CRED = {"name": NAME, "elements": array(ELEMENT), "handle": BYTES, "needs_release": BOOL}
CTX = {"token": BYTES, "state": BYTES, "needs_release": BOOL, "mech": BYTES, "source": NAME, "target": NAME, "lifetime": U64,
       "flags": U64, "local": BOOL, "open": BOOL, "options": OPTIONS}
BINDINGS = {"initiator_type": U64, "initiator": BYTES, "acceptor_type": U64, "acceptor": BYTES, "data": BYTES}
MECH = {"mech": BYTES, "name_types": OIDS, "attrs": OIDS, "known_attrs": OIDS, "cred_options": OIDS, "ctx_options": OIDS,
        "sasl": BYTES, "name": BYTES, "description": BYTES, "extensions": OPTIONS}
MECH_ATTR = {"attr": BYTES, "name": BYTES, "short": BYTES, "long": BYTES, "extensions": OPTIONS}

PROCEDURES = {
    "indicate_mechs": (1, {"call": CALL},
                       {"status": STATUS, "mechs": array(MECH), "attrs": array(MECH_ATTR), "supported": array(BYTES),
                        "extensions": OPTIONS}),
    "get_call_context": (2, {"call": CALL, "options": OPTIONS}, {"status": STATUS, "server_ctx": BYTES, "options": OPTIONS}),
    "import_and_canon_name": (3, {"call": CALL, "name": NAME, "mech": BYTES, "attributes": array(ATTRIBUTE), "options": OPTIONS},
                              {"status": STATUS, "name": optional(NAME), "options": OPTIONS}),
    "export_cred": (4, {"call": CALL, "cred": CRED, "usage": U32, "options": OPTIONS},
                    {"status": STATUS, "usage": U32, "handle": optional(BYTES), "options": OPTIONS}),
    "import_cred": (5, {"call": CALL, "handle": BYTES, "options": OPTIONS},
                    {"status": STATUS, "cred": optional(CRED), "options": OPTIONS}),
    "acquire_cred": (6, {"call": CALL, "cred": optional(CRED), "add": BOOL, "name": optional(NAME), "time": U64, "mechs": OIDS,
                         "usage": U32, "initiator_time": U64, "acceptor_time": U64, "options": OPTIONS},
                     {"status": STATUS, "cred": optional(CRED), "options": OPTIONS}),
    "store_cred": (7, {"call": CALL, "cred": CRED, "usage": U32, "mech": BYTES, "overwrite": BOOL, "default": BOOL,
                       "options": OPTIONS},
                   {"status": STATUS, "stored": OIDS, "usage": U32, "options": OPTIONS}),
    "init_sec_context": (8, {"call": CALL, "context": optional(CTX), "cred": optional(CRED), "target": optional(NAME),
                             "mech": BYTES, "flags": U64, "time": U64, "bindings": optional(BINDINGS), "token": optional(BYTES),
                             "options": OPTIONS},
                         {"status": STATUS, "context": optional(CTX), "token": optional(BYTES), "options": OPTIONS}),
    "accept_sec_context": (9, {"call": CALL, "context": optional(CTX), "cred": optional(CRED), "token": BYTES,
                               "bindings": optional(BINDINGS), "ret_deleg": BOOL, "options": OPTIONS},
                           {"status": STATUS, "context": optional(CTX), "token": optional(BYTES), "delegated": optional(CRED),
                            "options": OPTIONS}),
    "release_cred": (10, {"call": CALL, "type": U32, "cred": CRED}, {"status": STATUS}),
    "release_context": (10, {"call": CALL, "type": U32, "context": CTX}, {"status": STATUS}),
    "get_mic": (11, {"call": CALL, "context": CTX, "qop": U64, "message": BYTES},
                {"status": STATUS, "context": optional(CTX), "token": BYTES, "qop": optional(U64)}),
    "verify": (12, {"call": CALL, "context": CTX, "message": BYTES, "token": BYTES},
               {"status": STATUS, "context": optional(CTX), "qop": optional(U64)}),
    "wrap": (13, {"call": CALL, "context": CTX, "conf": BOOL, "messages": array(BYTES), "qop": U64},
             {"status": STATUS, "context": optional(CTX), "tokens": array(BYTES), "conf": optional(BOOL), "qop": optional(U64)}),
    "unwrap": (14, {"call": CALL, "context": CTX, "tokens": array(BYTES), "qop": U64},
               {"status": STATUS, "context": optional(CTX), "messages": array(BYTES), "conf": optional(BOOL),
                "qop": optional(U64)}),
    "wrap_size_limit": (15, {"call": CALL, "context": CTX, "conf": BOOL, "qop": U64, "size": U64},
                        {"status": STATUS, "limit": U64}),
}


def empty(kind):
    if isinstance(kind, dict):
        return {key: empty(value) for key, value in kind.items()}
    if isinstance(kind, tuple):
        return [] if kind[0] == "array" else None
    return b"" if kind == BYTES else 0


def encode(kind, value):
    if isinstance(kind, dict):
        return b"".join(encode(k, value.get(key, empty(k))) for key, k in kind.items())
    if isinstance(kind, tuple) and kind[0] == "array":
        return struct.pack(">I", len(value)) + b"".join(encode(kind[1], v) for v in value)
    if isinstance(kind, tuple):
        return struct.pack(">I", 0) if value is None else struct.pack(">I", 1) + encode(kind[1], value)
    if kind == BYTES:
        return struct.pack(">I", len(value)) + value + bytes(-len(value) % 4)
    return struct.pack(">Q" if kind == U64 else ">I", int(value))


def decode(kind, data, at=0):
    if isinstance(kind, dict):
        result = {}
        for key, k in kind.items():
            result[key], at = decode(k, data, at)
        return result, at
    if isinstance(kind, tuple):
        (count,), at = struct.unpack_from(">I", data, at), at + 4
        values = []
        for _ in range(count):
            value, at = decode(kind[1], data, at)
            values.append(value)
        return (values if kind[0] == "array" else values[0] if values else None), at
    if kind == BYTES:
        (n,), at = struct.unpack_from(">I", data, at), at + 4
        return data[at:at + n], at + n + (-n % 4)
    form = ">Q" if kind == U64 else ">I"
    return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)


def option(name, value):
    return {"option": name.encode() + b"\0", "value": value if isinstance(value, bytes) else value.encode() + b"\0"}


def find(options, name):
    return [o["value"] for o in options if o["option"] == name.encode() + b"\0"]


def user(text):
    return dict(empty(NAME), display=text.encode(), type=NT_USER)


def service(text):
    return dict(empty(NAME), display=text.encode(), type=NT_HOST)


def uid_name(uid):
    return dict(empty(NAME), display=str(uid).encode(), type=NT_STRING_UID)


KERNEL_CALL = dict(empty(CALL), options=[option("exported_context_type", "linux_lucid_v1"),
                                         option("exported_creds_type", "linux_creds_v1")])


def call(wire, procedure, **arguments):
    """Makes the call over a Wire; returns its results."""
    number, arg, res = PROCEDURES[procedure]
    data = wire.results(number, encode(arg, arguments))
    result, at = decode(res, data)
    assert at == len(data), "bytes after the results"
    return result


def good(wire, procedure, **arguments):
    result = call(wire, procedure, **arguments)
    status = result["status"]
    assert status["major"] in (COMPLETE, CONTINUE), (procedure, hex(status["major"]), status["minor_string"])
    return result
