"""What two readers could understand differently never reaches the HTTP library: raw bytes over real TLS, alone and pipelined behind a good
request, for every kind of request."""
import unittest

from relay import Relay, ids, new_id

GOOD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def head(line, *fields, body=b""):
    return b"\r\n".join([line, *fields, b"", b""]) + body


class Guard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(options=["--metrics", "127.0.0.1:0"]).__enter__()
        cls.addClassCleanup(cls.relay.stop)
        cls.path = cls.relay.box(new_id()).encode()

    def talk(self, data, pieces=None):
        """Sends it (in pieces of so many bytes) and returns all that comes until the relay closes, or b"" after the last answer."""
        with self.relay.connect(timeout=15) as s:
            for i in range(0, len(data), pieces or len(data)):
                s.sendall(data[i:i + (pieces or len(data))])
            received = b""
            while True:
                try:
                    piece = s.recv(65536)
                except ConnectionError:
                    break
                if not piece:
                    break
                received += piece
            return received

    def lines(self):
        yield b"GET " + self.path
        yield b"HEAD " + self.path
        yield b"POST /v1/m"
        yield b"POST " + self.path
        yield b"PUT " + self.path
        yield b"PATCH " + self.path
        yield b"DELETE " + self.path

    def refused(self, status, *fields, body=b"", host=True):
        """These fields are refused with the status on each kind of request: alone, and behind an honest request."""
        fields = ((b"Host: x",) if host else ()) + fields
        for line in self.lines():
            bad = head(line + b" HTTP/1.1", *fields, body=body)
            with self.subTest(line=line, bad=bad):
                answer = self.talk(bad)
                self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), answer[:200])
                self.assertEqual(answer.count(b"HTTP/1.1 "), 1, answer)
                self.assertIn(b"Connection: close", answer)
                both = self.talk(GOOD + bad + GOOD)
                self.assertTrue(both.startswith(b"HTTP/1.1 200 "), both[:200])
                self.assertEqual(both.count(b"HTTP/1.1 "), 2, both)
                self.assertIn(b"HTTP/1.1 %d " % status, both)

    def test_A25_guard_no_host_or_two(self):
        self.refused(400, host=False)
        self.refused(400, b"Host: x")
        self.refused(400, b"host: y")

    def test_A25_guard_two_content_lengths(self):
        self.refused(400, b"Content-Length: 0", b"Content-Length: 0")
        self.refused(400, b"Content-Length: 5", b"content-length: 6", body=b"12345")
        self.refused(400, b"Content-Length: 5, 5", body=b"12345")

    def test_A25_guard_content_length_beside_transfer_encoding(self):
        self.refused(400, b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")
        self.refused(400, b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n")

    def test_A25_guard_signs_and_other_forms_of_lengths(self):
        for value in (b"+5", b"-5", b"0x5", b"5.0", b"", b"5 5", b"00000000000", b"99999999999"):
            self.refused(400, b"Content-Length: " + value, body=b"12345")

    def test_A25_guard_folded_lines(self):
        self.refused(400, b"X-A: b", b" c")
        self.refused(400, b"X-A: b", b"\tTransfer-Encoding: chunked")

    def test_A25_guard_space_before_the_colon(self):
        self.refused(400, b"Content-Length : 5", body=b"12345")
        self.refused(400, b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n")
        self.refused(400, b": empty")

    def test_A25_guard_bare_cr_bare_lf_and_nul(self):
        for text in (b"X-A: b\rTransfer-Encoding: chunked", b"X-A: b\nTransfer-Encoding: chunked", b"X-A: b\x00c", b"X-\x00A: b",
                     b"X-A: b\x7f", b"X-A: b\xff", b"X-A: b\r"):
            self.refused(400, text)

    def test_A25_guard_other_transfer_codings(self):
        for value in (b"gzip, chunked", b"chunked, chunked", b"chunked;x=y", b"identity", b"xchunked", b"chunked chunked", b""):
            self.refused(501, b"Transfer-Encoding: " + value, body=b"0\r\n\r\n")
        self.refused(400, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")

    def test_A25_guard_bad_chunks(self):
        for body in (b"x\r\n", b"-1\r\n", b"+1\r\n", b" 1\r\na\r\n0\r\n\r\n", b"1 \r\na\r\n0\r\n\r\n", b"1;x=y\r\na\r\n0\r\n\r\n", b"\r\n",
                     b"1\na\r\n0\r\n\r\n", b"1\r\nab\r\n0\r\n\r\n", b"1\r\na\n0\r\n\r\n", b"000000001\r\na\r\n0\r\n\r\n", b"0\r\nX: y\r\n\r\n",
                     b"0\r\n\n", b"0x1\r\na\r\n0\r\n\r\n"):
            self.refused(400, b"Transfer-Encoding: chunked", body=body)

    def test_A25_guard_fields_that_may_stand_once(self):
        for name in (b"Mailbox-Device-Claim", b"Mailbox-Request-ID", b"Content-Type", b"If-Match", b"Mailbox-After"):
            self.refused(400, name + b": 1", name.lower() + b": 2")
        self.refused(417, b"Expect: 200-ok")

    def test_A25_guard_long_heads_get_431(self):
        self.refused(431, b"X-A: " + b"a" * 4000)
        self.refused(431, *[b"X-%d: y" % i for i in range(40)])

    def test_A25_guard_request_lines(self):
        for line, status in ((b"GET /healthz HTTP/1.0", 505), (b"GET /healthz HTTP/2.0", 505), (b"GET  /healthz HTTP/1.1", 400),
                             (b"GET /healthz  HTTP/1.1", 400), (b"GET /healthz", 400), (b"GET http://x/healthz HTTP/1.1", 400),
                             (b"GET * HTTP/1.1", 400), (b" GET /healthz HTTP/1.1", 400), (b"GET /healthz HTTP/1.1 ", 400),
                             (b"GET\t/healthz\tHTTP/1.1", 400), (b"GET /heal\x00thz HTTP/1.1", 400), (b"GET /" + b"a" * 1100 + b" HTTP/1.1", 414),
                             (b"GET /healthz http/1.1", 400), (b"", 400), (b"PRI * HTTP/2.0", 400)):
            answer = self.talk(head(line, b"Host: x"))
            self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), (line, answer[:100]))

    def test_A25_guard_lets_good_requests_through_at_any_split(self):
        claim, body = new_id(), b'{"payload":{"type":"T","data":"chunks"}}'
        path = self.relay.box(claim)
        fields = [b"Host: x", b"Content-Type: application/json", b"Mailbox-Device-Claim: " + claim.encode()]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]) for i in range(0, len(body), 7)) + b"0\r\n\r\n"
        for pieces in (1, 7, 100, None):
            put = head(b"PUT " + path.encode() + b" HTTP/1.1", *fields, b"Mailbox-Request-ID: " + new_id().encode(),
                       b"Transfer-Encoding: chunked", body=chunks)
            plain = head(b"PUT " + path.encode() + b" HTTP/1.1", *fields, b"Mailbox-Request-ID: " + new_id().encode(),
                         b"Content-Length: %d" % len(body), body=body)
            last = head(b"GET /healthz HTTP/1.1", b"Host: x", b"Connection: close")
            answer = self.talk(put + plain + GOOD + put + last, pieces)
            statuses = [int(piece[:3]) for piece in answer.split(b"HTTP/1.1 ")[1:]]
            self.assertEqual(statuses, [200, 200, 200, 201, 200], pieces)
        self.assertEqual(self.relay.read(path, claim).json["payload"]["data"], "chunks")

    def test_A25_guard_a_refused_update_changes_nothing(self):
        claim, body = new_id(), b'{"payload":{"type":"T","data":"evil"}}'
        path = self.relay.box(claim)
        fields = [b"Host: x", b"Content-Type: application/json", b"Mailbox-Device-Claim: " + claim.encode(), b"Mailbox-Request-ID: q"]
        for extra in ([b"Content-Length: %d" % len(body)] * 2, [b"Content-Length: %d" % len(body), b" x"]):
            self.talk(head(b"PUT " + path.encode() + b" HTTP/1.1", *fields, *extra, body=body))
        cut = b"%x\r\n%s\r\n" % (len(body), body)
        self.talk(head(b"PUT " + path.encode() + b" HTTP/1.1", *fields, b"Transfer-Encoding: chunked", body=cut + b"0;\r\n\r\n"))
        self.assertEqual(self.relay.read(path, claim).json["payload"]["data"], "first")


if __name__ == "__main__":
    unittest.main()
