"""Ticket caches of a KCM server: Heimdal's, whose socket is fixed, in a /run of its own."""
import os
import shutil
import subprocess
import tempfile
import unittest

from daemon import Daemon, Wire, wait_for
from gssx import CONTINUE, INITIATE, KRB5, NO_CRED, call, good, service
from mounts import BIND, mount, own_mounts
from realm import REALM, Realm

SERVICE = """[service/test]
  mechs = krb5
  euid = {uid}
  socket = {dir}/sock
  cred_store = ccache:KCM:%U:tickets
"""
OWN = "host/localhost@" + REALM


class Kcm(unittest.TestCase):
    def setUp(self):
        self.run_folder = tempfile.mkdtemp(prefix="gage-kcm-")
        self.addCleanup(shutil.rmtree, self.run_folder)
        self.socket = os.path.join(self.run_folder, ".heim_org.h5l.kcm-socket")
        self.realm = Realm(libdefaults=f" kcm_socket = {self.socket}\n")
        self.addCleanup(self.realm.stop)
        self.realm.start()
        self.kcm = subprocess.Popen(["/usr/sbin/kcm", "-c", "/dev/null"], stdin=subprocess.DEVNULL, preexec_fn=self.own_run)
        self.addCleanup(self.stop)
        wait_for(lambda: os.path.exists(self.socket), "the KCM server")

    def own_run(self):
        own_mounts()
        mount(self.run_folder, "/run", flags=BIND)

    def stop(self):
        self.kcm.terminate()
        self.kcm.wait()

    def tool(self, *words):
        env = dict(self.realm.env, KRB5CCNAME=f"KCM:{os.getuid()}:tickets")
        return subprocess.run(words, env=env, capture_output=True, text=True, timeout=60).stdout

    def starts(self, wire, target):
        return call(wire, "init_sec_context", target=service(target), mech=KRB5, flags=2)["status"]

    def test_a_cache_of_kcm_serves_and_keeps_the_tickets_it_fetches(self):
        self.tool("kinit", "-k", "-t", self.realm.keytab, OWN)
        with Daemon(self.realm, SERVICE) as daemon, Wire(daemon.socket) as wire:
            cred = good(wire, "acquire_cred", usage=INITIATE, mechs=[KRB5])["cred"]
            self.assertEqual(cred["name"]["display"].decode(), OWN)
            status = self.starts(wire, "nfs@localhost")
            self.assertEqual(status["major"], CONTINUE, status)
        self.assertIn("nfs/localhost@" + REALM, self.tool("klist"))

    def test_a_client_keytabs_tickets_go_into_it(self):
        services = SERVICE + "  cred_store = client_keytab:{keytab}\n  krb5_principal = host/localhost\n"
        with Daemon(self.realm, services) as daemon, Wire(daemon.socket) as wire:
            status = self.starts(wire, "nfs@localhost")
            self.assertEqual(status["major"], CONTINUE, status)
        shown = self.tool("klist")
        self.assertIn("Default principal: " + OWN, shown)
        self.assertIn("nfs/localhost@" + REALM, shown)

    def test_without_its_server_the_client_is_told(self):
        with Daemon(self.realm, SERVICE) as daemon, Wire(daemon.socket) as wire:
            os.unlink(self.socket)
            status = self.starts(wire, "nfs@localhost")
            self.assertEqual(status["major"], NO_CRED)
            self.assertIn(b"No KCM server found: start it", status["minor_string"])


if __name__ == "__main__":
    unittest.main()
