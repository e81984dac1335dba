"""The HTTP front on PostgreSQL: two relays on one database, over real HTTPS."""
import os
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from postgres import Postgres  # noqa: E402
from relay import Relay, in_thread, new_id  # noqa: E402


class SharedRelay(Relay):
    """A relay whose mailboxes are in the database; its certificate is made by a first run on SQLite."""

    def __init__(self, postgres, folder, name):
        super().__init__(options=["--metrics", "127.0.0.1:0", "--store", postgres.url, "--store-key", postgres.key,
                                  "--tls-cert", f"{folder}/relay.db.tls-cert.pem", "--tls-key", f"{folder}/relay.db.tls-key.pem"],
                         relay={"sweep_interval": "1s"}, folder=folder)
        self.name = name

    def path(self, name):
        return super().path(f"{self.name}-{name}" if name in ("relay.conf", "log") else name)


class TwoRelays(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.postgres = Postgres().__enter__()
        cls.addClassCleanup(cls.postgres.__exit__, None, None, None)
        first = Relay().__enter__()
        cls.addClassCleanup(first.stop)
        first.process.terminate()
        first.process.wait(15)
        cls.one = SharedRelay(cls.postgres, first.folder, "one").__enter__()
        cls.addClassCleanup(cls.one.stop)
        cls.two = SharedRelay(cls.postgres, first.folder, "two").__enter__()
        cls.addClassCleanup(cls.two.stop)

    def setUp(self):
        self.a, self.b, self.c = new_id(), new_id(), new_id()

    def data(self, answer):
        self.assertEqual(answer.status, 200, answer)
        return answer.json["payload"]["data"]

    def test_a_mailbox_made_at_one_relay_is_read_previewed_and_deleted_at_the_other(self):
        path = self.one.box(self.a, data="shared", title="Seen at both")
        self.assertIn(b"Seen at both", self.two.request("GET", path).body)
        self.assertEqual(self.data(self.two.read(path, self.b)), "shared")
        self.assertEqual(self.one.read(path, self.c).status, 401)
        self.assertEqual(self.two.delete(path, self.a).status, 200)
        self.assertEqual(self.one.read(path, self.b).status, 404)

    def test_a_write_at_one_relay_wakes_the_read_that_waits_at_the_other_in_both_directions(self):
        path = self.one.box(self.a)
        self.data(self.two.read(path, self.b))
        for version, (here, there, writer, reader) in enumerate(((self.one, self.two, self.a, self.b),
                                                                 (self.two, self.one, self.b, self.a)), 1):
            waiting = in_thread(there.read, path, reader, version, 50)
            there.until_metric("waiting_reads", 1)
            self.assertEqual(here.update(path, writer, f"payload {version}").status, 200)
            self.assertEqual(self.data(waiting()), f"payload {version}")

    def test_a_whole_transfer_with_the_parties_at_different_relays(self):
        path = self.one.box(self.a, data="1")
        self.assertEqual(self.data(self.two.read(path, self.b)), "1")
        self.assertEqual(self.two.update(path, self.b, "2", if_match='"1"').json["version"], 2)
        self.assertEqual(self.data(self.one.read(path, self.a, 1, 30)), "2")
        self.assertEqual(self.one.update(path, self.a, "3", if_match='"2"').json["version"], 3)
        self.assertEqual(self.data(self.two.read(path, self.b, 2, 30)), "3")
        self.assertEqual(self.two.update(path, self.b, "4", if_match='"2"').status, 412)
        self.assertEqual(self.two.update(path, self.b, "4", if_match='"3"').json["version"], 4)
        self.assertEqual(self.data(self.one.read(path, self.a, 3, 30)), "4")
        self.assertEqual(self.one.delete(path, self.a).status, 200)

    def health(self, relay):
        return relay.request("GET", "/healthz").status

    def until_health(self, relay, wanted):
        for _ in range(1000):
            if self.health(relay) == wanted:
                return
            time.sleep(0.05)
        self.fail(f"/healthz is never {wanted}: {relay.log_text()}")

    def test_healthz_tells_without_any_other_request_that_the_database_went_and_came_back(self):
        self.until_health(self.one, 200)
        self.postgres.stop("immediate")
        self.until_health(self.one, 503)
        self.postgres.start()
        self.until_health(self.one, 200)
        self.until_health(self.two, 200)

    def test_healthz_tells_of_a_database_that_hangs(self):
        self.until_health(self.one, 200)
        pids = [int(pid) for pid in self.postgres.sql("select pid from pg_stat_activity where backend_type = 'client backend' "
                                                      "and pid <> pg_backend_pid()").split()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            self.until_health(self.one, 503)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        self.until_health(self.one, 200)

    def test_a_request_id_repeated_at_the_other_relay_is_a_duplicate(self):
        request_id = new_id()
        first = self.one.create(self.a, request_id)
        again = self.two.create(self.a, request_id, data="other")
        self.assertEqual((first.status, again.status), (200, 201))
        self.assertEqual(first.json["urlLink"].rsplit("/", 1)[1], again.json["urlLink"].rsplit("/", 1)[1])
        path = "/v1/m/" + first.json["urlLink"].rsplit("/", 1)[1]
        request_id = new_id()
        done = self.one.update(path, self.a, "once", request_id)
        self.assertEqual(self.two.update(path, self.a, "twice", request_id).body, done.body)
        self.assertEqual(self.data(self.two.read(path, self.a)), "once")

    def test_of_claims_that_race_at_both_relays_one_is_bound(self):
        path = self.one.box(self.a)
        claims = [new_id() for _ in range(12)]
        racing = [in_thread((self.one, self.two)[i % 2].read, path, claim) for i, claim in enumerate(claims)]
        statuses = [wait().status for wait in racing]
        self.assertEqual(sorted(statuses), [200] + [401] * 11)
        winner = claims[statuses.index(200)]
        self.assertEqual({self.one.read(path, winner).status, self.two.read(path, winner).status}, {200})

    def test_when_the_database_is_gone_it_is_503_and_service_resumes(self):
        path, request_id = self.one.box(self.a), new_id()
        self.postgres.stop("immediate")
        try:
            answer = self.one.update(path, self.a, "later", request_id)
            self.assertEqual(answer.status, 503)
            self.assertIn("Retry-After", answer.headers)
            self.assertEqual(self.two.read(path, self.a).status, 503)
            for relay in (self.one, self.two):
                self.assertEqual(relay.request("GET", "/healthz").status, 503)
        finally:
            self.postgres.start()
        for relay in (self.one, self.two):
            relay.until_metric("store_healthy", 1)
        self.assertIn(self.one.update(path, self.a, "later", request_id).status, (200, 201))
        self.assertEqual(self.data(self.two.read(path, self.a)), "later")


if __name__ == "__main__":
    unittest.main()
