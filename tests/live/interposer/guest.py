"""A program that uses GSS-API as a guest would: guest.py SCENARIO [ARGS...]. Python source of its own for each scenario, so that what a program
does with its process (descriptors, forks, threads, signals) stands beside the calls it does it to. Prints one line of JSON.
"""
import base64
import concurrent.futures
import ctypes
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import gss  # noqa: E402
from gss import ACCEPT, CONF, INITIATE, INTEG, KRB5, MUTUAL, NT_HOST, REPLAY  # noqa: E402

FLAGS = MUTUAL | REPLAY | CONF | INTEG


def target(service="host@localhost"):
    return gss.import_name(service.encode(), NT_HOST).ok().name


def name_of(handle):
    return gss.display_name(handle).ok().text.decode()


def told(result):
    return {"major": result.major, "text": gss.text_of(result.minor, KRB5) if result.failed else ""}


def accepted(token, cred=None, binding=None):
    result = gss.accept(cred, token, binding=binding)
    if result.failed:
        return told(result)
    return {"major": result.major, "name": name_of(result.source)}


# ---- scenarios ----

def accept(*tokens):
    return [accepted(base64.b64decode(t)) for t in tokens]


def accept_with(usage, *tokens):
    cred = gss.acquire(usage=int(usage), mech=KRB5).ok().cred
    return [accepted(base64.b64decode(t), cred) for t in tokens]


def establish_and_wrap(role):
    """One leg of either role, and a message if it is enough for one."""
    if role == "accept":
        token = peer("initiate_for", "host@localhost")["token"]
        result = gss.accept(None, base64.b64decode(token))
    else:
        result = gss.init(None, flags=FLAGS & ~MUTUAL, target=target(), mech=KRB5)
    said = dict(told(result), context=bool(result.context), wrapped=False)
    if not result.failed:
        wrapped = gss.wrap(result.context, b"secret")
        said.update(wrapped=not wrapped.failed, why=told(wrapped))
        gss.inquire_context(result.context)
        gss.delete(result.context).ok()
    return said


def initiate_for(service):
    return {"token": base64.b64encode(gss.init(None, flags=FLAGS, target=target(service), mech=KRB5).ok().token).decode()}


def peer(scenario, *args):
    """Another process, whose environment is that of $PEER_ENV: without the plugin."""
    with open(os.environ["PEER_ENV"]) as f:
        env = json.load(f)
    done = subprocess.run([sys.executable, __file__, scenario, *args], env=env, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def sign_more_than_four_gib():
    """Of these bytes none is ever touched by who refuses them."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    n = (1 << 32) + 5
    address = libc.mmap(None, ctypes.c_size_t(n), 1, 0x4022, -1, ctypes.c_long(0))  # readable; private, anonymous, no reserve
    context = gss.accept(None, base64.b64decode(peer("initiate_for", "host@localhost")["token"])).ok().context
    out = gss.Buffer()
    long = gss.call("get_mic", context, ctypes.c_uint32(0), ctypes.byref(gss.Buffer(n, address)), ctypes.byref(out))
    short = gss.get_mic(context, bytes(5))
    return {"long": told(long), "short": told(short)}


def store_twice(cache):
    cred = gss.acquire(usage=INITIATE, mech=KRB5).ok().cred
    rows = (gss.StoreElement * 1)(gss.StoreElement(b"ccache", cache.encode()))
    return [told(gss.call("store_cred_into", cred, ctypes.c_int(INITIATE), gss.oid(KRB5), ctypes.c_uint32(overwrite), ctypes.c_uint32(0),
                          ctypes.byref(gss.Store(1, rows)), None, None)) for overwrite in (0, 0, 1)]


def ask_of_names():
    """Whatever a name of a peer can be asked."""
    source = gss.accept(None, base64.b64decode(peer("initiate_for", "host@localhost")["token"])).ok().source
    calls = [gss.inquire_name(source), gss.compare_name(source, gss.import_name(b"alice@TEST.GAGE").ok().name), gss.export_name(source),
             gss.localname(source, KRB5), gss.duplicate_name(source), gss.display_name(source)]
    return [told(c) for c in calls]


def accept_at_once(*tokens):
    """A thread for each token, one credential for all."""
    cred = gss.acquire(usage=ACCEPT, mech=KRB5).ok().cred
    with concurrent.futures.ThreadPoolExecutor(len(tokens)) as threads:
        return list(threads.map(lambda token: accepted(base64.b64decode(token), cred), tokens))


def name_by_pointer():
    """A krb5_principal's address is a name; the principal is freed once it is canonical."""
    krb5 = ctypes.CDLL("libkrb5.so.3")
    context, principal = ctypes.c_void_p(), ctypes.c_void_p()
    krb5.krb5_init_context(ctypes.byref(context))
    krb5.krb5_parse_name(context, b"alice@TEST.GAGE", ctypes.byref(principal))
    name = gss.import_name(bytes(ctypes.c_uint64(principal.value)), bytes.fromhex("2a864886f71201020202")).ok().name
    canonical = gss.canonicalize_name(name, KRB5).ok().name
    krb5.krb5_free_principal(context, principal)
    used = [ctypes.create_string_buffer(b"A" * n) for n in range(8, 72, 8) for _ in range(50)]
    return [name_of(canonical), len(used)]


def initiate_with_acquired():
    cred = gss.acquire(usage=INITIATE, mech=KRB5).ok().cred
    return told(gss.init(cred, flags=FLAGS, target=target(), mech=KRB5))


def flags_and_export():
    """What the flags say of passing the context on, twice, and whether it can be."""
    result = gss.accept(None, base64.b64decode(peer("initiate_for", "host@localhost")["token"])).ok()
    asked = gss.inquire_context(result.context).ok().flags
    return [bool(result.flags & gss.TRANS), bool(asked & gss.TRANS), not gss.export_context(result.context).failed]


def compare(one, two):
    names = [gss.canonicalize_name(gss.import_name(text.encode()).ok().name, KRB5).ok().name for text in (one, two)]
    result = gss.compare_name(*names)
    return dict(told(result), equal=result.equal)


def main():
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))


if __name__ == "__main__":
    main()
