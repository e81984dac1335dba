"""The command's own help and its manual list the same commands and options."""
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GAGE = pathlib.Path(os.environ.get("GAGE_PREFIX", ROOT / "build/root")) / "bin/gage"


def help_of(*words):
    return subprocess.run([GAGE, *words, "--help"], capture_output=True, text=True, check=True).stdout


def commands():
    text = help_of()
    return re.findall(r"(?m)^  ([a-z]+)\b", text[text.index("commands:"):])


def options_of(command):
    return set(re.findall(r"(?m)^  (--[a-z-]+)", help_of(command))) - {"--help"}


def section_of(command):
    """The command's part of the manual: its own page, or its section of gage(1), as plain text."""
    own = ROOT / f"man/gage-{command}.1"
    if own.exists():
        return own.read_text().replace("\\-", "-")
    text = (ROOT / "man/gage.1").read_text().replace("\\-", "-")
    start = text.find(f".SS gage {command}\n")
    return "" if start < 0 else text[start:re.compile(r"(?m)^\.S[SH] ").search(text, start + 4).start()]


def options_in(text):
    """Options that the text explains: those of its .TP headings, not those it mentions."""
    headings = re.findall(r"(?m)^\.TP\n(.*)", text)
    return {option for heading in headings for option in re.findall(r"--[a-z][a-z-]*", heading)}


class Manual(unittest.TestCase):
    def test_there_are_commands(self):
        self.assertIn("share", commands())

    def test_every_command_has_its_part_of_the_manual_with_exactly_its_options(self):
        for command in commands():
            with self.subTest(command):
                text = section_of(command)
                self.assertTrue(text, f"gage {command} is not in the manual")
                self.assertEqual(options_in(text), options_of(command))

    def test_every_configuration_key_is_in_the_manual(self):
        table = (ROOT / "src/cli/settings.c").read_text()
        rows = re.findall(r'\{"(\w+)",\s*"(\w+)",\s*CONF_', table)
        self.assertGreater(len(rows), 3)
        text = (ROOT / "man/gage.conf.5").read_text()
        for section, key in rows:
            with self.subTest(f"[{section}] {key}"):
                part = text[text.index(f".SS [{section}]"):]
                part = part[:re.compile(r"(?m)^\.S[SH] ").search(part, 4).start()]
                self.assertIn(f".TP\n.B {key}\n", part)


if __name__ == "__main__":
    unittest.main()
