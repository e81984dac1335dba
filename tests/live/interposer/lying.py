"""What a daemon can send that is not so: the application gets a failure in words, goes on, and its next call is answered rightly."""
import json
import os
import struct
import subprocess
import sys
import unittest

from kit import ACCEPT_ONLY, BOTH_ROLES, HERE, REALM, Realm, daemon_for, first_token, wait_for
from liar import CLOSE, Liar

FAILURE, CALLING_ERROR = 13 << 16, 1 << 24


class Once:
    """A lie told to the first answer of a procedure; what comes after is the truth."""

    def __init__(self, procedure, lie):
        self.procedure, self.lie, self.told = procedure, lie, False

    def __call__(self, liar, procedure, results, reply):
        if self.told or procedure != self.procedure:
            return None
        self.told = True
        return self.lie(liar, results, reply)


def with_xid(liar, results, reply):
    return liar.record(b"\xff\xff\xff\xff" + reply[4:])


def twice(liar, results, reply):
    return liar.record(reply) * 2


def change(procedure, how):
    def lie(liar, results, reply):
        how(results)
        return liar.changed(reply, procedure, results)
    return lie


def once_more_later(liar, results, reply):
    return [liar.record(reply), liar.record(reply)]


def no_context(results):
    results["context"] = None


def foreign_context(results):
    results["context"]["token"] = struct.pack(">I", 6) + bytes.fromhex("2b0601050502") + results["context"]["token"][15:]


def broken_context(results):
    results["context"]["token"] = results["context"]["token"][:15] + b"\xff" * 200


def cut_context(results):
    results["context"]["token"] = results["context"]["token"][:40]


def empty_context(results):
    results["context"].update(token=b"", state=b"")


def foreign_mech(results):
    results["context"]["mech"] = bytes.fromhex("2b0601050502")


def calling_error(results):
    results["status"]["major"] = CALLING_ERROR


def failed_with_everything(results):
    results["status"]["major"] = FAILURE


# What comes in place of a reply.
BYTES = {
    "a wrong xid": with_xid,
    "two replies": twice,
    "a call": lambda liar, results, reply: liar.record(reply[:4] + bytes(4) + reply[8:]),
    "a record of 2 GiB": lambda liar, results, reply: b"\xff\xff\xff\xff" + reply,
    "a record past the limit": lambda liar, results, reply: struct.pack(">I", 0x80100001) + reply,
    "many empty fragments, then half a record": lambda liar, results, reply: [bytes(4000) + liar.record(reply)[:40], CLOSE],
    "a cut reply": lambda liar, results, reply: liar.record(reply[:60]),
    "a header and no more": lambda liar, results, reply: liar.record(reply[:24]),
    "three bytes": lambda liar, results, reply: liar.record(b"abc"),
    "nothing": lambda liar, results, reply: CLOSE,
    "counts that no message has": lambda liar, results, reply: liar.record(reply[:24] + b"\xff" * 400),
    "garbage": lambda liar, results, reply: liar.record(os.urandom(500)),
}
# What its results say.
RESULTS = {
    "success without a context": no_context,
    "another mechanism's context": foreign_context,
    "a context of garbage": broken_context,
    "a cut context": cut_context,
    "a context without anything": empty_context,
    "a context that says it is another mechanism's": foreign_mech,
    "a calling error": calling_error,
    "a failure with a context": failed_with_everything,
}


class Lying(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def guest(self, daemon, scenario, *args, behavior="REMOTE_ONLY", **more):
        env = dict(daemon.client_env(behavior), PEER_ENV=daemon.path("peer.json"), **more)
        with open(env["PEER_ENV"], "w") as f:
            json.dump(self.realm.env, f)
        done = subprocess.run([sys.executable, os.path.join(HERE, "guest.py"), scenario, *args], env=env, capture_output=True, text=True,
                              timeout=100)
        self.assertEqual(done.returncode, 0, f"{scenario}: {done.returncode}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def lied_to(self, daemon, procedure, lie, scenario, *args, **more):
        with Liar(daemon, Once(procedure, lie)) as liar:
            answer = self.guest(daemon, scenario, *args, GSSPROXY_SOCKET=liar.path, **more)
            self.assertTrue(liar.lie.told)
            return answer

    def test_bytes_that_are_no_reply_are_one_failure_and_the_next_call_is_answered(self):
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon:
            for what, lie in BYTES.items():
                with self.subTest(what=what):
                    first, second, third = self.lied_to(daemon, "accept_sec_context", lie, "accept",
                                                        *[first_token(self.realm) for _ in range(3)])
                    self.assertIn("proxy daemon", first.get("text", ""), first)
                    self.assertEqual((second.get("name"), third.get("name")), (f"alice@{REALM}",) * 2, (second, third))

    def test_results_that_cannot_be_are_a_failure_of_the_accepting_or_of_the_first_message(self):
        for role, procedure, services in (("accept", "accept_sec_context", ACCEPT_ONLY), ("initiate", "init_sec_context", BOTH_ROLES)):
            with daemon_for(self.realm, services) as daemon:
                for what, how in RESULTS.items():
                    with self.subTest(what=what, role=role):
                        answer = self.lied_to(daemon, procedure, change(procedure, how), "establish_and_wrap", role)
                        self.assertEqual(answer["wrapped"], False, answer)

    def test_a_reply_that_comes_twice_is_never_taken_for_the_next_calls(self):
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon:
            names = [a.get("name") for a in self.lied_to(daemon, "accept_sec_context", once_more_later, "accept",
                                                         *[first_token(self.realm) for _ in range(4)])]
            self.assertEqual(names, [f"alice@{REALM}", None] + [f"alice@{REALM}"] * 2)

    def test_a_name_with_bytes_after_its_end_does_not_end_the_process(self):
        """MIT's library asserts that an exported name ends where it says."""
        def longer(form):
            return lambda results: results["context"]["source"].update({form: results["context"]["source"][form] + b"x"})
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon:
            for form in ("composite", "exported"):
                with self.subTest(form=form):
                    answers = self.lied_to(daemon, "accept_sec_context", change("accept_sec_context", longer(form)), "ask_of_names",
                                            behavior="REMOTE_FIRST")
                    self.assertEqual(answers[-1]["major"], 0, answers)

    def test_threads_that_share_a_credential_do_not_wait_for_each_other(self):
        """The first answer is held back until the other thread has asked, too."""
        def late(liar, results, reply):
            wait_for(lambda: liar.calls.count("accept_sec_context") > 1, "both asked")
            return liar.record(reply)
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon:
            answers = self.lied_to(daemon, "accept_sec_context", late, "accept_at_once", *[first_token(self.realm) for _ in range(2)])
            self.assertEqual([a.get("name") for a in answers], [f"alice@{REALM}"] * 2, answers)

    def test_names_of_which_nothing_is_said_are_not_equal(self):
        def nothing(liar, procedure, results, reply):
            results["name"] = dict(results["name"], display=b"", exported=b"", composite=b"", type=b"")
            return liar.changed(reply, procedure, results)
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon:
            self.assertEqual([self.guest(daemon, "compare", "alice", other, behavior="REMOTE_ONLY")["equal"] for other in ("alice", "bob")], [1, 0])
            with Liar(daemon, nothing) as liar:
                self.assertEqual(self.guest(daemon, "compare", "alice", "bob", behavior="REMOTE_ONLY", GSSPROXY_SOCKET=liar.path)["equal"], 0)


if __name__ == "__main__":
    unittest.main()
