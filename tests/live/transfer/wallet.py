"""The example wallet against the real relay: hands over, survives kill -9 on both sides, and the link does not work twice."""
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
PREFIX = pathlib.Path(os.environ.get("GAGE_PREFIX", ROOT / "build/root"))
WALLET = os.environ["GAGE_WALLET"]
OTC = "gage_otc 1.2.840.113556.1.8000.2554.24440.38443.969.19271.45423.7573767.5064887 "


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Wallet(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name)
        (self.dir / "mech.conf").write_text(OTC + str(PREFIX / "lib/gage/gss/gage_otc.so") + "\n")
        self.env = dict(os.environ, GSS_MECH_CONFIG=str(self.dir / "mech.conf"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.dir / "key.pem", "-out",
                        self.dir / "cert.pem"], check=True, capture_output=True)
        self.env["WALLET_CA"] = str(self.dir / "cert.pem")
        self.url = f"https://127.0.0.1:{free_port()}"
        self.relay = subprocess.Popen(
            [PREFIX / "sbin/gage-relayd", "--listen", self.url[8:], "--public-url", self.url, "--tls-cert", self.dir / "cert.pem", "--tls-key", self.dir / "key.pem",
             "--store", f"sqlite:///{self.dir}/relay.db"], stderr=open(self.dir / "relay.log", "w"), stdout=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", int(self.url.rsplit(":", 1)[1]))) == 0:
                    break
            self.assertIsNone(self.relay.poll(), (self.dir / "relay.log").read_text())
            time.sleep(0.02)
        self.secret = os.urandom(2000)

    def tearDown(self):
        self.relay.terminate()
        self.relay.wait(20)
        self.folder.cleanup()

    def start(self, state, *args, data=b""):
        p = subprocess.Popen([WALLET, *args], env=dict(self.env, WALLET_STATE=str(self.dir / state)), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdin.write(data)
        p.stdin.close()
        self.addCleanup(self.end, p)
        return p

    def end(self, p):
        if p.poll() is None:
            p.kill()
        p.wait()
        p.stdout.close()
        p.stderr.close()

    def give(self):
        giver = self.start("give", "give", self.url, data=self.secret)
        link = giver.stdout.readline()
        self.assertIn(b"#", link, (self.dir / "relay.log").read_text())
        return giver, link

    def test_a_credential_is_handed_over_and_the_link_works_once(self):
        giver, link = self.give()
        taker = self.start("take", "take", data=link)
        self.assertEqual(taker.stdout.read(), self.secret)
        self.assertEqual(taker.wait(60), 0, taker.stderr.read())
        self.assertEqual(giver.wait(60), 0)
        self.assertIn(b"delivered", giver.stderr.read())
        again = self.start("again", "take", data=link)
        self.assertEqual(again.stdout.read(), b"")
        self.assertNotEqual(again.wait(60), 0)

    def test_both_sides_killed_half_way_go_on_from_their_records(self):
        giver, link = self.give()
        giver.send_signal(signal.SIGKILL)
        giver.wait()
        taker = self.start("take", "take", data=link)
        while not (self.dir / "take").exists():
            time.sleep(0.02)
        time.sleep(0.3)
        taker.send_signal(signal.SIGKILL)
        taker.wait()
        giver = self.start("give", "give", self.url)
        taker = self.start("take", "take")
        self.assertEqual(taker.stdout.read(), self.secret)
        self.assertEqual(taker.wait(60), 0, taker.stderr.read())
        self.assertEqual(giver.wait(90), 0)


if __name__ == "__main__":
    unittest.main()
