"""Kill -9 anywhere: sender, receiver and relay die just before their Nth noticeable call, for every N of a whole transfer; then all
three again and again in one transfer, before calls chosen at random. And the sender again where it writes the invitation into files.

After each kill the dead one is resumed (the relay restarted), and then must hold:
- both sides end, and end well: the sender says delivered exactly if the receiver says installed;
- the file is there whole, once, and was not put in place a second time (same inode as at the kill);
- nothing else lies in either folder, and no secret stays in a record that has ended.

The suite runs every point. Words choose: SIDE[:FROM-TO] with sender, receiver, relay, files, or storm (whose points are seeds, as many as wanted):

    /usr/bin/python3 tests/lib/tap.py tests/live/transfer/kill_sweep.py sender:1-20 storm:1-500
"""
import concurrent.futures
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from stage import ROOT, Person, Relay, finish, read_event

KILLER = pathlib.Path(os.environ.get("GAGE_KILLER", ROOT / "build/obj/tests/live/transfer/killer.so"))
CONTENT = b"a credential that must arrive once\n" * 20
WANTED = {side: points for side, _, points in (word.partition(":") for word in sys.argv[1:])}
AT_ONCE = 4  # transfers; they mostly wait
STORMS = 24  # that the suite runs


def killing(at, count=None, begin=None):
    env = {"LD_PRELOAD": str(KILLER), "GAGE_KILL_AT": str(at)}
    if count:
        env["GAGE_KILL_COUNT"] = str(count)
    if begin:
        env["GAGE_KILL_FROM"] = str(begin)
    return env


class Transfer:
    """One transfer on a stage of its own, with whatever kills it takes to get it done. `kills`: for sender and receiver, the environments
    of the processes that run for it in turn; those after them are left alone."""

    def __init__(self, relay, kills, words=()):
        self.relay, self.words = relay, words
        self.kills = {side: list(kills.get(side, [])) for side in ("sender", "receiver")}
        self.sender, self.receiver = Person(relay), Person(relay)
        self.file = self.sender.file("credential", CONTENT, 0o640)
        self.place = self.receiver.work / "credential"
        self.killed = []  # whom a kill hit
        self.inode = None  # of the file, where the receiver was killed after it was in place

    def close(self):
        self.sender.close()
        self.receiver.close()

    def start(self, side, *words, **kwargs):
        person = self.sender if side == "sender" else self.receiver
        env = self.kills[side].pop(0) if self.kills[side] else {}
        return person.start(*words, env=env, **kwargs)

    # ---- the sender ----

    def start_share(self):
        """Starts sharing; a sender killed before it could tell the link is resumed, or begins anew where nothing was begun."""
        share = self.start("sender", "share", "--json", *self.words, self.file)
        link = self.link_of(share)
        while link is None:
            self.killed.append("sender")
            self.expect_kill(share)
            begun = any(row["open"] for row in self.sender.state())
            share = self.start("sender", *(("resume", "--json") if begun else ("share", "--json", *self.words, self.file)))
            link = self.link_of(share)
        return share, link

    def link_of(self, share):
        event = read_event(share, "invitation")
        return event and (event.get("link") or (self.sender.work / "invitation").read_text())

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
            status, out, err = finish(self.start(name, "resume", "--json"))
        rows = person.state()
        if len(rows) != 1 or rows[0]["open"]:
            raise AssertionError(f"{name}: {status}, {rows}\n{out}\n{err}")
        return rows[0]

    # ---- all of it ----

    def run(self):
        share, link = self.start_share()
        # Each waits for the other: a dead sender is resumed while the receiver waits.
        with concurrent.futures.ThreadPoolExecutor() as pool:
            sending = pool.submit(self.finish_side, self.sender, share, "sender")
            received = self.receive(link)
            return sending.result(), received

    def start_accept(self, link):
        accept = self.start("receiver", "accept", "--json", "--yes", "-", stdin=subprocess.PIPE)
        try:
            accept.stdin.write(link + "\n")
            accept.stdin.close()
        except BrokenPipeError:
            pass
        accept.stdin = None
        return accept

    def receive(self, link):
        received = None
        while received is None:  # killed before it had begun: as if it had never been run
            received = self.finish_side(self.receiver, self.start_accept(link), "receiver")
        return received

    def check(self, test, sent, received):
        said = f"killed {self.killed}: {sent} {received}"
        test.assertTrue(received["state"].startswith("installed"), said)
        test.assertTrue(sent["state"].startswith("delivered"), said)
        test.assertEqual(self.place.read_bytes(), CONTENT, said)
        test.assertEqual(self.place.stat().st_mode & 0o7777, 0o640, said)
        test.assertEqual(os.listdir(self.receiver.work), ["credential"], said)
        test.assertLessEqual(set(os.listdir(self.sender.work)), {"credential", *self.words}, said)
        if self.inode is not None:
            test.assertEqual(self.place.stat().st_ino, self.inode, "installed a second time; " + said)
        for person in (self.sender, self.receiver):
            for record in person.records():
                test.assertNotIn(CONTENT[:20], record.read_bytes(), f"{record} still holds the content; {said}")
        # A further receiver of the same link gets nothing; a further resume changes nothing.
        test.assertEqual(self.receiver.run("resume").returncode, 0)


def points(side, total):
    """Which calls to die before (or seeds to use): all, or those asked for."""
    if WANTED and side not in WANTED:
        return []
    first, _, last = WANTED.get(side, "").partition("-")
    return list(range(int(first or 1), (int(last) if last else total) + 1))


class KillSweep(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.count = pathlib.Path(cls.scratch.name) / "count"

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def whole(self, relay, words=(), **kills):
        transfer = Transfer(relay, kills, words)
        try:
            sent, received = transfer.run()
            transfer.check(self, sent, received)
            return transfer.killed
        finally:
            transfer.close()

    def calls_of(self, side, relay, words=()):
        """How many noticeable calls this side makes in a transfer that nobody kills."""
        self.count.unlink(missing_ok=True)
        self.whole(relay, words, **{side: [killing(0, self.count)]})
        return self.count.stat().st_size

    def sweep(self, side, total, one):
        """Runs one(at) for each point, some at a time; says how many of them hit."""
        began, at_all = time.monotonic(), points(side, total)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            results = [(at, pool.submit(one, at)) for at in at_all]
        hits = 0
        for at, result in results:
            with self.subTest(side=side, at=at):
                hits += result.result()
        print(f"# {side}: {total} calls, {len(at_all)} points, {hits} kills, {time.monotonic() - began:.0f} s", flush=True)
        return hits, len(at_all)

    def sweep_person(self, side, name=None, words=()):
        with Relay() as relay:
            total = self.calls_of(side, relay, words)
            self.assertGreater(total, 40)
            hits, tried = self.sweep(name or side, total, lambda at: self.whole(relay, words, **{side: [killing(at)]}).count(side))
        self.assertGreaterEqual(hits, 0.9 * tried - 5)  # timing moves the last few calls

    def test_sender_killed_before_any_call(self):
        self.sweep_person("sender")

    def test_sender_killed_while_it_writes_the_invitation_into_files(self):
        self.sweep_person("sender", "files", ("--invite", "invitation", "--qr-png", "code.png"))

    def test_receiver_killed_before_any_call(self):
        self.sweep_person("receiver")

    def test_relay_killed_before_any_call(self):
        begin = pathlib.Path(self.scratch.name) / "begin"
        self.count.unlink(missing_ok=True)
        with Relay(env=killing(0, self.count, begin)) as relay:
            begin.touch()
            self.whole(relay)
            total = self.count.stat().st_size
        self.assertGreater(total, 40)
        hits, tried = self.sweep("relay", total, self.relay_killed_before)
        self.assertGreaterEqual(hits, 0.4 * tried - 5)  # how often it syncs and answers is a matter of timing

    def relay_killed_before(self, at):
        begin = pathlib.Path(self.scratch.name) / f"begin-{at}"
        return self.through([killing(at, begin=begin)], begin)

    def test_everybody_killed_again_and_again(self):
        hits, tried = self.sweep("storm", STORMS, self.storm)
        self.assertGreaterEqual(hits, tried)

    def storm(self, seed):
        dice = random.Random(seed)
        begin = pathlib.Path(self.scratch.name) / f"storm-{seed}"
        kills = {side: [killing(dice.randint(1, 90)) for _ in range(dice.randint(1, 4))] for side in ("sender", "receiver")}
        return self.through([killing(dice.randint(1, 100), begin=begin) for _ in range(dice.randint(1, 3))], begin, **kills)

    def through(self, relay_kills, begin, **kills):
        """A transfer through a relay that dies and comes back, as often as there are environments for it. Returns the number of deaths."""
        with Relay() as relay:
            relay.stop()
            relay.start(relay_kills.pop(0))
            begin.touch()
            over, deaths = threading.Event(), []

            def watch():
                while not over.is_set():
                    if relay.process.poll() is not None:
                        deaths.append("relay")
                        restart(relay, relay_kills)
                    over.wait(0.005)

            watcher = threading.Thread(target=watch)
            watcher.start()
            try:
                deaths += self.whole(relay, **kills)
            finally:
                over.set()
                watcher.join()
            return len(deaths)


def restart(relay, kills):
    """One that dies before it answers is started again, too."""
    while kills:
        try:
            return relay.start(kills.pop(0))
        except AssertionError:
            pass
    return relay.start()


if __name__ == "__main__":
    unittest.main()
