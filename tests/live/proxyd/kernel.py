"""What the Linux NFS server sends and expects: the one request it makes, both replies to the byte, many groups, its registration file.
The kernel itself is played by this file, from doc/proxy.md."""
import os
import struct
import time
import unittest

import gssapi
from daemon import ACCEPTOR, Daemon, Wire, wait_for
from gssx import COMPLETE, KERNEL_CALL, PROCEDURES, UNAUTHORIZED, call, decode, encode, find, good
from mounts import BIND, mount, own_mounts
from realm import REALM, Realm

NFS = ACCEPTOR.replace("  euid", "  kernel_nfsd = yes\n  trusted = yes\n  machine_uid = host/localhost@" + REALM + ":0\n  euid")


class Kernel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def start_with_accounts(self, daemon, users):
        """Starts the daemon again where the accounts are these alone: users is {name: (uid, gid, groups)}. Files in the place of the
        system's, which the C library reads in time even where there are very many groups and a sanitizer."""
        daemon.stop()
        with open(daemon.path("passwd"), "w") as f:
            f.writelines(f"{n}:x:{uid}:{gid}::/:/bin/sh\n" for n, (uid, gid, _) in users.items())
        with open(daemon.path("group"), "w") as f:
            members = {}
            for name, (_, _, groups) in users.items():
                for g in groups:
                    members.setdefault(g, []).append(name)
            f.writelines(f"g{g}:x:{g}:{','.join(members[g])}\n" for g in sorted(members))

        def own_accounts():
            own_mounts()
            for name in ("passwd", "group"):
                mount(daemon.path(name), "/etc/" + name, flags=BIND)
        daemon.before = own_accounts
        daemon.start()

    def initiator(self, **more):
        context = gssapi.SecurityContext(name=gssapi.Name("host@localhost", gssapi.NameType.hostbased_service), usage="initiate",
                                         flags=gssapi.RequirementFlag.mutual_authentication | gssapi.RequirementFlag.integrity, **more)
        return context, context.step()

    def accept(self, daemon, token):
        return call(Wire(daemon.socket), "accept_sec_context", call=KERNEL_CALL, token=token)

    def test_the_kernels_request_is_answered_to_the_byte(self):
        with Daemon(self.realm, NFS) as daemon:
            self.start_with_accounts(daemon, {"root": (0, 0, []), "alice": (70001, 70000, [70005, 70003])})
            initiator, token = self.initiator()
            arguments = encode(PROCEDURES["accept_sec_context"][1], {"call": KERNEL_CALL, "token": token})
            # As the kernel writes it: no handles, bindings absent, no delegation, no options of the call itself.
            self.assertTrue(arguments.endswith(struct.pack(">3I", 0, 0, 0)))
            with Wire(daemon.socket) as wire:
                data = wire.results(9, arguments)
            result, at = decode(PROCEDURES["accept_sec_context"][2], data)
            self.assertEqual(at, len(data))
            self.assertEqual(result["status"]["major"], COMPLETE)
            initiator.step(result["token"])
            self.assertEqual(find(result["options"], "linux_creds_v1"),
                             [struct.pack("=3i", 70001, 70000, 3) + struct.pack("=3i", *self.group_order(result))])
            self.assertEqual(sorted(self.group_order(result)), [70000, 70003, 70005])
            self.assertEqual(len(result["options"]), 1)
            self.check_lucid(initiator, result["context"])
            self.assertIsNone(result["delegated"])
            self.assertEqual((result["context"]["source"]["composite"], result["context"]["source"]["attributes"]), (b"", []))
            self.assertEqual(result["context"]["state"], b"")

    def group_order(self, result):
        return struct.unpack("=3i", find(result["options"], "linux_creds_v1")[0][12:])

    def check_lucid(self, initiator, context):
        lucid = context["token"]
        self.assertEqual(len(lucid), 52)
        flags, end, sequence, enctype = struct.unpack("=IIQI", lucid[:20])
        self.assertEqual((flags, enctype), (2 | 4, 18))  # not the initiator, RFC 4121, acceptor subkey; aes256-cts-hmac-sha1-96
        self.assertAlmostEqual(end, context["lifetime"] + time.time(), delta=600)
        self.assertEqual(self.mic_key(initiator, lucid[20:]), True)

    def mic_key(self, initiator, key):
        """The key is the context's: a MIC of the initiator's, checked with nothing but the key (RFC 3961, RFC 4121 4.2.4)."""
        import hashlib
        import hmac
        message = b"the kernel checks this"
        mic = initiator.get_signature(message)
        header, checksum = mic[:16], mic[16:]
        ki = derive(key, struct.pack(">I", 25) + b"\x99")  # KG-USAGE-INITIATOR-SIGN is 25; checksum: Kc = DK(key, usage | 0x99)
        return hmac.new(ki, message + header, hashlib.sha1).digest()[:12] == checksum

    def test_a_user_without_account_is_minus_one_and_the_status_complete(self):
        with Daemon(self.realm, NFS) as daemon:
            self.start_with_accounts(daemon, {"root": (0, 0, [])})
            result = self.accept(daemon, self.initiator()[1])
            self.assertEqual(result["status"]["major"], COMPLETE)
            self.assertEqual(find(result["options"], "linux_creds_v1"), [struct.pack("=3i", -1, -1, 0)])

    def test_a_machine_is_mapped_as_configured_and_audited(self):
        with Daemon(self.realm, NFS) as daemon:
            name = gssapi.Name(f"host/localhost@{REALM}", gssapi.NameType.kerberos_principal)
            creds = gssapi.Credentials(name=name, usage="initiate", store={
                "client_keytab": self.realm.keytab, "ccache": "FILE:" + daemon.path("machine-cache")})
            result = self.accept(daemon, self.initiator(creds=creds)[1])
            self.assertEqual(struct.unpack("=2i", find(result["options"], "linux_creds_v1")[0][:8]), (0, 0))
            wait_for(lambda: "event=machine_mapped" in daemon.text(), "audit line")
            self.assertIn(f'principal="host/localhost@{REALM}" mapped_uid=0', daemon.text())

    def test_a_name_that_only_looks_like_the_machines_is_not_mapped(self):
        """Upper case, one component more, one less: other principals."""
        for principal in ("HOST/localhost", "host/localhost/extra", "host"):
            self.realm.kadmin(f"add_principal -randkey {principal}\nktadd -k {self.realm.path('impostor')} {principal}")
            with Daemon(self.realm, NFS) as daemon:
                creds = gssapi.Credentials(name=gssapi.Name(f"{principal}@{REALM}", gssapi.NameType.kerberos_principal), usage="initiate",
                                           store={"client_keytab": self.realm.path("impostor"), "ccache": "FILE:" + daemon.path("impostor")})
                result = self.accept(daemon, self.initiator(creds=creds)[1])
                self.assertEqual(result["status"]["major"], COMPLETE)
                self.assertEqual(result["context"]["source"]["display"], f"{principal}@{REALM}".encode())
                self.assertEqual(find(result["options"], "linux_creds_v1"), [struct.pack("=3i", -1, -1, 0)])
                self.assertNotIn("event=machine_mapped", daemon.text())

    def test_an_account_in_more_groups_than_the_kernel_takes_gets_the_first_ones(self):
        groups = list(range(200000, 200000 + 66000))
        with Daemon(self.realm, NFS) as daemon:
            self.start_with_accounts(daemon, {"root": (0, 0, []), "alice": (70001, 200000, groups)})
            value = find(self.accept(daemon, self.initiator()[1])["options"], "linux_creds_v1")[0]
            uid, gid, count = struct.unpack("=3i", value[:12])
            self.assertEqual((uid, gid, count, len(value)), (70001, 200000, 65536, 12 + 4 * 65536))
            self.assertTrue(set(struct.unpack(f"={count}i", value[12:])) <= set(groups))

    def test_65500_groups_arrive_over_short_writes(self):
        groups = list(range(100000, 165500))
        with Daemon(self.realm, NFS) as daemon:
            self.start_with_accounts(daemon, {"root": (0, 0, []), "alice": (70001, 100000, groups)})
            with Wire(daemon.socket) as wire:
                number, arg, res = PROCEDURES["accept_sec_context"]
                wire.socket.setsockopt(1, 8, 4096)
                body = wire.results(number, encode(arg, {"call": KERNEL_CALL, "token": self.initiator()[1]}))
            value = find(decode(res, body)[0]["options"], "linux_creds_v1")[0]
            self.assertEqual(struct.unpack("=3i", value[:12]), (70001, 100000, len(groups)))
            self.assertEqual(sorted(struct.unpack(f"={len(groups)}i", value[12:])), groups)

    def test_services_that_are_not_the_kernels_do_not_answer_in_its_forms(self):
        with Daemon(self.realm) as daemon:
            self.assertEqual(self.accept(daemon, self.initiator()[1])["status"]["major"], UNAUTHORIZED)

    def test_a_wrong_keytab_is_a_success_of_the_call_and_a_failure_in_the_status(self):
        with Daemon(self.realm, NFS.replace("{keytab}", "{dir}/keytab")) as daemon:
            result = self.accept(daemon, self.initiator()[1])
            self.assertNotEqual(result["status"]["major"], COMPLETE)
            self.assertIsNone(result["context"])

    def test_registration_waits_for_the_file_says_so_and_comes_after_the_sockets(self):
        with Daemon(self.realm, NFS, settings="kernel_registration = {dir}/use-gss-proxy\n") as daemon:
            wait_for(lambda: "event=kernel_waits" in daemon.text(), "the notice")
            good(Wire(daemon.socket), "indicate_mechs")
            os.mkfifo(daemon.path("use-gss-proxy"))
            with open(daemon.path("use-gss-proxy"), "rb") as f:
                self.assertEqual(f.read(), b"1")
            wait_for(lambda: "event=kernel_registered" in daemon.text(), "the notice")
            self.assertEqual(daemon.text().count("event=kernel_waits"), 1)


def nfold(text, n):
    """RFC 3961 section 5.1."""
    from math import lcm
    whole, total = lcm(len(text), n), 0
    stretched = b""
    bits = len(text) * 8
    value = int.from_bytes(text, "big")
    for i in range(whole // len(text)):
        turn = 13 * i % bits
        stretched += ((value >> turn) | (value << (bits - turn)) & ((1 << bits) - 1)).to_bytes(len(text), "big")
    mask = (1 << 8 * n) - 1
    for i in range(0, whole, n):
        total += int.from_bytes(stretched[i:i + n], "big")
    while total > mask:
        total = (total & mask) + (total >> 8 * n)
    return total.to_bytes(n, "big")


def derive(key, constant):
    """DK of RFC 3961 for AES (RFC 3962): AES-CBC of the folded constant, chained to the key's length."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    block, out = nfold(constant, 16), b""
    while len(out) < len(key):
        encryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor()
        block = encryptor.update(block) + encryptor.finalize()
        out += block
    return out[:len(key)]


if __name__ == "__main__":
    unittest.main()
