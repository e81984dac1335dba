"""Two parties of the one-time-credential mechanism in one process, by gss.py, and the names of its statuses, read from doc/otc.md."""
import base64
import os
import pathlib
import re
import unittest

import gss

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "doc/otc.md"
MINOR = 0x6F746300


def status_table():
    """{name: (minor, major, sentence)} of section 13."""
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \| ([A-Z_ +]+) \| (.+) \|$", DOCUMENT.read_text(), re.M)
    return {name: (MINOR + int(number), major_of(major), text) for number, name, major, text in rows}


def major_of(words):
    values = {"DUPLICATE_TOKEN": gss.DUPLICATE, "CALL_INACCESSIBLE_READ": 1 << 24}
    return sum(values.get(word) or getattr(gss, word) for word in words.split(" + "))


STATUS = status_table()
NAME_OF = {minor: name for name, (minor, _, _) in STATUS.items()}


def secret():
    """A fresh link secret's text."""
    return base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()


def link(text, usage=gss.INITIATE, **more):
    """The credential of a link's creator (INITIATE) or receiver (ACCEPT)."""
    store = [("otc_secret", text)] + [("otc_" + key, value) for key, value in more.items()]
    return gss.acquire(store=store, usage=usage).ok().cred


def write_file(path, text, side=None, mode=0o600, **fields):
    lines = ["gage-otc-secret 1"] + [f"side={side}"] * bool(side) + [f"secret={text}"]
    lines += [f"{key.replace('_', '-')}={value}" for key, value in fields.items()]
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    os.chmod(path, mode)
    return path


class Pair:
    """An established pair: .i and .a are the contexts, .first, .second, .third the tokens, .last_i and .last_a the last Results."""

    def __init__(self, text=None, creds=None, bindings=(None, None), **options):
        self.text = text or secret()
        self.creds = creds or (link(self.text), link(self.text, gss.ACCEPT))
        made = gss.init(self.creds[0], binding=bindings[0], **options).ok()
        self.first = made.token
        answer = gss.accept(self.creds[1], made.token, binding=bindings[1]).ok()
        self.second = answer.token
        self.last_i = gss.init(self.creds[0], answer.token, made.context, binding=bindings[0], **options).ok()
        self.third = self.last_i.token
        self.last_a = gss.accept(self.creds[1], self.third, answer.context, binding=bindings[1]).ok()
        self.i, self.a = self.last_i.context, self.last_a.context

    def ways(self):
        """(sender, receiver) in both directions."""
        return (self.i, self.a), (self.a, self.i)


class Case(unittest.TestCase):
    def refused(self, name, result):
        """The result is the failure of that name, with the major and the sentence that the document gives it."""
        minor, major, text = STATUS[name]
        got = NAME_OF.get(result.minor, hex(result.minor))
        self.assertEqual((got, hex(result.major)), (name, hex(major)), gss.text_of(result.minor))
        self.assertEqual(gss.text_of(minor), text)
        return result

    def delivered(self, data, result, major=gss.COMPLETE):
        self.assertEqual((result.ok().data, hex(result.major)), (data, hex(major)))
