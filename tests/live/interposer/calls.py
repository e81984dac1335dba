"""Every call that an application may make, through gage_proxy.so, with gage-proxyd and with the packaged gssproxy behind it."""
import json
import os
import shutil
import subprocess
import sys
import unittest

from kit import ACCEPT_ONLY, BOTH_ROLES, DAEMONS, HERE, REALM, Between, Realm, daemon_for, run_client

UNAVAILABLE, DUPLICATE_ELEMENT = 16 << 16, 17 << 16


class Calls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()
        cls.realm.kinit("alice", options=("-f",))

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def app(self, daemon, scenario, *args, behavior="REMOTE_FIRST", **more):
        env = daemon.client_env(behavior, TICKET=self.realm.env["KRB5CCNAME"], **more)
        done = subprocess.run([sys.executable, os.path.join(HERE, "app.py"), scenario, *args], env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, f"{scenario}: {done.returncode}\n{done.stdout}{done.stderr}")
        self.assertEqual(done.stderr, "", "a library is silent")
        return json.loads(done.stdout)

    def through_both(self, check, services=ACCEPT_ONLY):
        for program in DAEMONS:
            with self.subTest(program=program), daemon_for(self.realm, services, program=program) as daemon:
                check(daemon)

    def test_messages_in_one_and_in_pieces_and_the_prf_are_the_real_mechanisms(self):
        def check(daemon):
            self.app(daemon, "messages")
            self.app(daemon, "messages", "spnego")
        self.through_both(check)

    def test_contexts_and_mechanisms_answer_what_the_real_ones_would(self):
        def check(daemon):
            self.assertEqual(self.app(daemon, "inquiries")["source"], f"alice@{REALM}")
        self.through_both(check)

    def test_a_context_is_exported_and_imported(self):
        def check(daemon):
            self.assertGreater(self.app(daemon, "passed_on")["exported"], 100)
        self.through_both(check)

    def test_channel_bindings_reach_the_daemon(self):
        def check(daemon):
            self.assertEqual(self.app(daemon, "bindings"), {"bound": True, "refused": True})
        self.through_both(check)

    def test_names_are_compared_exported_and_mapped_and_have_their_attributes(self):
        def check(daemon):
            found = self.app(daemon, "names")
            self.assertEqual((found["text"], found["localname"], found["userok"]), (f"alice@{REALM}", "alice", [1, 0]))
            self.assertTrue(found["composite"])
            self.assertTrue(found["attributes"], "the KDC's PAC")
        self.through_both(check)

    def test_the_daemons_credentials_are_asked_copied_exported_and_used(self):
        def check(daemon):
            self.assertEqual(self.app(daemon, "credentials")["name"], f"gage/localhost@{REALM}")
        self.through_both(check, BOTH_ROLES)

    def test_the_real_mechanisms_credentials_too_and_passwords_stay_local(self):
        def check(daemon):
            found = self.app(daemon, "local_credentials", PASSWORD=self.realm.passwords["bob"])
            self.assertEqual(found, {"by password": f"bob@{REALM}", "allowed": 0})
        self.through_both(check)

    def test_encryption_types_of_a_credential_reach_the_daemon(self):
        def check(daemon):
            self.app(daemon, "enctypes")
        self.through_both(check, BOTH_ROLES)

    def test_delegated_credentials_act_are_stored_and_serve_a_later_program(self):
        def check(daemon):
            cache, taken = "FILE:" + daemon.path("stored"), daemon.path("taken")
            shutil.copy(self.realm.path("ccache"), taken)
            before = open(taken, "rb").read()
            found = self.app(daemon, "delegation", cache, "FILE:" + taken)
            self.assertEqual((found["name"], found["stored"]), (f"alice@{REALM}", [0, 0]))
            self.assertEqual(found["refused"], DUPLICATE_ELEMENT)
            self.assertIn("name another cache", found["why"])
            self.assertEqual(open(taken, "rb").read(), before, "the user's ticket")
            for extra in ((), ("creds=yes",)):
                result = run_client("pair", "nfs@localhost", "initiate", *extra, env=self.peer(daemon, cache))
                self.assertNotIn("error", result)
                self.assertEqual(result["theirs"]["initiator"], f"alice@{REALM}")
        self.through_both(check)

    def peer(self, daemon, cache):
        with open(daemon.path("peer.json"), "w") as f:
            json.dump(self.realm.env, f)
        return daemon.client_env("REMOTE_ONLY", KRB5CCNAME=cache, PEER_ENV=daemon.path("peer.json"))

    def test_where_the_daemon_keeps_the_keys_messages_go_to_it(self):
        services = ACCEPT_ONLY + "keep_keys = yes\nmax_contexts = 4\n"
        with daemon_for(self.realm, services) as daemon, Between(daemon) as between:
            found = self.app(daemon, "kept_keys", GSSPROXY_SOCKET=between.path)
            self.assertEqual(found["refused"], {"iov": UNAVAILABLE, "export": UNAVAILABLE, "prf": UNAVAILABLE})
            self.assertIn("keep_keys", found["why"])
            self.assertEqual((between.procedures[0], between.procedures[-1]), (9, 10), "accepted first, released last")
            self.assertEqual({n: between.procedures.count(n) for n in (9, 10, 11, 12, 13, 14, 15)}, {9: 1, 10: 1, 11: 4, 12: 4, 13: 8, 14: 6, 15: 2})


if __name__ == "__main__":
    unittest.main()
