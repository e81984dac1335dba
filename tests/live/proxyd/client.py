"""An application that uses GSS-API: one command, one line of JSON. Which library answers (direct, packaged plugin) is the environment's
business.

  initiate SERVICE [KEY=VALUE...]   prints the first token (base64)
  initiate_as NAME SERVICE          with a credential acquired by that name
  impersonate NAME SERVICE          acts for that user (S4U2Self), then initiates
  accept                            tokens, one a line on standard input, or as argument: accepts, prints who it is
  pair SERVICE ROLE                 both roles: ROLE (initiate or accept) in this environment, the other in a child with the environment
                                    of $PEER_ENV (a JSON file); wraps and unwraps both ways
"""
import base64
import json
import os
import subprocess
import sys

import gssapi
from gssapi.raw.misc import GSSError


def b64(data):
    return base64.b64encode(data).decode()


def describe(error):
    return {"error": type(error).__name__, "major": getattr(error, "maj_code", 0), "minor": getattr(error, "min_code", 0),
            "text": str(error)}


def target(service):
    return gssapi.Name(service, gssapi.NameType.hostbased_service)


MECHS = {"krb5": gssapi.OID.from_int_seq("1.2.840.113554.1.2.2"), "spnego": gssapi.OID.from_int_seq("1.3.6.1.5.5.2")}
FLAGS = gssapi.RequirementFlag


def initiator(service, mech="krb5", flags="mutual", creds=None):
    wanted = FLAGS.confidentiality | FLAGS.integrity | FLAGS.replay_detection
    if "mutual" in flags:
        wanted |= FLAGS.mutual_authentication
    if "deleg" in flags:
        wanted |= FLAGS.delegate_to_peer
    return gssapi.SecurityContext(name=target(service), mech=MECHS[mech], flags=wanted, usage="initiate", creds=creds)


def options(args):
    return dict(a.split("=", 1) for a in args)


def initiate(service, *args):
    return {"token": b64(initiator(service, **options(args)).step() or b"")}


def initiate_as(name, service):
    creds = gssapi.Credentials(name=gssapi.Name(name, gssapi.NameType.kerberos_principal), usage="initiate", mechs=[MECHS["krb5"]])
    return {"token": b64(initiator(service, creds=creds).step() or b""), "name": str(creds.name)}


def impersonate(name, service):
    own = gssapi.Credentials(usage="initiate", mechs=[MECHS["krb5"]])
    creds = own.impersonate(gssapi.Name(name, gssapi.NameType.kerberos_principal), usage="initiate", mechs=[MECHS["krb5"]])
    return {"token": b64(initiator(service, creds=creds).step() or b"")}


def accept(*tokens):
    opts = options(a for a in tokens if "=" in a and not a.endswith("="))
    tokens = [t for t in tokens if "=" not in t or t.endswith("=")]
    creds = gssapi.Credentials(usage="accept") if opts.get("creds") == "yes" else None
    context = gssapi.SecurityContext(usage="accept", creds=creds)
    out = context.step(base64.b64decode(tokens[0]))
    result = {"complete": context.complete, "token": b64(out or b"")}
    if context.complete:
        result.update(name=str(context.initiator_name), lifetime=context.lifetime,
                      delegated=context.delegated_creds is not None,
                      flags=int(context.actual_flags))
    return result


def read_token(stream):
    line = stream.readline()
    if not line:
        raise EOFError("the peer ended")
    return base64.b64decode(line)


def handshake(context, mine, send, receive):
    token = None
    if not mine:
        token = receive()
    while True:
        out = context.step(token)
        if out:
            send(out)
        if context.complete:
            return
        token = receive()


def exchange(context, mine, send, receive):
    if mine:
        send(context.wrap(b"ping" * 1000, True).message)
        assert context.unwrap(receive()).message == b"pong" * 1000
        send(context.get_signature(b"signed"))
    else:
        assert context.unwrap(receive()).message == b"ping" * 1000
        send(context.wrap(b"pong" * 1000, True).message)
        context.verify_signature(b"signed", receive())


def one_side(role, service, opts, send, receive):
    mine = role == "initiate"
    creds = None
    if opts.pop("creds", "") == "yes":
        creds = gssapi.Credentials(usage=role)
    context = initiator(service, creds=creds, **opts) if mine else gssapi.SecurityContext(usage="accept", creds=creds)
    handshake(context, mine, send, receive)
    exchange(context, mine, send, receive)
    return {"initiator": str(context.initiator_name), "target": str(context.target_name), "mech": context.mech.dotted_form,
            "lifetime": context.lifetime}


def side(role, service, *args):
    """The child's half of `pair`: tokens on standard streams."""
    def send(token):
        sys.stdout.write(b64(token) + "\n")
        sys.stdout.flush()
    result = one_side(role, service, options(args), send, lambda: read_token(sys.stdin))
    with open(os.environ["SIDE_RESULT"], "w") as f:
        json.dump(result, f)


def pair(service, role, *args):
    other = "accept" if role == "initiate" else "initiate"
    with open(os.environ["PEER_ENV"]) as f:
        env = json.load(f)
    env["SIDE_RESULT"] = os.environ["PEER_ENV"] + ".result"
    peer_args = [a for a in args if not a.startswith("creds=")]
    child = subprocess.Popen([sys.executable, __file__, "side", other, service, *peer_args], env=env, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)

    def send(token):
        child.stdin.write(b64(token) + "\n")
        child.stdin.flush()
    try:
        mine = one_side(role, service, options(args), send, lambda: read_token(child.stdout))
        child.stdin.close()
        assert child.wait(60) == 0
    finally:
        if child.poll() is None:
            child.kill()
    with open(env["SIDE_RESULT"]) as f:
        return {"mine": mine, "theirs": json.load(f)}


def acquire(usage, *args):
    opts = options(args)
    name = gssapi.Name(opts["name"], gssapi.NameType.user) if "name" in opts else None
    creds = gssapi.Credentials(name=name, usage=usage)
    return {"name": str(creds.name), "lifetime": creds.lifetime, "usage": creds.usage}


def localname(name):
    from gssapi.raw import localname as local
    canonical = gssapi.Name(name, gssapi.NameType.user).canonicalize(MECHS["krb5"])
    return {"localname": local(canonical).decode()}


def main():
    commands = {f.__name__: f for f in (initiate, initiate_as, impersonate, accept, pair, acquire, side, localname)}
    try:
        result = commands[sys.argv[1]](*sys.argv[2:])
    except GSSError as error:
        if sys.argv[1] == "side":
            raise
        result = describe(error)
    if sys.argv[1] != "side":
        print(json.dumps(result))


if __name__ == "__main__":
    main()
