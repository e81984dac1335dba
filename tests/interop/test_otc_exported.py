"""Exported contexts, credentials and the used store, across the two implementations: the bytes of section 11 and 10 are the document's."""
import os
import struct
import tempfile
import time
import unittest

import gss
import otc
import otc_plugin as plugin
from otc_core import ACCEPTOR, INITIATOR, NO_BINDINGS, REPLAY, SEQUENCE, Credential, Refused, Secret, fresh_id
from otc_plugin import raw
from otc_store import (HeldCredential, UsedStore, export_acceptor, export_context, export_credential, export_initiator, import_context,
                       import_credential, write_secret_file)

PREFIX = struct.pack(">I", len(gss.OTC)) + gss.OTC


def bare(token):
    """Without what the mechglue puts in front."""
    if not token.startswith(PREFIX):
        raise AssertionError("exported without the mechanism's OID")
    return token[len(PREFIX):]


class Base(unittest.TestCase):
    def setUp(self):
        self.text = os.urandom(32)
        self.secret = Secret.link(self.text)

    def ours(self):
        return otc.Initiator(self.secret, Credential(fresh_id(os.urandom), label=b"l", title=b"t"), REPLAY | SEQUENCE)

    def refused(self, name, call, *args):
        with self.assertRaises(raw.GSSError) as caught:
            call(*args)
        self.assertEqual(plugin.name_of(caught.exception), name)


class Contexts(Base):
    def test_we_finish_what_the_plugin_began(self):
        i = plugin.Initiator(plugin.link(self.text, otc_title="t"))
        token1 = i.token1
        ours = import_context(bare(raw.export_sec_context(i.context)))
        a = plugin.Acceptor(plugin.link(self.text))
        token3 = ours.step(a.step(token1))
        half = import_context(bare(raw.export_sec_context(a.context)))
        half.finish(token3)
        self.assertEqual(half.context.unwrap(ours.context.wrap(b"x")), (b"x", True, ""))
        self.assertEqual(half.context.credential, ours.context.credential)

    def test_the_plugin_finishes_what_we_began(self):
        ours = self.ours()
        a = otc.Acceptor([self.secret])
        token2 = a.step(ours.token1)
        i, b = plugin.Initiator(plugin.link(self.text)), plugin.Acceptor(plugin.link(self.text))
        i.context = raw.import_sec_context(PREFIX + export_initiator(ours))
        b.context = raw.import_sec_context(PREFIX + export_acceptor(a))
        b.finish(i.step(token2))
        self.assertEqual(raw.unwrap(b.context, raw.wrap(i.context, b"x").message).message, b"x")
        name = raw.inquire_context(b.context).initiator_name
        self.assertEqual(raw.display_name(name, False).name.decode(), ours.ask.credential.principal(INITIATOR))

    def test_an_export_is_byte_for_byte_what_the_document_says(self):
        """Our export of what we imported is what was imported: no field is lost, invented or elsewhere."""
        i = plugin.Initiator(plugin.link(self.text, otc_label="l", otc_purpose="p", otc_format="f"), bindings=plugin.channel(b"b")[0])
        exported = bare(raw.export_sec_context(i.context))
        ours = import_context(exported)
        self.assertEqual(export_initiator(ours), exported)
        a = plugin.Acceptor(plugin.link(self.text), bindings=plugin.channel(b"b")[0])
        token3 = ours.step(a.step(i.token1))
        exported = bare(raw.export_sec_context(a.context))
        half = import_context(exported)
        self.assertEqual(export_acceptor(half), exported)
        a.context = raw.import_sec_context(PREFIX + exported)
        a.finish(token3)
        for n in (0, 1, 5, 1030):
            ours.context.send = n
            self.read(a.context, ours.context.wrap(b"x"))
        exported = bare(raw.export_sec_context(a.context))
        self.assertEqual(export_context(import_context(exported), plugin.channel(b"b")[1]), exported)
        self.assertTrue(import_context(exported).bound)

    @staticmethod
    def read(context, token):
        try:
            raw.unwrap(context, token)
        except raw.SupplementaryError:
            pass

    def complete(self):
        i, a = self.ours(), plugin.Acceptor(plugin.link(self.text))
        a.finish(i.step(a.step(i.token1)))
        return i.context, a.context

    def test_the_window_and_the_delete_token_travel(self):
        mine, theirs = self.complete()
        tokens = [mine.wrap(b"%d" % n) for n in range(8)]
        self.read(theirs, tokens[0])
        self.read(theirs, tokens[5])
        raw.process_context_token(theirs, mine.delete())
        exported = bare(raw.export_sec_context(theirs))
        ours = import_context(exported)
        self.assertEqual((ours.next, ours.seen, ours.final), (6, {0, 5}, 8))
        theirs = raw.import_sec_context(PREFIX + exported)
        with self.assertRaises(raw.DuplicateTokenError):
            raw.unwrap(theirs, tokens[5])
        with self.assertRaises(raw.TokenTooLateError):
            raw.unwrap(theirs, tokens[1])
        self.refused("ENDED", raw.wrap, theirs, b"x")

    def test_two_imports_and_a_fork_never_repeat_an_epoch(self):
        mine, theirs = self.complete()
        first = raw.wrap(theirs, b"x").message
        exported = raw.export_sec_context(theirs)
        tokens = [first]
        for _ in range(2):
            copy = raw.import_sec_context(exported)
            tokens += [self.in_a_child(copy), raw.wrap(copy, b"x").message, self.in_a_child(copy), raw.wrap(copy, b"x").message]
        epochs = [t[2:10] for t in tokens]
        seqs = [int.from_bytes(t[10:18], "big") for t in tokens]
        self.assertEqual(seqs, [0, 1, 1, 2, 2, 1, 1, 2, 2])
        self.assertEqual(len(set(zip(epochs, seqs))), len(tokens), "one epoch and number twice: one key and nonce")
        self.assertEqual(len(set(epochs)), 7, "a child and an import each have an epoch of their own")
        statuses = [mine.unwrap(t)[2] for t in tokens]
        self.assertEqual(statuses, ["", "", "DUPLICATE", "", *["DUPLICATE"] * 5], "copies that both send are noticed")

    @staticmethod
    def in_a_child(context):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writer, raw.wrap(context, b"x").message)
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as f:
            token = f.read()
        os.waitpid(pid, 0)
        return token

    def test_exports_that_the_document_does_not_allow_are_refused(self):
        mine, theirs = self.complete()
        good = bare(raw.export_sec_context(theirs))
        raw.import_sec_context(PREFIX + good)
        for what, bad in {"version": b"\2" + good[1:], "state 0": good[:1] + b"\0" + good[2:], "state 4": good[:1] + b"\4" + good[2:],
                          "role 2": good[:2] + b"\2" + good[3:], "suite 2": good[:3] + b"\2" + good[4:], "left over": good + b"\0",
                          "empty": b"", "state 1 of an acceptor": good[:1] + b"\1" + good[2:]}.items():
            with self.subTest(what):
                self.refused("BAD_IMPORT", raw.import_sec_context, PREFIX + bad)
        for length in range(len(good)):
            with self.assertRaises(raw.GSSError):
                raw.import_sec_context(PREFIX + good[:length])

    def test_an_expired_context_is_refused_on_every_call(self):
        mine, theirs = self.complete()
        ours = import_context(bare(raw.export_sec_context(theirs)))
        ours.expires = int(time.time()) - 1
        expired = raw.import_sec_context(PREFIX + export_context(ours, NO_BINDINGS))
        for call, args in ((raw.wrap, (b"x",)), (raw.get_mic, (b"x",)), (raw.unwrap, (mine.wrap(b"x"),)), (raw.context_time, ()),
                           (raw.verify_mic, (b"x", mine.get_mic(b"x")))):
            with self.subTest(call.__name__), self.assertRaises(raw.ExpiredContextError):
                call(expired, *args)


class Credentials(Base):
    def test_we_read_the_plugins_exported_link(self):
        used = "/nonexistent/used"
        creds = plugin.acquire("initiate", plugin.link(self.text, otc_label="l", otc_title="t", otc_lifetime="2h"))
        held = import_credential(bare_credential(raw.export_cred(creds)))
        self.assertEqual((held.usage, held.secrets, held.lifetime, held.fixed_id), (1, [(self.secret, 0)], 7200, True))
        self.assertEqual((held.credential.label, held.credential.title), (b"l", b"t"))
        self.assertAlmostEqual(held.credential.not_after, time.time() + 86400, delta=60)
        a = otc.Acceptor([self.secret])
        a.step(plugin.Initiator(creds).token1)
        self.assertEqual(a.pending.credential.id, held.credential.id, "a link has one id")
        creds = plugin.acquire("accept", plugin.link(self.text, otc_used="/nonexistent/used"))
        self.assertEqual(import_credential(bare_credential(raw.export_cred(creds))).used, "/nonexistent/used")

    def test_an_exported_pair_mints_an_id_for_each_context(self):
        with tempfile.TemporaryDirectory() as folder:
            write_secret_file(folder + "/a", self.text, "a", not_after="2099-01-01T00:00:00Z", label="file")
            creds = plugin.acquire("both", {"otc_secret_file": folder + "/a"})
        held = import_credential(bare_credential(raw.export_cred(creds)))
        self.assertEqual((held.usage, held.secrets, held.fixed_id, held.claim), (3, [(Secret.pair("a", self.text), 4070908800)], False, 600))
        ids = set()
        for cred in (creds, raw.import_cred(raw.export_cred(creds))):
            for _ in range(2):
                a = otc.Acceptor([Secret.pair("b", self.text)])
                a.step(plugin.Initiator(cred).token1)
                ids.add(a.pending.credential.id)
                self.assertAlmostEqual(a.pending.credential.not_after, time.time() + 600, delta=60)
        self.assertEqual(len(ids), 4)

    def test_the_plugin_reads_ours(self):
        credential = Credential(fresh_id(os.urandom), int(time.time()) + 100, b"label")
        token = export_credential(HeldCredential(1, [(self.secret, 0)], credential, 3600, True))
        i = plugin.Initiator(raw.import_cred(cred_form(token)))
        a = otc.Acceptor([self.secret])
        a.finish(i.step(a.step(i.token1)))
        self.assertEqual((a.context.credential, a.context.lifetime), (credential, 3600))

    def test_exports_that_the_document_does_not_allow_are_refused(self):
        good = bare_credential(raw.export_cred(plugin.acquire("initiate", plugin.link(self.text))))
        raw.import_cred(cred_form(good))
        for what, bad in {"version": b"\2" + good[1:], "usage 0": good[:1] + b"\0" + good[2:], "usage 4": good[:1] + b"\4" + good[2:],
                          "no secret": good[:2] + b"\0" + good[44:], "side": good[:3] + b"\x63" + good[4:], "left over": good + b"\0"}.items():
            with self.subTest(what):
                self.refused("BAD_IMPORT_CRED", raw.import_cred, cred_form(bad))
        for length in range(len(good)):
            with self.assertRaises(raw.GSSError):
                raw.import_cred(cred_form(good[:length]))


def cred_form(token):
    """gss_export_cred's form in the mechglue: per mechanism u32 length and OID, u32 length and token."""
    return PREFIX + struct.pack(">I", len(token)) + token


def bare_credential(token):
    rest = bare(token)
    if len(rest) - 4 != int.from_bytes(rest[:4], "big"):
        raise AssertionError("one mechanism's credential only")
    return rest[4:]


class Used(Base):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "used")
        self.addCleanup(self.folder.cleanup)

    def acceptor(self):
        return plugin.Acceptor(plugin.link(self.text, otc_used=self.path))

    def test_the_plugins_store_holds_what_the_document_says(self):
        i = otc.Initiator(self.secret, Credential(fresh_id(os.urandom), int(time.time()) + 60))
        self.acceptor().step(i.token1)
        store = UsedStore(self.path)
        self.assertEqual(sorted(store.entries()), sorted(store.keys_of(i.ask.credential, self.secret)))

    def test_a_link_makes_one_context_and_the_initiator_is_told(self):
        first, second = self.ours(), self.ours()
        a = self.acceptor()
        a.finish(first.step(a.step(first.token1)))
        with self.assertRaises(raw.GSSError) as caught:
            self.acceptor().step(second.token1)
        error = caught.exception
        self.assertEqual((plugin.name_of(error), error.maj_code), ("USED", gss.FAILURE | gss.DUPLICATE))
        with self.assertRaises(Refused) as caught:
            second.step(error.token)
        self.assertEqual(caught.exception.name, "USED")

    def test_each_refuses_what_the_other_recorded(self):
        i = self.ours()
        UsedStore(self.path).claim(i.ask.credential, self.secret, time.time())
        self.refused("USED", self.acceptor().step, i.token1)

    def test_a_partial_entry_at_the_end_is_ignored_and_overwritten(self):
        i = self.ours()
        self.acceptor().step(i.token1)
        with open(self.path, "ab") as f:
            f.write(b"\xff" * 17)
        self.refused("USED", self.acceptor().step, i.token1)
        self.text = os.urandom(32)
        self.secret = Secret.link(self.text)
        self.acceptor().step(self.ours().token1)
        self.assertEqual(len(UsedStore(self.path).entries()), 4)

    def test_a_foreign_file_is_not_written_to(self):
        with open(self.path, "wb") as f:
            f.write(b"something else entirely\n")
        self.refused("USED_STORE", self.acceptor().step, self.ours().token1)
        self.assertEqual(open(self.path, "rb").read(), b"something else entirely\n")

    def test_an_expired_credential_is_refused_by_the_authority_with_grace(self):
        def token(age):
            i = object.__new__(otc.Initiator)
            clock = lambda: time.time() - 100_000
            i.__init__(self.secret, Credential(fresh_id(os.urandom), int(time.time()) - age), now=clock)
            return i.token1
        self.refused("EXPIRED", self.acceptor().step, token(400))
        self.assertFalse(os.path.exists(self.path) and UsedStore(self.path).entries(), "an expired one is not recorded")
        self.acceptor().step(token(200))
        plugin.Acceptor(plugin.link(self.text)).step(token(4000))

    def test_wrong_bindings_do_not_use_the_credential_up(self):
        i = otc.Initiator(self.secret, Credential(fresh_id(os.urandom)), bindings=plugin.channel(b"here")[1])
        wrong = plugin.Acceptor(plugin.link(self.text, otc_used=self.path), plugin.channel(b"there")[0])
        self.refused("BAD_BINDINGS", wrong.step, i.token1)
        right = plugin.Acceptor(plugin.link(self.text, otc_used=self.path), plugin.channel(b"here")[0])
        right.finish(i.step(right.step(i.token1)))

    def test_a_damaged_token_does_not_use_it_up(self):
        i = self.ours()
        self.refused("DAMAGED", self.acceptor().step, i.token1[:-1] + bytes([i.token1[-1] ^ 1]))
        self.acceptor().step(i.token1)


if __name__ == "__main__":
    unittest.main()
