"""gage unseal --once, killed with SIGKILL before every system call that the outside could notice (stopper.c): the message is never half there,
never lost, never opened twice."""
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from people import EXIT, GAGE, ROOT, Folder  # noqa: E402

STOPPER = os.environ.get("GAGE_STOPPER", str(ROOT / "build/obj/tests/live/seal/stopper"))
KILLED = 128 + 9
TEXT = b"once and no more\n" * 9000
TRACED = {"LSAN_OPTIONS": "detect_leaks=0"}  # a leak sanitizer cannot work in a traced process
WORDS = ("--once", "--max-age", "1h")


class Kill(unittest.TestCase):
    def setUp(self):
        self.f = Folder()
        self.addCleanup(self.f.remove)
        self.f.pair("alice", "bob")
        (self.f.path / "seal").write_bytes(self.f.ok("seal", "alice", "--to", "bob", stdin=TEXT).stdout)
        self.f.ok("unseal", "bob", stdin=self.f.ok("seal", "alice", "--to", "bob", stdin=b"warm").stdout)
        shutil.copy(self.f.ring("bob"), self.f.path / "fresh")
        shutil.copy(self.f.ring("bob") + ".hints", self.f.path / "fresh.hints")

    def fresh(self):
        for name in self.f.path.glob("bob.ring*"):
            name.unlink()
        shutil.copy(self.f.path / "fresh", self.f.ring("bob"))
        shutil.copy(self.f.path / "fresh.hints", self.f.ring("bob") + ".hints")
        for name in [*self.f.path.glob("out*"), *self.f.path.glob(".gage-*")]:
            name.unlink()

    def unseal(self, out, **env):
        return self.f.gage("unseal", "bob", *WORDS, "--output", out, "seal", env=env)

    def check_after(self, at):
        out = self.f.path / "out"
        if out.exists():
            self.assertEqual(out.read_bytes(), TEXT, f"half a message after a kill at call {at}")
        again = self.unseal("out")
        self.assertIn(again.returncode, (0, EXIT["used"], EXIT["exists"]), (at, again.stderr))
        self.assertTrue(out.exists(), f"lost after a kill at call {at}: {again.stderr}")
        self.assertEqual(out.read_bytes(), TEXT)
        self.assertEqual(self.unseal("out2").returncode, EXIT["used"], f"opened twice after a kill at call {at}")
        self.assertFalse((self.f.path / "out2").exists())

    def stopped(self, at, count=subprocess.DEVNULL):
        """The same under the stopper, which tells the number of calls where `at` is 0."""
        words = [STOPPER, str(at), str(GAGE), "unseal", "--keyring", self.f.ring("bob"), *WORDS, "--output", "out", "seal"]
        read, write = os.pipe()
        with os.fdopen(read) as told:
            done = subprocess.run(["/bin/sh", "-c", f'exec "$@" 3>&{write}', "sh", *words], cwd=self.f.path, env=TRACED | self.f.env,
                                  capture_output=True, pass_fds=(write,), timeout=60)
            os.close(write)
            return done, told.read()

    def test_killed_before_every_call_it_opens_once_and_whole(self):
        done, calls = self.stopped(0)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(int(calls), 20)
        for at in range(1, int(calls) + 1):
            self.fresh()
            killed, _ = self.stopped(at)
            self.assertIn(killed.returncode, (KILLED, 0), (at, killed.stderr))  # 0: two threads, one call fewer
            self.check_after(at)


if __name__ == "__main__":
    unittest.main()
