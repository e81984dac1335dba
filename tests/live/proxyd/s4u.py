"""Impersonation with MIT's KDC: S4U2Self on request and by configuration, and what may be done with it.

MIT's built-in database knows no list of targets for constrained delegation, so towards another service the KDC has the last word: the
tests show that the request gets there only where the configuration allows it. What the KDC allows and refuses: delegation.py."""
import os
import struct
import unittest

import gssapi
from daemon import ACCEPTOR, Daemon, Wire
from gssx import (ACCEPT, COMPLETE, CONTINUE, INITIATE, KRB5, UNAUTHORIZED, call, good, option, service, uid_name, user)
from realm import REALM, Realm

IMPERSONATE = [option("acquire_type", "impersonate_name")]
OWN = "host/localhost@" + REALM


class Impersonation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm(users=("alice", "bob", "root"))
        cls.realm.start()
        cls.realm.kadmin("modprinc +ok_to_auth_as_delegate host/localhost")
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def daemon(self, *lines):
        return Daemon(self.realm, ACCEPTOR + "  cred_store = client_keytab:{keytab}\n  krb5_principal = host/localhost\n" +
                      "".join(f"  {line}\n" for line in lines))

    def own(self, wire):
        return good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user(OWN))["cred"]

    def as_bob(self, wire, cred):
        return call(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user("bob@" + REALM), cred=cred, options=IMPERSONATE)

    def start_towards(self, wire, cred, target):
        return call(wire, "init_sec_context", cred=cred, target=service(target), mech=KRB5, flags=2)

    def test_a_client_may_impersonate_only_where_protocol_transition_is_allowed(self):
        with self.daemon() as daemon, Wire(daemon.socket) as wire:
            status = self.as_bob(wire, self.own(wire))["status"]
            self.assertEqual(status["major"], UNAUTHORIZED)
            self.assertIn(b"allow_protocol_transition", status["minor_string"])

    def test_the_impersonated_credential_works_towards_the_impersonator_itself(self):
        with self.daemon("allow_protocol_transition = yes") as daemon, Wire(daemon.socket) as wire:
            result = self.as_bob(wire, self.own(wire))
            self.assertEqual(result["status"]["major"], COMPLETE, result["status"]["minor_string"])
            self.assertEqual(result["cred"]["name"]["display"], f"bob@{REALM}".encode())
            first = self.start_towards(wire, result["cred"], "host@localhost")
            self.assertEqual(first["status"]["major"], CONTINUE, first["status"]["minor_string"])
            acceptor = gssapi.SecurityContext(usage="accept")
            acceptor.step(first["token"])
            self.assertEqual(str(acceptor.initiator_name), f"bob@{REALM}")

    def test_towards_others_it_is_refused_here_without_and_asked_of_the_kdc_with_constrained_delegation(self):
        for lines, allowed in ((("allow_protocol_transition = yes",), False),
                               (("allow_protocol_transition = yes", "allow_constrained_delegation = yes"), True)):
            with self.daemon(*lines) as daemon, Wire(daemon.socket) as wire:
                cred = self.as_bob(wire, self.own(wire))["cred"]
                status = self.start_towards(wire, cred, "nfs@localhost")["status"]
                self.assertEqual(status["major"] == UNAUTHORIZED, not allowed, status["minor_string"])
                self.assertEqual(b"allow_constrained_delegation" in status["minor_string"], not allowed)
                with open(self.realm.path("kdc.log")) as f:
                    asked = "CONSTRAINED-DELEGATION" in f.read().upper()
                if allowed:
                    self.assertTrue(asked, "the KDC was asked")

    def test_impersonate_gives_each_user_a_credential_in_their_own_name(self):
        services = """[service/web]
  mechs = krb5
  euid = 10099
  allow_any_uid = yes
  socket = {dir}/sock
  impersonate = yes
  cred_usage = initiate
  cred_store = keytab:{keytab}
  krb5_principal = host/localhost
"""
        with Daemon(self.realm, services) as daemon, Wire(daemon.socket) as wire:
            result = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5])  # we are root, and so called
            self.assertEqual(result["cred"]["name"]["display"], f"root@{REALM}".encode())
            for _ in range(3):  # the second time from the daemon's warm copy
                first = self.start_towards(wire, result["cred"], "host@localhost")
                self.assertEqual(first["status"]["major"], CONTINUE, first["status"]["minor_string"])
                acceptor = gssapi.SecurityContext(usage="accept")
                acceptor.step(first["token"])
                self.assertEqual(str(acceptor.initiator_name), f"root@{REALM}")

    def test_a_trusted_service_names_the_uid_it_acts_for(self):
        services = """[service/nfs-client]
  mechs = krb5
  euid = {uid}
  socket = {dir}/sock
  trusted = yes
  cred_usage = initiate
  cred_store = keytab:{keytab}
  cred_store = client_keytab:{dir}/%U.keytab
"""
        with Daemon(self.realm, services) as daemon, Wire(daemon.socket) as wire:
            self.realm.kadmin(f"ktadd -norandkey -k {daemon.path('4711.keytab')} bob")
            result = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=uid_name(4711))
            self.assertEqual(result["cred"]["name"]["display"], f"bob@{REALM}".encode())
            self.assertNotEqual(call(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=uid_name(4712))["status"]["major"], COMPLETE)

    def test_a_service_that_is_not_trusted_cannot(self):
        with self.daemon() as daemon, Wire(daemon.socket) as wire:
            result = call(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=uid_name(4711))
            self.assertNotEqual(result["status"]["major"], COMPLETE)


if __name__ == "__main__":
    unittest.main()
