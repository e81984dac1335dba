"""Kill -9 anywhere: sender, receiver and relay die just before their Nth noticeable call, for N over a whole transfer.

After each kill the dead one is resumed (the relay restarted), and then must hold:
- both sides end, and end well: the sender says delivered exactly if the receiver says installed;
- the file is there whole, once, and was not put in place a second time (same inode as at the kill);
- nothing else lies in the folder, and no secret stays in a record that has ended.

By default every point of sender and receiver near their writes and a sample of the rest, to keep the suite short;
`--all` takes every point (kill_sweep.py --all [sender|receiver|relay]).
"""
import concurrent.futures
import os
import pathlib
import signal
import sys
import tempfile
import unittest

from stage import ROOT, Person, Relay, finish, read_event, until

KILLER = pathlib.Path(os.environ.get("GAGE_KILLER", ROOT / "build/obj/tests/live/transfer/killer.so"))
CONTENT = b"a credential that must arrive once\n" * 20
ALL = "--all" in sys.argv
SAMPLES = {"sender": 70, "receiver": 70, "relay": 60}  # points a run of the suite takes of each


def killing(at, count=None, begin=None):
    env = {"LD_PRELOAD": str(KILLER), "GAGE_KILL_AT": str(at)}
    if count:
        env["GAGE_KILL_COUNT"] = str(count)
    if begin:
        env["GAGE_KILL_FROM"] = str(begin)
    return env


class Transfer:
    """One transfer on a stage of its own, with whatever kills it takes to get it done."""

    def __init__(self, relay):
        self.relay = relay
        self.sender, self.receiver = Person(relay), Person(relay)
        self.file = self.sender.file("credential", CONTENT, 0o640)
        self.place = self.receiver.work / "credential"
        self.killed = []  # whom a kill hit
        self.inode = None  # of the file, where the receiver was killed after it was in place

    def close(self):
        self.sender.close()
        self.receiver.close()

    # ---- the sender ----

    def start_share(self, env):
        """Starts sharing; a sender killed before it could tell the link is resumed, or begins anew where nothing was begun."""
        share = self.sender.start("share", "--json", self.file, env=env)
        link = self.link_of(share)
        while link is None:
            self.killed.append("sender")
            self.expect_kill(share)
            if any(row["open"] for row in self.sender.state()):
                share = self.sender.start("resume", "--json")
            else:
                share = self.sender.start("share", "--json", self.file)
            link = self.link_of(share)
        return share, link

    @staticmethod
    def link_of(share):
        event = read_event(share, "invitation")
        return event and event["link"]

    def expect_kill(self, process):
        status, out, err = finish(process)
        if status != -signal.SIGKILL:
            raise AssertionError(f"ended with {status} instead of by the kill: {out}\n{err}")

    def finish_side(self, person, process, name):
        """Waits; resumes after a kill, until it ends by itself. Returns its last outcome, as the record tells it."""
        status, out, err = finish(process)
        while status == -signal.SIGKILL:
            self.killed.append(name)
            if name == "receiver" and self.place.exists():
                self.inode = self.place.stat().st_ino
            if not any(row["open"] for row in person.state()):
                if not person.state():
                    return None  # nothing was begun
                break
            status, out, err = finish(person.start("resume", "--json"))
        rows = person.state()
        if len(rows) != 1 or rows[0]["open"]:
            raise AssertionError(f"{name}: {status}, {rows}\n{out}\n{err}")
        return rows[0]

    # ---- all of it ----

    def run(self, sender_env=None, receiver_env=None):
        share, link = self.start_share(sender_env or {})
        accept = self.receiver.start("accept", "--json", "--yes", "-", env=receiver_env or {}, stdin=-1)
        try:
            accept.stdin.write(link + "\n")
            accept.stdin.close()
        except BrokenPipeError:
            pass
        accept.stdin = None
        # Each waits for the other: a dead sender is resumed while the receiver waits.
        with concurrent.futures.ThreadPoolExecutor() as pool:
            sending = pool.submit(self.finish_side, self.sender, share, "sender")
            received = self.finish_receiver(accept, link)
            return sending.result(), received

    def finish_receiver(self, accept, link):
        received = self.finish_side(self.receiver, accept, "receiver")
        if received is None:  # killed before it had begun: as if it had never been run
            again = self.receiver.run("accept", "--json", "--yes", "-", input=link + "\n")
            received = self.receiver.state()[0]
            if again.returncode != 0:
                raise AssertionError(f"{again.stdout}\n{again.stderr}")
        return received

    def check(self, test, sent, received):
        said = f"killed {self.killed}: {sent} {received}"
        test.assertTrue(received["state"].startswith("installed"), said)
        test.assertTrue(sent["state"].startswith("delivered"), said)
        test.assertEqual(self.place.read_bytes(), CONTENT, said)
        test.assertEqual(self.place.stat().st_mode & 0o7777, 0o640, said)
        test.assertEqual(os.listdir(self.receiver.work), ["credential"], said)
        if self.inode is not None:
            test.assertEqual(self.place.stat().st_ino, self.inode, "installed a second time; " + said)
        for person in (self.sender, self.receiver):
            for record in person.records():
                test.assertNotIn(CONTENT[:20], record.read_bytes(), f"{record} still holds the content; {said}")
        # A further receiver of the same link gets nothing; a further resume changes nothing.
        test.assertEqual(self.receiver.run("resume").returncode, 0)


def points(total, wanted):
    """Which calls to die before: all, or `wanted` of them spread evenly with both ends."""
    if ALL or total <= wanted:
        return list(range(1, total + 1))
    return sorted({1 + i * (total - 1) // (wanted - 1) for i in range(wanted)})


class KillSweep(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.count = pathlib.Path(cls.scratch.name) / "count"

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def whole(self, relay, **envs):
        transfer = Transfer(relay)
        try:
            sent, received = transfer.run(**envs)
            transfer.check(self, sent, received)
            return transfer.killed
        finally:
            transfer.close()

    def calls_of(self, side, relay):
        """How many noticeable calls this side makes in a transfer that nobody kills."""
        self.count.unlink(missing_ok=True)
        self.whole(relay, **{side + "_env": killing(0, self.count)})
        return self.count.stat().st_size

    def sweep(self, side):
        hits = 0
        with Relay() as relay:
            total = self.calls_of(side, relay)
            self.assertGreater(total, 40)
            for at in points(total, SAMPLES[side]):
                with self.subTest(side=side, at=at):
                    hits += side in self.whole(relay, **{side + "_env": killing(at)})
        print(f"# {side}: {total} calls, {hits} kills", flush=True)
        # Threads and timing move the last few calls; all others must have been hit.
        self.assertGreaterEqual(hits, 0.9 * min(total, SAMPLES[side] if not ALL else total))

    def test_sender_killed_before_any_call(self):
        self.sweep("sender")

    def test_receiver_killed_before_any_call(self):
        self.sweep("receiver")

    def test_relay_killed_before_any_call(self):
        begin = pathlib.Path(self.scratch.name) / "begin"
        self.count.unlink(missing_ok=True)
        with Relay(env=killing(0, self.count, begin)) as relay:
            begin.touch()
            self.whole(relay)
            total = self.count.stat().st_size
        self.assertGreater(total, 40)
        hits = 0
        for at in points(total, SAMPLES["relay"]):
            begin.unlink(missing_ok=True)
            with self.subTest(at=at), Relay() as relay:
                relay.stop()
                relay.start(killing(at, begin=begin))
                begin.touch()
                hits += self.relay_dies(relay)
        print(f"# relay: {total} calls, {hits} kills", flush=True)
        self.assertGreater(hits, 0)

    def relay_dies(self, relay):
        """A transfer during which the relay dies once and comes back. True if it did die."""
        import threading
        died = threading.Event()
        over = threading.Event()

        def watch():
            until(lambda: over.is_set() or relay.process.poll() is not None, "the relay dies")
            if not over.is_set():
                died.set()
                relay.start()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            self.whole(relay)
        finally:
            over.set()
            watcher.join()
        return died.is_set()


if __name__ == "__main__":
    unittest.main()
