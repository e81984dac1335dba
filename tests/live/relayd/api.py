"""The relay's HTTP API over real HTTPS. Each test's name holds the requirement (doc/relay.md, "Requirements") that it shows."""
import datetime
import json
import os
import re
import socket
import ssl
import subprocess
import time
import unittest
import uuid

from relay import Relay, in_thread, ids, new_id, spki_pin


def later(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay(options=["--metrics", "127.0.0.1:0"]).__enter__()
        cls.addClassCleanup(cls.relay.stop)

    def setUp(self):
        self.a, self.b, self.c = new_id(), new_id(), new_id()

    def is_status(self, answer, status):
        self.assertEqual(answer.status, status, answer)
        return answer

    def is_problem(self, answer, status):
        self.is_status(answer, status)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(answer.json["status"], status)
        self.assertTrue(answer.json["detail"])
        return answer

    def data(self, answer):
        return self.is_status(answer, 200).json["payload"]["data"]


class Transport(Case):
    def test_R1_clear_text_is_not_spoken_on_the_port(self):
        with socket.create_connection(("127.0.0.1", self.relay.port), timeout=10) as s:
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertNotIn(b"HTTP/1.1 2", s.recv(4096))

    def test_R1_old_versions_of_tls_are_refused(self):
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            with socket.create_connection(("127.0.0.1", self.relay.port), timeout=10) as s, self.assertRaises((ssl.SSLError, OSError)):
                context.wrap_socket(s)

    def test_R1_tls_1_2_and_1_3_are_spoken(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.relay.context()
            context.minimum_version = context.maximum_version = version
            with socket.create_connection(("127.0.0.1", self.relay.port), timeout=10) as s:
                with context.wrap_socket(s, server_hostname="localhost") as t:
                    t.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                    self.assertTrue(t.recv(4096).startswith(b"HTTP/1.1 200"))

    def test_R14_curl_reaches_it_at_an_https_uri_by_the_printed_pin(self):
        self.assertEqual(self.relay.pin, spki_pin(self.relay.path("relay.db.tls-cert.pem")))
        good = ["curl", "-sk", "--noproxy", "*", "--pinnedpubkey", self.relay.pin, self.relay.url + "/healthz"]
        self.assertEqual(json.loads(subprocess.run(good, capture_output=True, check=True).stdout), {"status": "ok"})
        bad = [*good[:-2], "sha256//" + "A" * 43 + "=", good[-1]]
        self.assertEqual(subprocess.run(bad, capture_output=True).returncode, 90)

    def test_R15_bodies_are_json_or_html(self):
        path = self.relay.box(self.a)
        self.assertEqual(self.relay.read(path, self.b).headers["Content-Type"], "application/json")
        self.assertTrue(self.relay.request("GET", path).headers["Content-Type"].startswith("text/html"))
        for answer in (self.relay.read(path, self.c), self.relay.request("GET", "/nothing"), self.relay.request("GET", "/v1/m")):
            self.assertEqual(answer.headers["Content-Type"], "application/problem+json")

    def test_R16_text_is_utf8_and_comes_back_as_it_was(self):
        title = "Schl\u00fcssel \U0001f511 \u9375"
        path = self.relay.box(self.a, title=title)
        answer = self.relay.read(path, self.b)
        self.assertEqual(answer.json["displayInformation"]["title"], title)
        self.assertIn(title.encode(), self.relay.request("GET", path).body)

    def test_R17_the_version_is_in_the_uri(self):
        self.is_problem(self.relay.request("POST", "/v2/m", ids(self.a, new_id()), {}), 404)
        self.is_problem(self.relay.request("POST", "/m", ids(self.a, new_id()), {}), 404)
        self.assertIn("/v1/m/", self.relay.create(self.a).json["urlLink"])


class Create(Case):
    def post(self, body, claim=None, request_id=None, **headers):
        return self.relay.request("POST", "/v1/m", {**ids(claim or self.a, request_id or new_id()), **headers}, body)

    def good(self, **changes):
        body = {"payload": {"type": "T", "data": "D"}, "displayInformation": {"title": "t", "description": "d", "imageURL": ""}}
        body.update(changes)
        return {k: v for k, v in body.items() if v is not None}

    def test_R11_the_identifier_is_a_random_uuid_of_version_4(self):
        made = [uuid.UUID(self.relay.create(self.a).json["urlLink"].rsplit("/", 1)[1]) for _ in range(8)]
        self.assertEqual({u.version for u in made}, {4})
        self.assertEqual({u.variant for u in made}, {uuid.RFC_4122})
        self.assertEqual(len({u.bytes for u in made}), 8)

    def test_R25_payload_and_display_information_are_required(self):
        self.is_status(self.post(self.good()), 200)
        bad = [self.good(payload=None), self.good(payload={"type": "T"}), self.good(payload={"data": "D"}), self.good(payload="x"),
               self.good(displayInformation=None), self.good(displayInformation={"title": "t", "description": "d"}),
               self.good(displayInformation={"title": 1, "description": "d", "imageURL": ""}),
               self.good(payload={"type": "T", "data": 5}), self.good(notificationToken={"type": "x"}),
               self.good(mailboxConfiguration=7), []]
        for body in bad:
            with self.subTest(body=body):
                self.is_problem(self.post(body), 400)

    def test_R25_token_and_configuration_are_optional(self):
        token = {"type": "com.apple.apns", "tokenData": "APNS1234"}
        self.is_status(self.post(self.good(notificationToken=token)), 200)
        self.is_status(self.post(self.good(mailboxConfiguration={"accessRights": "R", "expiration": later(60)})), 200)

    def test_R26_answers_the_full_link_and_whether_push_is_supported(self):
        answer = self.is_status(self.relay.create(self.a), 200)
        self.assertRegex(answer.json["urlLink"], rf"^{re.escape(self.relay.url)}/v1/m/[0-9a-f-]{{36}}$")
        self.assertIs(answer.json["isPushNotificationSupported"], False)

    def test_R26_refuses_what_is_no_json_with_400_and_a_bad_claim_with_401(self):
        for body in (b"", b"{", b"nonsense", b"[]", b"{}trailing", b"\xef\xbb\xbf{}"):
            answer = self.relay.request("POST", "/v1/m", {**ids(self.a, new_id()), "Content-Type": "application/json"}, body)
            self.is_problem(answer, 400)
        for claim in ("", "x", self.a[:-1], self.a + "0", "{" + self.a + "}"):
            self.is_problem(self.relay.request("POST", "/v1/m", ids(claim, new_id()), self.good()), 401)

    def test_R27_without_a_configuration_both_may_read_and_delete_for_the_relays_own_time(self):
        answer = self.relay.create(self.a, config=False)
        path = "/v1/m/" + answer.json["urlLink"].rsplit("/", 1)[1]
        left = datetime.datetime.strptime(answer.json["expiration"], "%Y-%m-%dT%H:%M:%SZ") - datetime.datetime.utcnow()
        self.assertAlmostEqual(left.total_seconds(), 48 * 3600, delta=60)
        self.assertEqual(self.data(self.relay.read(path, self.b)), "first")
        self.is_problem(self.relay.update(path, self.b, "no"), 401)
        self.is_problem(self.relay.update(path, self.a, "no"), 401)
        self.is_status(self.relay.delete(path, self.b), 200)

    def test_R28_rights_are_any_combination_and_hold_for_both(self):
        for rights in ("R", "RW", "WR", "RD", "DR", "RWD", "DWR"):
            path = self.relay.box(self.a, rights=rights)
            self.is_status(self.relay.read(path, self.b), 200)
            for claim in (self.a, self.b):
                self.is_status(self.relay.update(path, claim, "n"), 200 if "W" in rights else 401)
            for claim in (self.b, self.a)[: 1 if "D" in rights else 2]:
                self.is_status(self.relay.delete(path, claim), 200 if "D" in rights else 401)

    def test_A7_other_letters_a_letter_twice_or_no_R_are_refused(self):
        for rights in ("", "W", "WD", "RR", "RX", "rwd", "R W", "RWDD"):
            self.is_problem(self.relay.create(self.a, rights=rights), 400)

    def test_A8_an_expiration_must_be_exact_and_to_come(self):
        for text in ("", "tomorrow", "2099-01-01", "2099-01-01T00:00:00", "2099-01-01T00:00:00+00:00", "2099-01-01T00:00:00.0Z",
                     "2099-02-30T00:00:00Z", "2001-01-01T00:00:00Z"):
            self.is_problem(self.relay.create(self.a, expiration=text), 400)
        self.is_problem(self.post(self.good(mailboxConfiguration={"accessRights": "R"})), 400)

    def test_A8_a_longer_life_is_shortened_and_said(self):
        answer = self.relay.create(self.a, expiration="2099-01-01T00:00:00Z")
        left = datetime.datetime.strptime(answer.json["expiration"], "%Y-%m-%dT%H:%M:%SZ") - datetime.datetime.utcnow()
        self.assertAlmostEqual(left.total_seconds(), 30 * 86400, delta=60)

    def test_A11_a_picture_is_https_or_none(self):
        for url in ("http://x/y.png", "javascript:alert(1)", "data:image/png;base64,AA", "https://x/\"onerror", "https://a b", "//x/y"):
            self.is_problem(self.relay.create(self.a, image=url), 400)
        self.is_status(self.relay.create(self.a, image="https://example.com/a.png?x=1&y=2"), 200)

    def test_A16_any_payload_type_of_token_characters_is_taken(self):
        for kind in ("AEAD_AES_128_GCM", "a", "x.y+z-1_2", "A" * 64):
            self.is_status(self.post(self.good(payload={"type": kind, "data": "D"})), 200)
        for kind in ("", "A" * 65, "a b", "a/b", "\u00e9"):
            self.is_problem(self.post(self.good(payload={"type": kind, "data": "D"})), 400)

    def test_A17_the_link_comes_from_the_configuration_and_never_from_host(self):
        answer = self.relay.request("POST", "/v1/m", {**ids(self.a, new_id()), "Host": "evil.example"}, self.good())
        self.assertTrue(answer.json["urlLink"].startswith(self.relay.url + "/v1/m/"), answer)

    def test_A29_duplicate_keys_and_bad_utf8_are_refused_and_unknown_keys_ignored(self):
        good = json.dumps(self.good())
        raw = {**ids(self.a, new_id()), "Content-Type": "application/json"}
        for body in (good[:-1] + ', "payload": {"type": "T", "data": "E"}}', good.replace('"t"', '"\\ud800"'),
                     good.replace('"t"', '"a\\u0000b"')):
            self.is_problem(self.relay.request("POST", "/v1/m", raw, body.encode()), 400)
        for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"):
            self.is_problem(self.relay.request("POST", "/v1/m", raw, good.encode().replace(b'"t"', b'"' + bad + b'"')), 400)
        self.is_status(self.post(self.good(unknown={"x": [1]})), 200)

    def test_A25_a_body_of_very_many_values_is_refused_before_it_costs_memory(self):
        for many in ([{}] * 20000, [[]] * 300, {str(n): 1 for n in range(300)}):
            self.is_problem(self.post(self.good(unknown=many)), 400)
        self.is_status(self.post(self.good(unknown=[1] * 100, more=",[{" * 1000)), 200)

    def test_A30_an_attestation_is_ignored(self):
        answer = self.post(self.good(), **{"Mailbox-Device-Attestation": "zz-attest-zz"})
        self.is_status(answer, 200)
        self.assertNotIn(b"zz-attest-zz", open(self.relay.path("relay.db"), "rb").read())


class Exchange(Case):
    def test_R2_initiator_and_first_claimer_exchange_any_number_of_messages(self):
        path = self.relay.box(self.a, data="0")
        self.assertEqual(self.data(self.relay.read(path, self.b)), "0")
        for n in range(1, 7):
            writer, reader = (self.b, self.a) if n % 2 else (self.a, self.b)
            self.is_status(self.relay.update(path, writer, str(n)), 200)
            self.assertEqual(self.data(self.relay.read(path, reader)), str(n))

    def test_R3_one_side_may_write_twice_in_a_row(self):
        path = self.relay.box(self.a)
        self.is_status(self.relay.update(path, self.a, "second"), 200)
        self.is_status(self.relay.update(path, self.a, "cancel"), 200)
        self.assertEqual(self.data(self.relay.read(path, self.b)), "cancel")

    def test_R5_R9_messages_wait_across_a_restart_of_the_relay(self):
        with Relay() as relay:
            paths = [relay.box(self.a, data=str(n)) for n in range(5)]
            relay.process.terminate()
            self.assertEqual(relay.process.wait(15), 0)
            pin = relay.pin
            relay.start()
            self.assertEqual(relay.pin, pin)
            for n, path in enumerate(paths):
                self.assertEqual(self.data(relay.read(path, self.b)), str(n))

    def test_R7_R35_no_identifying_information_is_asked_logged_or_stored(self):
        with Relay() as relay:
            path = relay.box(self.a)
            relay.read(path, self.b)
            relay.update(path, self.b, "x")
            relay.read(path, self.c)
            relay.relinquish(path, self.b)
            relay.process.terminate()
            relay.process.wait(15)
            log = relay.log_text()
            for word in (self.a, self.b, self.c, path, path[6:], "127.0.0.1"):
                self.assertNotIn(word.lower(), log.lower())
            stored = b"".join(open(relay.path(n), "rb").read() for n in os.listdir(relay.folder) if n.startswith("relay.db") and "tls" not in n)
            for claim in (self.a, self.b, self.c):
                self.assertNotIn(claim.encode(), stored)
                self.assertNotIn(uuid.UUID(claim).bytes, stored)

    def test_R8_R34_the_payload_is_opaque(self):
        for data in ("", "not base64 at all \u2603 \"\\/\b", "A" * 60000, "\x01\x02\x7f"):
            path = self.relay.box(self.a, data=data)
            self.assertEqual(self.data(self.relay.read(path, self.b)), data)

    def test_R12_after_the_claim_only_the_two_may_do_anything(self):
        path = self.relay.box(self.a)
        self.is_status(self.relay.read(path, self.b), 200)
        for refused in (self.relay.read(path, self.c), self.relay.update(path, self.c, "x"), self.relay.delete(path, self.c),
                        self.relay.relinquish(path, self.c)):
            self.is_problem(refused, 401)
        self.assertEqual(self.data(self.relay.read(path, self.a)), "first")

    def test_R13_of_many_who_claim_at_once_exactly_one_is_bound(self):
        path = self.relay.box(self.a)
        claims = [new_id() for _ in range(12)]
        waits = [in_thread(self.relay.read, path, claim) for claim in claims]
        statuses = [wait().status for wait in waits]
        self.assertEqual(sorted(statuses), [200] + [401] * 11)
        winner = claims[statuses.index(200)]
        self.is_status(self.relay.read(path, winner), 200)

    def test_R18_A9_an_expired_mailbox_is_gone_at_once_before_any_sweep(self):
        path = self.relay.box(self.a, expiration=later(2))
        self.is_status(self.relay.update(path, self.a, "late"), 200)
        time.sleep(3.1)
        for answer in (self.relay.read(path, self.b), self.relay.update(path, self.a, "x"), self.relay.request("GET", path),
                       self.relay.delete(path, self.a), self.relay.relinquish(path, self.b)):
            self.is_problem(answer, 404)

    def test_R18_the_sweep_removes_the_expired_wakes_who_waits_and_scrubs_the_files(self):
        secret = "swept-" + "Z" * 300
        with Relay(options=["--metrics", "127.0.0.1:0"], relay={"sweep_interval": "1s"}) as relay:
            def stored():
                return b"".join(open(relay.path(n), "rb").read() for n in os.listdir(relay.folder) if n.startswith("relay.db")).count(
                    secret.encode())
            stays, goes = relay.box(self.a), relay.box(self.a, data=secret, expiration=later(3))
            self.assertGreater(stored(), 0)
            waiting = in_thread(relay.read, goes, self.a, 1, 30)
            relay.until_metric("waiting_reads", 1)
            self.is_problem(waiting(), 404)
            relay.until_metric("swept_total", 1)
            self.assertEqual(relay.metric("mailboxes"), 1)
            for _ in range(500):
                if stored() == 0:
                    break
                time.sleep(0.02)
            self.assertEqual(stored(), 0)
            self.is_status(relay.read(stays, self.b), 200)

    def test_A20_a_client_that_leaves_while_it_waits_is_noticed(self):
        path = self.relay.box(self.a)
        connection = self.relay.connect()
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nMailbox-Device-Claim: {self.a}\r\nMailbox-After: 1\r\n"
                           "Prefer: wait=60\r\nContent-Length: 0\r\n\r\n".encode())
        self.relay.until_metric("waiting_reads", 1)
        before = self.relay.metric("connections")
        connection.close()
        self.relay.until_metric("waiting_reads", 0)
        self.relay.until_metric("connections", before - 1)

    def test_R19_the_request_id_comes_back_with_every_answer(self):
        path = self.relay.box(self.a)
        for method, target, claim in (("POST", path, self.b), ("PATCH", path, self.b), ("DELETE", path, self.c), ("GET", path, None),
                                      ("GET", "/nowhere", None), ("PUT", "/v1/m", None)):
            request_id = new_id().upper()
            self.assertEqual(self.relay.request(method, target, ids(claim, request_id)).headers["Mailbox-Request-ID"], request_id)

    def test_R21_a_duplicate_is_answered_with_201_and_its_body_ignored(self):
        path = self.relay.box(self.a)
        self.is_status(self.relay.read(path, self.b), 200)
        request_id = new_id()
        first = self.is_status(self.relay.update(path, self.b, "once", request_id), 200)
        again = self.is_status(self.relay.update(path, self.b, "other", request_id), 201)
        self.assertEqual(again.json, first.json)
        self.assertEqual(self.data(self.relay.read(path, self.a)), "once")

    def test_R21_a_request_id_counts_in_either_case(self):
        path = self.relay.box(self.a)
        request_id = new_id()
        self.is_status(self.relay.update(path, self.a, "once", request_id.lower()), 200)
        self.is_status(self.relay.update(path, self.a, "once", request_id.upper()), 201)

    def test_R22_duplicate_create_makes_no_new_mailbox(self):
        request_id = new_id()
        before = self.relay.metric("mailboxes")
        first = self.is_status(self.relay.create(self.a, request_id), 200)
        for _ in range(3):
            again = self.is_status(self.relay.create(self.a, request_id, data="other"), 201)
            self.assertEqual(again.json, first.json)
        self.assertEqual(self.relay.metric("mailboxes"), before + 1)

    def test_R22_duplicate_update_writes_nothing(self):
        path = self.relay.box(self.a)
        old = new_id()
        self.is_status(self.relay.update(path, self.a, "1", old), 200)
        self.is_status(self.relay.update(path, self.a, "2"), 200)
        self.is_status(self.relay.update(path, self.a, "1", old), 201)
        self.assertEqual(self.data(self.relay.read(path, self.b)), "2")

    def test_R22_duplicate_relinquish_relinquishes_nothing(self):
        path = self.relay.box(self.a)
        self.is_status(self.relay.read(path, self.b), 200)
        request_id = new_id()
        self.is_status(self.relay.relinquish(path, self.b, request_id), 200)
        self.is_status(self.relay.read(path, self.c), 200)
        self.is_status(self.relay.relinquish(path, self.b, request_id), 201)
        self.is_status(self.relay.read(path, self.c), 200)

    def test_R23_a_claim_is_needed_for_all_but_the_preview(self):
        path = self.relay.box(self.a)
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = self.is_problem(self.relay.request(method, path, ids(None, new_id()), {} if method == "PUT" else None), 401)
            self.assertEqual(answer.headers["WWW-Authenticate"], "Mailbox-Device-Claim")
        self.is_problem(self.relay.request("POST", "/v1/m", ids(None, new_id()), {}), 401)
        self.is_status(self.relay.request("GET", path), 200)

    def test_R29_update_replaces_the_payload(self):
        path = self.relay.box(self.a)
        answer = self.is_status(self.relay.update(path, self.a, "new", notificationToken={"type": "t", "tokenData": "d"}), 200)
        self.assertIs(answer.json["isPushNotificationSupported"], False)
        self.assertEqual(self.data(self.relay.read(path, self.b)), "new")

    def test_R29_update_refuses_with_400_401_404(self):
        path = self.relay.box(self.a)
        self.is_problem(self.relay.request("PUT", path, ids(self.a, new_id()), {}), 400)
        self.is_problem(self.relay.update(path, self.c, "x"), 401)
        self.is_problem(self.relay.update("/v1/m/" + new_id(), self.a, "x"), 404)

    def test_R30_either_side_deletes_and_a_second_time_is_404(self):
        for who in (self.a, self.b):
            path = self.relay.box(self.a)
            self.is_status(self.relay.read(path, self.b), 200)
            self.is_problem(self.relay.delete(path, self.c), 401)
            request_id = new_id()
            self.is_status(self.relay.delete(path, who, request_id), 200)
            self.is_problem(self.relay.delete(path, who, request_id), 404)
            self.is_problem(self.relay.read(path, self.b), 404)

    def test_R32_read_gives_payload_display_information_and_expiration(self):
        path = self.relay.box(self.a, title="T", description="D", image="https://example.com/i.png", data="x")
        answer = self.is_status(self.relay.read(path, self.b), 200)
        self.assertEqual(answer.json["payload"], {"type": "AEAD_AES_256_GCM", "data": "x"})
        self.assertEqual(answer.json["displayInformation"], {"title": "T", "description": "D", "imageURL": "https://example.com/i.png"})
        self.assertRegex(answer.json["expiration"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.is_problem(self.relay.read(path, self.c), 401)
        self.is_problem(self.relay.read("/v1/m/" + new_id(), self.b), 404)

    def test_R33_A13_relinquish_frees_the_place_and_brings_back_the_initiators_message(self):
        path = self.relay.box(self.a, data="from a")
        self.is_status(self.relay.read(path, self.b), 200)
        self.is_status(self.relay.update(path, self.b, "from b"), 200)
        self.is_problem(self.relay.relinquish(path, self.a), 401)
        self.is_problem(self.relay.relinquish(path, self.c), 401)
        self.is_status(self.relay.relinquish(path, self.b), 200)
        self.assertEqual(self.data(self.relay.read(path, self.c)), "from a")
        self.is_problem(self.relay.read(path, self.b), 401)
        self.is_problem(self.relay.relinquish("/v1/m/" + new_id(), self.b), 404)

    def test_A1_a_duplicate_has_the_same_body_so_that_no_link_is_lost(self):
        request_id = new_id()
        first = self.relay.create(self.a, request_id)
        again = self.is_status(self.relay.create(self.a, request_id), 201)
        self.assertEqual(again.json["urlLink"], first.json["urlLink"])

    def test_A1_ids_survive_a_kill(self):
        with Relay() as relay:
            request_id = new_id()
            first = relay.create(self.a, request_id)
            relay.kill()
            relay.start()
            self.assertEqual(relay.create(self.a, request_id).json["urlLink"].rsplit("/", 1)[1], first.json["urlLink"].rsplit("/", 1)[1])

    def test_A2_a_late_retry_among_sixteen_writes_nothing(self):
        path = self.relay.box(self.a)
        known = [new_id() for _ in range(12)]
        for n, request_id in enumerate(known):
            self.is_status(self.relay.update(path, self.a, str(n), request_id), 200)
        for request_id in known:
            self.is_status(self.relay.update(path, self.a, "late", request_id), 201)
        self.assertEqual(self.data(self.relay.read(path, self.b)), "11")

    def test_A2_a_failed_request_is_not_remembered(self):
        path = self.relay.box(self.a)
        request_id = new_id()
        self.is_problem(self.relay.update(path, self.a, "x", request_id, if_match='"9"'), 412)
        self.is_status(self.relay.update(path, self.a, "x", request_id, if_match='"1"'), 200)

    def test_A3_what_changes_something_needs_a_request_id(self):
        path = self.relay.box(self.a)
        for method, target in (("POST", "/v1/m"), ("PUT", path), ("PATCH", path), ("DELETE", path)):
            self.is_problem(self.relay.request(method, target, ids(self.a), {} if method in ("POST", "PUT") else None), 400)
        for bad in ("x" * 129, "a b"):
            self.is_problem(self.relay.request("PUT", path, ids(self.a, bad), {}), 400)

    def test_A4_A5_reading_again_is_the_same_and_the_initiator_takes_no_place(self):
        path = self.relay.box(self.a)
        self.assertEqual(self.data(self.relay.read(path, self.a)), "first")
        for _ in range(3):
            self.assertEqual(self.data(self.relay.read(path, self.b)), "first")

    def test_A6_every_401_carries_the_scheme(self):
        path = self.relay.box(self.a)
        self.relay.read(path, self.b)
        for answer in (self.relay.read(path, self.c), self.relay.read(path, "no claim"), self.relay.delete(path, self.c)):
            self.assertEqual(self.is_problem(answer, 401).headers["WWW-Authenticate"], "Mailbox-Device-Claim")

    def test_A12_relinquish_takes_any_body_and_any_type(self):
        for body, kind in ((b"", None), (b"{", "application/json"), (b"x" * 65536, "text/plain")):
            path = self.relay.box(self.a)
            self.is_status(self.relay.read(path, self.b), 200)
            headers = {**ids(self.b, new_id()), **({"Content-Type": kind} if kind else {})}
            self.assertEqual(self.is_status(self.relay.request("PATCH", path, headers, body), 200).json, {})

    def test_A18_a_token_may_come_with_a_read(self):
        path = self.relay.box(self.a)
        self.is_status(self.relay.read(path, self.b, body={"notificationToken": {"type": "t", "tokenData": "d"}}), 200)
        self.is_problem(self.relay.read(path, self.b, body={"notificationToken": {"type": "t"}}), 400)
        self.is_problem(self.relay.read(path, self.b, body=[1]), 400)

    def test_A19_no_kind_of_token_is_supported_unless_configured(self):
        for kind in ("com.apple.apns", "org.webpush", "x"):
            answer = self.relay.create(self.a, notificationToken={"type": kind, "tokenData": "https://127.0.0.1/x"})
            self.assertIs(self.is_status(answer, 200).json["isPushNotificationSupported"], False)

    def test_A21_a_conditional_write_fails_when_the_version_moved_on(self):
        path = self.relay.box(self.a)
        self.assertEqual(self.is_status(self.relay.update(path, self.a, "2", if_match='"1"'), 200).headers["Mailbox-Version"], "2")
        answer = self.is_problem(self.relay.update(path, self.a, "x", if_match='"1"'), 412)
        self.assertEqual(answer.headers["Mailbox-Version"], "2")
        self.is_status(self.relay.update(path, self.a, "3", if_match="2"), 200)
        self.is_status(self.relay.update(path, self.a, "4", if_match="*"), 200)
        for bad in ('"x"', "W/\"1\"", '"1","2"', "-1", '"0"', '""', "1" * 30):
            self.is_problem(self.relay.update(path, self.a, "x", if_match=bad), 400)

    def test_A24_a_claim_of_any_version_counts_in_either_case(self):
        claim = str(uuid.uuid1())
        path = self.relay.box(claim.upper())
        self.is_status(self.relay.read(path, self.b), 200)
        self.is_status(self.relay.update(path, claim.lower(), "x"), 200)


class Waiting(Case):
    def parked(self, count):
        self.relay.until_metric("waiting_reads", count)

    def test_R6_A20_a_waiting_read_is_woken_by_the_other_side(self):
        path = self.relay.box(self.a)
        self.is_status(self.relay.read(path, self.b), 200)
        waiting = in_thread(self.relay.read, path, self.b, 1, 50)
        self.parked(1)
        self.is_status(self.relay.update(path, self.a, "news"), 200)
        answer = self.is_status(waiting(), 200)
        self.assertEqual((answer.json["payload"]["data"], answer.json["version"], answer.headers["Mailbox-Version"]), ("news", 2, "2"))

    def test_A20_a_plain_read_returns_at_once_whatever_it_prefers(self):
        path = self.relay.box(self.a)
        answer = self.is_status(self.relay.read(path, self.a, wait=50), 200)
        self.assertEqual(answer.headers["Mailbox-Version"], "1")
        self.assertEqual(answer.json["version"], 1)

    def test_A20_after_an_older_version_there_is_nothing_to_wait_for(self):
        path = self.relay.box(self.a)
        self.relay.update(path, self.a, "2")
        self.assertEqual(self.data(self.relay.read(path, self.a, after=1, wait=50)), "2")
        self.assertEqual(self.data(self.relay.read(path, self.a, after=0, wait=50)), "2")

    def test_A20_the_end_of_the_wait_answers_the_unchanged_version(self):
        path = self.relay.box(self.a)
        for wait in (1, None):
            answer = self.is_status(self.relay.read(path, self.a, after=1, wait=wait), 200)
            self.assertEqual((answer.json["version"], answer.json["unchanged"], answer.headers["Mailbox-Version"]), (1, True, "1"))
            self.assertNotIn("payload", answer.json)
        self.assertIsNone(answer.headers["Preference-Applied"])

    def test_A20_a_waiting_read_holds_nothing_of_its_body(self):
        path = self.relay.box(self.a)
        waiting = in_thread(self.relay.read, path, self.a, 1, 50, None, {"ignored": "x" * 60000})
        self.parked(1)
        self.relay.until_metric("body_bytes", 0)
        self.is_status(self.relay.delete(path, self.a), 200)
        waiting()

    def test_A20_a_newer_waiting_read_of_the_same_role_ends_the_older(self):
        path = self.relay.box(self.a)
        older = in_thread(self.relay.read, path, self.a, 1, 50)
        self.parked(1)
        newer = in_thread(self.relay.read, path, self.a, 1, 50)
        self.assertTrue(self.is_status(older(), 200).json["unchanged"])
        self.parked(1)
        self.relay.update(path, self.a, "x")
        self.assertEqual(self.data(newer()), "x")

    def test_A20_the_two_roles_wait_beside_each_other(self):
        path = self.relay.box(self.a)
        self.relay.read(path, self.b)
        one, two = in_thread(self.relay.read, path, self.a, 1, 50), in_thread(self.relay.read, path, self.b, 1, 50)
        self.parked(2)
        self.relay.update(path, self.b, "x")
        self.assertEqual((self.data(one()), self.data(two())), ("x", "x"))

    def test_A20_a_deleted_mailbox_ends_the_wait_with_404(self):
        path = self.relay.box(self.a)
        waiting = in_thread(self.relay.read, path, self.a, 1, 50)
        self.parked(1)
        self.is_status(self.relay.delete(path, self.a), 200)
        self.is_problem(waiting(), 404)

    def test_A9_A20_a_wait_that_outlives_its_mailbox_ends_with_404_and_a_write_as_written(self):
        path = self.relay.box(self.a, expiration=later(2))
        self.is_status(self.relay.read(path, self.b), 200)
        waiting = in_thread(self.relay.read, path, self.b, 2, 4)
        self.assertEqual(self.is_status(self.relay.update(path, self.a, "x", after=1, wait=4), 200).json["version"], 2)
        self.is_problem(waiting(), 404)

    def test_A20_a_relinquished_place_wakes_its_reader_who_is_no_longer_bound(self):
        path = self.relay.box(self.a)
        self.relay.read(path, self.b)
        waiting = in_thread(self.relay.read, path, self.b, 1, 50)
        self.parked(1)
        self.is_status(self.relay.relinquish(path, self.b), 200)
        self.assertIn(waiting().status, (200, 401))

    def test_A20_preferences_are_parsed_as_a_list(self):
        path = self.relay.box(self.a)
        for prefer in ("respond-async, wait=1", "wait=1;x=y", "WAIT=1", "foo=\"a\" , wait=1"):
            answer = self.relay.request("POST", path, {**ids(self.a), "Mailbox-After": "1", "Prefer": prefer})
            self.assertEqual(answer.headers["Preference-Applied"], "wait=1", prefer)
        for prefer in ("wait=", "wait=x", "wait=-1", "await=5", "wait=1x", ""):
            answer = self.relay.request("POST", path, {**ids(self.a), "Mailbox-After": "1", "Prefer": prefer})
            self.assertIsNone(answer.headers["Preference-Applied"], prefer)
        for after in ("x", "-1", "1.5", "", "9" * 19):
            self.is_problem(self.relay.read(path, self.a, after=after), 400)

    def test_A20_a_wait_longer_than_the_relay_allows_is_shortened(self):
        with Relay(limits={"wait_max": "1s"}) as relay:
            path = relay.box(self.a)
            answer = self.is_status(relay.read(path, self.a, after=1, wait=100000), 200)
            self.assertEqual(answer.headers["Preference-Applied"], "wait=1")

    def test_A20_a_slow_change_before_the_wait_is_not_lost(self):
        """Writes race with reads that begin to wait: none may sleep through a change."""
        path = self.relay.box(self.a)
        self.relay.read(path, self.b)
        connection, writer = self.relay.http(), self.relay.http()
        version = 1
        for n in range(60):
            put = in_thread(self.relay.update, path, self.a, str(n), connection=writer)
            answer = self.relay.read(path, self.b, after=version, wait=20, connection=connection)
            self.assertEqual(answer.json["version"], version + 1)
            self.is_status(put(), 200)
            version += 1


class Exchange(Case):
    """A write whose answer carries what comes after it; a deletion that goes along with the next change."""

    def setUp(self):
        super().setUp()
        self.path = self.relay.box(self.a)
        self.is_status(self.relay.read(self.path, self.b), 200)

    def waits(self, claim, data, **options):
        writing = in_thread(lambda: self.relay.update(self.path, claim, data, after=1, wait=50, **options))
        self.relay.until_metric("waiting_reads", 1)
        return writing

    def test_A20_a_write_that_waits_is_answered_with_what_the_other_side_writes(self):
        writing = self.waits(self.b, "question")
        self.assertEqual(self.relay.read(self.path, self.a).json["payload"]["data"], "question")
        self.is_status(self.relay.update(self.path, self.a, "answer"), 200)
        got = self.is_status(writing(), 200)
        self.assertEqual((got.json["payload"]["data"], got.json["version"], got.headers["Mailbox-Version"]), ("answer", 3, "3"))
        self.assertEqual((got.json["isPushNotificationSupported"], got.headers["Preference-Applied"]), (False, "wait=50"))

    def test_A20_a_write_that_waited_in_vain_is_answered_as_a_write(self):
        got = self.is_status(self.relay.update(self.path, self.b, "question", after=1, wait=1), 200)
        self.assertEqual((got.json, got.headers["Mailbox-Version"]), ({"isPushNotificationSupported": False, "version": 2}, "2"))

    def test_A20_a_write_stands_though_the_mailbox_ends_while_it_waits(self):
        writing = self.waits(self.b, "question")
        self.is_status(self.relay.delete(self.path, self.a), 200)
        self.assertEqual(self.is_status(writing(), 200).json["version"], 2)

    def test_A20_a_write_without_mailbox_after_never_waits(self):
        request = {**ids(self.b, new_id()), "Prefer": "wait=50"}
        body = {"payload": {"type": "AEAD_AES_256_GCM", "data": "x"}}
        self.assertEqual(self.is_status(self.relay.request("PUT", self.path, request, body), 200).json["version"], 2)
        self.is_problem(self.relay.update(self.path, self.b, "x", after="x", wait=1), 400)

    def test_A1_a_repeated_write_is_answered_at_once_while_the_first_waits(self):
        request_id = new_id()
        writing = self.waits(self.b, "question", request_id=request_id)
        again = self.is_status(self.relay.update(self.path, self.b, "question", request_id=request_id, after=1, wait=50), 201)
        self.assertEqual(again.json["version"], 2)
        self.is_status(self.relay.update(self.path, self.a, "answer"), 200)
        self.assertEqual(self.is_status(writing(), 200).json["version"], 3)

    def test_A21_a_write_that_waits_heeds_if_match(self):
        self.is_problem(self.relay.update(self.path, self.b, "x", if_match='"7"', after=1, wait=50), 412)

    def test_R30_a_deletion_answered_beforehand_precedes_what_is_asked_after_it(self):
        self.is_status(self.relay.delete(self.path, self.a, later=True), 202)
        self.is_problem(self.relay.read(self.path, self.b), 404)

    def test_R30_a_deletion_answered_beforehand_happens_though_nobody_asks(self):
        before = self.relay.metric("mailboxes")
        self.is_status(self.relay.delete(self.path, self.a, later=True), 202)
        self.relay.until_metric("mailboxes", before - 1)

    def test_R30_who_may_not_delete_may_not_beforehand_either(self):
        self.is_status(self.relay.delete(self.path, new_id(), later=True), 202)
        self.is_status(self.relay.read(self.path, self.a), 200)


class Preview(Case):
    def test_R31_the_preview_is_html_with_opengraph_and_needs_no_claim(self):
        path = self.relay.box(self.a, title="My title", description="My words", image="https://example.com/i.png")
        answer = self.is_status(self.relay.request("GET", path), 200)
        self.assertTrue(answer.headers["Content-Type"].startswith("text/html"))
        for name, value in (("title", "My title"), ("description", "My words"), ("image", "https://example.com/i.png"),
                            ("type", "website"), ("url", self.relay.url + path)):
            self.assertIn(f'<meta property="og:{name}" content="{value}">', answer.body.decode())
        self.is_problem(self.relay.request("GET", "/v1/m/" + new_id()), 404)

    def test_A10_previews_bind_nobody_and_carry_the_strict_headers(self):
        path = self.relay.box(self.a, image="https://example.com:8443/i.png")
        for method in ("GET", "HEAD"):
            answer = self.is_status(self.relay.request(method, path, ids(self.c)), 200)
            self.assertEqual(answer.headers["Cache-Control"], "no-store")
            self.assertEqual(answer.headers["Referrer-Policy"], "no-referrer")
            policy = answer.headers["Content-Security-Policy"]
            self.assertTrue(policy.startswith("default-src 'none';"), policy)
            self.assertNotIn("script", policy)
            self.assertIn("img-src https://example.com:8443;", policy)
            self.assertNotIn("unsafe", policy)
        self.assertEqual(answer.body, b"")
        self.is_status(self.relay.read(path, self.b), 200)
        self.is_status(self.relay.request("GET", path), 200)

    def test_A10_every_field_is_escaped_and_there_is_no_script(self):
        evil = "</title><script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"
        path = self.relay.box(self.a, title=evil, description=evil)
        page = self.relay.request("GET", path).body.decode()
        self.assertNotIn("<script", page)
        self.assertEqual(page.count("<img"), 0)
        self.assertIn("&lt;/title&gt;&lt;script&gt;", page)
        self.assertNotIn("onerror=alert(1)>", page.replace("&gt;", ""))

    def test_A10_a_query_changes_nothing(self):
        path = self.relay.box(self.a)
        self.is_status(self.relay.request("GET", path + "?v=c"), 200)
        self.is_status(self.relay.request("POST", path + "?v=c", ids(self.b)), 200)

    def test_A11_the_operator_may_show_one_picture_instead(self):
        with Relay(relay={"preview_image": "https://relay.example/p.png"}) as relay:
            page = relay.request("GET", relay.box(self.a, image="https://tracker.example/i.png"))
            self.assertNotIn(b"tracker.example", page.body)
            self.assertIn(b"https://relay.example/p.png", page.body)


class Limits(Case):
    def test_A25_a_payload_over_the_limit_gets_413_with_the_limit(self):
        path = self.relay.box(self.a)
        kind = len("AEAD_AES_256_GCM")
        self.is_status(self.relay.update(path, self.a, "x" * (65536 - kind)), 200)
        for size in (65536 - kind + 1, 120000, 1000000):
            for answer in (self.relay.update(path, self.a, "x" * size), self.relay.create(self.a, data="x" * size)):
                self.is_problem(answer, 413)
                self.assertEqual((answer.headers["Mailbox-Payload-Limit"], answer.json["payloadLimit"]), ("65536", 65536))

    def test_A25_other_media_types_get_415(self):
        for kind in ("text/plain", "application/jsonx", "application/x-www-form-urlencoded", ""):
            answer = self.relay.request("POST", "/v1/m", {**ids(self.a, new_id()), "Content-Type": kind}, b"{}")
            self.is_problem(answer, 415)
        good = {**ids(self.a, new_id()), "Content-Type": "Application/JSON; charset=utf-8"}
        self.is_problem(self.relay.request("POST", "/v1/m", good, b"{}"), 400)

    def test_A25_other_methods_get_405_with_the_methods_there_are(self):
        path = self.relay.box(self.a)
        for method, target, allow in (("GET", "/v1/m", "POST"), ("DELETE", "/v1/m", "POST"), ("OPTIONS", path, "GET, HEAD, POST, PUT, PATCH, DELETE"),
                                      ("POST", "/healthz", "GET, HEAD"), ("BREW", path, "GET, HEAD, POST, PUT, PATCH, DELETE")):
            answer = self.is_problem(self.relay.request(method, target, ids(self.a, new_id())), 405)
            self.assertEqual(answer.headers["Allow"], allow)

    def test_A25_too_many_requests_get_429_with_retry_after(self):
        with Relay(limits={"limit_loopback": "yes", "creates_per_minute": 3, "requests_per_minute": 20}) as relay:
            self.assertEqual([relay.create(self.a).status for _ in range(4)], [200, 200, 200, 429])
            refused = [relay.request("GET", "/v1/m/" + new_id()) for _ in range(30)]
            self.assertEqual(refused[0].status, 404)
            answer = self.is_problem(refused[-1], 429)
            self.assertTrue(1 <= int(answer.headers["Retry-After"]) <= 60)
            self.assertEqual(relay.request("GET", "/healthz").status, 200)

    def test_A25_a_full_relay_answers_503_and_keeps_serving_what_is_there(self):
        with Relay(limits={"mailboxes": 2}) as relay:
            path = relay.box(self.a)
            relay.box(self.a)
            self.is_problem(relay.create(self.a), 503)
            self.is_status(relay.update(path, self.a, "still"), 200)
            self.is_status(relay.delete(path, self.a), 200)
            self.is_status(relay.create(self.a), 200)

    def test_A25_a_body_too_long_for_the_connection_is_cut_with_413(self):
        with self.relay.connect() as s:
            s.sendall(b"POST /v1/m HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n")
            answer = s.recv(4096)
            self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)
            self.assertIn(b"Mailbox-Payload-Limit: 65536\r\n", answer)


if __name__ == "__main__":
    unittest.main()
