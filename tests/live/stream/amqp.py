"""AMQP 1.0 through a pair of `gage forward`: unmodified clients and brokers, 10,000 messages, Kerberos and one-time credentials."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tunnels import GAGE, ROOT, Gage, Realm, free_port, port_is_open, wait_for  # noqa: E402
from brokers import RabbitMQ, exchange, rhea_exchange  # noqa: E402

MESSAGES = 10_000
EXPECTED = [f"message {i}" for i in range(MESSAGES)]


class Amqp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rabbit = RabbitMQ(free_port(), free_port(), free_port())  # takes the longest: starts beside the rest
        cls.addClassCleanup(cls.rabbit.stop)
        cls.realm = Realm().start()
        cls.addClassCleanup(cls.realm.stop)
        cls.one, cls.other = (os.path.join(cls.realm.dir, side) for side in "ab")
        subprocess.run([GAGE, "secret", cls.one, cls.other], check=True, capture_output=True)
        cls.broker_port = free_port()
        broker = subprocess.Popen(["/usr/bin/python3", os.path.join(os.path.dirname(os.path.abspath(__file__)), "brokers.py"),
                                   str(cls.broker_port)], stdout=subprocess.PIPE)
        cls.addClassCleanup(broker.stdout.close)
        cls.addClassCleanup(broker.wait)
        cls.addClassCleanup(broker.terminate)
        assert broker.stdout.readline() == b"ready\n"

    def gage(self, *arguments):
        g = Gage(self.realm.env, "forward", *arguments)
        self.addCleanup(g.stop)
        return g.wait_log("event=listening")

    def pair(self, backend, mech="krb5", far=()):
        self.middle, front = free_port(), free_port()
        kerberos = mech == "krb5"
        self.far = self.gage("--protect", "local", "--mech", mech, *far,
                             *(("--allow", "alice") if kerberos else ("--secret-file", self.one)),
                             f"127.0.0.1:{self.middle}", f"127.0.0.1:{backend}")
        self.near = self.gage("--mech", mech,
                              *(("--target", "gage@localhost") if kerberos else ("--secret-file", self.other)),
                              f"127.0.0.1:{front}", f"127.0.0.1:{self.middle}")
        return front

    def test_proton_to_proton_with_kerberos(self):
        self.assertEqual(exchange(self.pair(self.broker_port), "q1", MESSAGES), EXPECTED)
        self.assertIn('records="aead"', self.far.err())

    def test_proton_to_proton_with_secret_files(self):
        self.assertEqual(exchange(self.pair(self.broker_port, "otc"), "q2", MESSAGES), EXPECTED)
        self.assertIn('peer="otc:', self.far.err())

    def test_a_passive_listener_before_the_broker_serves_plain_clients_too(self):
        front = self.pair(self.broker_port, far=("--passive", "--policy", "prefer"))
        self.assertEqual(exchange(front, "q3", MESSAGES), EXPECTED)
        self.assertEqual(exchange(self.middle, "q4", MESSAGES), EXPECTED)
        self.assertIn("event=clear", self.far.err())
        self.assertIn("event=protected", self.far.err())

    def test_rhea_to_proton(self):
        self.assertEqual(rhea_exchange(ROOT, self.pair(self.broker_port), "q5", MESSAGES), f"{MESSAGES} true")

    def rabbit_ready(self):
        wait_for(lambda: port_is_open(self.rabbit.port), "RabbitMQ")
        return self.rabbit.port

    def test_proton_to_rabbitmq_with_kerberos(self):
        self.assertEqual(exchange(self.pair(self.rabbit_ready()), "/queue/q1", MESSAGES), EXPECTED)

    def test_rhea_to_rabbitmq_with_secret_files(self):
        front = self.pair(self.rabbit_ready(), "otc")
        self.assertEqual(rhea_exchange(ROOT, front, "/queue/q2", MESSAGES), f"{MESSAGES} true")
