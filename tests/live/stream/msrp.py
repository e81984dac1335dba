"""MSRP (RFC 4975) through a pair of `gage forward`, with Kamailio as the endpoint behind it."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tunnels import Gage, Realm, connect, free_port, port_is_open, wait_for  # noqa: E402

CONFIG = """
debug=0
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
tcp_accept_no_cl=yes
listen=tcp:127.0.0.1:{port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "msrp.so"
request_route {{
    exit;
}}
event_route[msrp:frame-in] {{
    msrp_reply("200", "OK");
}}
"""


class Msrp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm().start()
        cls.addClassCleanup(cls.realm.stop)
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.port = free_port()
        path = cls.folder.name
        with open(path + "/kamailio.cfg", "w") as f:
            f.write(CONFIG.format(port=cls.port))
        cls.log = open(path + "/log", "w+")
        cls.addClassCleanup(cls.log.close)
        cls.kamailio = subprocess.Popen(["/usr/sbin/kamailio", "-DD", "-E", "-m", "32", "-M", "8", "-f", path + "/kamailio.cfg", "-Y", path],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=cls.log)
        cls.addClassCleanup(cls.kamailio.wait)
        cls.addClassCleanup(cls.kamailio.terminate)
        wait_for(lambda: port_is_open(cls.port) or cls.kamailio.poll() is not None, "Kamailio")
        assert cls.kamailio.poll() is None, open(path + "/log").read()

    def send(self, s, number):
        # To-Path names the endpoint itself: the sidecar's port is not the endpoint's.
        body = f"message {number}"
        s.sendall((f"MSRP t{number}abcd SEND\r\nTo-Path: msrp://127.0.0.1:{self.port}/s1;tcp\r\n"
                   f"From-Path: msrp://127.0.0.1:7654/s2;tcp\r\nMessage-ID: m{number}\r\n"
                   f"Byte-Range: 1-{len(body)}/{len(body)}\r\nContent-Type: text/plain\r\n\r\n{body}\r\n"
                   f"-------t{number}abcd$\r\n").encode())
        answer = b""
        while not re.search(rb"-------t%dabcd\$\r\n" % number, answer):
            piece = s.recv(4096)
            self.assertTrue(piece, answer)
            answer += piece
        return answer

    def test_messages_are_answered_through_the_tunnel(self):
        middle, front = free_port(), free_port()
        for options in (("--protect", "local", "--allow", "alice", f"127.0.0.1:{middle}", f"127.0.0.1:{self.port}"),
                        ("--target", "gage@localhost", f"127.0.0.1:{front}", f"127.0.0.1:{middle}")):
            g = Gage(self.realm.env, "forward", *options)
            self.addCleanup(g.stop)
            g.wait_log("event=listening")
        s = connect(front)
        self.addCleanup(s.close)
        for number in range(100):
            self.assertIn(b"MSRP t%dabcd 200 OK" % number, self.send(s, number))
        g.wait_log('records="aead"')
