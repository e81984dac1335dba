"""A mechanism that the proxy knows nothing of but its name in `mechs`: the one-time-credential mechanism through the daemon."""
import base64
import os
import unittest

import gssapi
from daemon import Daemon, Wire
from gssx import ACCEPT, COMPLETE, CONTINUE, INITIATE, KRB5, NO_CRED, call, good, service
from realm import Realm

OTC_TEXT = "1.2.840.113556.1.8000.2554.24440.38443.969.19271.45423.7573767.5064887"
OTC = gssapi.OID.from_int_seq(OTC_TEXT).__bytes__()
SERVICES = """[service/accept]
  mechs = krb5, otc
  euid = {uid}
  socket = {dir}/sock
  cred_store = keytab:{keytab}
  cred_store = otc_secret_file:{dir}/b

[service/initiate]
  mechs = otc
  euid = {uid}
  socket = {dir}/a.sock
  cred_store = otc_secret_file:{dir}/a
"""


class OneTimeCredentials(unittest.TestCase):
    def setUp(self):
        self.realm = Realm()
        self.realm.start()
        self.addCleanup(self.realm.stop)
        self.daemon = Daemon(self.realm, SERVICES)
        text = base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
        for side in "ab":
            with open(os.open(self.daemon.path(side), os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
                f.write(f"gage-otc-secret 1\nside={side}\nsecret={text}\n")
        self.daemon.__enter__()
        self.addCleanup(self.daemon.__exit__)

    def test_both_roles_several_legs_and_messages_go_through_the_daemon(self):
        with Wire(self.daemon.path("a.sock")) as a, Wire(self.daemon.socket) as b:
            cred = good(b, "acquire_cred", usage=ACCEPT, mechs=[OTC])["cred"]
            self.assertEqual([e["mech"] for e in cred["elements"]], [OTC])
            first = good(a, "init_sec_context", target=service("gage@anybody"), mech=OTC, flags=2 | 4 | 8 | 16 | 32)
            self.assertEqual((first["status"]["major"], first["context"]["token"]), (CONTINUE, b""))
            second = good(b, "accept_sec_context", token=first["token"], cred=cred)
            self.assertEqual((second["status"]["major"], second["context"]["token"]), (CONTINUE, b""))
            third = good(a, "init_sec_context", context=first["context"], token=second["token"], target=service("gage@anybody"), mech=OTC,
                         flags=2 | 4 | 8 | 16 | 32)
            self.assertEqual(third["status"]["major"], COMPLETE)
            fourth = good(b, "accept_sec_context", context=second["context"], token=third["token"], cred=cred)
            self.assertEqual((fourth["status"]["major"], fourth["context"]["mech"]), (COMPLETE, OTC))
            wrapped = good(a, "wrap", context=third["context"], messages=[b"hello"], conf=True)
            opened = good(b, "unwrap", context=fourth["context"], tokens=wrapped["tokens"])
            self.assertEqual((opened["messages"], opened["conf"]), ([b"hello"], 1))

    def test_kerberos_beside_it_is_served_from_the_same_service(self):
        os.environ.update({k: v for k, v in self.realm.env.items() if k.startswith("KRB5")})
        context = gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate")
        with Wire(self.daemon.socket) as wire:
            good(wire, "accept_sec_context", token=context.step())
            both = good(wire, "acquire_cred", usage=ACCEPT)["cred"]
            self.assertEqual({e["mech"] for e in both["elements"]}, {KRB5, OTC})

    def test_a_service_without_it_does_not_give_it(self):
        with Wire(self.daemon.path("a.sock")) as wire:
            self.assertEqual(call(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5])["status"]["major"], NO_CRED)


if __name__ == "__main__":
    unittest.main()
