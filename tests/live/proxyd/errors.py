"""What goes wrong with Kerberos, one failure a test: the client's status and the daemon's log say what happened and what to do."""
import base64
import os
import shutil
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor

import gssapi
from daemon import Daemon, Wire, wait_for
from gssx import ACCEPT, COMPLETE, INITIATE, KRB5, call, good, option, service, user
from realm import REALM, Realm

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
SERVICES = """[service/accept]
  mechs = krb5, spnego
  euid = {uid}
  socket = {dir}/sock
  cred_store = keytab:{dir}/keytab
  cred_usage = accept

[service/initiate]
  mechs = krb5
  euid = {uid}
  socket = {dir}/initiate
  cred_store = keytab:{dir}/keytab
  cred_store = client_keytab:{dir}/client-keytab
  cred_store = ccache:FILE:{dir}/cache

[service/impersonate]
  mechs = krb5
  euid = {uid}
  socket = {dir}/impersonate
  cred_store = keytab:{keytab}
  cred_store = client_keytab:{keytab}
  krb5_principal = host/localhost
  trusted = yes
"""


class Errors(unittest.TestCase):
    def setUp(self):
        self.realm = Realm()
        self.realm.start()
        self.addCleanup(self.realm.stop)
        os.environ.update({k: v for k, v in self.realm.env.items() if k.startswith("KRB5")})

    def daemon(self, **more):
        daemon = Daemon(self.realm, SERVICES, **more)
        shutil.copy(self.realm.keytab, daemon.path("keytab"))
        self.addCleanup(daemon.__exit__)
        daemon.__enter__()
        return daemon

    def says(self, daemon, status, *words):
        """Client and log are told all of it, the advice last."""
        self.assertNotEqual(status["major"], COMPLETE)
        text = status["minor_string"].rstrip(b"\0").decode()
        for word in words:
            self.assertIn(word, text)
        found = text.replace("\\", "\\\\").replace('"', '\\"')[:300]
        wait_for(lambda: any("event=call_failed" in line and found in line for line in daemon.text().splitlines()), "the log's line: " + found)

    def token(self, target="host@localhost"):
        return gssapi.SecurityContext(name=gssapi.Name(target, gssapi.NameType.hostbased_service), usage="initiate").step()

    def accept(self, daemon, token, **more):
        with Wire(daemon.socket) as wire:
            return call(wire, "accept_sec_context", token=token, **more)["status"]

    def initiate(self, daemon, target="host@localhost", name=None):
        if os.path.exists(daemon.path("cache")):
            os.unlink(daemon.path("cache"))
        with Wire(daemon.path("initiate")) as wire:
            return call(wire, "init_sec_context", target=name or service(target), mech=KRB5, flags=2)["status"]

    def client_keytab(self, daemon, principal="gage/localhost"):
        path = daemon.path("client-keytab")
        if os.path.exists(path):
            os.unlink(path)
        self.realm.kadmin(f"ktadd -k {path} {principal}")

    # ---- accepting ----

    def test_a_keytab_that_is_not_there_or_holds_nothing(self):
        daemon = self.daemon()
        for content in (None, b"\5\2", b"junk"):
            os.unlink(daemon.path("keytab"))
            if content is not None:
                with open(daemon.path("keytab"), "wb") as f:
                    f.write(content)
            self.says(daemon, self.accept(daemon, self.token()), daemon.path("keytab"), "check the service's keytab")
            open(daemon.path("keytab"), "wb").close()

    def test_a_keytab_that_the_daemons_user_may_not_read_is_named(self):
        daemon = self.daemon(settings="run_as_user = nobody\nlandlock = no\n")
        os.chmod(daemon.path("keytab"), 0o600)
        self.says(daemon, self.accept(daemon, self.token()), "Permission denied", "keytab:" + daemon.path("keytab"), "let the daemon's user read")

    def test_a_key_that_is_older_than_the_ticket(self):
        daemon = self.daemon()
        self.realm.kadmin("cpw -randkey host/localhost")
        self.realm.kinit("alice")
        self.says(daemon, self.accept(daemon, self.token()), "kvno 3 not found in keytab", "(ktadd)")

    def test_a_key_that_is_not_the_kdcs_though_its_number_is(self):
        daemon = self.daemon()
        self.realm.kadmin("delprinc -force nfs/localhost\nadd_principal -randkey nfs/localhost\ncpw -randkey nfs/localhost")
        self.says(daemon, self.accept(daemon, self.token("nfs@localhost")), "cannot decrypt ticket", "(ktadd)")

    def test_a_ticket_for_another_name_than_the_credentials(self):
        daemon = self.daemon()
        with Wire(daemon.socket) as wire:
            cred = good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5], name=user("HTTP/localhost@" + REALM))["cred"]
        self.says(daemon, self.accept(daemon, self.token(), cred=cred), "host/localhost", "HTTP/localhost", "asked for")

    def test_a_ticket_of_a_key_type_that_is_not_allowed(self):
        daemon = self.daemon()
        with Wire(daemon.socket) as wire:
            cred = good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"]
        cred["elements"][0]["options"] = [option("krb5_set_allowed_enctype_values", b"\x11\0\0\0")]
        self.says(daemon, self.accept(daemon, self.token(), cred=cred), "ncryption type", "permitted_enctypes")

    def test_a_replay(self):
        daemon = self.daemon()
        token = self.token()
        self.assertEqual(self.accept(daemon, token)["major"], COMPLETE)
        self.says(daemon, self.accept(daemon, token), "Request is a replay", "came twice")

    def test_a_clock_that_differs(self):
        daemon = self.daemon()
        self.token()
        source = ("import base64, gssapi; print(base64.b64encode(gssapi.SecurityContext(name=gssapi.Name('host@localhost',"
                  "gssapi.NameType.hostbased_service), usage='initiate').step()).decode())")
        done = subprocess.run(["/usr/bin/python3", "-c", source], capture_output=True, text=True, check=True,
                              env=dict(self.realm.env, LD_PRELOAD=FAKETIME, FAKETIME="+20m"))
        self.says(daemon, self.accept(daemon, base64.b64decode(done.stdout)), "Clock skew too great", "set the clocks")

    def test_tokens_that_are_none(self):
        daemon = self.daemon()
        for token, word in ((b"garbage", "damaged"), (self.token()[:-9], "damaged"), (b"\x60\x03\x06\x01\x2a", "mechanism is not installed")):
            self.says(daemon, self.accept(daemon, token), word)

    # ---- initiating ----

    def test_no_ticket_and_no_client_keytab(self):
        daemon = self.daemon()
        self.says(daemon, self.initiate(daemon), "No credentials cache found", "kinit", "client_keytab")

    def test_a_client_key_that_is_not_the_kdcs(self):
        daemon = self.daemon()
        self.client_keytab(daemon)
        self.realm.kadmin("cpw -randkey gage/localhost")
        self.says(daemon, self.initiate(daemon), "(ktadd)")

    def test_a_client_that_the_kdc_locks_lets_expire_or_does_not_know(self):
        daemon = self.daemon()
        self.client_keytab(daemon)
        for change, *words in (("modprinc -allow_tix", "have been revoked", "unlock"), ("modprinc +allow_tix -expire yesterday", "has expired", "modprinc -expire"),
                               ("delprinc -force", "gage/localhost", "not found in Kerberos database", "create the principal")):
            self.realm.kadmin(change + " gage/localhost")
            self.says(daemon, self.initiate(daemon), *words)

    def test_a_server_and_a_realm_that_the_kdc_does_not_know(self):
        daemon = self.daemon()
        self.client_keytab(daemon)
        self.says(daemon, self.initiate(daemon, "nobody@localhost"), "nobody/localhost", "not found in Kerberos database", "create the principal")
        name = user("host/x.example@NOWHERE.EXAMPLE")
        self.says(daemon, self.initiate(daemon, name=name), "krbtgt/NOWHERE.EXAMPLE", "domain_realm")

    def test_no_kdc(self):
        daemon = self.daemon()
        self.client_keytab(daemon)
        self.realm.stop_kdc()
        self.says(daemon, self.initiate(daemon), "Cannot contact any KDC", REALM, "check that the KDC runs")

    def test_a_cache_that_holds_another_names_tickets(self):
        daemon = self.daemon()
        self.client_keytab(daemon)
        self.initiate(daemon)
        with Wire(daemon.path("initiate")) as wire:
            status = call(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user("host/localhost@" + REALM))["status"]
        self.says(daemon, status, "does not match desired name", "leave out the ccache row")

    # ---- acting for others ----

    def test_impersonation_that_the_kdc_refuses(self):
        daemon = self.daemon()
        with Wire(daemon.path("impersonate")) as wire:
            own = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5])["cred"]
            wish = {"usage": INITIATE, "mechs": [KRB5], "cred": own, "options": [option("acquire_type", "impersonate_name")]}
            bob = good(wire, "acquire_cred", name=user("bob"), **wish)["cred"]
            status = call(wire, "init_sec_context", cred=bob, target=service("HTTP@localhost"), mech=KRB5, flags=2)["status"]
            self.says(daemon, status, "allow delegation for the service on the KDC")

    def test_the_text_of_an_earlier_failure_is_not_told_for_a_later_one(self):
        """MIT's library keeps texts by code and thread, and does not set one where it impersonates."""
        daemon = self.daemon()
        self.client_keytab(daemon)
        self.realm.kadmin("delprinc -force gage/localhost")
        with Wire(daemon.path("impersonate")) as wire:
            own = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5])["cred"]
            wish = {"usage": INITIATE, "mechs": [KRB5], "cred": own, "options": [option("acquire_type", "impersonate_name")]}
            for n in range(6):
                with ThreadPoolExecutor(6) as pool:  # a call that waits for the KDC has a thread of its own
                    for status in pool.map(lambda _: self.initiate(daemon), range(12)):
                        self.assertIn(b"gage/localhost", status["minor_string"])
                status = call(wire, "acquire_cred", name=user(f"nobody-{n}"), **wish)["status"]
                self.assertNotIn(b"gage/localhost", status["minor_string"])
                self.assertIn(f"nobody-{n}: Client not found in Kerberos database: create the principal".encode(), status["minor_string"])


if __name__ == "__main__":
    unittest.main()
