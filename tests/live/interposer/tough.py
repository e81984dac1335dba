"""A GSS program in trouble: tough.py SCENARIO [ARGS...]. Prints lines of JSON. Tokens are base64."""
import base64
import json
import os
import socket
import stat
import subprocess
import sys
import threading

import gssapi

KRB5 = gssapi.OID.from_int_seq("1.2.840.113554.1.2.2")


def say(value):
    print(json.dumps(value), flush=True)


def accept_one(token):
    context = gssapi.SecurityContext(usage="accept")
    try:
        context.step(base64.b64decode(token) if isinstance(token, str) else token)
        return {"name": str(context.initiator_name), "flags": int(context.actual_flags), "left": context.lifetime}
    except Exception as error:  # a name that is no text, too: the daemon lies
        return {"error": str(error)}


def own():
    return gssapi.Credentials(usage="initiate", store={"ccache": os.environ["TICKET"]}, mechs=[KRB5])


def begin(creds=None):
    return gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate", mech=KRB5, creds=creds)


def guarded(make):
    try:
        make()
        return {}
    except gssapi.exceptions.GSSError as error:
        return {"error": str(error)}


def accept(token):
    say(accept_one(token))


def accept_all(*tokens):
    say([accept_one(token) for token in tokens])


def accept_one_by_one(*tokens):
    for token in tokens[:-1]:
        say(accept_one(token))
        sys.stdin.readline()
    say(accept_one(tokens[-1]))


def accept_many(n):
    creds, results = own(), []
    for _ in range(int(n)):
        context = gssapi.SecurityContext(usage="accept")
        initiator = begin(creds)
        try:
            answer = context.step(initiator.step())
            initiator.step(answer)
            str(context.initiator_name)
            context.unwrap(initiator.wrap(b"message", True).message)
            results.append("good")
        except Exception as error:
            results.append(str(error))
    say(results)


def acquire(_token):
    say(guarded(lambda: gssapi.Credentials(usage="initiate", mechs=[KRB5])))


def initiate(_token):
    say(guarded(lambda: begin().step()))


def forks(n):
    creds = own()
    accept_one(begin(creds).step())
    children = []
    for _ in range(int(n)):
        child = os.fork()
        if child == 0:
            good = [accept_one(begin(creds).step()).get("name") for _ in range(5)]
            os._exit(0 if good == ["alice@TEST.GAGE"] * 5 else 1)
        children.append(child)
    parent = {accept_one(begin(creds).step()).get("name") for _ in range(20)}
    say({"children": [os.waitpid(child, 0)[1] for child in children], "parent": parent.pop() if len(parent) == 1 else sorted(map(str, parent))})


def sockets():
    return [fd for fd in map(int, os.listdir("/proc/self/fd")) if os.path.exists(f"/proc/self/fd/{fd}") and
            stat.S_ISSOCK(os.fstat(fd).st_mode)]


def executes():
    accept_one(begin(own()).step())
    count = "import os, stat; print(sum(os.readlink(f'/proc/self/fd/{fd}').startswith('socket:') for fd in os.listdir('/proc/self/fd') if os.path.lexists(f'/proc/self/fd/{fd}')))"
    assert len(sockets()) == 1, "the connection is kept"
    say({"sockets": int(subprocess.run([sys.executable, "-c", count], capture_output=True, text=True, close_fds=False).stdout)})


def reuses():
    """As daemons do that close everything they do not know; then files and sockets of their own get the numbers."""
    creds = own()
    accept_one(begin(creds).step())
    mine = sockets()
    for fd in mine:
        os.close(fd)
    one, two = socket.socketpair()
    assert {one.fileno(), two.fileno()} & set(mine), "a number is used again"
    result = accept_one(begin(creds).step())
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    one.sendall(b"mine")
    two.settimeout(5)
    say({"name": result.get("name"), "files": "untouched" if two.recv(10) == b"mine" else "read"})


def changes_user(uid, before, token):
    accept_one(before)
    assert len(sockets()) == 1
    os.seteuid(int(uid))
    result = accept_one(token)
    say(result)


def threads(n, each):
    creds, failed, done = own(), [], []

    def work():
        for _ in range(int(each)):
            initiator = begin(creds)
            context = gssapi.SecurityContext(usage="accept")
            try:
                initiator.step(context.step(initiator.step()))
                assert context.unwrap(initiator.wrap(b"text", True).message).message == b"text"
                done.append(1)
            except Exception as error:
                failed.append(str(error))
    all_ = [threading.Thread(target=work) for _ in range(int(n))]
    for thread in all_:
        thread.start()
    for thread in all_:
        thread.join()
    say({"done": len(done), "failed": failed[:3]})


def failures(token):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
    import gss
    elsewhere = []
    failed = gss.accept(None, base64.b64decode(token))
    first = gss.text_of(failed.minor, gss.KRB5)
    thread = threading.Thread(target=lambda: elsewhere.append(gss.text_of(failed.minor, gss.KRB5)))
    thread.start()
    thread.join()
    say({"text": first, "elsewhere": elsewhere[0], "again": gss.text_of(failed.minor, gss.KRB5)})


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
