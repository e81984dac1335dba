"""The packaged client plugin (proxymech.so) against gage-proxyd, unmodified: acceptor, initiator, every GSSPROXY_BEHAVIOR."""
import base64
import json
import shutil
import unittest

from daemon import PACKAGED, PROGRAM, Daemon, Wire, run_client, wait_for
from gssx import ACCEPT, BOTH, COMPLETE, KRB5, NT_PRINCIPAL, call, good, service
from realm import REALM, Realm

INITIATOR = """[service/test]
  mechs = krb5
  euid = {uid}
  socket = {dir}/sock
  cred_store = keytab:{keytab}
  cred_store = client_keytab:{keytab}
  cred_store = ccache:FILE:{dir}/service-cache
  krb5_principal = gage/localhost
  trusted = yes
"""


class Plugin(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def pair(self, daemon, role, behavior="REMOTE_FIRST", extra=(), **more):
        with open(daemon.path("peer.json"), "w") as f:
            json.dump(self.realm.env, f)
        env = daemon.client_env(behavior, PEER_ENV=daemon.path("peer.json"), **more)
        return run_client("pair", "host@localhost", role, *extra, env=env)

    def check(self, result, initiator):
        self.assertNotIn("error", result)
        for side in ("mine", "theirs"):
            self.assertEqual(result[side]["initiator"], f"{initiator}@{REALM}")

    def test_an_acceptor_without_a_keytab_accepts_and_exchanges_messages(self):
        with Daemon(self.realm) as daemon:
            for extra in ((), ("creds=yes",), ("mech=spnego",)):
                with self.subTest(extra=extra):
                    self.check(self.pair(daemon, "accept", extra=extra), "alice")

    def test_an_initiator_without_a_ticket_initiates_and_exchanges_messages(self):
        with Daemon(self.realm, INITIATOR) as daemon:
            self.check(self.pair(daemon, "initiate"), "gage/localhost")
            self.check(self.pair(daemon, "initiate", extra=("creds=yes",)), "gage/localhost")

    def test_every_behavior_does_what_its_name_says(self):
        with Daemon(self.realm, settings="debug_level = 1\n") as daemon:
            for behavior, works in (("LOCAL_ONLY", False), ("REMOTE_FIRST", True), ("LOCAL_FIRST", True), ("REMOTE_ONLY", True)):
                with self.subTest(behavior=behavior):
                    before = daemon.text().count('procedure="accept_sec_context"')
                    result = self.pair_or_error(daemon, behavior)
                    self.assertEqual("error" not in result, works, result)
                    if works:
                        wait_for(lambda: daemon.text().count('procedure="accept_sec_context"') > before, "the call's line")
                    self.assertEqual(daemon.text().count('procedure="accept_sec_context"') > before, works)

    def pair_or_error(self, daemon, behavior):
        token = run_client("initiate", "host@localhost", env=self.realm.env)["token"]
        return daemon.client("accept", token, behavior=behavior)

    def test_krb5_principal_is_a_default_and_binds_only_calls_without_a_credential(self):
        """Both daemons; that the name which a client asks for binds is ours alone (gssproxy.conf(5) says nothing of it)."""
        for program in (PACKAGED, PROGRAM):
            with self.subTest(program=program), Daemon(self.realm, INITIATOR, program=program) as daemon, Wire(daemon.socket) as wire:
                own, other = "gage@localhost", "HTTP@localhost"  # own: krb5_principal
                for extra in ((), ("creds=yes",)):
                    for target in (own, other):
                        result = daemon.client("accept", self.token_for(target), *extra)
                        self.assertEqual(result.get("name"), f"alice@{REALM}", (extra, target, result))
                self.assertEqual((self.accepts(wire, own), self.accepts(wire, other)), (True, False))
                for usage in (ACCEPT, BOTH):
                    unnamed = good(wire, "acquire_cred", usage=usage, mechs=[KRB5])["cred"]
                    self.assertEqual(unnamed["name"]["display"], f"gage/localhost@{REALM}".encode())
                    self.assertEqual((self.accepts(wire, own, cred=unnamed), self.accepts(wire, other, cred=unnamed)), (True, True))
                # By a name in just the form that krb5_principal gets: the default credential handed in is not what is asked for.
                asked = {"usage": ACCEPT, "mechs": [KRB5], "name": dict(service("gage/localhost"), type=NT_PRINCIPAL)}
                for more in ({}, {"cred": unnamed}):
                    named = good(wire, "acquire_cred", **asked, **more)["cred"]
                    self.assertEqual(self.accepts(wire, own, cred=named), True)
                    self.assertEqual(self.accepts(wire, other, cred=named), program == PACKAGED)

    def token_for(self, target):
        return run_client("initiate", target, env=self.realm.env)["token"]

    def accepts(self, wire, target, **more):
        return call(wire, "accept_sec_context", token=base64.b64decode(self.token_for(target)), **more)["status"]["major"] == COMPLETE

    def test_every_behavior_of_an_initiator_with_and_without_ticket_and_daemon(self):
        """The local ticket is alice's, the daemon's credential gage/localhost's: who comes first shows in the name."""
        local, remote = f"alice@{REALM}", f"gage/localhost@{REALM}"
        expected = {  # behavior: with both, ticket only, daemon only, neither
            "LOCAL_ONLY": (local, local, None, None), "LOCAL_FIRST": (local, local, remote, None),
            "REMOTE_FIRST": (remote, local, remote, None), "REMOTE_ONLY": (remote, None, remote, None),
            "NO_SUCH_WORD": (remote, local, remote, None), None: (remote, local, remote, None)}  # Debian's default
        with Daemon(self.realm, INITIATOR) as daemon:
            for behavior, names in expected.items():
                for i, name in enumerate(names):
                    with self.subTest(behavior=behavior, ticket=i in (0, 1), daemon=i in (0, 2)):
                        self.assertEqual(self.initiates_as(daemon, behavior, i in (0, 1), i in (0, 2)), name)

    def initiates_as(self, daemon, behavior, ticket, up):
        env = daemon.client_env(behavior or "")
        if behavior is None:
            del env["GSSPROXY_BEHAVIOR"]
        if ticket:
            shutil.copy(self.realm.path("ccache"), daemon.path("ticket"))
            env["KRB5CCNAME"] = "FILE:" + daemon.path("ticket")
        if not up:
            env["GSSPROXY_SOCKET"] = daemon.path("nobody-listens")
        result = run_client("initiate", "host@localhost", env=env)
        if "error" in result:
            return None
        acceptor = run_client("accept", result["token"], env=self.realm.env)
        return acceptor["name"]

    def test_with_its_own_keytab_local_first_leaves_the_daemon_alone(self):
        with Daemon(self.realm, settings="debug_level = 1\n") as daemon:
            token = run_client("initiate", "host@localhost", env=self.realm.env)["token"]
            result = daemon.client("accept", token, behavior="LOCAL_FIRST", KRB5_KTNAME="FILE:" + self.realm.keytab)
            self.assertTrue(result["complete"])
            self.assertNotIn('procedure="accept_sec_context"', daemon.text())

    def test_delegated_credentials_come_through(self):
        services = "[service/test]\nmechs = krb5\neuid = {uid}\nsocket = {dir}/sock\ncred_store = keytab:{keytab}\n"
        self.realm.kinit("alice", options=("-f",))
        with Daemon(self.realm, services) as daemon:
            token = run_client("initiate", "host@localhost", "flags=mutual,deleg", env=self.realm.env)["token"]
            result = daemon.client("accept", token)
            self.assertTrue(result["complete"], result)
            self.assertTrue(result["delegated"])

    def test_the_reason_of_a_kerberos_error_reaches_the_client_with_what_to_do(self):
        services = "[service/test]\nmechs = krb5\neuid = {uid}\nsocket = {dir}/sock\ncred_store = keytab:{dir}/no-keytab\n"
        with Daemon(self.realm, services) as daemon:
            token = run_client("initiate", "host@localhost", env=self.realm.env)["token"]
            result = daemon.client("accept", token, behavior="REMOTE_ONLY")
            self.assertIn("no-keytab", result["text"])
            self.assertIn("check the service's keytab", result["text"])
            wait_for(lambda: "check the service's keytab" in daemon.text(), "the reason in the log")
            shutil.copy(self.realm.keytab, daemon.path("no-keytab"))
            token = run_client("initiate", "host@localhost", env=self.realm.env)["token"]
            self.assertTrue(daemon.client("accept", token)["complete"], "a repaired keytab works at once")


if __name__ == "__main__":
    unittest.main()
