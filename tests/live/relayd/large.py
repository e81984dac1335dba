"""Payloads of the largest size that can be configured, and a reader that takes its time."""
import hashlib
import json
import random
import socket
import string
import time
import unittest

from relay import Relay, ids, new_id

LARGEST = 16 * 1024 * 1024
TYPE = "AEAD_AES_256_GCM"


class Large(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(options=["--metrics", "127.0.0.1:0"],
                          limits={"payload_max": "16M", "body_memory": "128M", "idle_timeout": "3s"}).__enter__()
        cls.addClassCleanup(cls.relay.stop)
        letters = random.Random(7).choices(string.ascii_letters + string.digits, k=65536)
        cls.data = ("".join(letters) * (LARGEST // 65536))[:LARGEST - len(TYPE)]

    def setUp(self):
        self.a, self.b = new_id(), new_id()

    def test_the_largest_payload_comes_back_whole_and_one_byte_more_is_413(self):
        path = self.relay.box(self.a, data=self.data)
        self.assertEqual(self.relay.read(path, self.b).json["payload"]["data"], self.data)
        answer = self.relay.update(path, self.a, self.data + "x")
        self.assertEqual((answer.status, answer.json["payloadLimit"]), (413, LARGEST))

    def test_a_slow_reader_gets_all_of_it_while_others_are_served(self):
        path = self.relay.box(self.a, data=self.data)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.settimeout(30)
        sock.connect(("127.0.0.1", self.relay.port))
        with self.relay.context().wrap_socket(sock, server_hostname="localhost") as slow:
            slow.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nMailbox-Device-Claim: {self.b}\r\nContent-Length: 0\r\n"
                         "Connection: close\r\n\r\n".encode())
            parts, taken = [], 0
            while piece := slow.recv(65536):
                parts.append(piece)
                taken += len(piece)
                if len(parts) % 50 == 0:
                    time.sleep(0.1)
                    self.assertEqual(self.relay.request("GET", "/healthz").status, 200)
            head, body = b"".join(parts).split(b"\r\n\r\n", 1)
        self.assertTrue(head.startswith(b"HTTP/1.1 200"))
        self.assertEqual(hashlib.sha256(json.loads(body)["payload"]["data"].encode()).digest(),
                         hashlib.sha256(self.data.encode()).digest())

    def test_a_reader_that_stops_is_cut_and_its_memory_given_back(self):
        path = self.relay.box(self.a, data=self.data)
        connections = self.relay.metric("connections")
        sock = self.relay.connect()
        sock.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n".encode() +
                     "".join(f"{k}: {v}\r\n" for k, v in ids(self.b).items()).encode() + b"Content-Length: 0\r\n\r\n")
        self.relay.until_metric("connections", connections + 1)
        self.relay.until_metric("connections", connections, 60)
        self.relay.until_metric("requests", 0)
        self.relay.until_metric("body_bytes", 0)
        sock.close()


if __name__ == "__main__":
    unittest.main()
