"""What a client tries that is served, but wants more: another's credential, the daemon's own, its end, its log."""
import os
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import threading
import unittest

import gssapi
from daemon import ACCEPTOR, PLUGIN, PROGRAM, Daemon, Wire, wait_for
from gssx import (ACCEPT, BAD_NAME, BAD_NAMETYPE, BOTH, COMPLETE, CONTINUE, DEFECTIVE_CRED, INITIATE, KRB5, NAME, NO_CONTEXT, SPNEGO, UNAUTHORIZED,
                  call, empty, good, option, service, user)
from realm import REALM, Realm

ANY = """[service/any]
  mechs = krb5
  euid = {uid}
  allow_any_uid = yes
  socket = {dir}/any
  cred_store = keytab:{keytab}
  cred_store = client_keytab:{keytab}
  cred_store = ccache:FILE:{dir}/caches/%U
"""
OWN = "host/localhost@" + REALM
# A client that was delegated a credential stores it; the file's lock is held by somebody who looks for the thread that waits for it.
STORE = """
import base64, fcntl, os, threading, time
from daemon import Wire
from gssx import INITIATE, KRB5, call, good
path, cache, pid, token, lock = sys.argv[1:6]
wire = Wire(path)
cred = good(wire, "accept_sec_context", token=base64.b64decode(token), ret_deleg=True)["delegated"]
result = []
store = threading.Thread(target=lambda: result.append(call(wire, "store_cred", cred=cred, usage=INITIATE, mech=KRB5, overwrite=True, default=True)))
if lock == "no":
    store.start(); store.join()
    print(result[0]["status"]["major"], os.stat(cache).st_uid, oct(os.stat(cache).st_mode & 0o777))
    sys.exit()
held = open(cache, "r+")
fcntl.lockf(held, fcntl.LOCK_EX)
store.start()
def waiting():
    for task in os.listdir(f"/proc/{pid}/task"):
        ids = [l.split()[1:] for l in open(f"/proc/{pid}/task/{task}/status") if l.startswith("Uid:")][0]
        if ids[1] == str(os.getuid()):
            return int(task)
end = time.monotonic() + 30
while not waiting() and time.monotonic() < end:
    time.sleep(0.01)
try:
    os.kill(waiting(), 9)
    print("killed")
except PermissionError:
    print("refused")
held.close()
store.join()
print(result[0]["status"]["major"])
"""


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm(users=("alice", "bob", "carol"))
        cls.realm.start()
        os.chmod(cls.realm.dir, 0o755)
        cls.realm.kadmin("modprinc +ok_to_auth_as_delegate host/localhost")
        cls.realm.kinit("alice", options=("-f",))
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def initiator(self, target="host@localhost", delegate=False):
        flags = gssapi.RequirementFlag.mutual_authentication | (gssapi.RequirementFlag.delegate_to_peer if delegate else 0)
        return gssapi.SecurityContext(name=gssapi.Name(target, gssapi.NameType.hostbased_service), usage="initiate", flags=flags)

    def who(self, token):
        acceptor = gssapi.SecurityContext(usage="accept")
        acceptor.step(token)
        return str(acceptor.initiator_name)

    # ---- storing as the user ----

    def store_as(self, daemon, uid, lock):
        import base64
        os.makedirs(daemon.path("caches"), exist_ok=True)
        os.chmod(daemon.path("caches"), 0o1777)
        cache = daemon.path(f"caches/{uid}")
        token = base64.b64encode(self.initiator(delegate=True).step()).decode()
        return daemon.python_as(uid, STORE, daemon.path("any"), cache, daemon.process.pid, token, lock).communicate(timeout=60)

    def test_a_stored_credential_is_the_callers_file(self):
        with Daemon(self.realm, ANY) as daemon:
            self.assertEqual(self.store_as(daemon, 10001, "no"), ("0 10001 0o600\n", ""))
            listed = subprocess.run(["klist", daemon.path("caches/10001")], capture_output=True, text=True, env=self.realm.env).stdout
            self.assertIn(f"alice@{REALM}", listed)

    def test_a_store_cannot_write_where_the_caller_cannot(self):
        with Daemon(self.realm, ANY.replace("%U", "everybodys")) as daemon:
            os.makedirs(daemon.path("caches"))
            with open(daemon.path("caches/everybodys"), "wb") as f:
                f.write(b"roots")
            out, err = self.store_as(daemon, 10001, "no")
            with open(daemon.path("caches/everybodys"), "rb") as f:
                self.assertEqual(f.read(), b"roots", out + err)

    def test_the_thread_that_writes_as_a_user_is_not_the_users_to_kill(self):
        with Daemon(self.realm, ANY) as daemon:
            self.store_as(daemon, 10001, "no")
            self.assertEqual(self.store_as(daemon, 10001, "yes"), ("refused\n0\n", ""))
            good(Wire(daemon.path("any")), "indicate_mechs")

    # ---- the daemon's own tickets ----

    def test_the_ticket_of_who_started_the_daemon_serves_nobody(self):
        """Neither the plain way nor with options on the credential, which is then acquired apart; and it is left as it was."""
        services = ACCEPTOR + "  cred_store = client_keytab:{keytab}\n"
        with Daemon(self.realm, services) as daemon:
            daemon.stop()
            own = "FILE:" + daemon.path("own-ticket")
            self.realm.kinit("carol", own)
            daemon.env["KRB5CCNAME"] = own
            before = open(daemon.path("own-ticket"), "rb").read()
            daemon.start()
            with Wire(daemon.socket) as wire:
                cred = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5])["cred"]
                for options in ([], [option("krb5_set_no_ci_flags", b"")]):
                    cred["elements"][0]["options"] = options
                    first = good(wire, "init_sec_context", cred=cred, target=service("nfs@localhost"), mech=KRB5, flags=2)
                    self.assertEqual(self.who(first["token"]), OWN)
            self.assertEqual(open(daemon.path("own-ticket"), "rb").read(), before)

    def test_what_is_added_to_a_delegated_credential_is_the_services_own(self):
        """The element added is not the daemon's default ticket; and that is left as it was."""
        services = ACCEPTOR.replace("mechs = krb5", "mechs = krb5, spnego") + "  cred_store = client_keytab:{keytab}\n"
        with Daemon(self.realm, services) as daemon:
            daemon.stop()
            own = "FILE:" + daemon.path("own-ticket")
            self.realm.kinit("carol", own)
            daemon.env["KRB5CCNAME"] = own
            before = open(daemon.path("own-ticket"), "rb").read()
            daemon.start()
            with Wire(daemon.socket) as wire:
                delegated = good(wire, "accept_sec_context", token=self.initiator(delegate=True).step(), ret_deleg=True)["delegated"]
                both = good(wire, "acquire_cred", cred=delegated, add=True, usage=INITIATE, mechs=[SPNEGO])["cred"]
                for mech, name in ((KRB5, f"alice@{REALM}"), (SPNEGO, OWN)):
                    first = good(wire, "init_sec_context", cred=both, target=service("nfs@localhost"), mech=mech, flags=2)
                    self.assertEqual(self.who(first["token"]), name)
            self.assertEqual(open(daemon.path("own-ticket"), "rb").read(), before)

    def test_a_link_in_a_users_own_folder_does_not_lead_to_anothers_ticket(self):
        services = ANY.replace("caches/%U", "home/%U/cc").replace("  cred_store = client_keytab:{keytab}\n", "")
        source = ("from daemon import Wire\nfrom gssx import KRB5, call, service\nwire = Wire(sys.argv[1])\n"
                  "print(call(wire, 'init_sec_context', target=service('host@localhost'), mech=KRB5, flags=2)['status'])\n")
        with Daemon(self.realm, services) as daemon:
            for uid in (10001, 10002):
                os.makedirs(daemon.path(f"home/{uid}"), 0o700)
                os.chown(daemon.path(f"home/{uid}"), uid, uid)
            self.realm.kinit("bob", "FILE:" + daemon.path("home/10002/cc"))
            os.chown(daemon.path("home/10002/cc"), 10002, 10002)
            os.symlink(daemon.path("home/10002/cc"), daemon.path("home/10001/cc"))
            for uid, works in ((10001, False), (10002, True)):
                out, err = daemon.python_as(uid, source, daemon.path("any")).communicate(timeout=60)
                self.assertEqual("'major': 1," in out, works, out + err)
                self.assertEqual("is not a file of uid 10001's" in out, not works)
            os.unlink(daemon.path("home/10001/cc"))
            os.mkfifo(daemon.path("home/10001/cc"))  # would block the daemon where it is opened
            out, err = daemon.python_as(10001, source, daemon.path("any")).communicate(timeout=60)
            self.assertIn("is not a file of uid 10001's", out, err)

    # ---- impersonation ----

    def test_a_trusted_services_other_clients_may_not_impersonate(self):
        """trusted speaks of the client whose uid is euid; allow_any_uid lets others in beside it."""
        services = ANY.replace("allow_any_uid", "trusted = yes\n  allow_any_uid").replace("euid = {uid}", "euid = 10001")
        with Daemon(self.realm, services) as daemon, Wire(daemon.path("any")) as wire:
            os.mkdir(daemon.path("caches"))
            own = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user(OWN))["cred"]
            status = call(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user("bob@" + REALM), cred=own,
                          options=[option("acquire_type", "impersonate_name")])["status"]
            self.assertEqual(status["major"], UNAUTHORIZED, status["minor_string"])

    def test_users_impersonated_side_by_side_never_get_each_others_tickets(self):
        web = ANY.replace("/any", "/web").replace("euid = {uid}", "euid = 10099\n  impersonate = yes\n  krb5_principal = host/localhost")
        web = "\n".join(l for l in web.splitlines() if "ccache" not in l and "client_keytab" not in l) + "\n"
        people = {10001: "bob", 10002: "carol", 10003: "alice"}
        with Daemon(self.realm, web) as daemon:
            daemon.stop()
            for name, form in (("passwd", "{n}:x:{u}:{u}::/:/bin/sh\n"), ("group", "{n}:x:{u}:\n")):
                with open(daemon.path(name), "w") as f:
                    f.writelines(form.format(n=n, u=u) for u, n in [(0, "root"), *people.items()])
            daemon.wrap_accounts()
            daemon.start()
            source = ("import base64\nfrom daemon import Wire\nfrom gssx import KRB5, good, service\nwire = Wire(sys.argv[1])\n"
                      "for _ in range(20):\n    print(base64.b64encode(good(wire, 'init_sec_context', target=service('host@localhost'), "
                      "mech=KRB5, flags=2)['token']).decode())\n")
            clients = {uid: daemon.python_as(uid, source, daemon.path("web")) for uid in people}
            import base64
            for uid, client in clients.items():
                out, err = client.communicate(timeout=60)
                self.assertEqual({self.who(base64.b64decode(line)) for line in out.split()}, {f"{people[uid]}@{REALM}"}, err)

    # ---- handles and states where they do not belong ----

    def test_handles_and_states_open_for_their_kind_and_service_only(self):
        services = ACCEPTOR + ACCEPTOR.replace("test", "other").replace("/sock", "/other")
        with Daemon(self.realm, services) as daemon, Wire(daemon.socket) as wire, Wire(daemon.path("other")) as other:
            cred = good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"]
            context = good(wire, "accept_sec_context", token=self.initiator().step())["context"]
            exported = good(wire, "export_cred", cred=cred, usage=BOTH)["handle"]
            server = good(wire, "get_call_context")["server_ctx"]
            self.assertEqual(call(other, "release_cred", type=1, cred=cred)["status"]["major"], DEFECTIVE_CRED)
            self.assertEqual(call(other, "import_cred", handle=exported)["status"]["major"], DEFECTIVE_CRED)
            self.assertEqual(call(other, "wrap", context=context, messages=[b"x"])["status"]["major"], NO_CONTEXT)
            for wrong in (context["state"], exported, server):
                self.assertEqual(call(wire, "release_cred", type=1, cred=dict(cred, handle=wrong))["status"]["major"], DEFECTIVE_CRED)
            for wrong in (cred["handle"], exported, server):
                self.assertEqual(call(wire, "wrap", context=dict(context, state=wrong), messages=[b"x"])["status"]["major"], NO_CONTEXT)
            good(wire, "wrap", context=context, messages=[b"x"])

    def test_a_handle_is_refused_after_any_bit_of_it_changed(self):
        with Daemon(self.realm) as daemon, Wire(daemon.socket) as wire:
            cred = good(wire, "acquire_cred", usage=ACCEPT, mechs=[KRB5])["cred"]
            for i in range(len(cred["handle"])):
                bad = bytearray(cred["handle"])
                bad[i] ^= 1 << i % 8
                self.assertEqual(call(wire, "release_cred", type=1, cred=dict(cred, handle=bytes(bad)))["status"]["major"], DEFECTIVE_CRED, i)
            for n in (0, 1, 38, 39, len(cred["handle"]) - 1):
                self.assertEqual(call(wire, "release_cred", type=1, cred=dict(cred, handle=cred["handle"][:n]))["status"]["major"], DEFECTIVE_CRED, n)

    # ---- names that hurt the library ----

    def test_a_name_that_is_an_address_or_longer_than_it_says_is_refused_and_the_daemon_lives(self):
        pointer, exported, composite = bytes.fromhex("2a864886f71201020202"), bytes.fromhex("2b0601050604"), bytes.fromhex("2b0601050606")
        machine_uid = bytes.fromhex("2a864886f71201020102")
        with Daemon(self.realm) as daemon, Wire(daemon.socket) as wire:
            true = good(wire, "import_and_canon_name", name=user("alice"), mech=KRB5)["name"]
            bad = [dict(empty(NAME), display=b"\x41" * 8, type=pointer), dict(empty(NAME), display=b"\0", type=machine_uid),
                   dict(empty(NAME), exported=true["exported"] + b"x"), dict(empty(NAME), display=true["exported"] + b"x", type=exported),
                   dict(empty(NAME), composite=true["composite"] + b"x"), dict(empty(NAME), display=true["composite"] + b"x", type=composite)]
            for name in bad:
                for _ in range(2):  # the second finds out whether the first was the end
                    major = call(wire, "import_and_canon_name", name=name, mech=KRB5)["status"]["major"]
                    self.assertIn(major, (BAD_NAME, BAD_NAMETYPE), name)
                self.assertNotEqual(call(wire, "acquire_cred", name=name, usage=INITIATE, mechs=[KRB5])["status"]["major"], COMPLETE)
                self.assertNotEqual(call(wire, "acquire_cred", name=name, usage=ACCEPT, mechs=[KRB5])["status"]["major"], COMPLETE)
                call(wire, "init_sec_context", target=name, mech=KRB5)
            for name in (dict(true, display=b""), dict(empty(NAME), display=true["composite"], type=composite)):
                self.assertEqual(good(wire, "import_and_canon_name", name=name, mech=KRB5)["name"]["display"], true["display"])

    # ---- memory ----

    def memory(self, daemon):
        """KiB of data and heap."""
        with open(f"/proc/{daemon.process.pid}/status") as f:
            return int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))

    def test_messages_that_are_refused_leave_nothing_behind(self):
        """Of half a MiB each: what is no call, and a call that no service is for."""
        call_of_nobody = bytes(4) + struct.pack(">5I", 0, 2, 400112, 1, 0) + bytes(1 << 19)
        services = ACCEPTOR + ACCEPTOR.replace("test", "other").replace("{uid}", "4711").replace("/sock", "/other")
        sanitized = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}
        with Daemon(self.realm, services, env=sanitized) as daemon:
            for path, message in ((daemon.socket, b"\xff" * (1 << 19)), (daemon.path("other"), call_of_nobody)):
                for i in range(72):
                    if i == 8:
                        before = self.memory(daemon)
                    with Wire(path) as wire:
                        wire.send(message)
                        self.assertRaises((EOFError, ConnectionResetError), wire.receive)
                self.assertLess(self.memory(daemon), before + 16 * 1024)  # all of them: 32 MiB

    def test_one_state_used_by_many_at_once_is_used_once(self):
        with Daemon(self.realm) as daemon:
            with Wire(daemon.socket) as wire:
                context = good(wire, "accept_sec_context", token=self.initiator().step())["context"]
            results, barrier = [], threading.Barrier(12)

            def use():
                with Wire(daemon.socket) as wire:
                    barrier.wait()
                    results.append(call(wire, "wrap", context=context, messages=[b"x"], conf=True)["status"]["major"])
            threads = [threading.Thread(target=use) for _ in range(12)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual(sorted(results), [COMPLETE] + [NO_CONTEXT] * 11)

    # ---- log and files ----

    def test_no_name_begins_a_line_of_the_log(self):
        forged = 'x@localhost"\nevent=credential_use procedure="forged" \x1b[2J\\'
        with Daemon(self.realm, ACCEPTOR + "  cred_store = client_keytab:{keytab}\n", settings="debug_level = 3\n") as daemon:
            shutil.copy(os.path.realpath("/usr/bin/python3"), daemon.path("p\nevent=credential_use forged"))
            with Wire(daemon.socket) as wire:
                call(wire, "init_sec_context", target=service(forged), mech=KRB5, flags=2)
                call(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user(forged))
                call(wire, "import_and_canon_name", name=user(forged), mech=KRB5)
            client = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
                      "s.sendall(bytes.fromhex('80000004deadbeef')); s.recv(1)")
            subprocess.run([daemon.path("p\nevent=credential_use forged"), "-c", client, daemon.socket], check=True,
                           env=dict(os.environ, PYTHONHOME="/usr"))
            wait_for(lambda: "event=bad_message" in daemon.text(), "the last event")
            for line in daemon.text().splitlines():
                self.assertRegex(line, r"^(Initialization complete\.|event=[a-z0-9_]+ )")
                self.assertNotRegex(line, r'^event=credential_use procedure="forged"|^event=credential_use forged|\x1b')

    def test_everything_but_the_sockets_is_closed_to_others(self):
        with Daemon(self.realm, ANY, settings="metrics_socket = {dir}/metrics\naudit = {dir}/audit\n") as daemon:
            os.mkdir(daemon.path("caches"))
            with Wire(daemon.path("any")) as wire:
                good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user(OWN))
                good(wire, "accept_sec_context", token=self.initiator().step())
            modes = {"any": 0o666, "metrics": 0o600, "audit": 0o600, "replay": 0o600, "state/gage-handles.key": 0o600,
                     f"caches/{os.getuid()}": 0o600}
            for name, mode in modes.items():
                self.assertEqual(stat.S_IMODE(os.stat(daemon.path(name)).st_mode), mode, name)

    # ---- the daemon as its own client ----

    def test_user_mode_in_a_session_that_points_at_it_does_not_ask_itself(self):
        with Daemon(self.realm) as daemon:
            mech = daemon.path("mech.conf")
            with open(mech, "w") as f:
                f.write(f"gssproxy_v1 2.16.840.1.113730.3.8.15.1 {PLUGIN} <interposer>\n")
            path = os.path.join(daemon.dir, "gssproxy", "default.sock")
            env = dict(self.realm.env, XDG_RUNTIME_DIR=daemon.dir, GSS_USE_PROXY="yes", GSSPROXY_SOCKET=path, GSS_MECH_CONFIG=mech,
                       GSSPROXY_BEHAVIOR="REMOTE_FIRST")
            process = subprocess.Popen([PROGRAM, "-i", "-u", "--debug"], env=env, stderr=subprocess.PIPE, text=True)
            try:
                wait_for(lambda: os.path.exists(path), "the socket")
                with Wire(path) as wire:
                    first = call(wire, "init_sec_context", target=service("host@localhost"), mech=KRB5, flags=2)
                self.assertEqual(first["status"]["major"], CONTINUE, first["status"]["minor_string"])
            finally:
                process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=30)[1]
            self.assertEqual(len(re.findall("event=call ", said)), 1, said)


if __name__ == "__main__":
    unittest.main()
