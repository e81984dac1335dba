"""Limits and shares: what one uid, connection or slow client takes, it takes from itself."""
import os
import subprocess
import sys
import unittest

from daemon import Daemon, Wire, wait_for
from gssx import ACCEPT, KRB5, good
from realm import Realm

ANY = """[service/any]
  mechs = krb5
  euid = {uid}
  allow_any_uid = yes
  socket = {dir}/sock
  cred_store = keytab:{keytab}
"""
ONE, OTHER = 10001, 10002


class Limits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()
        os.chmod(cls.realm.dir, 0o755)
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def as_uid(self, daemon, uid, *args):
        """as_uid.py as that uid, ended with the test."""
        script = os.path.join(daemon.scripts(), "as_uid.py")
        process = subprocess.Popen([sys.executable, script, *map(str, args)], user=uid, group=uid, extra_groups=[], text=True,
                                   env=dict(self.realm.env, PYTHONDONTWRITEBYTECODE="1"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.communicate)
        return process

    def ask(self, process):
        process.stdin.write("\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    # ---- turns ----

    def test_one_connection_gets_its_share_beside_sixty_of_another_uid(self):
        with Daemon(self.realm, ANY, settings="audit = off\n") as daemon:
            crowd, one = (self.as_uid(daemon, uid, "load", n, daemon.socket, 16) for uid, n in ((ONE, 60), (OTHER, 1)))
            before = wait_for(lambda: self.both_at_work(crowd, one), "both at work")
            wait_for(lambda: int(self.ask(one)) > before[1] + 3000, "calls of the one")
            counts = [int(self.ask(p)) - n for p, n in zip((crowd, one), before)]
            self.assertLess(counts[0] / counts[1], 10, "in the order in which calls come it would be 60")

    def both_at_work(self, *processes):
        counts = [int(self.ask(p)) for p in processes]
        return counts if min(counts) > 500 else None


if __name__ == "__main__":
    unittest.main()
