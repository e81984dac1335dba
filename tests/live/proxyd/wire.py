"""The protocol by hand: records and RPC answers, every procedure, handles and states that are refused."""
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import unittest

import gssapi
from daemon import ACCEPTOR, Daemon, Wire, run_client
from gssx import (ACCEPT, BAD_MECH, BAD_NAME, BOTH, COMPLETE, CONTINUE, DEFECTIVE_CRED, DEFECTIVE_TOKEN, INITIATE, KRB5, NO_CONTEXT,
                  NO_CRED, NT_USER, SPNEGO, call, empty, find, good, option, service, user, CALL)
from realm import REALM, Realm

SERVICES = """[service/any]
  mechs = krb5, spnego
  euid = {uid}
  allow_any_uid = yes
  socket = {dir}/any
  cred_store = keytab:{keytab}
  cred_store = client_keytab:{keytab}
  cred_store = ccache:FILE:{dir}/cache_%U

[service/inside]
  mechs = krb5
  euid = {uid}
  socket = {dir}/inside
  keep_keys = yes
  max_contexts = 4
  cred_store = keytab:{keytab}
"""


def header(xid=7, kind=0, rpc=2, program=400112, version=1, procedure=0, flavor=0):
    return struct.pack(">10I", xid, kind, rpc, program, version, procedure, flavor, 0, 0, 0)


class OnTheWire(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()
        os.chmod(cls.realm.dir, 0o755)
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})
        cls.daemon = Daemon(cls.realm, ACCEPTOR + "cred_usage = accept\n" + SERVICES)
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__()
        cls.realm.stop()

    def wire(self, name="sock"):
        wire = Wire(self.daemon.path(name))
        self.addCleanup(wire.socket.close)
        return wire

    def initiator(self, mech=KRB5, mutual=True):
        flags = gssapi.RequirementFlag.mutual_authentication if mutual else 0
        flags |= gssapi.RequirementFlag.replay_detection | gssapi.RequirementFlag.out_of_sequence_detection
        context = gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service),
                                         mech=gssapi.OID(elements=mech), flags=flags, usage="initiate")
        return context, context.step()

    # ---- what is remembered of tickets ----

    def names_of(self, wire, env=None):
        store = {"ccache": env["KRB5CCNAME"]} if env else None
        creds = gssapi.Credentials(usage="initiate", store=store)
        token = gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), creds=creds,
                                       usage="initiate").step()
        context = good(wire, "accept_sec_context", token=token)["context"]
        return context["source"], context["target"]

    def test_contexts_of_one_ticket_tell_the_same_names_and_those_of_another_their_own(self):
        bob = self.realm.kinit("bob", "FILE:" + self.realm.path("bob-cache"))
        for name in ("sock", "any"):
            wire = self.wire(name)
            first = self.names_of(wire)
            self.assertEqual(first[0]["display"], f"alice@{REALM}".encode())
            self.assertEqual(first[1]["display"], f"host/localhost@{REALM}".encode())
            self.assertTrue(first[0]["exported"] and first[0]["composite"])
            self.assertEqual([self.names_of(wire) for _ in range(3)], [first] * 3)
            self.assertEqual(self.names_of(wire, bob)[0]["display"], f"bob@{REALM}".encode())
            self.assertEqual(self.names_of(wire), first)

    # ---- records and headers ----

    def test_null_is_answered(self):
        self.assertEqual(self.wire().call(0), struct.pack(">6I", 7, 1, 0, 0, 0, 0))

    def test_wrong_headers_are_answered_as_the_notes_say(self):
        wire = self.wire()
        for fields, words in (({"flavor": 1}, (1, 1, 7)), ({"rpc": 3}, (1, 0, 2, 2)), ({"program": 1}, (0, 0, 0, 1)),
                              ({"version": 2}, (0, 0, 0, 2, 1, 1)), ({"procedure": 16}, (0, 0, 0, 3)),
                              ({"procedure": 9}, (0, 0, 0, 4))):
            wire.send(header(**fields))
            self.assertEqual(wire.receive(), struct.pack(f">{2 + len(words)}I", 7, 1, *words), fields)

    def test_split_headers_fragments_and_pipelined_calls_work(self):
        wire = self.wire()
        body = header(xid=1)
        stream = struct.pack(">I", 10) + body[:10] + struct.pack(">I", 0x80000000 | len(body) - 10) + body[10:]
        stream += struct.pack(">I", 0x80000000)  # a record of nothing: ignored
        for xid in range(2, 20):
            stream += struct.pack(">I", 0x80000000 | 40) + header(xid=xid)
        for byte in stream[:60]:
            wire.socket.sendall(bytes([byte]))
        wire.socket.sendall(stream[60:])
        self.assertEqual(sorted(struct.unpack(">I", wire.receive()[:4])[0] for _ in range(19)), list(range(1, 20)))

    def test_what_is_no_call_or_too_long_closes_the_connection(self):
        for bad in (struct.pack(">I", 0x80000000 | 40) + header(kind=1), struct.pack(">I", 0x80000004) + b"abcd",
                    struct.pack(">I", 0x80100001)):
            wire = self.wire()
            wire.socket.sendall(bad)
            with self.assertRaises((EOFError, ConnectionResetError)):
                wire.receive()

    def test_trailing_bytes_after_the_arguments_are_ignored(self):
        reply = self.wire().call(1, bytes(12) + b"more")
        self.assertEqual(struct.unpack(">6I", reply[:24]), (7, 1, 0, 0, 0, 0))

    def test_a_reply_of_a_mebibyte_arrives_over_short_writes(self):
        wire = self.wire()
        _, context = self.established(wire)
        message = os.urandom(450000)
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        result = good(wire, "wrap", context=context, messages=[message], conf=True)
        self.assertGreater(len(result["tokens"][0]), len(message))

    # ---- credentials ----

    def test_a_credential_is_acquired_described_and_usable(self):
        wire = self.wire()
        cred = good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"]
        self.assertEqual([(e["mech"], e["usage"]) for e in cred["elements"]], [(KRB5, ACCEPT)])
        _, token = self.initiator()
        result = good(wire, "accept_sec_context", token=token, cred=cred)
        self.assertEqual(result["context"]["source"]["display"], f"alice@{REALM}".encode())
        good(wire, "release_cred", type=1, cred=cred)

    def test_options_on_a_credential_limit_the_enctypes(self):
        wire = self.wire()
        cred = good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"]
        limited = option("krb5_set_allowed_enctype_values", struct.pack("=i", 23))
        cred["elements"][0]["options"] = [limited, option("krb5_set_no_ci_flags", b"")]
        _, token = self.initiator()
        self.assertNotEqual(call(wire, "accept_sec_context", token=token, cred=cred)["status"]["major"], COMPLETE)
        cred["elements"][0]["options"] = [option("krb5_set_allowed_enctype_values", struct.pack("=3i", 18, 17, 20))]
        _, token = self.initiator()
        good(wire, "accept_sec_context", token=token, cred=cred)

    def test_a_usage_or_mechanism_the_service_does_not_allow_is_refused_with_the_reason(self):
        wire = self.wire()
        for arguments in ({"usage": INITIATE, "mechs": [KRB5]}, {"usage": ACCEPT, "mechs": [SPNEGO]}):
            status = call(wire, "acquire_cred", **arguments)["status"]
            self.assertEqual(status["major"], NO_CRED)
            self.assertIn(b"service test", status["minor_string"])
            self.assertTrue(status["minor_string"].endswith(b"\0"))

    def test_export_gives_a_handle_that_only_import_takes(self):
        wire = self.wire()
        cred = good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"]
        exported = good(wire, "export_cred", cred=cred, usage=BOTH)
        self.assertEqual(exported["usage"], ACCEPT)
        again = good(wire, "import_cred", handle=exported["handle"])["cred"]
        _, token = self.initiator()
        good(wire, "accept_sec_context", token=token, cred=again)
        self.assertEqual(call(wire, "import_cred", handle=cred["handle"])["status"]["major"], DEFECTIVE_CRED)
        self.assertEqual(call(wire, "release_cred", type=1, cred=dict(cred, handle=exported["handle"]))["status"]["major"],
                         DEFECTIVE_CRED)

    def test_adding_a_mechanism_gives_a_credential_with_both(self):
        wire = self.wire("any")
        cred = good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"]
        both = good(wire, "acquire_cred", usage=ACCEPT, mechs=[SPNEGO], cred=cred, add=True)["cred"]
        self.assertEqual({e["mech"] for e in both["elements"]}, {KRB5, SPNEGO})
        self.assertNotEqual(call(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5], cred=cred, add=True)["status"]["major"], COMPLETE)
        _, token = self.initiator(SPNEGO)
        good(wire, "accept_sec_context", token=token, cred=both)

    def test_acquiring_with_a_handle_that_serves_gives_it_back_and_with_a_stale_one_a_new_one(self):
        wire = self.wire()
        cred = good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"]
        self.assertEqual(good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5], cred=cred)["cred"]["handle"], cred["handle"])
        stale = dict(cred, handle=b"from another daemon, long ago")
        self.assertEqual(good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5], cred=stale)["cred"]["handle"], cred["handle"])

    def test_storing_writes_the_users_cache(self):
        wire = self.wire("any")
        name = user("host/localhost@" + REALM)
        cred = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=name)["cred"]
        self.assertGreater(cred["elements"][0]["initiator_time"], 3600)
        cache = self.daemon.path(f"cache_{os.getuid()}")
        os.unlink(cache) if os.path.exists(cache) else None
        stored = good(wire, "store_cred", cred=cred, usage=INITIATE, mech=KRB5, overwrite=True, default=True)
        self.assertIn(KRB5, stored["stored"])
        self.assertEqual(stored["usage"], INITIATE)
        with open(cache, "rb") as f:
            self.assertIn(b"krbtgt", f.read())

    # ---- names ----

    def test_names_are_imported_canonicalised_and_mapped(self):
        wire = self.wire()
        result = good(wire, "import_and_canon_name", name=user("alice"), mech=KRB5)
        self.assertEqual(result["name"]["display"], f"alice@{REALM}".encode())
        self.assertIn(b"alice@" + REALM.encode(), result["name"]["exported"])
        exported = dict(empty_name(), exported=result["name"]["exported"])
        self.assertEqual(good(wire, "import_and_canon_name", name=exported)["name"]["display"], f"alice@{REALM}".encode())
        composite = dict(empty_name(), composite=result["name"]["composite"])
        self.assertEqual(good(wire, "import_and_canon_name", name=composite)["name"]["display"], f"alice@{REALM}".encode())
        local = good(wire, "import_and_canon_name", name=user("alice@" + REALM), mech=KRB5, options=[option("localname", b"")])
        self.assertEqual(find(local["options"], "localname"), [b"alice"])
        self.assertEqual(call(wire, "import_and_canon_name", name=empty_name())["status"]["major"], BAD_NAME)

    def test_mechanisms_are_described(self):
        result = good(self.wire(), "indicate_mechs")
        mechs = {m["mech"]: m for m in result["mechs"]}
        self.assertIn(KRB5, mechs)
        self.assertIn(NT_USER, mechs[KRB5]["name_types"])
        self.assertEqual(mechs[KRB5]["sasl"], b"GS2-KRB5")
        self.assertTrue(result["attrs"] and all(a["name"] for a in result["attrs"]))
        self.assertIn(b"linux_lucid_v1\0", result["supported"])

    def test_a_call_context_is_given(self):
        result = good(self.wire(), "get_call_context")
        self.assertTrue(result["server_ctx"])
        self.assertEqual(find(result["options"], "service"), [b"test"])
        good(self.wire(), "indicate_mechs", call=dict(empty(CALL), server_ctx=result["server_ctx"]))

    # ---- contexts ----

    def established(self, wire, mech=KRB5):
        initiator, token = self.initiator(mech)
        while True:
            result = good(wire, "accept_sec_context", token=token, **({"context": context} if token is None else {}))
            context = result["context"]
            if result["token"]:
                initiator.step(result["token"])
            self.assertEqual(result["status"]["major"], COMPLETE)
            return initiator, context

    def test_per_message_calls_work_on_arrays_and_keep_the_sequence(self):
        wire = self.wire()
        initiator, context = self.established(wire)
        for round_ in range(3):
            result = good(wire, "wrap", context=context, messages=[b"one", b"two" * 1000], conf=True)
            self.assertTrue(result["conf"])
            self.assertEqual([initiator.unwrap(t).message for t in result["tokens"]], [b"one", b"two" * 1000])
            tokens = [initiator.wrap(m, True).message for m in (b"three", b"")]
            result = good(wire, "unwrap", context=result["context"], tokens=tokens)
            self.assertEqual(result["messages"], [b"three", b""])
            mic = good(wire, "get_mic", context=result["context"], message=b"signed")
            initiator.verify_signature(b"signed", mic["token"])
            result = good(wire, "verify", context=mic["context"], message=b"mine", token=initiator.get_signature(b"mine"))
            context = result["context"]
        limit = good(wire, "wrap_size_limit", context=context, conf=True, size=1000)["limit"]
        self.assertTrue(900 < limit < 1000)
        self.assertEqual(good(wire, "wrap_size_limit", context=context, conf=True, size=1000)["limit"], limit)

    def test_a_damaged_message_is_refused_whole_and_the_context_goes_on(self):
        wire = self.wire()
        initiator, context = self.established(wire)
        fine, broken = initiator.wrap(b"fine", True).message, bytearray(initiator.wrap(b"broken", True).message)
        broken[-1] ^= 1
        result = call(wire, "unwrap", context=context, tokens=[fine, bytes(broken)])
        self.assertNotEqual(result["status"]["major"], COMPLETE)
        self.assertEqual(result["messages"], [])
        good(wire, "wrap", context=result["context"], messages=[b"on"], conf=True)

    def test_an_old_state_a_forged_one_and_a_clear_token_are_refused(self):
        wire = self.wire()
        _, context = self.established(wire)
        self.assertTrue(context["token"], "the client gets the context to import")
        newer = good(wire, "wrap", context=context, messages=[b"a"], conf=True)["context"]
        newest = good(wire, "wrap", context=newer, messages=[b"a"], conf=True)["context"]
        forged = bytearray(newest["state"])
        forged[-1] ^= 1
        for bad in (context, newer, dict(newest, state=bytes(forged)), dict(newest, state=b""), dict(newest, state=newest["token"])):
            status = call(wire, "wrap", context=bad, messages=[b"a"], conf=True)["status"]
            self.assertEqual(status["major"], NO_CONTEXT, status["minor_string"])
        good(wire, "wrap", context=newest, messages=[b"a"], conf=True)

    def test_a_released_context_is_gone(self):
        for name in ("sock", "inside"):
            wire = self.wire(name)
            _, context = self.established(wire)
            good(wire, "release_context", type=0, context=context)
            self.assertEqual(call(wire, "wrap", context=context, messages=[b"a"])["status"]["major"], NO_CONTEXT)

    def test_keys_kept_inside_never_leave_and_the_least_recently_used_context_goes_first(self):
        wire = self.wire("inside")
        contexts = []
        for _ in range(5):
            initiator, context = self.established(wire)
            self.assertEqual((context["token"], context["needs_release"]), (b"", 1))
            contexts.append((initiator, context))
        self.assertEqual(call(wire, "wrap", context=contexts[0][1], messages=[b"a"])["status"]["major"], NO_CONTEXT)
        for initiator, context in contexts[1:]:
            result = good(wire, "wrap", context=context, messages=[b"hello"], conf=True)
            self.assertEqual(initiator.unwrap(result["tokens"][0]).message, b"hello")
            self.assertEqual(result["context"]["token"], b"")

    def test_a_handshake_of_several_legs_is_accepted(self):
        wire = self.wire("any")
        _, token = self.initiator()
        first = good(wire, "accept_sec_context", token=spnego_init(KRB5))  # no optimistic token: the acceptor has to ask
        self.assertEqual(first["status"]["major"], CONTINUE)
        self.assertEqual(first["context"]["token"], b"", "a half-open context leaves in no clear form")
        self.assertTrue(first["context"]["state"])
        second = good(wire, "accept_sec_context", token=spnego_response(token), context=first["context"])
        self.assertEqual(second["status"]["major"], COMPLETE)
        self.assertEqual(second["context"]["source"]["display"], f"alice@{REALM}".encode())
        again = call(wire, "accept_sec_context", token=spnego_response(token), context=first["context"])
        self.assertEqual(again["status"]["major"], NO_CONTEXT)

    def test_an_initiator_goes_through_several_legs_and_its_first_state_cannot_be_used_twice(self):
        wire = self.wire("any")
        cred = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user("host/localhost@" + REALM))["cred"]
        arguments = {"cred": cred, "target": service("nfs@localhost"), "mech": KRB5, "flags": 2 | 4 | 8 | 16 | 32}
        first = good(wire, "init_sec_context", **arguments)
        self.assertEqual(first["status"]["major"], CONTINUE)
        self.assertEqual(first["context"]["token"], b"")
        acceptor = gssapi.SecurityContext(usage="accept")
        answer = acceptor.step(first["token"])
        done = good(wire, "init_sec_context", context=first["context"], token=answer, **arguments)
        self.assertEqual((done["status"]["major"], done["context"]["open"], done["context"]["local"]), (COMPLETE, 1, 1))
        self.assertEqual(done["context"]["source"]["display"], f"host/localhost@{REALM}".encode())
        self.assertEqual(acceptor.unwrap(good(wire, "wrap", context=done["context"], messages=[b"x"], conf=True)["tokens"][0]).message, b"x")
        again = call(wire, "init_sec_context", context=first["context"], token=answer, **arguments)
        self.assertEqual(again["status"]["major"], NO_CONTEXT)

    def test_failures_have_their_own_status(self):
        wire = self.wire("any")
        cred = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user("host/localhost@" + REALM))["cred"]
        self.assertEqual(call(wire, "init_sec_context", mech=KRB5, cred=cred)["status"]["major"], BAD_NAME)
        self.assertEqual(call(wire, "init_sec_context", mech=b"\x2a\x03", target=service("nfs@localhost"))["status"]["major"], BAD_MECH)
        self.assertEqual(call(wire, "accept_sec_context", token=b"xonsense")["status"]["major"], DEFECTIVE_TOKEN)
        self.assertEqual(call(wire, "accept_sec_context", token=b"x", cred=dict(cred, handle=b"forged" * 20))["status"]["major"],
                         DEFECTIVE_CRED)
        bad = dict(empty(CALL), options=[option("exported_context_type", "linux_lucid_v2")])
        _, token = self.initiator()
        status = call(wire, "accept_sec_context", call=bad, token=token)["status"]
        self.assertNotEqual(status["major"], COMPLETE)
        self.assertIn(b"linux_lucid_v1", status["minor_string"])

    # ---- who may use whose ----

    def test_a_handle_of_one_uid_is_refused_to_another(self):
        """Run as two unprivileged uids, under a service that serves every uid."""
        # Copied to where every uid can read it: the checkout may lie in somebody's home.
        here, there = os.path.dirname(os.path.abspath(__file__)), self.daemon.path("scripts")
        os.mkdir(there, 0o755)
        for folder in (here, os.path.join(here, "../../lib")):
            for name in os.listdir(folder):
                if name.endswith(".py"):
                    shutil.copy(os.path.join(folder, name), there)
        script = os.path.join(there, "as_uid.py")
        ticket = self.daemon.path("ticket-10001")
        shutil.copy(self.realm.path("ccache"), ticket)
        os.chown(ticket, 10001, 10001)
        env = dict(self.realm.env, PYTHONDONTWRITEBYTECODE="1", KRB5CCNAME="FILE:" + ticket)
        for name in ("acquire", "context"):
            with self.subTest(handle=name):
                mine = run_script(script, ["make", name, self.daemon.path("any")], env, 10001)
                own = run_script(script, ["use", name, self.daemon.path("any"), mine["value"]], env, 10001)
                other = run_script(script, ["use", name, self.daemon.path("any"), mine["value"]], env, 10002)
                self.assertEqual(own["major"], COMPLETE)
                self.assertEqual(other["major"], DEFECTIVE_CRED if name == "acquire" else NO_CONTEXT)


def empty_name():
    return dict(display=b"", type=b"", exported=b"", composite=b"", attributes=[], extensions=[])


def der(tag, body):
    n = len(body)
    return bytes([tag]) + (bytes([n]) if n < 128 else bytes([0x82]) + struct.pack(">H", n)) + body


def spnego_init(mech):
    """NegTokenInit (RFC 4178 4.2.1) that names a mechanism and brings no token of it."""
    inner = der(0x30, der(0xa0, der(0x30, der(0x06, mech))))
    return der(0x60, der(0x06, SPNEGO) + der(0xa0, inner))


def spnego_response(token):
    """NegTokenResp (RFC 4178 4.2.2) with the mechanism's token."""
    return der(0xa1, der(0x30, der(0xa2, der(0x04, token))))


def run_script(script, args, env, uid):
    done = subprocess.run([sys.executable, script, *args], env=env, capture_output=True, text=True, user=uid, group=uid,
                          extra_groups=[], timeout=60)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


if __name__ == "__main__":
    unittest.main()
