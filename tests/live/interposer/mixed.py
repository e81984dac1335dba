"""What the local mechanism and the daemon could each do: one verdict counts, and nothing of one side is taken for the other's."""
import json
import os
import subprocess
import sys
import unittest

from kit import HERE, PACKAGED, PLUGIN, PROGRAM, REALM, Realm, daemon_for, first_token

ACCEPT_ONLY = "[service/test]\nmechs = krb5\neuid = {uid}\nsocket = {dir}/sock\ncred_store = keytab:{keytab}\n"
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
        env = dict(env or daemon.client_env(behavior), **more)
        done = subprocess.run([sys.executable, os.path.join(HERE, "guest.py"), scenario, *args], env=env, capture_output=True, text=True,
                              timeout=100)
        self.assertEqual(done.returncode, 0, f"{scenario}: {done.returncode}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def test_a_token_that_was_accepted_is_refused_ever_after_whoever_could_accept_it_too(self):
        """The program can read a keytab with the same key: its replay cache and the daemon's do not know of each other."""
        for program in (PROGRAM, PACKAGED):
            with daemon_for(self.realm, ACCEPT_ONLY, program=program) as daemon:
                for behavior in BEHAVIORS:
                    for scenario in (("accept",), ("accept_with", "2")):
                        with self.subTest(program=program, behavior=behavior, scenario=scenario):
                            token = first_token(self.realm)
                            once, again = self.guest(daemon, *scenario, token, token, behavior=behavior,
                                                     KRB5_KTNAME="FILE:" + self.realm.keytab, KRB5RCACHENAME="file2:" + daemon.path("own"))
                            self.assertEqual(once.get("name"), f"alice@{REALM}", once)
                            self.assertNotIn("name", again)


if __name__ == "__main__":
    unittest.main()
