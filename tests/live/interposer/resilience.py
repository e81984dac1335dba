"""gage_proxy.so when something goes wrong: a restarted, mute, lying or absent daemon, forks, threads, closed descriptors."""
import json
import os
import struct
import subprocess
import sys
import unittest

from kit import ACCEPT_ONLY, BOTH_ROLES, HERE, PACKAGED, PROGRAM, REALM, Between, Realm, daemon_for, first_token

BODY = struct.Struct(">I")


def record(body, last=True):
    return BODY.pack((0x80000000 if last else 0) | len(body)) + body


class Resilience(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def app(self, daemon, scenario, *args, behavior="REMOTE_ONLY", **more):
        """Starts tests/live/interposer/tough.py; its lines are to be read, and answered, by the caller."""
        env = daemon.client_env(behavior, TICKET=self.realm.env["KRB5CCNAME"], **more)
        return subprocess.Popen([sys.executable, os.path.join(HERE, "tough.py"), scenario, *map(str, args)], env=env, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish(self, app):
        out, err = app.communicate(timeout=90)
        self.assertEqual((app.returncode, err), (0, ""))
        return json.loads(out.splitlines()[-1])

    def tokens(self, n):
        return [first_token(self.realm) for _ in range(n)]

    # ---- daemons that come and go ----

    def test_a_restarted_daemon_is_noticed_by_nobody(self):
        for program in (PROGRAM, PACKAGED):
            with self.subTest(program=program), daemon_for(self.realm, ACCEPT_ONLY, program=program) as daemon:
                app = self.app(daemon, "accept_one_by_one", *self.tokens(3))
                for _ in range(2):
                    self.assertEqual(json.loads(app.stdout.readline())["name"], f"alice@{REALM}")
                    daemon.stop()
                    daemon.start()
                    app.stdin.write("go on\n")
                    app.stdin.flush()
                self.assertEqual(self.finish(app)["name"], f"alice@{REALM}")

    def test_a_call_that_the_daemon_had_not_read_is_repeated_whatever_it_is(self):
        spared = []
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon, Between(daemon, before=lambda n: n == 1 and not spared and not spared.append(1)) as between:
            app = self.app(daemon, "accept_all", *self.tokens(2), GSSPROXY_SOCKET=between.path)
            self.assertEqual([r.get("name") for r in self.finish(app)], [f"alice@{REALM}"] * 2)
            self.assertEqual((between.procedures, between.connections), ([9, 9], 2))

    def test_a_call_that_may_have_been_executed_is_repeated_only_where_that_does_no_harm(self):
        for scenario, repeated in (("acquire", [6, 6]), ("initiate", [8, 8]), ("accept", [9])):
            with self.subTest(scenario=scenario), daemon_for(self.realm, BOTH_ROLES) as daemon, \
                    Between(daemon, lambda p, n, reply: reply if n > 1 else None) as between:
                result = self.finish(self.app(daemon, scenario, *self.tokens(1), GSSPROXY_SOCKET=between.path))
                self.assertEqual((between.procedures, "error" in result), (repeated, scenario == "accept"))
                if scenario == "accept":
                    self.assertIn("closed the connection without an answer", result["error"])

    def test_a_client_whom_no_service_fits_is_told_that(self):
        with daemon_for(self.realm, ACCEPT_ONLY.replace("{uid}", "12345")) as daemon:
            result = self.finish(self.app(daemon, "accept", *self.tokens(1)))
            self.assertIn("no service of its configuration is for this user and program", result["error"])

    # ---- daemons that answer badly ----

    def test_a_mute_daemon_ends_the_call_with_a_reason(self):
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon, Between(daemon, lambda p, n, reply: Between.MUTE) as between:
            result = self.finish(self.app(daemon, "accept", *self.tokens(1), GSSPROXY_SOCKET=between.path))
            self.assertIn("did not answer in time", result["error"])
            self.assertEqual(between.procedures, [9])

    def test_what_a_lying_daemon_sends_is_a_failure_and_no_more(self):
        def huge(reply):
            return BODY.pack(0x80000000 | (1 << 20) + 1) + reply[4:]

        def claims(reply):
            """A status that claims more bytes than the record has, and counts above every limit."""
            return record(reply[4:28] + bytes(8) + BODY.pack(0x7fffffff) + reply[40:])
        lies = {
            "garbage": lambda r: os.urandom(300), "garbage in a record": lambda r: record(os.urandom(300)), "half": lambda r: r[:len(r) // 2],
            "nothing in it": lambda r: record(r[4:28]), "cut": lambda r: record(r[4:-40]), "huge": huge, "claims": claims,
            "another's": lambda r: r[:4] + BODY.pack(BODY.unpack(r[4:8])[0] ^ 1) + r[8:], "a call": lambda r: r[:8] + BODY.pack(0) + r[12:],
            "refused": lambda r: record(r[4:24] + BODY.pack(4)), "twice": lambda r: r + r, "ones": lambda r: record(r[4:28] + b"\xff" * 400),
            "a byte more": lambda r: r + b"\0", "no context": lambda r: record(r[4:28] + bytes(100)),
        }
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon:
            for name, lie in lies.items():
                with self.subTest(lie=name), Between(daemon, lambda p, n, reply: lie(reply) if n == 1 else reply) as between:
                    results = self.finish(self.app(daemon, "accept_all", *self.tokens(2), GSSPROXY_SOCKET=between.path))
                    self.assertIn("error", results[0])
                    self.assertEqual(results[1].get("name"), f"alice@{REALM}", "the next call is not troubled")

    def test_a_failure_with_a_number_and_no_text_is_told_by_its_number(self):
        def failure(reply):
            return record(reply[4:28] + struct.pack(">QIQ", 13 << 16, 0, 4711) + bytes(16) + bytes(16))
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon, Between(daemon, lambda p, n, reply: failure(reply)) as between:
            result = self.finish(self.app(daemon, "accept", *self.tokens(1), GSSPROXY_SOCKET=between.path))
            self.assertIn("failure 4711", result["error"])

    def test_a_reply_in_fragments_and_in_drops_is_put_together(self):
        def fragments(reply):
            body = reply[4:]
            return b"".join(record(body[i:i + 100], last=i + 100 >= len(body)) for i in range(0, len(body), 100))
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon, Between(daemon, lambda p, n, reply: fragments(reply)) as between:
            result = self.finish(self.app(daemon, "accept", *self.tokens(1), GSSPROXY_SOCKET=between.path))
            self.assertEqual(result.get("name"), f"alice@{REALM}", result)

    def test_any_byte_changed_around_the_context_ends_no_process(self):
        """In turn, in one process. Not inside the exported context: that is libkrb5's to import, and damage there makes it read past the end."""
        def spoil(procedure, n, reply):
            at = 4 + 24 + 8
            for more in (8, 0, 0, 4 + 4):  # mechanism, minor; both texts; server context, options (none), "there is a context"
                at += 4 + (BODY.unpack_from(reply, at)[0] + 3) // 4 * 4 + more
            end = at + 4 + BODY.unpack_from(reply, at)[0]
            places = [*range(4, at), *range(end, len(reply))]
            place = places[7 * n % len(places)]
            return reply[:place] + bytes([reply[place] ^ 0x81]) + reply[place + 1:]
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon, Between(daemon, spoil) as between:
            results = self.finish(self.app(daemon, "accept_many", 300, GSSPROXY_SOCKET=between.path, behavior="REMOTE_FIRST"))
            self.assertEqual(len(results), 300)

    # ---- processes and threads ----

    def test_children_have_connections_of_their_own_and_the_parents_stays(self):
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon, Between(daemon) as between:
            result = self.finish(self.app(daemon, "forks", 4, GSSPROXY_SOCKET=between.path, behavior="REMOTE_FIRST"))
            self.assertEqual(result, {"children": [0] * 4, "parent": f"alice@{REALM}"})
            self.assertEqual(between.connections, 5)

    def test_a_program_executed_from_here_inherits_no_connection(self):
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon:
            self.assertEqual(self.finish(self.app(daemon, "executes", behavior="REMOTE_FIRST"))["sockets"], 0)

    def test_a_process_that_closed_its_descriptors_and_reused_their_numbers_keeps_its_files(self):
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon:
            result = self.finish(self.app(daemon, "reuses", behavior="REMOTE_FIRST"))
            self.assertEqual(result, {"name": f"alice@{REALM}", "files": "untouched"})

    def test_a_process_that_changed_its_user_asks_as_that_user(self):
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon:
            result = self.finish(self.app(daemon, "changes_user", 12345, *self.tokens(2)))
            self.assertIn("no service of its configuration is for this user", result["error"])

    def test_eight_threads_share_the_pool_and_none_waits_for_all(self):
        with daemon_for(self.realm, ACCEPT_ONLY) as daemon, Between(daemon) as between:
            result = self.finish(self.app(daemon, "threads", 12, 40, GSSPROXY_SOCKET=between.path, behavior="REMOTE_FIRST"))
            self.assertEqual(result, {"done": 480, "failed": []})
            self.assertGreater(between.connections, 1)
            self.assertLessEqual(between.connections, 8)

    def test_each_thread_is_told_of_its_own_failure(self):
        with daemon_for(self.realm, ACCEPT_ONLY.replace("{keytab}", "{dir}/missing")) as daemon:
            result = self.finish(self.app(daemon, "failures", *self.tokens(1)))
            self.assertIn("missing", result["text"])
            self.assertIn("missing", result["elsewhere"], "another thread that asks is told the latest")
            self.assertEqual(result["again"], result["text"])


if __name__ == "__main__":
    unittest.main()
