"""What the daemon gives up: system calls, privileges, paths (Landlock), and looking at other processes, which its witness does."""
import ctypes
import errno
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import gssapi
from daemon import ACCEPTOR, PACKAGED, PROGRAM, Daemon, Wire, wait_for
from gssx import ACCEPT, COMPLETE, INITIATE, KRB5, call, good, user
from mounts import own_mounts
from realm import REALM, Realm

LANDLOCK_CREATE_RULESET, GET_VERSION = 444, 1
CAPBSET_DROP, DAC_OVERRIDE, DAC_READ_SEARCH, SETGID, SETUID, SYS_PTRACE = 24, 1, 2, 6, 7, 19
PYTHON = os.path.realpath("/usr/bin/python3")
ASK = """import sys; sys.path.insert(0, sys.argv[2]); from daemon import Wire
try: print(len(Wire(sys.argv[1]).call(0)))
except (EOFError, ConnectionResetError): print("closed")
"""
HERE = os.path.dirname(os.path.abspath(__file__))


def kernel_has_landlock():
    return ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, GET_VERSION) > 0


def without_landlock():
    """In the child: the kernel is one that does not know the system call."""
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    allow, refuse = 0x7fff0000, 0x00050000 | errno.ENOSYS
    context = ctypes.c_void_p(lib.seccomp_init(allow))
    assert lib.seccomp_rule_add(context, refuse, LANDLOCK_CREATE_RULESET, 0) == 0 and lib.seccomp_load(context) == 0


def without_ptrace():
    """In the child: what it executes has no CAP_SYS_PTRACE, as in many containers."""
    assert ctypes.CDLL(None).prctl(CAPBSET_DROP, SYS_PTRACE, 0, 0, 0) == 0


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(p) for p in f.read().split()]


def status(pid, key):
    with open(f"/proc/{pid}/status") as f:
        return re.search(rf"(?m)^{key}:\s+(\S+)", f.read()).group(1)


class Sandbox(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def token(self):
        return gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate").step()

    def accepts(self, daemon):
        return call(Wire(daemon.socket), "accept_sec_context", token=self.token())["status"]

    def elsewhere(self):
        """A folder that no configuration names, with a keytab in it; where Landlock leaves nothing open."""
        folder = tempfile.mkdtemp(prefix="gage-elsewhere-", dir="/srv")
        self.addCleanup(shutil.rmtree, folder)
        shutil.copy(self.realm.keytab, os.path.join(folder, "keytab"))
        return os.path.join(folder, "keytab")

    # ---- system calls and privileges ----

    def test_every_thread_has_no_new_privileges_and_a_filter(self):
        with Daemon(self.realm) as daemon:
            good(Wire(daemon.socket), "indicate_mechs")
            for task in os.listdir(f"/proc/{daemon.process.pid}/task"):
                self.assertEqual((status(task, "NoNewPrivs"), status(task, "Seccomp")), ("1", "2"))

    def test_of_roots_powers_every_thread_keeps_four(self):
        """To read and write users' files, and to store as one of them."""
        with Daemon(self.realm) as daemon:
            good(Wire(daemon.socket), "acquire_cred", usage=ACCEPT, mechs=[KRB5])
            kept = int(status("self", "CapEff"), 16) & (1 << DAC_OVERRIDE | 1 << DAC_READ_SEARCH | 1 << SETGID | 1 << SETUID)
            for thread in os.listdir(f"/proc/{daemon.process.pid}/task"):
                for name in ("CapEff", "CapPrm"):
                    self.assertEqual(int(status(f"{daemon.process.pid}/task/{thread}", name), 16), kept)
                self.assertEqual(int(status(f"{daemon.process.pid}/task/{thread}", "CapInh"), 16), 0)

    def test_sandbox_no_leaves_them(self):
        with Daemon(self.realm, settings="sandbox = no\n") as daemon:
            self.assertEqual((status(daemon.process.pid, "Seccomp"), children(daemon.process.pid)), ("0", []))

    # ---- paths ----

    def move_keytab(self, daemon):
        """What somebody who can change the keytab's folder might try: the name now leads out of all that was configured."""
        os.unlink(daemon.path("keys/keytab"))
        os.symlink(self.elsewhere(), daemon.path("keys/keytab"))

    def with_keytab(self, settings=""):
        daemon = Daemon(self.realm, ACCEPTOR.replace("{keytab}", "{dir}/keys/keytab"), settings=settings)
        os.mkdir(daemon.path("keys"))
        shutil.copy(self.realm.keytab, daemon.path("keys/keytab"))
        return daemon

    def test_a_path_that_no_configuration_names_is_closed(self):
        for settings, closed in (("", kernel_has_landlock()), ("landlock = no\n", False), ("sandbox = no\n", False),
                                 ("landlock_paths = /mnt, /srv\n", False)):
            with self.subTest(settings=settings), self.with_keytab(settings) as daemon:
                self.assertEqual(self.accepts(daemon)["major"], COMPLETE)
                self.move_keytab(daemon)
                answer = self.accepts(daemon)
                self.assertEqual(answer["major"] != COMPLETE, closed, answer["minor_string"])

    def test_a_keytab_is_replaced_in_its_folder_as_before(self):
        with self.with_keytab() as daemon:
            shutil.copy(self.realm.keytab, daemon.path("keys/new"))
            os.rename(daemon.path("keys/new"), daemon.path("keys/keytab"))
            self.assertEqual(self.accepts(daemon)["major"], COMPLETE)

    def test_a_reload_that_needs_a_closed_path_is_refused_and_says_which(self):
        with self.with_keytab() as daemon:
            keytab = self.elsewhere()
            daemon.write_conf(ACCEPTOR.replace("{keytab}", keytab))
            daemon.signal(signal.SIGHUP)
            if kernel_has_landlock():
                wait_for(lambda: "event=reload_failed" in daemon.text(), "the refusal")
                self.assertIn(f"needs {os.path.dirname(keytab)}, which Landlock closed at the start: restart", daemon.text())
            else:
                wait_for(lambda: "New config loaded" in daemon.text(), "the reload")
            self.assertEqual(self.accepts(daemon)["major"], COMPLETE)
            daemon.stop()
            daemon.start()
            self.assertEqual(self.accepts(daemon)["major"], COMPLETE)

    def test_caches_rows_and_defaults_can_be_written(self):
        services = ACCEPTOR + "  cred_store = client_keytab:{keytab}\n  cred_store = ccache:FILE:{dir}/caches/%U\n"
        with Daemon(self.realm, services) as daemon:
            with Wire(daemon.socket) as wire:
                self.assertNotEqual(self.acquires(wire), COMPLETE, "the cache's folder does not exist yet")
                os.mkdir(daemon.path("caches"))
                self.assertEqual(self.acquires(wire), COMPLETE)
            self.assertTrue(os.path.exists(daemon.path(f"caches/{os.getuid()}")))

    def acquires(self, wire):
        return call(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user("host/localhost@" + REALM))["status"]["major"]

    def test_a_kernel_without_landlock_is_said_and_served_on(self):
        daemon = Daemon(self.realm)
        daemon.before = without_landlock
        with daemon:
            self.assertIn('event=sandbox missing="this kernel has no Landlock', daemon.text())
            self.assertEqual(self.accepts(daemon)["major"], COMPLETE)
            self.assertEqual(status(daemon.process.pid, "Seccomp"), "2")

    # ---- the witness ----

    def test_the_witness_keeps_two_capabilities_a_filter_and_one_descriptor(self):
        """In a container that has not the first of the two it keeps what there is, for the reason that witness.c gives."""
        with Daemon(self.realm) as daemon:
            (witness,) = children(daemon.process.pid)
            self.assertEqual(status(witness, "Name"), "gage-witness")
            ours = int(status("self", "CapEff"), 16)
            kept = ours & (1 << SYS_PTRACE | 1 << DAC_READ_SEARCH) if ours & 1 << SYS_PTRACE else ours
            self.assertEqual(int(status(witness, "CapEff"), 16), kept)
            self.assertEqual((status(witness, "Seccomp"), status(witness, "NoNewPrivs")), ("2", "1"))
            self.assertEqual(sorted(os.listdir(f"/proc/{witness}/fd")), ["0"])
            good(Wire(daemon.socket), "acquire_cred", usage=ACCEPT, mechs=[KRB5])
            wait_for(lambda: f'program="{PYTHON}"' in daemon.text(), "the audit line with the program")
            daemon.process.kill()
            daemon.process.wait()
            wait_for(lambda: not os.path.exists(f"/proc/{witness}") or status(witness, "State") == "Z", "its end with its parent")

    def test_without_its_witness_the_daemon_serves_but_knows_no_program(self):
        named = ACCEPTOR.replace("test", "named").replace("/sock", "/named") + f"  program = {PYTHON}\n"
        with Daemon(self.realm, ACCEPTOR + named) as daemon:
            good(Wire(daemon.path("named")), "indicate_mechs")
            os.kill(children(daemon.process.pid)[0], signal.SIGKILL)
            good(Wire(daemon.socket), "indicate_mechs")
            with self.assertRaises((EOFError, ConnectionResetError)):
                call(Wire(daemon.path("named")), "indicate_mechs")

    def test_where_there_is_no_ptrace_programs_of_no_more_powers_are_known(self):
        daemon = Daemon(self.realm, ACCEPTOR + f"  program = {PYTHON}\n")
        daemon.before = without_ptrace
        with daemon:
            self.assertEqual(self.ask("true", PYTHON, daemon.socket, without_ptrace), "24")

    def ask(self, before, command, path, separate=own_mounts):
        """What a client in a mount namespace of its own is answered, where the command is its interpreter once `before` was done."""
        done = subprocess.run(["sh", "-c", f"{before} && exec {command} -c '{ASK}' {path} {HERE}"], preexec_fn=separate,
                              capture_output=True, text=True, timeout=60, env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def test_a_program_shown_under_anothers_path_is_not_that_program(self):
        for program in (PACKAGED, PROGRAM):
            with Daemon(self.realm, ACCEPTOR + "  program = {dir}/allowed\n", program=program) as daemon, self.subTest(program=program):
                shutil.copy("/usr/bin/true", daemon.path("allowed"))
                answer = self.ask(f"mount --bind {PYTHON} {daemon.path('allowed')}", daemon.path("allowed"), daemon.socket)
                self.assertEqual(answer == "closed", program == PROGRAM, answer)

    def ask_from(self, fill):
        """Of a service for the interpreter, by that very file, in a root that the commands `fill` make of the folder $room."""
        with Daemon(self.realm, ACCEPTOR + f"  program = {PYTHON}\n") as daemon:
            os.mkdir(daemon.path("room"))
            return self.ask(f"room={daemon.path('room')}; {fill}", f"chroot $room {PYTHON}", daemon.socket)

    def test_a_program_of_our_root_is_known_where_the_kernel_tells_what_leads_to_the_root_besides(self):
        self.assertEqual(self.ask_from("mount --rbind / $room"), "24")

    def test_a_program_of_a_root_that_only_holds_our_folders_is_not_known_by_its_path_there(self):
        self.assertEqual(self.ask_from('for d in /*; do [ ! -d $d ] || { mkdir $room$d && mount --rbind $d $room$d; } || exit; done'), "closed")

    def test_a_program_replaced_by_a_newer_one_is_matched_anew(self):
        with Daemon(self.realm, ACCEPTOR + "  program = {dir}/allowed\n") as daemon:
            shutil.copy(PYTHON, daemon.path("allowed"))
            command = [daemon.path("allowed"), "-c", ASK, daemon.socket, HERE]
            for _ in range(2):
                done = subprocess.run(command, capture_output=True, text=True, timeout=60,
                                      env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PYTHONHOME="/usr"))
                self.assertEqual(done.stdout.strip(), "24", done.stderr)
                shutil.copy(PYTHON, daemon.path("newer"))
                os.rename(daemon.path("newer"), daemon.path("allowed"))


if __name__ == "__main__":
    unittest.main()
