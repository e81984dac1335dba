"""Ticket caches and keytabs where their users can write: what a user exchanges, links or locks there is that user's own loss."""
import base64
import json
import os
import shutil
import subprocess
import unittest

import gssapi
from daemon import Daemon, wait_for
from realm import REALM, Realm

HOME = """[service/home]
  mechs = krb5
  euid = 10099
  allow_any_uid = yes
  socket = {dir}/sock
  cred_usage = initiate
  cred_store = ccache:%s
  max_blocked = 2
  call_deadline = 60s
"""
BOB, CAROL = 10001, 10002
# Initiates so many times; prints each time the token or what was wrong.
INITIATE = """
import base64, json
from daemon import Wire
from gssx import KRB5, call, service
with Wire(sys.argv[1]) as wire:
    for _ in range(int(sys.argv[2])):
        got = call(wire, "init_sec_context", target=service("host@localhost"), mech=KRB5, flags=2)
        print(json.dumps([got["status"]["major"], got["status"]["minor_string"].decode(), base64.b64encode(got["token"] or b"").decode()]), flush=True)
"""
# Holds a lock on the file until its input ends.
LOCK = "import fcntl\nf = open(sys.argv[1], 'r+')\nfcntl.lockf(f, fcntl.LOCK_EX)\nprint('locked', flush=True)\nsys.stdin.read()\n"
# Exchanges two names, again and again.
EXCHANGE = """
import ctypes
libc, a, b = ctypes.CDLL(None), sys.argv[1].encode(), sys.argv[2].encode()
print("begun", flush=True)
while libc.renameat2(-100, a, -100, b, 2) == 0:
    pass
"""
STORE = """
import base64
from daemon import Wire
from gssx import INITIATE, KRB5, call, good
with Wire(sys.argv[1]) as wire:
    cred = good(wire, "accept_sec_context", token=base64.b64decode(sys.argv[2]), ret_deleg=True)["delegated"]
    print(call(wire, "store_cred", cred=cred, usage=INITIATE, mech=KRB5, overwrite=True, default=True)["status"]["major"])
"""


class UsersFiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()
        os.chmod(cls.realm.dir, 0o755)
        cls.realm.kinit("alice", options=("-f",))
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def daemon(self, cache="FILE:{dir}/home/%U/cc", more=""):
        return Daemon(self.realm, HOME % cache + more)

    def homes(self, daemon, **tickets):
        """Folders of bob's and carol's, each with a ticket cache `cc` of theirs."""
        for name, uid in (("bob", BOB), ("carol", CAROL)):
            home = daemon.path(f"home/{uid}")
            os.makedirs(home, 0o700)
            os.chown(home, uid, uid)
            self.ticket(name, os.path.join(home, "cc"), uid)

    def ticket(self, name, path, uid):
        self.realm.kinit(name, "FILE:" + path)
        os.chown(path, uid, uid)

    def run_as(self, daemon, uid, source, *args):
        process = daemon.python_as(uid, source, *args)
        self.addCleanup(process.communicate)
        return process

    def initiate(self, daemon, uid, count=1):
        out, err = daemon.python_as(uid, INITIATE, daemon.socket, count).communicate(timeout=100)
        self.assertEqual(len(out.splitlines()), count, err)
        return [json.loads(line) for line in out.splitlines()]

    def who(self, token):
        acceptor = gssapi.SecurityContext(usage="accept")
        acceptor.step(base64.b64decode(token))
        return str(acceptor.initiator_name).removesuffix("@" + REALM)

    def names(self, daemon, uid):
        return [self.who(token) if token else text for _, text, token in self.initiate(daemon, uid)]

    def check_refused(self, daemon, uid):
        ((_, text, token),) = self.initiate(daemon, uid)
        self.assertEqual(token, "")
        self.assertIn(f"is not a file of uid {uid}'s", text)

    def test_a_users_own_cache_serves_and_is_left_as_it_is(self):
        with self.daemon() as daemon:
            self.homes(daemon)
            cache = daemon.path(f"home/{BOB}/cc")
            before = open(cache, "rb").read()
            self.assertEqual(self.names(daemon, BOB), ["bob"])
            self.assertEqual(open(cache, "rb").read(), before)
            os.unlink(cache)
            self.ticket("alice", cache, BOB)
            self.assertEqual(self.names(daemon, BOB), ["alice"], "a new cache counts at once")

    def test_a_cache_exchanged_for_a_link_at_any_moment_lends_nobody_elses_ticket(self):
        with self.daemon() as daemon:
            self.homes(daemon)
            home = daemon.path(f"home/{BOB}")
            os.symlink(daemon.path(f"home/{CAROL}/cc"), home + "/link")
            exchange = self.run_as(daemon, BOB, EXCHANGE, home + "/cc", home + "/link")
            self.assertEqual(exchange.stdout.readline(), "begun\n")
            results = self.initiate(daemon, BOB, 300)
            exchange.kill()
            served = {self.who(token) for _, _, token in results if token}
            self.assertLessEqual(served, {"bob"})
            refused = [text for _, text, token in results if not token]
            self.assertTrue(served and refused, "both were met")

    def test_a_folder_in_a_users_own_that_leads_elsewhere_lends_nothing(self):
        """Not even the daemon's own files, which a path of its own may name."""
        with self.daemon("FILE:{dir}/home/%U/krb5/cc") as daemon:
            self.homes(daemon)
            os.mkdir(daemon.path("own"), 0o700)
            self.realm.kinit("carol", "FILE:" + daemon.path("own/cc"))
            os.symlink(daemon.path("own"), daemon.path(f"home/{BOB}/krb5"))
            self.check_refused(daemon, BOB)
            os.unlink(daemon.path(f"home/{BOB}/krb5"))
            os.mkdir(daemon.path(f"home/{BOB}/krb5"))
            os.chown(daemon.path(f"home/{BOB}/krb5"), BOB, BOB)
            self.ticket("bob", daemon.path(f"home/{BOB}/krb5/cc"), BOB)
            self.assertEqual(self.names(daemon, BOB), ["bob"])

    def test_the_primary_of_a_users_collection_is_that_users_own(self):
        with self.daemon("DIR:{dir}/home/%U") as daemon:
            self.homes(daemon)
            home = daemon.path(f"home/{BOB}")
            self.ticket("bob", home + "/tktmine", BOB)
            with open(home + "/primary", "w") as f:
                f.write("tktmine\n")
            os.chown(home + "/primary", BOB, BOB)
            self.assertEqual(self.names(daemon, BOB), ["bob"])
            os.unlink(home + "/tktmine")
            os.symlink(daemon.path(f"home/{CAROL}/cc"), home + "/tktmine")
            self.check_refused(daemon, BOB)

    def test_a_users_own_keytab_serves_and_a_link_in_its_place_does_not(self):
        keys = "  cred_store = client_keytab:{dir}/home/%U/keytab\n"
        with self.daemon("MEMORY:%U", keys) as daemon:
            self.homes(daemon)
            for uid in (BOB, CAROL):
                path = daemon.path(f"home/{uid}/keytab")
                shutil.copy(self.realm.keytab, path)
                os.chown(path, uid, uid)
            self.assertEqual(self.names(daemon, BOB), ["host/localhost"])
            os.unlink(daemon.path(f"home/{BOB}/keytab"))
            os.symlink(daemon.path(f"home/{CAROL}/keytab"), daemon.path(f"home/{BOB}/keytab"))
            self.check_refused(daemon, BOB)

    # ---- locks ----

    def test_a_user_who_locks_the_own_cache_waits_alone_and_not_for_ever(self):
        with self.daemon() as daemon:
            self.homes(daemon)
            lock = self.run_as(daemon, BOB, LOCK, daemon.path(f"home/{BOB}/cc"))
            self.assertEqual(lock.stdout.readline(), "locked\n")
            waiting = [self.run_as(daemon, BOB, INITIATE, daemon.socket, 1) for _ in range(4)]
            wait_for(lambda: len(daemon.text()) > 0 and self.holding(daemon), "bob's call inside")
            self.assertEqual(self.names(daemon, CAROL), ["carol"])
            for process in waiting:
                _, text, token = json.loads(process.stdout.readline())
                self.assertEqual(token, "")
                self.assertIn("is locked by another program", text)
            lock.communicate()
            self.assertEqual(self.names(daemon, BOB), ["bob"])

    def holding(self, daemon):
        """A thread of the daemon has bob's cache open."""
        fds = f"/proc/{daemon.process.pid}/fd"
        return any(os.path.lexists(f"{fds}/{n}") and os.readlink(f"{fds}/{n}").endswith(f"home/{BOB}/cc") for n in os.listdir(fds))

    def test_storing_over_a_cache_that_its_user_locked_ends_while_the_lock_is_held(self):
        services = (HOME % "FILE:{dir}/home/%U/cc").replace("  cred_usage = initiate\n", "  cred_store = keytab:{keytab}\n")
        with Daemon(self.realm, services) as daemon:
            self.homes(daemon)
            flags = gssapi.RequirementFlag.mutual_authentication | gssapi.RequirementFlag.delegate_to_peer
            first = gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate", flags=flags)
            token = base64.b64encode(first.step()).decode()
            cache = daemon.path(f"home/{BOB}/cc")
            lock = self.run_as(daemon, BOB, LOCK, cache)
            self.assertEqual(lock.stdout.readline(), "locked\n")
            out, err = daemon.python_as(BOB, STORE, daemon.socket, token).communicate(timeout=50)
            self.assertEqual(out.strip(), "0", err)
            self.assertIsNone(lock.poll())
            listed = subprocess.run(["klist", cache], capture_output=True, text=True, env=self.realm.env).stdout
            self.assertIn(f"alice@{REALM}", listed)


if __name__ == "__main__":
    unittest.main()
