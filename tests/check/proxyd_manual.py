"""gage-proxyd's tables and its manual pages say the same: configuration keys, options, log events."""
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("GAGE_PREFIX", ROOT / "build/root")) / "sbin/gage-proxyd"


def page(name):
    return (ROOT / "man" / name).read_text().replace("\\-", "-")


class Manual(unittest.TestCase):
    def test_every_key_stands_in_its_section_and_no_other(self):
        source = (ROOT / "src/proxyd/conf_keys.c").read_text()
        rows = re.findall(r'(?m)^\s+\{(true|false), "([^"]+)", KEY_', source)
        self.assertGreater(len(rows), 40)
        text = page("gage-proxyd.conf.5")
        for glob, title in (("true", "[gssproxy]"), ("false", "[service/NAME]")):
            part = text[text.index(f".SH {title}\n") + 4:]
            part = part[:part.index(".SH ")]
            self.assertEqual(set(re.findall(r'(?m)^\.BR "([^"]+)"', part)), {name for g, name in rows if g == glob})

    def test_every_event_is_explained(self):
        events = re.findall(r'EVENT\(\w+, "(\w+)"', (ROOT / "src/proxyd/events.c").read_text())
        events += re.findall(r'struct log_event \w+ = \{"(\w+)"', (ROOT / "src/proxyd/audit.c").read_text())
        self.assertGreater(len(events), 12)
        explained = re.findall(r"(?m)^\.TP\n\.B (\w+)\n\(", page("gage-proxyd.8"))
        self.assertEqual(sorted(events), sorted(explained))

    def test_every_option_is_explained(self):
        said = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
        options = set(re.findall(r"(?m)^ .*?(--[a-z-]+)", said))
        text = page("gage-proxyd.8")
        text = text[text.index(".SH OPTIONS"):text.index(".SH SIGNALS")]
        self.assertEqual(options, set(re.findall(r"(?m)^\.B.*?(--[a-z-]+)", text)))


if __name__ == "__main__":
    unittest.main()
