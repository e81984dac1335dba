"""What the local mechanism and the daemon could each do: one verdict counts, and nothing of one side is taken for the other's."""
import json
import os
import subprocess
import sys
import unittest

from kit import ACCEPT_ONLY, BOTH_ROLES, DAEMONS, HERE, REALM, Realm, daemon_for, first_token

FAILURE, DUPLICATE_ELEMENT = 13 << 16, 17 << 16
BEHAVIORS = ("LOCAL_ONLY", "LOCAL_FIRST", "REMOTE_FIRST", "REMOTE_ONLY")


class Mixed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def guest(self, daemon, scenario, *args, behavior="REMOTE_FIRST", env=None, **more):
        env = dict(env or daemon.client_env(behavior), PEER_ENV=daemon.path("peer.json"), **more)
        with open(env["PEER_ENV"], "w") as f:
            json.dump(self.realm.env, f)
        done = subprocess.run([sys.executable, os.path.join(HERE, "guest.py"), scenario, *args], env=env, capture_output=True, text=True,
                              timeout=100)
        self.assertEqual(done.returncode, 0, f"{scenario}: {done.returncode}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def test_a_token_that_was_accepted_is_refused_ever_after_whoever_could_accept_it_too(self):
        """The program can read a keytab with the same key: its replay cache and the daemon's do not know of each other."""
        for program in DAEMONS:
            with daemon_for(self.realm, ACCEPT_ONLY, program=program) as daemon:
                for behavior in BEHAVIORS:
                    for scenario in (("accept",), ("accept_with", "2")):
                        with self.subTest(program=program, behavior=behavior, scenario=scenario):
                            token = first_token(self.realm)
                            once, again = self.guest(daemon, *scenario, token, token, behavior=behavior,
                                                     KRB5_KTNAME="FILE:" + self.realm.keytab, KRB5RCACHENAME="file2:" + daemon.path("own"))
                            self.assertEqual(once.get("name"), f"alice@{REALM}", once)
                            self.assertNotIn("name", again)

    def test_a_message_longer_than_the_protocol_can_say_is_refused_not_cut(self):
        with daemon_for(self.realm, ACCEPT_ONLY + "keep_keys = yes\n") as daemon:
            found = self.guest(daemon, "sign_more_than_four_gib", behavior="REMOTE_ONLY")
            self.assertEqual(found["long"]["major"], FAILURE, found)
            self.assertIn("longer", found["long"]["text"])
            self.assertEqual(found["short"]["major"], 0, found)

    def test_a_kept_credential_is_overwritten_only_where_that_is_asked_for(self):
        for program in DAEMONS:
            with self.subTest(program=program), daemon_for(self.realm, BOTH_ROLES, program=program) as daemon:
                first, second, third = self.guest(daemon, "store_twice", "FILE:" + daemon.path("kept"), behavior="REMOTE_ONLY")
                self.assertEqual([first["major"], second["major"], third["major"]], [0, DUPLICATE_ELEMENT, 0], second)
                self.assertIn("overwritten", second["text"])

    def test_a_principal_named_by_its_address_is_read_before_it_is_freed(self):
        with daemon_for(self.realm, BOTH_ROLES) as daemon:
            for behavior in BEHAVIORS:
                with self.subTest(behavior=behavior):
                    self.assertEqual(self.guest(daemon, "name_by_pointer", behavior=behavior)[0], f"alice@{REALM}")

    def test_a_cache_that_keeps_a_daemons_credential_is_nobodys_ticket(self):
        """The real mechanism takes the entry for a ticket, and then has none for the KDC."""
        with daemon_for(self.realm, BOTH_ROLES) as daemon:
            cache = "FILE:" + daemon.path("kept")
            self.guest(daemon, "store_twice", cache, behavior="REMOTE_ONLY")
            for behavior in BEHAVIORS[1:]:
                with self.subTest(behavior=behavior):
                    self.assertEqual(self.guest(daemon, "initiate_with_acquired", behavior=behavior, KRB5CCNAME=cache)["major"] & ~1, 0)

    def test_the_flags_say_whether_a_context_can_be_passed_on(self):
        for more, can in (("", True), ("keep_keys = yes\n", False)):
            with self.subTest(more=more), daemon_for(self.realm, ACCEPT_ONLY + more) as daemon:
                self.assertEqual(self.guest(daemon, "flags_and_export", behavior="REMOTE_ONLY"), [can] * 3)


if __name__ == "__main__":
    unittest.main()
