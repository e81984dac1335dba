"""gage doctor names each broken thing, and what to do about it."""
import json
import os
import unittest

from mailbox import Mailbox
from stage import STATUS, Person


def findings(person, *words, env=None):
    done = person.run("doctor", "--json", *words, env=env)
    return done.returncode, {row["topic"]: row for row in json.loads(done.stdout)}


class Doctor(unittest.TestCase):
    def setUp(self):
        self.relay = self.enterContext(Mailbox())
        self.person = self.enterContext(Person(self.relay))

    def bad(self, topic, status, *words, env=None):
        code, found = findings(self.person, *words, env=env)
        self.assertEqual(found[topic]["verdict"], "bad", found)
        self.assertTrue(found[topic]["fix"])
        self.assertEqual(code, STATUS[status])
        return found[topic]

    def test_all_is_well_where_it_is(self):
        code, found = findings(self.person)
        self.assertEqual({row["verdict"] for row in found.values()}, {"good"}, found)
        self.assertEqual(code, 0)

    def test_a_mechanism_that_cannot_be_loaded(self):
        config = self.person.work / "mech"
        config.write_text("")
        row = self.bad("mechanism", "E_CONFIG", env={"GSS_MECH_CONFIG": str(config)})
        self.assertIn("GSS_MECH_CONFIG", row["fix"])

    def test_a_slip_in_the_configuration(self):
        self.person.configure("[relay]\nulr = https://relay.example\n")
        row = self.bad("configuration", "E_CONFIG")
        self.assertIn("gage.conf", row["found"])

    def test_no_relay_is_only_a_note(self):
        self.person.configure("")
        code, found = findings(self.person)
        self.assertEqual((code, found["configuration"]["verdict"], found["relay"]["verdict"]), (0, "note", "note"))

    def test_a_relay_that_does_not_run(self):
        with Mailbox() as other:
            url, pin = other.url, other.pin
        row = self.bad("relay", "E_UNAVAILABLE", "--relay", url, "--relay-pin", pin)
        self.assertIn("cannot be reached", row["found"])

    def test_a_wrong_pin(self):
        with Mailbox() as other:
            row = self.bad("relay", "E_AUTH", "--relay", self.relay.url, "--relay-pin", other.pin)
        self.assertIn("pinned key", row["found"])

    def test_a_certificate_that_nobody_vouches_for(self):
        self.person.configure(f"[relay]\nurl = {self.relay.url}\n")
        row = self.bad("relay", "E_AUTH")
        self.assertIn("pin", row["fix"])

    def test_a_certificate_vouched_for_by_a_file(self):
        self.person.configure(f"[relay]\nurl = {self.relay.url}\nca = {self.relay.cert}\n")
        self.assertEqual(findings(self.person)[0], 0)

    def test_something_that_is_no_relay(self):
        self.relay.hook = lambda request: (200, {}, b"hello")
        row = self.bad("relay", "E_UNAVAILABLE")
        self.assertIn("200", row["found"])

    def test_an_address_that_is_not_https(self):
        self.bad("relay", "E_USAGE", "--relay", "http://127.0.0.1:1")

    def test_a_redirect_is_not_followed(self):
        self.relay.hook = lambda request: (302, {"Location": self.relay.url + "/elsewhere"}, b"")
        self.bad("relay", "E_UNAVAILABLE")
        self.assertEqual(len(self.relay.requests), 1)

    def test_a_clock_that_is_wrong(self):
        handler = self.relay.server.RequestHandlerClass
        kept, handler.date_time_string = handler.date_time_string, lambda *_: "Thu, 01 Jan 2026 00:00:00 GMT"
        self.addCleanup(setattr, handler, "date_time_string", kept)
        row = self.bad("clock", "E_CONFIG")
        self.assertIn("ahead", row["found"])

    def test_a_state_folder_open_to_others(self):
        self.person.run("list")
        os.chmod(self.person.home / ".local/state/gage", 0o755)
        row = self.bad("state", "E_CONFIG")
        self.assertIn("0700", row["fix"])

    def test_lines_for_a_person_mark_what_is_bad(self):
        self.person.configure("[relay]\nulr = x\n")
        done = self.person.run("doctor")
        self.assertIn("BAD   configuration", done.stdout)
        self.assertIn("to do:", done.stdout)
        self.assertIn("something needs fixing", done.stderr)


if __name__ == "__main__":
    unittest.main()
