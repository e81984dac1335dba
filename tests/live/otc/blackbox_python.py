"""python3-gssapi's high-level interface on the mechanism: an unmodified library that knows nothing of it. Every step may be a process of
its own: contexts travel between them exported, half-open ones too.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import gss

gss.use_otc()

import gssapi  # noqa: E402
from gssapi import raw  # noqa: E402
import otc_pair  # noqa: E402

MECH = gssapi.OID(elements=gss.OTC)
ANYBODY = gssapi.Name("anybody", gssapi.NameType.user)

# One step in a process of its own: reads {name: hex or text} on standard input, runs `code` with them as variables, prints what it puts
# into `out`. Nothing secret is on its command line.
STEP = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import gssapi
import otc_pair, gss
MECH = gssapi.OID(elements=gss.OTC)
ANYBODY = gssapi.Name("anybody", gssapi.NameType.user)
given = json.load(sys.stdin)
data = {k: bytes.fromhex(v) for k, v in given["data"].items()}
out = {"pid": str(os.getpid()).encode()}
def credentials(usage):
    store = {"otc_secret": given["secret"]}
    return gssapi.Credentials(base=gssapi.raw.acquire_cred_from({k.encode(): v.encode() for k, v in store.items()}, None, mechs=[MECH],
                                                                usage=usage).creds)
exec(given["code"])
json.dump({k: v.hex() for k, v in out.items()}, sys.stdout)
"""


def step(secret, code, **data):
    given = json.dumps({"secret": secret, "code": code, "data": {k: v.hex() for k, v in data.items()}})
    done = subprocess.run([sys.executable, "-c", STEP, str(gss.ROOT / "tests/lib")], input=given, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return {k: bytes.fromhex(v) for k, v in json.loads(done.stdout).items()}


class Processes(unittest.TestCase):
    def setUp(self):
        self.secret = otc_pair.secret()

    def establish(self):
        one = step(self.secret, """
ctx = gssapi.SecurityContext(name=ANYBODY, creds=credentials("initiate"), mech=MECH, usage="initiate")
out["token"] = ctx.step()
out["state"] = ctx.export()
""")
        two = step(self.secret, """
ctx = gssapi.SecurityContext(creds=credentials("accept"), usage="accept")
out["token"] = ctx.step(data["token"])
out["state"] = ctx.export()
""", token=one["token"])
        three = step(self.secret, """
found = gssapi.raw.import_sec_context(data["state"])
done = gssapi.raw.init_sec_context(ANYBODY, context=found, mech=MECH, input_token=data["token"], flags=[gssapi.RequirementFlag.mutual_authentication,
    gssapi.RequirementFlag.out_of_sequence_detection])
assert not done.more_steps
out["token"] = done.token
out["state"] = gssapi.raw.export_sec_context(done.context)
""", token=two["token"], state=one["state"])
        four = step(self.secret, """
found = gssapi.raw.import_sec_context(data["state"])
done = gssapi.raw.accept_sec_context(data["token"], credentials("accept"), found)
assert not done.more_steps and not done.token
out["name"] = gssapi.raw.display_name(done.initiator_name, False).name
out["state"] = gssapi.raw.export_sec_context(done.context)
""", token=three["token"], state=two["state"])
        self.assertEqual(len({p["pid"] for p in (one, two, three, four)}), 4)
        self.assertTrue(four["name"].endswith(b"/initiator"))
        return three["state"], four["state"]

    def test_four_processes_establish_and_four_more_talk(self):
        initiator, acceptor = self.establish()
        sent = step(self.secret, """
ctx = gssapi.SecurityContext(token=data["state"])
assert ctx.complete and ctx.locally_initiated
out["token"], out["state"] = ctx.encrypt(b"over there"), ctx.export()
""", state=initiator)
        got = step(self.secret, """
ctx = gssapi.SecurityContext(token=data["state"])
assert ctx.complete and not ctx.locally_initiated
out["message"] = ctx.decrypt(data["token"])
out["token"], out["state"] = ctx.get_signature(b"received"), ctx.export()
""", state=acceptor, token=sent["token"])
        self.assertEqual(got["message"], b"over there")
        step(self.secret, """
gssapi.SecurityContext(token=data["state"]).verify_signature(b"received", data["token"])
""", state=sent["state"], token=got["token"])
        replayed = step(self.secret, """
try:
    gssapi.SecurityContext(token=data["state"]).decrypt(data["token"])
    out["said"] = b"nothing"
except gssapi.raw.DuplicateTokenError:
    out["said"] = b"duplicate"
""", state=got["state"], token=sent["token"])
        self.assertEqual(replayed["said"], b"duplicate", "the window travels with the context")

    def test_an_importer_of_the_state_before_sees_no_epoch_twice(self):
        initiator, acceptor = self.establish()
        code = 'ctx = gssapi.SecurityContext(token=data["state"]); out["token"] = ctx.encrypt(b"x")'
        epochs = {step(self.secret, code, state=initiator)["token"][2:10] for _ in range(3)}
        self.assertEqual(len(epochs), 3)


class HighLevel(unittest.TestCase):
    def creds(self, usage, **store):
        store = {k.encode(): v.encode() for k, v in store.items()}
        return gssapi.Credentials(base=raw.acquire_cred_from(store, None, mechs=[MECH], usage=usage).creds)

    def pair(self, **options):
        text = otc_pair.secret()
        i = gssapi.SecurityContext(name=ANYBODY, creds=self.creds("initiate", otc_secret=text, otc_label="laptop"), mech=MECH,
                                   usage="initiate", **options)
        a = gssapi.SecurityContext(creds=self.creds("accept", otc_secret=text), usage="accept")
        token = None
        while not (i.complete and a.complete):
            token = i.step(token)
            if token:
                token = a.step(token)
        return i, a

    def test_a_loop_that_knows_no_mechanism_establishes(self):
        i, a = self.pair()
        self.assertEqual((i.mech, a.mech), (MECH, MECH))
        self.assertEqual(a.decrypt(i.encrypt(b"hello")), b"hello")
        self.assertTrue(i.lifetime > 6 * 86400 and not a.delegated_creds)

    def test_its_credentials_tell_usage_and_lifetime(self):
        creds = self.creds("initiate", otc_secret=otc_pair.secret(), otc_not_after="1h")
        self.assertEqual(creds.usage, "initiate")
        self.assertTrue(3500 < creds.lifetime <= 3600)
        self.assertEqual(list(creds.mechs), [MECH])
        again = gssapi.Credentials(token=creds.export())
        self.assertEqual((again.usage, str(again.name)), (creds.usage, str(creds.name)))

    def test_its_names_have_attributes(self):
        _, a = self.pair()
        name = a.initiator_name
        self.assertTrue(name.is_mech_name)
        self.assertEqual(set(name.attributes[b"otc:label"].values), {b"laptop"})
        self.assertFalse(name.attributes[b"otc:label"].authenticated)

    def test_its_statuses_are_exceptions_of_their_own(self):
        text = otc_pair.secret()
        i = gssapi.SecurityContext(name=ANYBODY, creds=self.creds("initiate", otc_secret=text), mech=MECH, usage="initiate")
        token = i.step()
        with self.assertRaises(gssapi.exceptions.InvalidCredentialsError) as caught:
            gssapi.SecurityContext(creds=self.creds("accept", otc_secret=otc_pair.secret()), usage="accept").step(token)
        self.assertIn(otc_pair.STATUS["WRONG_SECRET"][2], str(caught.exception))
        with self.assertRaises(gssapi.exceptions.InvalidTokenError):
            gssapi.SecurityContext(creds=self.creds("accept", otc_secret=text), usage="accept").step(token[:-1] + bytes([token[-1] ^ 1]))
        with self.assertRaises(gssapi.exceptions.ExpiredCredentialsError):
            self.creds("initiate", otc_secret=text, otc_not_after="2001-01-01T00:00:00Z")
        with self.assertRaises(gssapi.exceptions.MissingCredentialsError):
            gssapi.Credentials(mechs=[MECH], usage="initiate")

    def test_a_secret_file_serves_it(self):
        text = otc_pair.secret()
        with tempfile.TemporaryDirectory() as folder:
            files = {side: otc_pair.write_file(os.path.join(folder, side), text, side) for side in "ab"}
            i = gssapi.SecurityContext(name=ANYBODY, creds=self.creds("initiate", otc_secret_file=files["b"]), mech=MECH, usage="initiate")
            a = gssapi.SecurityContext(creds=self.creds("accept", otc_secret_file=files["a"]), usage="accept")
            a.step(i.step(a.step(i.step())))
        self.assertTrue(i.complete and a.complete)


if __name__ == "__main__":
    unittest.main()
