"""Kills a writing relay store, or its database, with SIGKILL at hundreds of points: nothing acknowledged is lost, nothing is half-done.
store_crash.py STORE_CRASH-PROGRAM"""
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

from postgres import Postgres

PROGRAM = sys.argv[1]
SQLITE_ROUNDS = int(os.environ.get("GAGE_CRASH_ROUNDS", "240"))
POSTGRES_ROUNDS = max(5, SQLITE_ROUNDS // 4)
SERVER_ROUNDS = max(2, SQLITE_ROUNDS // 48)


def run_until_killed(round_number, environment, kill_after, kill):
    """Starts the writer, calls kill(process) after so many acknowledged steps (or, negative, seconds); gives its whole output."""
    writer = subprocess.Popen([PROGRAM, "write", str(round_number)], stdout=subprocess.PIPE, env=environment)
    out = b""
    if kill_after >= 0:
        while out.count(b"\n") < kill_after:
            out += os.read(writer.stdout.fileno(), 1 if kill_after - out.count(b"\n") < 20 else 4096)
    else:
        time.sleep(-kill_after)
    kill(writer)
    out += writer.stdout.read()
    writer.wait()
    writer.stdout.close()
    return out


def sweep_point(n, total):
    """The first half of the rounds steps through the acknowledgements, the other dies at a random moment."""
    return n if n < total // 2 else -random.uniform(0.0, 0.08)


class CrashSweep(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="gage-crash-")

    def tearDown(self):
        shutil.rmtree(self.folder)

    def verify(self, round_number, environment, lines):
        done = subprocess.run([PROGRAM, "verify", str(round_number)], input=lines, capture_output=True, env=environment)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return lines.count(b"\n")

    def test_killing_a_relay_on_sqlite_loses_nothing_acknowledged(self):
        path = os.path.join(self.folder, "relay.db")
        environment = {**os.environ, "GAGE_STORE_URL": "sqlite://" + path,
                       "GAGE_STORE_KEY": os.path.join(self.folder, "key")}
        checked = 0
        for n in range(SQLITE_ROUNDS):
            lines = run_until_killed(n, environment, sweep_point(n, SQLITE_ROUNDS), lambda writer: writer.kill())
            checked += self.verify(n, environment, lines)
        self.assertEqual(sqlite3.connect(path).execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        print(f"# {SQLITE_ROUNDS} kills, {checked} acknowledged steps checked")

    def test_killing_a_relay_on_postgresql_loses_nothing_acknowledged(self):
        with Postgres() as pg:
            checked = 0
            for n in range(POSTGRES_ROUNDS):
                lines = run_until_killed(n, pg.environment(), sweep_point(n, POSTGRES_ROUNDS),
                                         lambda writer: writer.kill())
                checked += self.verify(n, pg.environment(), lines)
            print(f"# {POSTGRES_ROUNDS} kills, {checked} acknowledged steps checked")

    def test_killing_postgresql_itself_loses_nothing_acknowledged(self):
        with Postgres() as pg:
            checked = 0
            for n in range(SERVER_ROUNDS):
                lines = run_until_killed(n, pg.environment(), -random.uniform(0.05, 0.3), lambda writer: pg.kill())
                pg.start()
                checked += self.verify(n, pg.environment(), lines)
            self.assertGreater(checked, 0)
            print(f"# {SERVER_ROUNDS} kills, {checked} acknowledged steps checked")


if __name__ == "__main__":
    unittest.main()
