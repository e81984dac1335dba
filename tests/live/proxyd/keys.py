"""Keys of the configuration that no other test is about: that each does what its manual says, beside gssproxy where that has it too."""
import os
import shutil
import struct
import subprocess
import unittest

import gssapi
from daemon import ACCEPTOR, PACKAGED, PROGRAM, Daemon, Wire, wait_for
from gssx import (ACCEPT, COMPLETE, EXPIRED, FAILURE, INITIATE, KERNEL_CALL, KRB5, NO_CRED, PROCEDURES, UNAVAILABLE, call, encode, find, good,
                  service)
from realm import Realm

DELEGATE, MUTUAL = 1, 2


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()
        cls.realm.kinit("alice", options=("-f",))
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def token(self):
        return gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate").step()

    def accepts(self, daemon, token=None, **more):
        with Wire(daemon.socket) as wire:
            return call(wire, "accept_sec_context", token=token or self.token(), **more)

    def section(self, name, *lines, mechs="krb5"):
        return f"[service/{name}]\n  mechs = {mechs}\n  euid = {{uid}}\n  socket = {{dir}}/{name}\n" + "".join(f"  {line}\n" for line in lines)

    def flags(self, daemon, name, asked):
        """Those of a context towards an acceptor of ours."""
        with Wire(daemon.path(name)) as wire:
            first = good(wire, "init_sec_context", target=service("host@localhost"), mech=KRB5, flags=asked)
        acceptor = gssapi.SecurityContext(usage="accept")
        acceptor.step(first["token"])
        return acceptor.actual_flags & (DELEGATE | MUTUAL)

    def test_flags_are_filtered_and_enforced_as_by_gssproxy(self):
        cache = "cred_store = ccache:FILE:{dir}/alice"
        services = (self.section("sock", cache) + self.section("delegates", cache, "filter_flags = -DELEGATE") +
                    self.section("enforces", cache, "enforce_flags = +MUTUAL_AUTH") +
                    self.section("number", cache, "filter_flags = -0x0001, +0x2") +
                    self.section("both", cache, "enforce_flags = +MUTUAL_AUTH", "filter_flags = +MUTUAL_AUTH"))
        expected = {"sock": {3: MUTUAL, 0: 0}, "delegates": {3: 3, 0: 0}, "enforces": {0: MUTUAL, 3: MUTUAL}}
        for program in (PACKAGED, PROGRAM):
            daemon = Daemon(self.realm, services, program=program)
            shutil.copy(self.realm.path("ccache"), daemon.path("alice"))
            with daemon:
                for name, rows in expected.items():
                    for asked, got in rows.items():
                        with self.subTest(program=program, service=name, asked=asked):
                            self.assertEqual(self.flags(daemon, name, asked), got)
                if program == PROGRAM:  # a flag in both: the filter has the last word; after a number gssproxy reads no more of a list
                    self.assertEqual((self.flags(daemon, "both", MUTUAL), self.flags(daemon, "number", 3)), (0, DELEGATE))

    def test_a_ticket_that_lives_no_longer_than_min_lifetime_does_not_serve(self):
        daemon = Daemon(self.realm, self.section("sock", "cred_store = ccache:FILE:{dir}/short", "min_lifetime = 600") +
                        self.section("enough", "cred_store = ccache:FILE:{dir}/short", "min_lifetime = 15"))
        self.realm.kinit("alice", "FILE:" + daemon.path("short"), options=("-l", "5m"))
        with daemon:
            for name, major in (("enough", COMPLETE), ("sock", EXPIRED)):
                with Wire(daemon.path(name)) as wire:
                    status = call(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5])["status"]
                    self.assertEqual(status["major"], major, status["minor_string"])
            self.assertIn(b"min_lifetime is 600", status["minor_string"])

    def test_patterns_are_the_users_number_and_name_and_a_percent_sign(self):
        with Daemon(self.realm, self.section("sock", "cred_store = client_keytab:{keytab}", "cred_store = ccache:FILE:{dir}/%U-%u-%%-%U")) as daemon:
            with Wire(daemon.socket) as wire:
                cred = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5])["cred"]
                good(wire, "store_cred", cred=cred, usage=INITIATE, mech=KRB5, overwrite=True)
            name = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
            self.assertTrue(os.path.exists(daemon.path(f"{os.getuid()}-{name}-%-{os.getuid()}")))

    def test_cred_usage_bounds_both_ways(self):
        rows = "cred_store = keytab:{keytab}", "cred_store = client_keytab:{keytab}"
        with Daemon(self.realm, self.section("sock", *rows) + self.section("initiate", *rows, "cred_usage = Initiate") +
                    self.section("accept", *rows, "cred_usage = ACCEPT")) as daemon:
            for name, initiates, accepts in (("sock", True, True), ("initiate", True, False), ("accept", False, True)):
                with Wire(daemon.path(name)) as wire:
                    for usage, works in ((INITIATE, initiates), (ACCEPT, accepts)):
                        major = call(wire, "acquire_cred", usage=usage, mechs=[KRB5])["status"]["major"]
                        self.assertEqual(major, COMPLETE if works else NO_CRED, (name, usage))
                    first = call(wire, "init_sec_context", target=service("nfs@localhost"), mech=KRB5, flags=0)["status"]
                    self.assertEqual(first["major"], COMPLETE if initiates else NO_CRED)

    def test_a_client_without_the_selinux_context_goes_to_the_next_service(self):
        confined = ACCEPTOR.replace("[service/test]", "[service/confined]") + "  selinux_context = system_u:system_r:httpd_t:s0\n"
        with Daemon(self.realm, confined + ACCEPTOR) as daemon, Wire(daemon.socket) as wire:
            self.assertEqual(find(good(wire, "get_call_context")["options"], "service"), [b"test"])

    def test_linux_credentials_answers_in_the_kernels_forms_without_being_the_kernels(self):
        with Daemon(self.realm, ACCEPTOR + "  linux_credentials = yes\n", settings="kernel_registration = {dir}/not-there\n") as daemon:
            result = self.accepts(daemon, call=KERNEL_CALL)
            self.assertEqual(result["status"]["major"], COMPLETE, result["status"]["minor_string"])
            self.assertEqual((len(result["context"]["token"]), len(find(result["options"], "linux_creds_v1"))), (52, 1))
            self.assertNotIn("kernel_", daemon.text())

    def test_the_replay_cache_is_where_it_is_named_and_none_detects_nothing(self):
        for where, again in (("file2:{dir}/elsewhere", FAILURE), ("none", COMPLETE)):
            daemon = Daemon(self.realm)
            daemon.env.pop("KRB5RCACHEDIR")
            daemon.write_conf()
            path = daemon.path("gssproxy.conf")
            with open(path) as f:
                text = f.read().replace(f"file2:{daemon.dir}/replay", daemon.fill(where))
            daemon.write_conf = lambda: None
            with open(path, "w") as f:
                f.write(text)
            with daemon:
                token = self.token()
                self.assertEqual(self.accepts(daemon, token)["status"]["major"], COMPLETE)
                self.assertEqual(self.accepts(daemon, token)["status"]["major"], again)
                self.assertEqual(os.path.exists(daemon.path("elsewhere")), where != "none")

    def test_each_successful_call_is_logged_where_it_is_asked_for(self):
        for settings, options, logged in (("", (), False), ("debug = true\n", (), True), ("syslog_status = on\n", (), True), ("debug = 0\n", ("-d",), True),
                                          ("debug_level = 1\n", (), True), ("", ("--syslog-status",), True), ("debug_level = 2\n", ("--debug-level=0",), False)):
            with self.subTest(settings=settings, options=options), Daemon(self.realm, settings=settings, options=options) as daemon:
                self.assertEqual(self.accepts(daemon)["status"]["major"], COMPLETE)
                with Wire(daemon.socket) as wire:
                    call(wire, "accept_sec_context", token=b"none")  # its line comes after
                wait_for(lambda: "event=call_failed" in daemon.text(), "the failure's line")
                self.assertEqual('event=call service="test" procedure="accept_sec_context"' in daemon.text(), logged)

    def test_connections_beyond_the_daemons_or_the_services_are_closed_at_once_and_said(self):
        for key, text, settings in (("max_connections", "", "max_connections = 20\n"), ("max_connections", "  max_connections = 20\n", "")):
            with self.subTest(service=bool(text)), Daemon(self.realm, ACCEPTOR + text, settings=settings) as daemon:
                wires = [Wire(daemon.socket) for _ in range(30)]
                answered = 0
                for wire in wires:
                    try:
                        answered += len(wire.call(0)) == 24
                    except (EOFError, BrokenPipeError, ConnectionResetError):
                        pass
                self.assertEqual(answered, 20)
                wait_for(lambda: "event=connection_refused" in daemon.text(), "the line")
                for wire in wires:
                    wire.socket.close()
                wait_for(lambda: self.serves(daemon), "that there is room again")

    def serves(self, daemon):
        try:
            with Wire(daemon.socket) as wire:
                return len(wire.call(0)) == 24
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return False

    def test_more_requests_than_one_connection_or_uid_may_have_wait_and_are_all_answered(self):
        for text, settings in (("  max_requests = 1\n", ""), ("  max_requests = 16\n", "max_requests_per_uid = 1\n"), ("", "worker threads = 1\n")):
            with self.subTest(text=text, settings=settings), Daemon(self.realm, ACCEPTOR + text, settings=settings) as daemon, Wire(daemon.socket) as wire:
                arguments = encode(PROCEDURES["accept_sec_context"][1], {"token": b"none"})
                for xid in range(60):
                    wire.send(struct.pack(">10I", xid, 0, 2, 400112, 1, 9, 0, 0, 0, 0) + arguments)
                self.assertEqual(sorted(struct.unpack(">I", wire.receive()[:4])[0] for _ in range(60)), list(range(60)))
                self.assertEqual(self.accepts(daemon)["status"]["major"], COMPLETE)

    def test_a_queue_that_is_full_answers_unavailable(self):
        lines = "cred_store = client_keytab:{keytab}", "max_blocked = 1", "max_queued = 1", "call_deadline = 20s"
        with Realm() as mute:
            daemon = Daemon(mute, self.section("sock", *lines))
            with daemon:
                mute.kdc.send_signal(19)
                wires = [Wire(daemon.socket) for _ in range(3)]
                try:
                    arguments = encode(PROCEDURES["acquire_cred"][1], {"usage": INITIATE, "mechs": [KRB5]})
                    for i, wire in enumerate(wires):
                        wire.send(struct.pack(">10I", 7, 0, 2, 400112, 1, 6, 0, 0, 0, 0) + arguments)
                        if i == 0:
                            wait_for(lambda: self.inside(daemon), "the first call at the KDC")
                    answer = None
                    while answer is None:
                        for wire in wires[1:]:
                            wire.socket.settimeout(0.2)
                            try:
                                answer = wire.receive()
                                break
                            except TimeoutError:
                                continue
                    self.assertIn(struct.pack(">Q", UNAVAILABLE), answer)
                    self.assertIn(b"max_queued", answer)
                    wait_for(lambda: "event=request_refused" in daemon.text(), "the refusal's line")
                finally:
                    mute.kdc.send_signal(18)
                    for wire in wires:
                        wire.socket.close()

    def inside(self, daemon):
        """Whether a thread of the daemon has a connection to the KDC."""
        with open("/proc/net/tcp") as f:
            inodes = {line.split()[9] for line in f.read().splitlines()[1:]}
        links = []
        for fd in os.listdir(f"/proc/{daemon.process.pid}/fd"):
            try:
                links.append(os.readlink(f"/proc/{daemon.process.pid}/fd/{fd}"))
            except OSError:
                continue
        return any(link.startswith("socket:[") and link[8:-1] in inodes for link in links)

    def test_files_options_and_folders_come_in_the_order_of_gssproxy(self):
        daemon = Daemon(self.realm)
        self.addCleanup(shutil.rmtree, daemon.dir, True)
        daemon.write_conf("[service/test]\nmechs = krb5\neuid = 7\n", "[service/main]\nmechs = krb5\neuid = 5\ndebug = on\n")
        with open(daemon.path("conf.d/09-first.conf"), "w") as f:
            f.write("[service/test]\nmechs = krb5\neuid = 6\n[gssproxy]\ndebug = yes\n")

        def shown(*words):
            return subprocess.run([PROGRAM, "--print-config", *words], capture_output=True, text=True, check=True).stdout

        both = shown("-c", daemon.path("gssproxy.conf"), "-C", daemon.path("conf.d"))
        self.assertRegex(both, r"\[service/main\]\n(.*\n)*?  euid = 5 .*gssproxy\.conf:\d+\n")
        self.assertRegex(both, r"\[service/test\]\n(.*\n)*?  euid = 6 .*09-first\.conf:3\n")
        self.assertRegex(both, r"  debug = no +# default\n", "the main file has a [gssproxy], so that of the folder does not count")
        self.assertNotIn("service/test", shown("-c", daemon.path("gssproxy.conf")), "with a file named and no folder, no folder is read")


if __name__ == "__main__":
    unittest.main()
