"""A GSS program that makes every call of the library, through ctypes: app.py SCENARIO [ARGS...]. Which mechanism answers is the environment's
business. $TICKET is a ticket cache of a user's. Prints one line of JSON; a claim that does not hold ends it.
"""
import ctypes
import json
import os
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_uint32, c_void_p

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
import gss  # noqa: E402
from gss import (ACCEPT, BAD_BINDINGS, CHANNEL_BOUND, COMPLETE, CONF, CONTINUE, DELEG, INITIATE, INTEG, IOV_DATA, IOV_HEADER, IOV_PADDING,  # noqa: E402
                 IOV_TRAILER, KRB5, MUTUAL, NT_COMPOSITE, NT_EXPORT, NT_HOST, NT_USER, REPLAY, SEQUENCE, UNAVAILABLE)

SPNEGO = bytes.fromhex("2b0601050502")
NT_PRINCIPAL = bytes.fromhex("2a864886f71201020201")
SESSION_KEY = bytes.fromhex("2a864886f71201020205 05".replace(" ", ""))
FLAGS = MUTUAL | REPLAY | SEQUENCE | CONF | INTEG
ALLOCATE = gss.ALLOCATE


def expect(what, condition):
    if not condition:
        raise AssertionError(what)


def own_ticket(mech=KRB5):
    """The user's own ticket: the store's row names a file of this process."""
    return gss.acquire(store=[("ccache", os.environ["TICKET"])], mech=mech).ok().cred


def target(service="host@localhost"):
    return gss.import_name(service.encode(), NT_HOST).ok().name


def pair(initiator=None, acceptor=None, flags=FLAGS, mech=KRB5, service="host@localhost", ours=None, theirs=None):
    """Both sides established here; the acceptor's results of the last leg too."""
    initiator = own_ticket(mech) if initiator is None else initiator
    i = gss.init(initiator, flags=flags, target=target(service), mech=mech, binding=ours).ok()
    icontext, acontext, token, a = i.context, None, i.token, None
    while token:
        a = gss.accept(acceptor, token, acontext, theirs).ok()
        acontext, token = a.context, a.token
        if not token:
            break
        i = gss.init(initiator, token, icontext, flags, target(service), mech=mech, binding=ours).ok()
        token = i.token
    expect("both are complete", (i.major, a.major) == (COMPLETE, COMPLETE))
    return icontext, acontext, a


def shown(name):
    return gss.display_name(name).ok().text.decode()


def exchange(i, a):
    for one, two in ((i, a), (a, i)):
        for conf in (1, 0):
            wrapped = gss.wrap(one, b"message " * 100, conf).ok()
            expect("conf state", wrapped.conf == conf)
            got = gss.unwrap(two, wrapped.token).ok()
            expect("unwrapped", (got.data, got.conf) == (b"message " * 100, conf))
        expect("MIC", gss.verify_mic(two, b"signed", gss.get_mic(one, b"signed").ok().token).ok().major == COMPLETE)
        wrong = gss.verify_mic(two, b"other", gss.get_mic(one, b"signed").ok().token)
        expect("a wrong MIC is refused", wrong.major & 0xFFFF0000 == gss.BAD_SIG)
        limit = gss.wrap_size_limit(one, 1000).ok().limit
        expect("size limit", 0 < limit < 1000 and len(gss.wrap(one, b"x" * limit).ok().token) <= 1000)
        gss.unwrap(two, gss.wrap(one, b"").ok().token).ok()


# ---- scenarios ----

def messages(mech="krb5"):
    i, a, _ = pair(mech=SPNEGO if mech == "spnego" else KRB5)
    exchange(i, a)
    parts = [(IOV_HEADER | ALLOCATE, None), (IOV_DATA, b"in pieces"), (IOV_PADDING | ALLOCATE, None), (IOV_TRAILER | ALLOCATE, None)]
    wrapped = gss.wrap_iov(i, parts).ok()
    got = gss.unwrap_iov(a, list(zip((IOV_HEADER, IOV_DATA, IOV_PADDING, IOV_TRAILER), wrapped.parts))).ok()
    expect("pieces", got.parts[1] == b"in pieces")
    signed = gss.get_mic_iov(i, [(IOV_DATA, b"part"), (gss.IOV_MIC | ALLOCATE, None)]).ok()
    gss.verify_mic_iov(a, [(IOV_DATA, b"part"), (gss.IOV_MIC, signed.parts[1])]).ok()
    expect("PRF", gss.pseudo_random(i, b"in", 40).ok().data == gss.pseudo_random(a, b"in", 40).ok().data)
    return {}


def inquiries():
    i, a, last = pair()
    for context, local in ((i, 1), (a, 0)):
        q = gss.inquire_context(context).ok()
        expect("whose", (q.local, q.open, q.mech) == (local, 1, KRB5))
        expect("flags", q.flags & FLAGS == FLAGS)
        expect("lifetime", 0 < q.left <= gss.context_time(context).ok().left + 1)
        expect("names", (shown(q.source), shown(q.target)) == (shown(last.source), "host/localhost@TEST.GAGE"))
    keys = [by_oid(context, SESSION_KEY)[0] for context in (i, a)]
    expect("one session key", len(keys[0]) >= 16 and keys[0] == keys[1])
    for context in (i, a):
        gss.delete(context).ok()
        expect("deleted", context.value is None)
    expect("mechanisms", KRB5 in gss.indicate_mechs().ok().mechs)
    expect("attributes", len(gss.inquire_attrs(KRB5).ok().attributes) > 5)
    expect("SASL name", gss.inquire_saslname(KRB5).ok().sasl == b"GS2-KRB5")
    found = POINTER(gss.Oid)()
    expect("mechanism of it", gss.call("inquire_mech_for_saslname", byref(gss.buffer(b"GS2-KRB5")), byref(found), mech=found).ok().mech == KRB5)
    expect("name types", NT_HOST in gss.inquire_names(KRB5).ok().kinds)
    return {"source": shown(last.source)}


def by_oid(context, object):
    data = POINTER(gss.BufferSet)()
    return gss.call("inquire_sec_context_by_oid", context, gss.oid(object), byref(data), data=data).ok().data


def passed_on():
    """A context moves on as a token, and both sides go on talking."""
    i, a, _ = pair()
    exchange(i, a)
    token = gss.export_context(a).ok()
    expect("gone here", a.value is None)
    exchange(i, gss.import_context(token.token).ok().context)
    return {"exported": len(token.token)}


def bindings():
    i, a, last = pair(ours=gss.bindings(b"channel"), theirs=gss.bindings(b"channel"))
    first = gss.init(own_ticket(), flags=FLAGS, target=target(), mech=KRB5, binding=gss.bindings(b"channel")).ok()
    refused = gss.accept(None, first.token, binding=gss.bindings(b"another"))
    return {"bound": bool(last.flags & CHANNEL_BOUND), "refused": refused.major & 0xFFFF0000 == BAD_BINDINGS}


def names():
    """A party's name from the daemon, and imported ones beside it."""
    _, _, last = pair()
    alice = last.source
    text = shown(alice)
    imported = gss.import_name(text.encode(), NT_PRINCIPAL).ok().name
    expect("compared", gss.compare_name(alice, imported).ok().equal == 1)
    expect("another", gss.compare_name(alice, gss.import_name(b"bob@TEST.GAGE", NT_USER).ok().name).ok().equal == 0)
    canonical = gss.canonicalize_name(imported, KRB5).ok().name
    copy = gss.duplicate_name(alice).ok().name
    expect("copies", {shown(n) for n in (canonical, copy, gss.duplicate_name(canonical).ok().name)} == {text})
    exported = gss.export_name(alice).ok().data
    expect("exported alike", exported == gss.export_name(canonical).ok().data == gss.export_name(copy).ok().data)
    expect("by the mechanism's public OID", KRB5 in exported[:16])
    expect("imported again", shown(gss.import_name(exported, NT_EXPORT).ok().name) == text)
    host = gss.canonicalize_name(target(), KRB5).ok().name
    expect("a service", shown(host).startswith("host/localhost"))
    composite = gss.Buffer()
    gss.call("export_name_composite", alice, byref(composite)).ok()
    return {"text": text, "localname": gss.localname(alice, KRB5).ok().text.decode(), "userok": [gss.userok(alice, user) for user in (b"alice", b"bob")],
            "composite": len(gss.bytes_of(composite)) > len(exported), "attributes": attributes(alice)}


def attributes(name):
    found = {}
    for key in gss.inquire_name(name).ok().attributes or []:
        got = gss.get_name_attribute(name, key).ok()
        found[key.decode()] = [got.authenticated, got.complete, len(got.value)]
    return found


def credentials():
    """Of the daemon's: acquired, asked, added to, copied, exported, imported, used."""
    def cred_of(usage):
        return gss.acquire(usage=usage, mech=KRB5).ok().cred
    accepting, initiating = cred_of(ACCEPT), cred_of(INITIATE)
    q = gss.inquire_cred(initiating).ok()
    expect("initiates", (q.usage, q.mechs) == (INITIATE, [KRB5]) and q.left > 0)
    m = gss.inquire_cred_by_mech(initiating, KRB5).ok()
    expect("by mechanism", (m.usage, shown(m.name)) == (INITIATE, shown(q.name)) and m.initiate > 0)
    expect("accepts", gss.inquire_cred(accepting).ok().usage == ACCEPT)
    for pick in (lambda c: c, lambda c: gss.import_cred(gss.export_cred(c).ok().token).ok().cred):
        exchange(*pair(pick(initiating), pick(accepting))[:2])
    named = gss.acquire(usage=INITIATE, mech=KRB5, name=gss.import_name(shown(q.name).encode(), NT_USER).ok().name).ok().cred
    copied, mechs = c_void_p(), POINTER(gss.OidSet)()
    added = gss.call("add_cred", named, None, gss.oid(SPNEGO), c_int(INITIATE), c_uint32(0), c_uint32(0), byref(copied), byref(mechs), None, None,
                     mechs=mechs)
    expect("added beside a copy", not added.ok().failed and set(added.mechs) == {KRB5, SPNEGO})
    exchange(*pair(copied)[:2])
    pair(copied, mech=SPNEGO)
    expect("not looked into", by_cred_oid(initiating).major & 0xFFFF0000 == UNAVAILABLE)
    return {"name": shown(q.name)}


def by_cred_oid(cred):
    data = POINTER(gss.BufferSet)()
    return gss.call("inquire_cred_by_oid", cred, gss.oid(SESSION_KEY), byref(data), data=data)


def local_credentials():
    """Of the real mechanism's: a store, a copy, a password."""
    own = own_ticket()
    again = gss.import_cred(gss.export_cred(own).ok().token).ok().cred
    expect("copied", shown(gss.inquire_cred(again).ok().name) == shown(gss.inquire_cred(own).ok().name))
    exchange(*pair(again)[:2])
    name = gss.import_name(b"bob@TEST.GAGE", NT_USER).ok().name
    bob = gss.acquire(password=os.environ["PASSWORD"].encode(), name=name, mech=KRB5).ok().cred
    _, _, last = pair(bob)
    enctypes = (c_int * 1)(18)
    allowed = gss_krb5("set_allowable_enctypes", bob, c_uint32(1), enctypes)
    return {"by password": shown(last.source), "allowed": allowed}


def gss_krb5(name, *args):
    minor = c_uint32()
    entry = getattr(gss.library, "gss_krb5_" + name)
    entry.restype = c_uint32
    return entry(byref(minor), *args)


def enctypes():
    """An option of the daemon's credential reaches the daemon: one encryption type that no ticket has."""
    cred = gss.acquire(usage=INITIATE, mech=KRB5).ok().cred
    for kinds, works in (((17, 18), True), ((25,), False)):
        array = (c_int * len(kinds))(*kinds)
        expect("set", gss_krb5("set_allowable_enctypes", cred, c_uint32(len(kinds)), array) == COMPLETE)
        expect("applied", gss.init(cred, flags=FLAGS, target=target("nfs@localhost"), mech=KRB5).failed != works)
    return {}


def delegation(cache, refused):
    """What was delegated acts for the user, and is stored where no ticket is."""
    i, a, last = pair(flags=FLAGS | DELEG, service="host@localhost")
    expect("delegated", last.flags & DELEG and last.delegated.value)
    gained = shown(gss.inquire_cred(last.delegated).ok().name)
    _, _, next_ = pair(last.delegated, service="nfs@localhost")
    expect("acts for the user", shown(next_.source) == gained)
    stored = store(last.delegated, cache)
    again = store(last.delegated, cache)
    kept_out = store(last.delegated, refused)
    return {"name": gained, "stored": [stored.major, again.major], "refused": kept_out.major, "why": gss.text_of(kept_out.minor, KRB5)}


def store(cred, cache, overwrite=1, default=1):
    rows = (gss.StoreElement * 1)(gss.StoreElement(b"ccache", cache.encode()))
    return gss.call("store_cred_into", cred, c_int(INITIATE), gss.oid(KRB5), c_uint32(overwrite), c_uint32(default), byref(gss.Store(1, rows)), None, None)


def kept_keys():
    """The daemon keeps the keys: messages go to it, nothing else can be had."""
    i, a, last = pair()
    exchange(i, a)
    q = gss.inquire_context(a).ok()
    expect("asked", shown(q.source) == shown(last.source) and q.open == 1)
    data = [(IOV_HEADER | ALLOCATE, None), (IOV_DATA, b"x")]
    refused = {"iov": gss.wrap_iov(a, data).major, "export": gss.export_context(a).major, "prf": gss.pseudo_random(a, b"in", 16).major}
    text = gss.text_of(gss.wrap_iov(a, data).minor, KRB5)
    exchange(i, a)
    expect("names stay", shown(gss.inquire_context(a).ok().source) == shown(last.source))
    gss.delete(a).ok()
    return {"refused": refused, "why": text}


def main():
    gss.call("release_buffer", byref(gss.Buffer()))
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))


if __name__ == "__main__":
    main()
