"""What is recorded of calls: one audit line for each use of a credential, with every field; metrics that count what was done."""
import os
import re
import socket
import sys
import unittest

import gssapi
from daemon import Daemon, Wire, wait_for
from gssx import ACCEPT, BOTH, COMPLETE, INITIATE, KRB5, SPNEGO, call, good, option, service, uid_name, user
from realm import REALM, Realm

SERVICES = """[service/own]
  mechs = krb5, spnego
  euid = {uid}
  socket = {dir}/sock
  cred_store = keytab:{keytab}
  cred_store = client_keytab:{keytab}
  cred_store = ccache:FILE:{dir}/cache
  krb5_principal = host/localhost
  trusted = yes
"""
FIELDS = ["procedure", "service", "uid", "pid", "program", "acting_uid", "mech", "target", "result", "us"]


def fields(line):
    return dict((key, text if number == "" else int(number)) for key, text, number in re.findall(r' (\w+)=(?:"([^"]*)"|(\d+))', line))


class Recorded(unittest.TestCase):
    def setUp(self):
        self.realm = Realm()
        self.realm.start()
        self.addCleanup(self.realm.stop)
        self.realm.kadmin("modprinc +ok_to_auth_as_delegate host/localhost")
        os.environ.update({k: v for k, v in self.realm.env.items() if k.startswith("KRB5")})
        self.daemon = Daemon(self.realm, SERVICES, settings="metrics_socket = {dir}/metrics\n")
        self.addCleanup(self.daemon.__exit__)
        self.daemon.__enter__()
        self.wire = Wire(self.daemon.socket)
        self.addCleanup(self.wire.socket.close)

    def uses(self):
        return [fields(line) for line in self.daemon.text().splitlines() if line.startswith("event=credential_use ")]

    def token(self):
        return gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate").step()

    def test_each_use_of_a_credential_is_one_line_with_who_what_towards_whom_and_how_it_ended(self):
        wire, own, seen = self.wire, f"host/localhost@{REALM}", 0

        def used(procedure, result, target="", acting=os.getuid()):
            """`result`: None for any failure."""
            nonlocal seen
            wait_for(lambda: len(self.uses()) > seen, "the line of " + procedure)
            (use,) = self.uses()[seen:]
            seen += 1
            self.assertEqual([key for key in use if key != "reason"], FIELDS)
            self.assertEqual("reason" in use, use["result"] not in ("complete", "continue"))
            self.assertEqual((use["service"], use["uid"], use["pid"]), ("own", os.getuid(), os.getpid()))
            self.assertEqual(use["program"], os.path.realpath(sys.executable))
            self.assertEqual((use["procedure"], use["acting_uid"], use["mech"], use["target"]), (procedure, acting, "krb5", target))
            self.assertEqual(use["result"] if "reason" not in use else None, result)

        mine = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5])["cred"]
        used("acquire_cred", "complete")
        good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user(own))
        used("acquire_cred", "complete", own)
        call(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user("nobody-here"))
        used("acquire_cred", None, "nobody-here")
        call(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=uid_name(4711))
        used("acquire_cred", "complete", "4711", acting=4711)
        good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], cred=mine, name=user("bob"), options=[option("acquire_type", "impersonate_name")])
        used("acquire_cred", "complete", "bob")
        handle = good(wire, "export_cred", cred=mine, usage=BOTH)["handle"]
        used("export_cred", "complete")
        good(wire, "import_cred", handle=handle)
        used("import_cred", "complete")
        call(wire, "store_cred", cred=mine, usage=INITIATE, mech=KRB5, overwrite=True)
        used("store_cred", "complete", "FILE:" + self.daemon.path("cache"))
        first = good(wire, "init_sec_context", cred=mine, target=service("nfs@localhost"), mech=KRB5, flags=2)
        used("init_sec_context", "continue", "nfs@localhost")
        self.assertTrue(first["token"])
        token = self.token()
        context = good(wire, "accept_sec_context", token=token)["context"]
        used("accept_sec_context", "complete", f"alice@{REALM}")
        call(wire, "accept_sec_context", token=token)
        used("accept_sec_context", None)
        for procedure, more in (("wrap", {"context": context, "messages": [b"a"]}), ("indicate_mechs", {}), ("get_call_context", {}),
                                ("import_and_canon_name", {"name": user("alice")}), ("release_cred", {"type": 1, "cred": mine})):
            good(wire, procedure, **more)
        self.assertEqual(len(self.uses()), seen, "no credential is used there")

    def scrape(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.daemon.path("metrics"))
            s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            text = b""
            while more := s.recv(65536):
                text += more
        head, body = text.split(b"\r\n\r\n", 1)
        self.assertIn(f"Content-Length: {len(body)}".encode(), head)
        return {key: float(value) for key, value in re.findall(r"(?m)^(gage_proxyd_\S+) (\S+)$", body.decode())}

    def test_metrics_count_what_was_done(self):
        before = self.scrape()
        done = {"null": 3, "indicate_mechs": 2, "acquire_cred": 4, "accept_sec_context": 5, "init_sec_context": 1, "wrap": 2}
        failed = {"acquire_cred": 1, "accept_sec_context": 2}
        for _ in range(3):
            self.wire.call(0)
        for _ in range(2):
            good(self.wire, "indicate_mechs")
        for _ in range(3):
            good(self.wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])
        call(self.wire, "acquire_cred", usage=ACCEPT, mechs=[b"\x2a\x03"])
        for _ in range(3):
            context = good(self.wire, "accept_sec_context", token=self.token())["context"]
        for _ in range(2):
            call(self.wire, "accept_sec_context", token=b"none")
        good(self.wire, "init_sec_context", target=service("nfs@localhost"), mech=SPNEGO, flags=2)
        for _ in range(2):
            context = good(self.wire, "wrap", context=context, messages=[b"a"])["context"]
        garbage = self.wire.call(9, b"\0" * 8)
        self.assertEqual(garbage[20:24], b"\0\0\0\4")
        done["accept_sec_context"] += 1
        failed["accept_sec_context"] += 1
        with Wire(self.daemon.path("sock")):
            after = {}

            def counted():
                after.update(self.scrape())
                return sum(v for k, v in after.items() if "calls_total" in k) - sum(v for k, v in before.items() if "calls_total" in k) == sum(done.values())

            wait_for(counted, "the last call's count")
            self.assertEqual(after["gage_proxyd_connections"], 2)
        for name, expected in (("calls_total", done), ("call_failures_total", failed)):
            for key in (k for k in after if k.startswith("gage_proxyd_" + name)):
                procedure = re.search('procedure="([^"]+)"', key).group(1)
                self.assertEqual(after[key] - before[key], expected.get(procedure, 0), key)
        self.assertEqual(after["gage_proxyd_messages_bad_total"] - before["gage_proxyd_messages_bad_total"], 1)
        for key in after:
            if "call_seconds_total" in key and (p := re.search('procedure="([^"]+)"', key).group(1)) in done and p != "null":
                self.assertGreater(after[key], before[key], key)


if __name__ == "__main__":
    unittest.main()
