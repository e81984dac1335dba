"""What a program sees of the mechanism before it has a credential: its OID, attributes, names of it, statuses, and that it acquires
nothing unasked. Through the system's GSS library only, after doc/otc.md and the published RFCs.
"""
import base64
import ctypes
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import unittest

import gss

gss.use_otc()

import otc_pair  # noqa: E402

ATTRIBUTE = bytes.fromhex("2b060105050d")  # 1.3.6.1.5.5.13, RFC 5587
(CONCRETE, NEGO, GLUE, DEPRECATED, NOT_DFLT, FRAMED, AUTH_INIT_ANON, AUTH_TARG_ANON, DELEG_CRED, INTEG, CONF, MIC, WRAP, PROT_READY, REPLAY,
 SEQUENCE, CBINDINGS, PFS, COMPRESS, TRANS) = (1, 4, 5, 7, 8, 9, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27)


class Mechanism(otc_pair.Case):
    def test_the_library_indicates_the_oid_of_the_document_byte_for_byte(self):
        text = otc_pair.DOCUMENT.read_text()
        value = bytes.fromhex(re.search(r"value +((?:[0-9a-f]{2} )+[0-9a-f]{2})", text)[1])
        self.assertEqual(gss.indicate_mechs().ok().mechs.count(value), 1)
        self.assertEqual(value, gss.OTC)
        self.assertIn(f"gage_otc {dotted(value)} ", text)

    def test_attributes_say_what_it_gives_and_no_more(self):
        mine = {a[len(ATTRIBUTE)] for a in gss.inquire_attrs().ok().attributes if a.startswith(ATTRIBUTE)}
        must = {CONCRETE, NOT_DFLT, FRAMED, INTEG, CONF, MIC, WRAP, REPLAY, SEQUENCE, CBINDINGS, PFS, TRANS}
        self.assertEqual(must - mine, set())
        self.assertEqual(mine & {NEGO, GLUE, DEPRECATED, AUTH_INIT_ANON, AUTH_TARG_ANON, DELEG_CRED, PROT_READY, COMPRESS}, set())

    def test_the_sasl_name_is_the_one_of_rfc_5801(self):
        digest = hashlib.sha1(b"\x06" + bytes([len(gss.OTC)]) + gss.OTC).digest()
        name = "GS2-" + base64.b32encode(digest[:10]).decode()[:11]
        self.assertEqual(gss.inquire_saslname().ok().sasl.decode(), name)

    def test_its_name_types_contain_the_exported_form(self):
        self.assertIn(gss.NT_EXPORT, gss.inquire_names().ok().kinds)

    def test_spnego_does_not_offer_it_unasked(self):
        """NOT_DFLT_MECH: indicated, but in no default set."""
        result = gss.acquire(usage=gss.INITIATE, mech=None)
        self.assertNotIn(gss.OTC, result.mechs or [])


class Statuses(otc_pair.Case):
    def test_every_minor_status_displays_its_sentence(self):
        """Asked of the plugin itself: the library displays only those minors that a call returned before."""
        plugin = ctypes.CDLL(gss.PREFIX / "lib/gage/gss/gage_otc.so")
        self.assertEqual(len(otc_pair.STATUS), 45)
        for name, (minor, _, text) in otc_pair.STATUS.items():
            out, more, own = gss.Buffer(), ctypes.c_uint32(), ctypes.c_uint32()
            by = ctypes.byref
            self.assertEqual(plugin.gss_display_status(by(own), ctypes.c_uint32(minor), 2, gss.oid(gss.OTC), by(more), by(out)), 0, name)
            self.assertEqual((gss.bytes_of(out).decode(), more.value), (text, 0), name)

    def test_sentences_fit_a_line_and_say_what_to_do(self):
        for name, (_, _, text) in otc_pair.STATUS.items():
            self.assertTrue(text and "\n" not in text and len(text) <= 160, name)


class NothingUnasked(otc_pair.Case):
    def test_there_is_no_default_credential(self):
        for usage in (gss.INITIATE, gss.ACCEPT, gss.BOTH):
            self.refused("NO_SECRET", gss.acquire(usage=usage))
            self.refused("NO_SECRET", gss.acquire(usage=usage, name=gss.import_name(b"root").ok().name))

    def test_no_context_begins_without_a_credential(self):
        result = gss.init(None)
        self.assertEqual((result.major, result.token), (gss.NO_CRED, b""))
        token = gss.init(otc_pair.link(otc_pair.secret())).ok().token
        result = gss.accept(None, token)
        self.assertEqual((result.major, result.token), (gss.NO_CRED, b""))

    def test_a_store_without_a_secret_gives_nothing(self):
        self.refused("NO_SECRET", gss.acquire(store=[("otc_label", "root")]))

    def test_the_environment_is_no_credential_store(self):
        keys = ("otc_secret", "OTC_SECRET", "otc_secret_file", "OTC_SECRET_FILE", "GAGE_OTC_SECRET")
        with tempfile.TemporaryDirectory() as home:
            path = otc_pair.write_file(os.path.join(home, "secret"), otc_pair.secret())
            env = dict(os.environ, HOME=home, **{key: path if "FILE" in key.upper() else otc_pair.secret() for key in keys})
            code = "import sys; sys.path.insert(0, sys.argv[1]); import gss; print(*(hex(gss.acquire(usage=u).major) for u in (0, 1, 2)))"
            done = subprocess.run([sys.executable, "-c", code, str(gss.ROOT / "tests/lib")], capture_output=True, text=True, env=env)
        self.assertEqual((done.stdout.split(), done.stderr), ([hex(gss.NO_CRED)] * 3, ""))


def dotted(value):
    arcs, n = [value[0] // 40, value[0] % 40], 0
    for byte in value[1:]:
        n = n << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(n)
            n = 0
    return ".".join(map(str, arcs))


if __name__ == "__main__":
    unittest.main()
