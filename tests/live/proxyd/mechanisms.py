"""Every procedure for every mechanism that `mechs` can name, both sides of each context in the daemon: krb5, SPNEGO and the
one-time-credential mechanism, contexts handed out sealed and contexts kept inside (keep_keys)."""
import base64
import os
import unittest

from daemon import Daemon, Wire
from gssx import (ACCEPT, BOTH, COMPLETE, CONTINUE, DEFECTIVE_CRED, INITIATE, KRB5, NAME, NO_CONTEXT, SPNEGO, call, empty, find, good,
                  option, service, user)
from otc import OTC
from realm import REALM, Realm

CREDENTIALS = """  euid = {uid}
  cred_store = keytab:{keytab}
  cred_store = client_keytab:{keytab}
  cred_store = ccache:FILE:{dir}/cache_%U
  krb5_principal = gage/localhost
  trusted = yes
"""
SERVICES = "".join(f"[service/{name}{kind}]\n  socket = {{dir}}/{name}{kind}\n{mechs}{keep}"
                   for kind, mechs in (("", "  mechs = krb5, spnego\n" + CREDENTIALS),
                                       ("-otc-a", "  mechs = otc\n  euid = {uid}\n  cred_store = otc_secret_file:{dir}/a\n"),
                                       ("-otc-b", "  mechs = otc\n  euid = {uid}\n  cred_store = otc_secret_file:{dir}/b\n"))
                   for name, keep in (("clear", ""), ("inside", "  keep_keys = yes\n")))
FLAGS = 2 | 4 | 8 | 16 | 32
MECHS = {"krb5": KRB5, "spnego": SPNEGO, "otc": OTC}


class Mechanisms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()
        cls.daemon = Daemon(cls.realm, SERVICES)
        text = base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
        for side in "ab":
            with open(os.open(cls.daemon.path(side), os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
                f.write(f"gage-otc-secret 1\nside={side}\nsecret={text}\n")
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__()
        cls.realm.stop()

    def sides(self, keep, name):
        """A wire to the service that initiates and one to the service that accepts."""
        wires = [Wire(self.daemon.path(keep + (f"-otc-{side}" if name == "otc" else ""))) for side in "ab"]
        for wire in wires:
            self.addCleanup(wire.socket.close)
        return wires

    def each(self):
        for keep in ("clear", "inside"):
            for name, mech in MECHS.items():
                yield keep, name, mech, *self.sides(keep, name)

    def creds(self, a, b, mech):
        return (good(a, "acquire_cred", usage=INITIATE, mechs=[mech])["cred"], good(b, "acquire_cred", usage=ACCEPT, mechs=[mech])["cred"])

    def establish(self, a, b, mech, mine=None, theirs=None, **more):
        """Both contexts, established leg by leg; the number of calls it took."""
        context, other, token, legs = None, None, None, 0
        while True:
            left = good(a, "init_sec_context", context=context, cred=mine, target=service("gage@localhost"), mech=mech, flags=FLAGS,
                        token=token, **more)
            context, legs = left["context"], legs + 1
            if left["token"]:
                right = good(b, "accept_sec_context", context=other, cred=theirs, token=left["token"])
                other, token, legs = right["context"], right["token"], legs + 1
            if left["status"]["major"] == right["status"]["major"] == COMPLETE:
                return context, other, legs
            self.assertLess(legs, 9)

    def test_credentials_are_acquired_exported_imported_used_and_released(self):
        for _, name, mech, a, b in self.each():
            mine, theirs = self.creds(a, b, mech)
            for wire, cred, usage, time in ((a, mine, INITIATE, "initiator_time"), (b, theirs, ACCEPT, "acceptor_time")):
                self.assertEqual([(e["mech"], e["usage"]) for e in cred["elements"]], [(mech, usage)])
                self.assertGreater(cred["elements"][0][time], 0)
            pair = []
            for wire, cred in ((a, mine), (b, theirs)):
                exported = good(wire, "export_cred", cred=cred, usage=BOTH)
                pair.append(good(wire, "import_cred", handle=exported["handle"])["cred"])
                self.assertEqual(call(wire, "import_cred", handle=cred["handle"])["status"]["major"], DEFECTIVE_CRED)
            self.establish(a, b, mech, *pair)
            for wire, cred in ((a, mine), (b, theirs)):
                good(wire, "release_cred", type=1, cred=cred)

    def test_the_lifetime_asked_for_is_what_the_mechanism_makes_of_it(self):
        """As without the daemon: OTC shortens a credential and a context, MIT's krb5 heeds neither."""
        for _, name, mech, a, b in self.each():
            cred = good(a, "acquire_cred", usage=INITIATE, mechs=[mech], time=100)["cred"]
            context, other, _ = self.establish(a, b, mech, time=200)
            again = good(a, "import_cred", handle=good(a, "export_cred", cred=cred, usage=BOTH)["handle"])["cred"]
            for told, most in ((cred["elements"][0]["initiator_time"], 100), (again["elements"][0]["initiator_time"], 100),
                               (context["lifetime"], 200), (other["lifetime"], 200)):
                self.assertEqual(0 < told <= most, name == "otc", (name, told, most))

    def test_a_credential_is_stored_where_its_mechanism_stores_and_else_refused_with_a_reason(self):
        for _, name, mech, a, _ in self.each():
            cred = good(a, "acquire_cred", usage=INITIATE, mechs=[mech])["cred"]
            stored = call(a, "store_cred", cred=cred, usage=INITIATE, mech=mech, overwrite=True, default=False)
            if name == "otc":
                self.assertNotEqual(stored["status"]["major"], COMPLETE)
                self.assertTrue(stored["status"]["minor_string"] or stored["status"]["major_string"])
            else:
                self.assertEqual(stored["status"]["major"], COMPLETE, stored["status"])
                self.assertIn(mech, stored["stored"])

    def test_a_context_is_established_with_and_without_credentials_and_told_whole(self):
        for keep, name, mech, a, b in self.each():
            for creds in ((None, None), self.creds(a, b, mech)):
                context, other, _ = self.establish(a, b, mech, *creds)
                for side, local in ((context, 1), (other, 0)):
                    self.assertEqual((side["local"], side["open"], side["needs_release"]), (local, 1, int(keep == "inside")))
                    self.assertEqual(side["flags"] & FLAGS, FLAGS)
                    self.assertEqual(bool(side["token"]), keep == "clear")
                    self.assertGreater(side["lifetime"], 0)
                    for which in ("source", "target"):
                        self.assertTrue(side[which]["display"] and side[which]["exported"], which)
                        again = good(b, "import_and_canon_name", name=dict(empty(NAME), exported=side[which]["exported"]))
                        self.assertEqual(again["name"]["display"], side[which]["display"])

    def test_per_message_calls_go_both_ways_in_arrays(self):
        for keep, name, mech, a, b in self.each():
            left, right, _ = self.establish(a, b, mech)
            for i in range(2):
                sent = [b"", b"two" * 700, os.urandom(40000)]
                wrapped = good(a, "wrap", context=left, messages=sent, conf=True)
                opened = good(b, "unwrap", context=right, tokens=wrapped["tokens"])
                self.assertEqual((opened["messages"], opened["conf"], wrapped["conf"]), (sent, 1, 1))
                signed = good(b, "get_mic", context=opened["context"], message=b"signed")
                seen = good(a, "verify", context=wrapped["context"], message=b"signed", token=signed["token"])
                bad = call(a, "verify", context=seen["context"], message=b"Signed", token=signed["token"])
                self.assertNotEqual(bad["status"]["major"], COMPLETE)
                plain = good(b, "wrap", context=signed["context"], messages=[b"seen by all"], conf=False)
                self.assertEqual(plain["conf"], 0)
                heard = good(a, "unwrap", context=bad["context"], tokens=plain["tokens"])
                self.assertEqual((heard["messages"], heard["conf"]), ([b"seen by all"], 0))
                left, right = heard["context"], plain["context"]
            limit = good(a, "wrap_size_limit", context=left, conf=True, size=4096)["limit"]
            token = good(a, "wrap", context=left, messages=[bytes(limit)], conf=True)
            self.assertLessEqual(len(token["tokens"][0]), 4096)
            if keep == "clear":  # one kept inside has one state for as long as it lives
                self.assertEqual(call(a, "wrap", context=left, messages=[b"again"])["status"]["major"], NO_CONTEXT)
            good(a, "release_context", type=0, context=token["context"])
            self.assertEqual(call(a, "wrap", context=token["context"], messages=[b"gone"])["status"]["major"], NO_CONTEXT)


if __name__ == "__main__":
    unittest.main()
