"""People with keyrings, and the command: what the stories of seals share."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
GAGE = pathlib.Path(os.environ.get("GAGE_PREFIX", ROOT / "build/root")) / "bin/gage"

EXIT = {"ok": 0, "internal": 1, "usage": 2, "format": 6, "exists": 8, "not_found": 9, "state": 10, "auth": 12, "expired": 13, "used": 14, "refused": 15, "unavailable": 16,
        "unsupported": 25, "closed": 26, "clock": 27, "carrier": 28, "originator": 29, "crafted": 30, "pairing_over": 31, "not_ours": 32, "future": 33,
        "forgotten": 34}


class Folder:
    """A temporary folder with the keyrings of people in it."""

    def __init__(self, env=None):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="gage-seal-"))
        self.env = dict(env or os.environ)
        self.env.pop("XDG_STATE_HOME", None)

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)

    def ring(self, who):
        return str(self.path / f"{who}.ring")

    def gage(self, command, who, *words, stdin=b"", env=None):
        return subprocess.run([GAGE, command, "--keyring", self.ring(who), *map(str, words)], input=stdin, capture_output=True,
                              env={**self.env, **(env or {})}, cwd=self.path, timeout=60)

    def ok(self, *words, **options):
        done = self.gage(*words, **options)
        assert done.returncode == 0, (words, done.returncode, done.stderr.decode())
        return done

    def start(self, command, who, *words, env=None):
        return subprocess.Popen([GAGE, command, "--keyring", self.ring(who), *map(str, words)], env={**self.env, **(env or {})},
                                cwd=self.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def meet(self, first, second, one=(), other=(), as_first=None, as_second=None):
        """Both sides of gage pair over a unix socket; returns both results as (status, output)."""
        address = "unix:" + str(self.path / "door")
        waiting = self.start("pair", second, "--listen", address, "--as", as_first or first, *other)
        waiting.stderr.readline()  # "waiting for the peer at ..."
        going = self.start("pair", first, address, "--as", as_second or second, *one)
        results = []
        for process in (going, waiting):
            try:
                out, err = process.communicate(timeout=30)
            finally:
                process.kill()
            results.append((process.returncode, (out + err).decode()))
        return results

    def secret(self, name="s"):
        a, b = self.path / f"{name}.a", self.path / f"{name}.b"
        subprocess.run([GAGE, "secret", a, b], check=True, env=self.env, capture_output=True)
        return ("--secret-file", str(a)), ("--secret-file", str(b))

    def pair(self, first, second):
        one, other = self.secret(f"{first}-{second}")
        for status, text in self.meet(first, second, one, other):
            assert status == 0, text
