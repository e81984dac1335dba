"""Complete exchanges of the one-time-credential mechanism from fixed randomness: what is given, and every key, token and ciphertext of it.

/usr/bin/python3 tests/interop/otc_vectors.py >doc/vectors/otc.json     makes the published file anew
`expected(given)` computes one exchange; test_otc_vectors.py compares it, and what the plugin does, with the file.
"""
import hashlib
import json
import sys

import otc
from otc_core import (ACCEPTOR, ALWAYS, FOREVER, INITIATOR, NO_BINDINGS, REPLAY, SEQUENCE, Credential, Refused, Secret, bindings_of, expand,
                      extract, fresh_id, public_of)
from otc_message import CLASSES, DELETE, MIC, ROLES, WRAP_CONF, WRAP_INTEG
from otc_store import export_acceptor, export_context, export_initiator, secret_text

NOW = 4_000_000_000  # far ahead, so that nothing in the file expires on a machine with a true clock
KINDS = {"wrap": WRAP_CONF, "wrap without encryption": WRAP_INTEG, "mic": MIC, "delete": DELETE}
SIDES = {"link": (0x00, 0x00), "a": (0x61, 0x62), "b": (0x62, 0x61)}  # the initiator's and the acceptor's octet


class Draws:
    """Random bytes as section 14 orders them: a party's `random` is the list of draws it makes, in order."""

    def __init__(self, draws):
        self.draws = [bytes.fromhex(d) for d in draws]

    def __call__(self, n):
        drawn = self.draws.pop(0)
        if len(drawn) != n:
            raise AssertionError(f"{n} random bytes wanted where {len(drawn)} are given")
        return drawn


def bindings_from(given):
    if given is None:
        return NO_BINDINGS
    parts = [bytes.fromhex(given[key]) for key in ("initiator_address", "acceptor_address", "application_data")]
    return bindings_of(given["initiator_addrtype"], parts[0], given["acceptor_addrtype"], *parts[1:])


def hexes(**values):
    return {key.replace("_", " "): value.hex() for key, value in values.items()}


def parties(given):
    secret, sides = bytes.fromhex(given["secret"]), SIDES[given["side"]]
    psk = extract(b"gage/otc/1", secret)
    secrets = [Secret(side, expand(psk, b"psk", 32)) for side in sides]
    draws = [Draws(given[role]["random"]) for role in ("initiator", "acceptor")]
    texts = {key: given[key].encode() for key in ("label", "purpose", "title", "format")}
    credential = Credential(fresh_id(draws[0]), given["not_after"], **texts)
    clock = lambda: NOW
    mine, theirs = (bindings_from(given[role]["bindings"]) for role in ("initiator", "acceptor"))
    i = otc.Initiator(secrets[0], credential, given["flags"], given["initiator"]["lifetime"], mine, draws[0], clock)
    a = otc.Acceptor([secrets[1]], given["acceptor"]["lifetime"], theirs, None, draws[1], clock)
    return secrets[0], i, a


def expected(given):
    """Everything that follows from what is given."""
    secret, i, a = parties(given)
    out = {"secret text": secret_text(bytes.fromhex(given["secret"])), "principals": [i.ask.credential.principal(r) for r in (0, 1)]}
    out |= hexes(psk=secret.psk, header=i.header, prologue=otc.prologue_of(i.header), e1=public_of(i.e), payload_1=i.ask.encode(),
                 h_after_token_1=i.noise.h, ck_after_token_1=i.noise.ck, token_1=i.token1, exported_initiator_half_open=export_initiator(i),
                 exported_names=i.ask.credential.exported_name(0) + i.ask.credential.exported_name(1))
    try:
        out["token 2"] = (token2 := a.step(i.token1)).hex()
    except Refused as e:
        return out | {"refused": e.name, "token 2": e.token.hex()}
    out |= hexes(h_after_token_2=a.h, PRK=a.pending.prk, exported_acceptor_half_open=export_acceptor(a), token_3=i.step(token2))
    a.finish(bytes.fromhex(out["token 3"]))
    keys = {f"K[{name}][{ROLES[role][:1].decode()}]": expand(i.context.prk, name.encode() + b" " + ROLES[role], 32).hex()
            for name in ("wrap", "mic", "delete") for role in (0, 1)}
    out["keys"] = {**keys, "K[prf]": expand(i.context.prk, b"prf", 32).hex(),
                   "confirmation": expand(i.context.prk, b"confirm initiator", 32).hex()}
    out["prf"] = [i.context.prf(bytes.fromhex(p["in"]), p["length"]).hex() for p in given["prf"]]
    out["messages"] = [message(m, (i, a)) for m in given["messages"]]
    return out | hexes(exported_initiator=export_context(i.context, i.ask.bindings), exported_acceptor=export_context(a.context, a.bindings))


def message(given, sides):
    """One token, made by its sender and read by the other side."""
    role = INITIATOR if given["from"] == "initiator" else ACCEPTOR
    sender, receiver = sides[role].context, sides[1 - role].context
    sender.send = given.get("seq", sender.send)
    data, associated = bytes.fromhex(given["message"]), bytes.fromhex(given["associated"])
    kind = KINDS[given["kind"]]
    header = sender.next_header(kind)
    base = expand(sender.prk, CLASSES[kind] + b" " + ROLES[role], 32)
    okm = expand(base, header[:1] + header[2:10] + (sender.send >> 16).to_bytes(8, "big"), 44)
    token = sender.delete() if kind == DELETE else sender.send_token(kind, data, associated)
    status = read(receiver, kind, token, data, associated)
    return hexes(okm=okm, token=token) | {"status": status or "COMPLETE"}


def read(receiver, kind, token, data, associated):
    if kind == DELETE:
        return receiver.read_delete(token)
    if kind == MIC:
        return receiver.verify_mic(data, token)
    got, conf, status = receiver.unwrap(token, associated)
    assert (got, conf) == (data, kind == WRAP_CONF)
    return status


# The published cases

def draws(name, *sizes):
    return [hashlib.shake_256(f"{name} {n}".encode()).digest(size).hex() for n, size in enumerate(sizes)]


def case(name, side="link", flags=REPLAY | SEQUENCE, not_after=0, lifetimes=(604_800, FOREVER), bindings=(None, None), messages=(), prf=(), **texts):
    return {"name": name, "secret": draws(name + " secret", 32)[0], "side": side, "flags": ALWAYS | flags, "not_after": not_after,
            **{key: texts.get(key, "") for key in ("label", "purpose", "title", "format")},
            "initiator": {"random": draws(name + " initiator", 16, 16, 32, 8), "lifetime": lifetimes[0], "bindings": bindings[0]},
            "acceptor": {"random": draws(name + " acceptor", 32, 8), "lifetime": lifetimes[1], "bindings": bindings[1]},
            "prf": list(prf), "messages": list(messages)}


def token(sender, kind, data=b"", associated=b"", **seq):
    return {"from": sender, "kind": kind, "message": data.hex(), "associated": associated.hex(), **seq}


def channel(data, **more):
    return {"initiator_addrtype": 0, "initiator_address": "", "acceptor_addrtype": 0, "acceptor_address": "", "application_data": data.hex(),
            **more}


ALL_KINDS = [token(sender, kind, data) for sender in ("initiator", "acceptor")
             for kind, data in (("wrap", b"hello"), ("wrap", b""), ("wrap without encryption", b"clear text"), ("mic", b"signed"), ("mic", b""))]
ORDER = [token("initiator", "wrap", b"%d" % n, seq=n) for n in (0, 3, 1, 1, 2000, 2, 65_535, 65_536, 2**32, 2**64 - 2)]
PRF = [{"in": b"".hex(), "length": 32}, {"in": b"gage-startgss-1".hex(), "length": 100}]
CASES = [
    case("a link, every kind of message both ways", messages=ALL_KINDS + [token("acceptor", "delete"), token("initiator", "delete")], prf=PRF),
    case("side a initiates, bindings on both sides, all texts", "a", REPLAY, NOW + 600, (3600, 1800), (channel(b"tls-exporter:x"),) * 2,
                 [token("initiator", "wrap", b"body", b"header and footer"), token("acceptor", "wrap without encryption", b"body", b"header")],
                 label="Zo\u00eb's laptop", purpose="backup", title="ein Schl\u00fcssel", format="file"),
    case("side b initiates, bindings on one side, no flags, without end", "b", 0, 0, (FOREVER, FOREVER),
                 (channel(b"", initiator_addrtype=2, initiator_address="7f000001"), None), ORDER),
    case("sequence and re-keying", flags=SEQUENCE, messages=ORDER),
    case("replay detection alone", flags=REPLAY, messages=ORDER[:6]),
    case("different bindings", bindings=(channel(b"here"), channel(b"there"))),
]


def main():
    exchanges = [{"given": given, "expected": expected(given)} for given in CASES]
    json.dump({"document": "doc/otc.md", "now": NOW, "exchanges": exchanges}, sys.stdout, indent=1, ensure_ascii=True)
    print()


if __name__ == "__main__":
    main()
