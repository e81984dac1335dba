"""doc/relay.md's requirements have tests; the manual page has the tables' keys and events."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class RelayDocuments(unittest.TestCase):
    def test_every_requirement_marked_v_has_a_test_that_names_it(self):
        rows = re.findall(r"^\| ([RA]\d+) \| (v?) ?\|", (ROOT / "doc/relay.md").read_text(), re.M)
        self.assertEqual([r for r, _ in rows], [f"R{n}" for n in range(1, 39)] + [f"A{n}" for n in range(1, 31)])
        names = " ".join(re.findall(r"def (test_\w+)", "".join(p.read_text() for p in (ROOT / "tests/live/relayd").glob("*.py"))))
        self.assertEqual([r for r, v in rows if v and not re.search(rf"_{r}_", names)], [])

    def test_the_manual_page_has_every_key_and_event(self):
        page = (ROOT / "man/gage-relayd.8").read_text().replace("\\-", "-")
        keys = re.findall(r'\{"(?:relay|limits)", "(\w+)", CONF_', (ROOT / "src/relayd/settings.c").read_text())
        events = re.findall(r"X\((\w+), [A-Z]+, ", (ROOT / "src/relayd/events.h").read_text())
        self.assertTrue(len(keys) > 20 and len(events) > 8)
        self.assertEqual([name for name in keys + events if f".B {name}\n" not in page], [])


if __name__ == "__main__":
    unittest.main()
