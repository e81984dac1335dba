"""A KDC and a name service that do not answer: their service waits, gets an error at its deadline, and no other service notices."""
import os
import signal
import struct
import threading
import unittest

import gssapi
from daemon import ACCEPTOR, PACKAGED, Daemon, Wire, wait_for
from gssx import ACCEPT, COMPLETE, FAILURE, INITIATE, KERNEL_CALL, KRB5, PROCEDURES, call, encode, good, user
from realm import REALM, Realm

PLAIN = """[service/plain]
  mechs = krb5
  euid = {uid}
  socket = {dir}/plain
  cred_store = keytab:{keytab}
  cred_store = client_keytab:{keytab}
  call_deadline = 3s
"""
SERVICES = ACCEPTOR + """[service/slow]
  mechs = krb5
  euid = {uid}
  socket = {dir}/slow
  cred_store = keytab:{keytab}
  cred_store = client_keytab:{keytab}
  trusted = yes
  kernel_nfsd = yes
  call_deadline = 2s
  max_blocked = 4
"""


class Mute(unittest.TestCase):
    def setUp(self):
        self.realm = Realm()
        self.realm.start()
        self.addCleanup(self.realm.stop)
        os.environ.update({k: v for k, v in self.realm.env.items() if k.startswith("KRB5")})

    def token(self):
        return gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate").step()

    def ask_slow(self, daemon, answers, procedure, arguments):
        try:
            with Wire(daemon.path("slow")) as wire:
                answers.append(call(wire, procedure, **arguments)["status"])
        except (EOFError, ConnectionResetError):  # the packaged daemon is ended under its clients
            pass

    def stuck(self, daemon, count, procedure, **arguments):
        answers = []
        threads = [threading.Thread(target=self.ask_slow, args=(daemon, answers, procedure, arguments)) for _ in range(count)]
        for t in threads:
            t.start()
        return threads, answers

    def check(self, daemon, threads, answers, tokens):
        """The live service serves while the other's calls hang; those end with an error that says why."""
        for token in tokens:
            with Wire(daemon.socket) as wire:
                good(wire, "accept_sec_context", token=token)
        self.assertEqual(answers, [], "the slow service's calls were still waiting")
        for t in threads:
            t.join()
        self.assertEqual({s["major"] for s in answers}, {FAILURE})
        self.assertTrue(all(b"does not answer" in s["minor_string"] for s in answers))
        wait_for(lambda: "event=request_late" in daemon.text(), "the late calls' line")

    def test_a_mute_kdc_stops_its_own_service_only(self):
        tokens = [self.token() for _ in range(20)]
        with Daemon(self.realm, SERVICES) as daemon:
            self.realm.kdc.send_signal(signal.SIGSTOP)
            try:
                threads, answers = self.stuck(daemon, 12, "acquire_cred", usage=INITIATE, mechs=[KRB5],
                                              name=user("host/localhost@" + REALM))
                self.check(daemon, threads, answers, tokens)
            finally:
                self.realm.kdc.send_signal(signal.SIGCONT)
            wait_for(lambda: self.acquires(daemon), "recovery", 60)

    def test_a_mute_kdc_stops_every_service_of_the_packaged_daemon(self):
        token = self.token()
        with Daemon(self.realm, SERVICES, program=PACKAGED) as daemon:
            self.realm.kdc.send_signal(signal.SIGSTOP)
            try:
                threads, answers = self.stuck(daemon, 6, "acquire_cred", usage=INITIATE, mechs=[KRB5],
                                              name=user("host/localhost@" + REALM))
                wait_for(lambda: waiting_at(self.realm.port) >= 5, "five calls at the KDC")
                with Wire(daemon.socket) as wire:
                    wire.socket.settimeout(3)
                    with self.assertRaises(TimeoutError):
                        call(wire, "accept_sec_context", token=token)
            finally:
                self.realm.kdc.send_signal(signal.SIGCONT)
            daemon.stop(signal.SIGKILL)
            for t in threads:
                t.join()

    def acquires(self, daemon):
        with Wire(daemon.path("slow")) as wire:
            return call(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5], name=user("host/localhost@" + REALM))["status"]["major"] == COMPLETE

    def test_what_a_connection_pipelines_behind_a_stuck_call_is_answered_meanwhile(self):
        with Daemon(self.realm, PLAIN) as daemon, Wire(daemon.path("plain")) as wire:
            self.realm.kdc.send_signal(signal.SIGSTOP)
            try:
                stuck = encode(PROCEDURES["acquire_cred"][1],
                               {"usage": INITIATE, "mechs": [KRB5], "name": user("host/localhost@" + REALM)})
                wire.send(struct.pack(">10I", 1, 0, 2, 400112, 1, 6, 0, 0, 0, 0) + stuck)
                wait_for(lambda: waiting_at(self.realm.port) >= 1, "the call at the KDC")
                wire.send(struct.pack(">10I", 2, 0, 2, 400112, 1, 0, 0, 0, 0, 0))
                self.assertEqual([struct.unpack(">I", wire.receive()[:4])[0] for _ in range(2)], [2, 1])
            finally:
                self.realm.kdc.send_signal(signal.SIGCONT)

    def test_a_mute_name_service_stops_its_own_service_only(self):
        tokens = [self.token() for _ in range(20)]
        with Daemon(self.realm, SERVICES, wait=False) as daemon:
            daemon.stop(signal.SIGKILL)
            passwd = daemon.path("passwd")
            with open(passwd, "w") as f:
                f.write("root:x:0:0::/:/bin/sh\nalice:x:70001:70001::/:/bin/sh\n")
            with open(daemon.path("group"), "w") as f:
                f.write("root:x:0:\n")
            daemon.wrap_accounts()
            daemon.wait = True
            if os.path.exists(daemon.socket):
                os.unlink(daemon.socket)
            daemon.start()
            os.mkfifo(daemon.path("fifo"))
            os.rename(daemon.path("fifo"), passwd)  # reading accounts now waits for a writer that never comes
            token = tokens.pop()
            threads, answers = self.stuck(daemon, 1, "accept_sec_context", call=KERNEL_CALL, token=token)
            self.check(daemon, threads, answers, tokens)
            daemon.stop(signal.SIGKILL)


def waiting_at(port):
    """How many connections lead to the port. Which process holds them is not asked: the daemon's descriptors are shown to nobody who
    has not CAP_SYS_PTRACE."""
    with open("/proc/net/tcp") as f:
        return sum(line.split()[2:4] == [f"0100007F:{port:04X}", "01"] for line in f)


if __name__ == "__main__":
    unittest.main()
