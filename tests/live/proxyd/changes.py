"""What changes while the daemon runs, and what outlives it: keytabs, sealing keys, its user, exported credentials."""
import os
import re
import shutil
import signal
import struct
import time
import unittest

import gssapi
from daemon import ACCEPTOR, Daemon, Wire, wait_for
from gssx import ACCEPT, BOTH, COMPLETE, CONTINUE, DEFECTIVE_CRED, FAILURE, INITIATE, KRB5, UNAUTHORIZED, call, find, good, option, service, user
from mounts import mount, own_mounts
from realm import REALM, Realm

MAGIC = b"gage-handles-1\n"
NOBODY = 65534
KEYTAB = ACCEPTOR.replace("{keytab}", "{dir}/keytab")
SYNC = [option("sync_modified_creds", "default")]


class Changes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()
        os.chmod(cls.realm.dir, 0o755)
        cls.realm.kinit("alice", options=("-f",))
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def initiator(self, delegate=False, **more):
        flags = gssapi.RequirementFlag.mutual_authentication | (gssapi.RequirementFlag.delegate_to_peer if delegate else 0)
        return gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate", flags=flags, **more)

    def accepts(self, daemon, token=None, **more):
        with Wire(daemon.socket) as wire:
            return call(wire, "accept_sec_context", token=token or self.initiator().step(), **more)

    def reload(self, daemon):
        before = daemon.text().count("New config loaded successfully.")
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: daemon.text().count("New config loaded successfully.") > before, "reload")

    # ---- keytab ----

    def fresh_token(self, name):
        """With a ticket got now, under the service's newest key."""
        self.realm.kinit("bob", "FILE:" + self.realm.path(name))
        return self.initiator(creds=gssapi.Credentials(usage="initiate", store={"ccache": "FILE:" + self.realm.path(name)})).step()

    def test_a_service_key_is_changed_under_load_of_old_tickets(self):
        with Daemon(self.realm, KEYTAB) as daemon:
            shutil.copy(self.realm.keytab, daemon.path("keytab"))
            old = [self.initiator().step() for _ in range(4)]
            with Wire(daemon.socket) as wire:
                cred = good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"]
            self.realm.kadmin(f"change_password -randkey -keepold host/localhost\nktadd -norandkey -k {self.realm.keytab} host/localhost")
            stale = self.accepts(daemon, self.fresh_token("after-1"))["status"]
            self.assertNotEqual(stale["major"], COMPLETE)
            self.assertIn(b"to the keytab", stale["minor_string"])
            self.assertEqual(self.accepts(daemon, old.pop())["status"]["major"], COMPLETE)
            shutil.copy(self.realm.keytab, daemon.path("new"))
            os.rename(daemon.path("new"), daemon.path("keytab"))
            for token in (self.fresh_token("after-2"), old.pop()):
                self.assertEqual(self.accepts(daemon, token)["status"]["major"], COMPLETE)
            for token in (self.fresh_token("after-3"), old.pop()):  # the handle from before the change, too
                self.assertEqual(self.accepts(daemon, token, cred=cred)["status"]["major"], COMPLETE)

    # ---- the keys that seal handles ----

    def keys(self, daemon):
        data = open(daemon.path("state/gage-handles.key"), "rb").read()
        self.assertTrue(data.startswith(MAGIC))
        return [struct.unpack(">IQ32s", data[16 + i * 44:60 + i * 44]) for i in range(data[15])]

    def write_keys(self, daemon, keys):
        with open(daemon.path("state/gage-handles.key"), "wb") as f:
            f.write(MAGIC + bytes([len(keys)]) + b"".join(struct.pack(">IQ32s", *k) for k in keys))

    def test_sealing_keys_change_while_it_runs_and_the_one_before_stays_good(self):
        with Daemon(self.realm) as daemon, Wire(daemon.socket) as wire:
            handles = [good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"]]
            context = good(wire, "accept_sec_context", token=self.initiator().step())["context"]
            for age in (31, 31):
                (number, _, key), *_ = self.keys(daemon)
                self.write_keys(daemon, [(number, int(time.time()) - age * 86400, key)] + self.keys(daemon)[1:])
                self.reload(daemon)
                wait_for(lambda: self.keys(daemon)[0][0] != number, "a new key")
                self.assertEqual(len(self.keys(daemon)), 2)
                handles.append(good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"])
                self.assertEqual(handles[-1]["handle"][2:6], struct.pack(">I", self.keys(daemon)[0][0]), "new handles use the new key")
                if len(handles) == 2:
                    self.assertEqual(call(wire, "release_cred", type=1, cred=handles[0])["status"]["major"], COMPLETE)
                    context = good(wire, "wrap", context=context, messages=[b"x"])["context"]
            majors = [call(wire, "release_cred", type=1, cred=c)["status"]["major"] for c in handles]
            self.assertEqual(majors, [DEFECTIVE_CRED, COMPLETE, COMPLETE])
            good(wire, "wrap", context=context, messages=[b"x"])
            self.assertEqual(self.accepts(daemon, cred=handles[0])["status"]["major"], DEFECTIVE_CRED)

    def test_a_damaged_key_file_is_said_and_the_keys_in_use_stay(self):
        with Daemon(self.realm) as daemon, Wire(daemon.socket) as wire:
            cred = good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"]
            with open(daemon.path("state/gage-handles.key"), "wb") as f:
                f.write(b"nonsense")
            self.reload(daemon)
            wait_for(lambda: "event=keys_failed" in daemon.text(), "the error")
            good(wire, "release_cred", type=1, cred=cred)

    # ---- its user ----

    def private_run(self):
        """In the child: a /run of its own, so that the default replay cache is nobody else's."""
        own_mounts()
        mount("tmpfs", "/run", "tmpfs", options="mode=755")

    def as_nobody(self, services):
        daemon = Daemon(self.realm, services, settings="run_as_user = nobody\n")
        daemon.env.pop("KRB5RCACHEDIR")
        daemon.before = self.private_run
        write = daemon.write_conf

        def without_replay_cache(*args, **more):
            write(*args, **more)
            with open(daemon.path("gssproxy.conf")) as f:
                text = "".join(line for line in f if not line.startswith("replay_cache"))
            with open(daemon.path("gssproxy.conf"), "w") as f:
                f.write(text)
        daemon.write_conf = without_replay_cache
        shutil.copy(self.realm.keytab, daemon.path("keytab"))
        os.chown(daemon.path("keytab"), NOBODY, NOBODY)
        return daemon

    def test_root_starts_it_and_nobody_serves(self):
        program = os.path.realpath("/usr/bin/python3")
        services = KEYTAB + "  allow_any_uid = yes\n" + KEYTAB.replace("test", "named").replace("/sock", "/named") + f"  program = {program}\n"
        with self.as_nobody(services) as daemon:
            with open(f"/proc/{daemon.process.pid}/status") as f:
                text = f.read()
            self.assertEqual(re.search(r"Uid:(.*)", text).group(1).split(), [str(NOBODY)] * 4)
            self.assertEqual(re.search(r"Gid:(.*)", text).group(1).split(), [str(NOBODY)] * 4)
            self.assertEqual(int(re.search(r"CapPrm:\s+(\S+)", text).group(1), 16), 0)
            token = self.initiator().step()
            self.assertEqual(self.accepts(daemon, token)["status"]["major"], COMPLETE)
            self.assertIn(b"Request is a replay", self.accepts(daemon, token)["status"]["minor_string"])
            with Wire(daemon.path("named")) as wire:  # it still learns which program asks
                good(wire, "indicate_mechs")
            self.check_keys_are_its_own(daemon)
            self.check_it_stores_for_nobody_else(daemon)

    def test_the_default_replay_cache_stays_roots_where_another_is_used(self):
        def run_with_a_folder():
            self.private_run()
            os.mkdir("/run/gssproxy", 0o700)
            open("/run/gssproxy/replay", "w").close()
        daemon = Daemon(self.realm, KEYTAB, settings="run_as_user = nobody\n")
        daemon.before = run_with_a_folder
        with daemon:
            for path in ("/run/gssproxy", "/run/gssproxy/replay"):
                self.assertEqual(os.stat(f"/proc/{daemon.process.pid}/root{path}").st_uid, 0)
            self.assertEqual(os.stat(daemon.path("state/gage-handles.key")).st_uid, NOBODY)

    def check_keys_are_its_own(self, daemon):
        (number, _, key), *_ = self.keys(daemon)
        os.chmod(daemon.path("state/gage-handles.key"), 0o600)
        self.write_keys(daemon, [(number, 1, key)])
        self.reload(daemon)
        wait_for(lambda: self.keys(daemon)[0][0] != number, "a new key, written by nobody")
        self.assertEqual(os.stat(daemon.path("state/gage-handles.key")).st_uid, NOBODY)

    def check_it_stores_for_nobody_else(self, daemon):
        with Wire(daemon.socket) as wire:
            cred = good(wire, "accept_sec_context", token=self.initiator(delegate=True).step(), ret_deleg=True)["delegated"]
            status = call(wire, "store_cred", cred=cred, usage=INITIATE, mech=KRB5)["status"]
        self.assertEqual(status["major"], UNAUTHORIZED)
        self.assertIn(b"cannot write as uid", status["minor_string"])

    # ---- what outlives it ----

    def test_a_credential_is_renewed_before_it_ends_and_its_handle_goes_on(self):
        """A ticket of seconds: as long as it is told to live it does, and the handle initiates when the first one is long over."""
        with Realm() as realm:
            realm.kadmin("modprinc -maxlife 9seconds gage/localhost")
            services = ("[service/test]\n  mechs = krb5\n  euid = {uid}\n  socket = {dir}/sock\n  cred_store = client_keytab:{keytab}\n"
                        "  krb5_principal = gage/localhost\n  trusted = yes\n  min_lifetime = 1\n")
            with Daemon(realm, services) as daemon, Wire(daemon.socket) as wire:
                def ticket():
                    with open(realm.path("kdc.log")) as f:
                        return f.read().count("AS_REQ")
                cred = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5])["cred"]
                told, began = cred["elements"][0]["initiator_time"], time.monotonic()
                self.assertTrue(0 < told <= 9, told)
                asked = ticket()
                ends = began + told + 2
                while time.monotonic() < ends:  # all the time
                    good(wire, "init_sec_context", cred=cred, target=service("host@localhost"), mech=KRB5, flags=0)
                    again = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], cred=cred)["cred"]
                    self.assertEqual(again["handle"], cred["handle"])
                    self.assertTrue(0 < again["elements"][0]["initiator_time"] <= 9)
                    time.sleep(0.2)
                self.assertGreater(ticket(), asked, "another ticket was got")

    def test_exported_credentials_are_imported_after_a_restart(self):
        with Daemon(self.realm) as daemon:
            with Wire(daemon.socket) as wire:
                cred = good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"]
                delegated = good(wire, "accept_sec_context", token=self.initiator(delegate=True).step(), cred=cred, ret_deleg=True)["delegated"]
                handles = [good(wire, "export_cred", cred=c, usage=BOTH)["handle"] for c in (cred, delegated)]
            daemon.stop()
            daemon.start()
            with Wire(daemon.socket) as wire:
                again = [good(wire, "import_cred", handle=h)["cred"] for h in handles]
                good(wire, "accept_sec_context", token=self.initiator().step(), cred=again[0])
                first = good(wire, "init_sec_context", cred=again[1], target=service("nfs@localhost"), mech=KRB5, flags=2)
                acceptor = gssapi.SecurityContext(usage="accept")
                acceptor.step(first["token"])
                self.assertEqual(str(acceptor.initiator_name), f"alice@{REALM}")

    # ---- credentials that the client holds ----

    def test_a_changed_credential_comes_back_where_the_service_allows_it_and_the_client_asks(self):
        for line, allowed in (("", False), ("  allow_client_ccache_sync = yes\n", True)):
            with Daemon(self.realm, ACCEPTOR + line) as daemon, Wire(daemon.socket) as wire:
                cred = good(wire, "accept_sec_context", token=self.initiator(delegate=True).step(), ret_deleg=True)["delegated"]
                arguments = {"target": service("nfs@localhost"), "mech": KRB5, "flags": 2}
                first = good(wire, "init_sec_context", cred=cred, options=SYNC, **arguments)
                self.assertEqual(first["status"]["major"], CONTINUE)
                synced = find(first["options"], "sync_creds")
                self.assertEqual(len(synced), 1 if allowed else 0)
                self.assertEqual(find(good(wire, "init_sec_context", cred=cred, **arguments)["options"], "sync_creds"), [])
                wrong = call(wire, "init_sec_context", cred=cred, options=[option("sync_modified_creds", "always")], **arguments)
                self.assertEqual(wrong["status"]["major"], FAILURE)
                self.assertIn(b"sync_modified_creds is default", wrong["status"]["minor_string"])
                if allowed:
                    self.check_synced(wire, synced[0], arguments)

    def check_synced(self, wire, synced, arguments):
        """What came back is a whole credential that holds the ticket already: using it changes nothing more."""
        from gssx import CRED, decode
        newer, at = decode(CRED, synced)
        self.assertEqual(at, len(synced))
        self.assertEqual(newer["name"]["display"], f"alice@{REALM}".encode())
        again = good(wire, "init_sec_context", cred=newer, options=SYNC, **arguments)
        self.assertEqual(find(again["options"], "sync_creds"), [])

    # ---- names ----

    def test_attributes_that_a_mechanism_does_not_take_are_refused_with_a_reason(self):
        with Daemon(self.realm) as daemon, Wire(daemon.socket) as wire:
            attribute = {"attr": b"urn:example:colour", "value": b"blue", "extensions": []}
            for arguments in ({"attributes": [attribute]}, {"name": dict(user("alice"), attributes=[attribute])}):
                result = call(wire, "import_and_canon_name", **{"name": user("alice"), "mech": KRB5, **arguments})
                self.assertNotEqual(result["status"]["major"], COMPLETE)
                self.assertIsNone(result["name"])
                self.assertTrue(len(result["status"]["major_string"]) > 10, result["status"])
            self.assertEqual(good(wire, "import_and_canon_name", name=user("alice"), mech=KRB5)["name"]["display"], f"alice@{REALM}".encode())

    def test_a_contexts_composite_name_is_imported_again(self):
        with Daemon(self.realm) as daemon, Wire(daemon.socket) as wire:
            source = good(wire, "accept_sec_context", token=self.initiator().step())["context"]["source"]
            self.assertTrue(source["composite"])
            name = good(wire, "import_and_canon_name", name=dict(user(""), type=b"", composite=source["composite"]))["name"]
            self.assertEqual((name["display"], name["exported"]), (source["display"], source["exported"]))
            for bad in (source["composite"][:-1], source["composite"][:4], b"\4\2" + bytes(60)):
                result = call(wire, "import_and_canon_name", name=dict(user(""), type=b"", composite=bad))
                self.assertNotEqual(result["status"]["major"], COMPLETE)


if __name__ == "__main__":
    unittest.main()
