"""Constrained delegation with a KDC that knows who may delegate to whom (LDAP back end): host/localhost may delegate to nfs/localhost and
to nobody else. Through the daemon's own calls, and through the packaged plugin."""
import base64
import json
import os
import shutil
import subprocess
import sys
import unittest

import gssapi
from daemon import ACCEPTOR, HERE, Daemon, Wire
from gssx import BOTH, CONTINUE, FAILURE, INITIATE, KRB5, UNAUTHORIZED, call, good, option, service, user
from realm import REALM
from realm_ldap import LdapRealm

IMPERSONATE = [option("acquire_type", "impersonate_name")]
OWN = "host/localhost@" + REALM
FRONT = ACCEPTOR + "  cred_store = client_keytab:{keytab}\n  krb5_principal = host/localhost\n"
WEB = """[service/web]
  mechs = krb5
  euid = 10099
  allow_any_uid = yes
  socket = {dir}/sock
  impersonate = yes
  cred_usage = initiate
  cred_store = keytab:{keytab}
  krb5_principal = host/localhost
"""
BOB = 10001


class Delegation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = LdapRealm()
        cls.realm.start()
        os.chmod(cls.realm.dir, 0o755)
        cls.realm.kadmin("modprinc +ok_to_auth_as_delegate host/localhost")
        cls.realm.delegate("host/localhost", "nfs/localhost")
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def front(self, *lines):
        return Daemon(self.realm, FRONT + "".join(f"  {line}\n" for line in lines))

    def towards(self, wire, cred, target):
        return call(wire, "init_sec_context", cred=cred, target=service(target), mech=KRB5, flags=2)

    def as_bob(self, wire):
        own = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user(OWN))["cred"]
        return good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user("bob@" + REALM), cred=own, options=IMPERSONATE)["cred"]

    def check_token(self, token, target, name):
        """The target's acceptor sees the user, and the ticket is for that target."""
        acceptor = gssapi.SecurityContext(usage="accept")
        acceptor.step(token)
        self.assertEqual((str(acceptor.initiator_name), str(acceptor.target_name)), (f"{name}@{REALM}", f"{target}/localhost@{REALM}"))

    def check_kdc_refused(self, status):
        self.assertEqual(status["major"], FAILURE, status["minor_string"])
        self.assertIn(b"allow delegation for the service on the KDC", status["minor_string"])

    # ---- the daemon's own calls ----

    def test_an_impersonated_user_reaches_the_service_the_kdc_allows_and_no_other(self):
        with self.front("allow_protocol_transition = yes", "allow_constrained_delegation = yes") as daemon, Wire(daemon.socket) as wire:
            cred = self.as_bob(wire)
            first = self.towards(wire, cred, "nfs@localhost")
            self.assertEqual(first["status"]["major"], CONTINUE, first["status"]["minor_string"])
            self.check_token(first["token"], "nfs", "bob")
            self.check_kdc_refused(self.towards(wire, cred, "HTTP@localhost")["status"])

    def test_what_the_kdc_allows_is_refused_here_without_the_option(self):
        with self.front("allow_protocol_transition = yes") as daemon, Wire(daemon.socket) as wire:
            cred = self.as_bob(wire)
            self.assertEqual(self.towards(wire, cred, "nfs@localhost")["status"]["major"], UNAUTHORIZED)

    def test_a_ticket_that_a_user_presented_is_evidence_for_acting_for_that_user(self):
        """S4U2Proxy without S4U2Self: alice authenticates to host, host goes on to nfs for her."""
        for lines, allowed in (((), False), (("allow_constrained_delegation = yes",), True)):
            with self.front(*lines) as daemon, Wire(daemon.socket) as wire:
                cred = good(wire, "acquire_cred", usage=BOTH, mechs=[KRB5], name=user(OWN))["cred"]
                token = gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate").step()
                alice = good(wire, "accept_sec_context", token=token, cred=cred, ret_deleg=True)["delegated"]
                self.assertIsNotNone(alice)
                self.assertEqual(alice["name"]["display"], f"alice@{REALM}".encode())
                first = self.towards(wire, alice, "nfs@localhost")
                if allowed:
                    self.check_token(first["token"], "nfs", "alice")
                    self.check_kdc_refused(self.towards(wire, alice, "HTTP@localhost")["status"])
                else:
                    self.assertEqual(first["status"]["major"], UNAUTHORIZED, first["status"]["minor_string"])

    def test_a_delegation_taken_back_on_the_kdc_ends_with_the_ticket_that_used_it(self):
        with self.front("allow_protocol_transition = yes", "allow_constrained_delegation = yes") as daemon, Wire(daemon.socket) as wire:
            cred = self.as_bob(wire)
            self.assertEqual(self.towards(wire, cred, "nfs@localhost")["status"]["major"], CONTINUE)
            self.realm.delegate("host/localhost", "HTTP/localhost")
            try:
                self.check_kdc_refused(self.towards(wire, cred, "nfs@localhost")["status"])
                self.check_token(self.towards(wire, cred, "HTTP@localhost")["token"], "HTTP", "bob")
            finally:
                self.realm.delegate("host/localhost", "nfs/localhost")

    # ---- impersonate = yes: each user in their own name ----

    def accounts(self, daemon):
        for name, text in (("passwd", f"root:x:0:0::/:/bin/sh\nbob:x:{BOB}:{BOB}::/:/bin/sh\n"), ("group", f"root:x:0:\nbob:x:{BOB}:\n")):
            with open(daemon.path(name), "w") as f:
                f.write(text)
        daemon.wrap_accounts()

    def restart_with_accounts(self, daemon):
        daemon.stop()
        self.accounts(daemon)
        daemon.start()

    def plugin_client(self, daemon, command, *args, uid=None):
        """client.py with the packaged plugin, copied to where any uid can read it."""
        there = daemon.path("client.py")
        shutil.copy(os.path.join(HERE, "client.py"), there)
        env = daemon.client_env("REMOTE_ONLY", KRB5CCNAME="FILE:" + daemon.path(f"client/{uid or 0}"), PYTHONDONTWRITEBYTECODE="1")
        os.makedirs(daemon.path("client"), exist_ok=True)
        os.chmod(daemon.path("client"), 0o1777)
        done = subprocess.run([sys.executable, there, command, *args], env=env, capture_output=True, text=True, timeout=60,
                              **({"user": uid, "group": uid, "extra_groups": []} if uid else {}))
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def test_the_packaged_plugin_initiates_as_the_calling_user_where_the_kdc_allows(self):
        with Daemon(self.realm, WEB) as daemon:
            self.restart_with_accounts(daemon)
            got = self.plugin_client(daemon, "initiate", "nfs@localhost", uid=BOB)
            self.assertIn("token", got, got)
            self.check_token(base64.b64decode(got["token"]), "nfs", "bob")
            refused = self.plugin_client(daemon, "initiate", "HTTP@localhost", uid=BOB)
            self.assertIn("allow delegation for the service on the KDC", refused.get("text", ""), refused)

    def test_no_name_a_client_asks_for_makes_it_another_user(self):
        with Daemon(self.realm, WEB) as daemon:
            self.restart_with_accounts(daemon)
            got = self.plugin_client(daemon, "initiate_as", f"alice@{REALM}", "nfs@localhost", uid=BOB)
            if "token" in got:
                self.check_token(base64.b64decode(got["token"]), "nfs", "bob")
            else:
                self.assertIn("error", got)

    # ---- gss_acquire_cred_impersonate_name through the packaged plugin ----

    def test_the_packaged_plugin_impersonates_on_request_only_where_it_is_allowed(self):
        for lines, works in (((), False), (("allow_protocol_transition = yes", "allow_constrained_delegation = yes"), True)):
            with self.front(*lines) as daemon:
                got = self.plugin_client(daemon, "impersonate", f"bob@{REALM}", "nfs@localhost")
                self.assertEqual("token" in got, works, got)
                if not works:
                    self.assertIn("allow_protocol_transition", got["text"])
                    continue
                self.check_token(base64.b64decode(got["token"]), "nfs", "bob")
                refused = self.plugin_client(daemon, "impersonate", f"bob@{REALM}", "HTTP@localhost")
                self.assertIn("allow delegation for the service on the KDC", refused.get("text", ""), refused)


if __name__ == "__main__":
    unittest.main()
