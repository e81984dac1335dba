"""Replays doc/vectors/otc.json: by the second implementation every value, by the plugin every value that fresh randomness leaves fixed."""
import json
import os
import struct
import tempfile
import unittest

import gss

gss.use_otc()

import otc_pair  # noqa: E402
import otc_vectors  # noqa: E402
from otc_vectors import KINDS  # noqa: E402

FILE = gss.ROOT / "doc/vectors/otc.json"
PREFIX = struct.pack(">I", len(gss.OTC)) + gss.OTC
STATUS = {"COMPLETE": gss.COMPLETE, "DUPLICATE": gss.DUPLICATE, "OLD": gss.OLD, "UNSEQ": gss.UNSEQ, "GAP": gss.GAP}
RECEIVED = 8 + 128 + 1 + 8  # the end of an exported context: next, window, ended, final


def load():
    return json.loads(FILE.read_text())["exchanges"]


class SecondImplementation(unittest.TestCase):
    def test_every_value_of_every_exchange(self):
        exchanges = load()
        self.assertGreaterEqual(len(exchanges), 6)
        for exchange in exchanges:
            computed = otc_vectors.expected(exchange["given"])
            self.assertEqual(list(computed), list(exchange["expected"]))
            for key, value in exchange["expected"].items():
                with self.subTest(exchange["given"]["name"], value=key):
                    self.assertEqual(computed[key], value)

    def test_the_published_file_is_the_published_cases(self):
        self.assertEqual([e["given"] for e in load()], otc_vectors.CASES)


def channel(given):
    if given is None:
        return None
    initiator, acceptor, data = (bytes.fromhex(given[k]) for k in ("initiator_address", "acceptor_address", "application_data"))
    return gss.bindings(data, (given["initiator_addrtype"], initiator), (given["acceptor_addrtype"], acceptor))


class Plugin(otc_pair.Case):
    def each(self):
        for exchange in load():
            yield exchange["given"], exchange["expected"], lambda key, e=exchange["expected"]: bytes.fromhex(e[key])

    def acceptor(self, given, text):
        """The plugin's credential for the acceptor's side."""
        side = {"link": None, "a": "b", "b": "a"}[given["side"]]
        with tempfile.TemporaryDirectory() as folder:
            path = otc_pair.write_file(os.path.join(folder, "secret"), text, side)
            return gss.acquire(store=[("otc_secret_file", path)], usage=gss.ACCEPT).ok().cred

    def test_token_1_is_accepted_and_says_what_it_says(self):
        for given, expected, value in self.each():
            with self.subTest(given["name"]):
                cred = self.acceptor(given, expected["secret text"])
                result = gss.accept(cred, value("token 1"), binding=channel(given["acceptor"]["bindings"]))
                if "refused" in expected:
                    self.refused(expected["refused"], result)
                    self.refused(expected["refused"], gss.init(None, result.token, self.half_open(value)))
                    continue
                seen = gss.inquire_context(result.ok().context).ok()
                names = [seen.source, seen.target]
                self.assertEqual([gss.display_name(n).ok().text.decode() for n in names], expected["principals"])
                self.assertEqual(b"".join(gss.export_name(n).ok().data for n in names), value("exported names"))
                for key in ("label", "purpose", "title", "format"):
                    self.assertEqual(gss.get_name_attribute(names[0], b"otc:" + key.encode()).value.decode(), given[key])
                self.assertEqual(gss.export_context(result.context).ok().token[len(PREFIX):][:4], value("exported acceptor half open")[:4])

    @staticmethod
    def half_open(value):
        return gss.import_context(PREFIX + value("exported initiator half open")).ok().context

    def established(self, given, value):
        """Both sides as the plugin finishes them from the half-open exports; token 3 must come out to the byte."""
        three = gss.init(None, value("token 2"), self.half_open(value), binding=channel(given["initiator"]["bindings"])).ok()
        self.assertEqual(three.token, value("token 3"))
        waiting = gss.import_context(PREFIX + value("exported acceptor half open")).ok().context
        unrelated = otc_pair.link(otc_pair.secret(), gss.ACCEPT)  # MIT's library asks for some credential
        done = gss.accept(unrelated, three.token, waiting).ok()
        self.assertEqual((three.major, done.major), (gss.COMPLETE, gss.COMPLETE))
        return {"initiator": three.context, "acceptor": done.context}

    def test_the_plugin_makes_token_3_and_the_prf(self):
        for given, expected, value in self.each():
            if "refused" not in expected:
                for context in self.established(given, value).values():
                    for ask, answer in zip(given["prf"], expected["prf"]):
                        self.assertEqual(gss.pseudo_random(context, bytes.fromhex(ask["in"]), ask["length"]).ok().data.hex(), answer)

    def test_the_plugin_reads_every_message_with_its_status(self):
        for given, expected, value in self.each():
            if "refused" in expected:
                continue
            sides = self.established(given, value)
            for message, made in zip(given["messages"], expected["messages"]):
                receiver = sides["acceptor" if message["from"] == "initiator" else "initiator"]
                with self.subTest(given["name"], message=message["kind"]):
                    self.read(receiver, message, bytes.fromhex(made["token"]), STATUS[made["status"]])
            for role, context in sides.items():
                exported = gss.export_context(context).ok().token
                self.assertEqual(exported[-RECEIVED:], value("exported " + role)[-RECEIVED:], "what was received")

    def read(self, context, message, token, status):
        data, associated = bytes.fromhex(message["message"]), bytes.fromhex(message["associated"])
        if message["kind"] == "delete":
            result = gss.process(context, token)
        elif message["kind"] == "mic":
            result = gss.verify_mic(context, data, token)
        else:
            result = gss.unwrap_iov(context, [(gss.IOV_SIGN_ONLY, associated), (gss.IOV_HEADER, token[:34]), (gss.IOV_DATA, token[34:])])
            self.assertEqual((result.parts[2], result.conf), (data, int(message["kind"] == "wrap")))
        self.assertEqual(hex(result.ok().major), hex(status))

    def test_complete_contexts_import_and_export_unchanged(self):
        for given, expected, value in self.each():
            if "refused" not in expected:
                for role in ("initiator", "acceptor"):
                    context = gss.import_context(PREFIX + value("exported " + role)).ok().context
                    again = gss.export_context(context).ok().token
                    self.assertEqual(again[len(PREFIX):], value("exported " + role))
        self.assertEqual(set(KINDS), {m["kind"] for given, *_ in self.each() for m in given["messages"]})


if __name__ == "__main__":
    unittest.main()
