"""The kernel's NFS server with Kerberos, its contexts accepted by the daemon; and its client, rpc.gssd's credentials from the daemon."""
import os
import re
import stat
import unittest

from world import ACCOUNTS, DORAS_GROUPS, HOST, REALM, World, as_user, journal, read, run, shown, systemctl, use_packaged_unit, wait_for, write

EXPORT, MOUNT, OTHER = "/export", "/mnt", "/mnt-integrity"
NFS_SERVER = "/etc/gssproxy/24-nfs-server.conf"
NOBODY = 65534


def accepted():
    """How many contexts the kernel was given."""
    return len(re.findall(r'procedure="accept_sec_context" service="nfs-server" .* result="complete"', journal("gssproxy")))


class Server(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        World.make()
        use_packaged_unit()
        for folder in (EXPORT, OTHER):
            os.makedirs(folder, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "mode=1777", "files", EXPORT)  # an overlay cannot be exported
        write("/etc/exports", f"{EXPORT} {HOST}(rw,sec=krb5p:krb5i,fsid=0,no_subtree_check,no_root_squash)\n")
        systemctl("start", "nfs-server", "rpc-gssd")
        run("mount", "-t", "nfs4", "-o", "sec=krb5p", f"{HOST}:/", MOUNT, timeout=120)

    def owner(self, name):
        found = os.stat(os.path.join(EXPORT, name))
        return found.st_uid, found.st_gid

    def folder_of(self, group):
        """A folder that only this group may enter."""
        path = os.path.join(EXPORT, f"of-{group}")
        os.mkdir(path)
        os.chown(path, 0, group)
        os.chmod(path, 0o770)
        return os.path.join(MOUNT, f"of-{group}")

    def test_the_servers_own_contexts_are_the_daemons(self):
        """Not rpc.svcgssd's, which the unit's conditions keep from starting: the daemon has written its pid file."""
        self.assertGreater(accepted(), 0)
        self.assertEqual(shown("rpc-svcgssd", "ActiveState", "ConditionResult"), {"ActiveState": "inactive", "ConditionResult": "no"})
        self.assertRegex(read("/proc/mounts"), rf"(?m)^\S+ {MOUNT} nfs4 \S*sec=krb5p")

    def test_a_user_with_a_ticket_writes_and_reads_as_himself(self):
        World.login("alice")
        self.assertEqual(as_user("alice", f"umask 077; echo hers > {MOUNT}/alice && cat {MOUNT}/alice"), "hers\n")
        self.assertEqual(self.owner("alice"), (ACCOUNTS["alice"], ACCOUNTS["alice"]))
        self.assertIn(f'target="alice@{REALM}" result="complete"', journal("gssproxy"))

    def test_another_user_is_another_one(self):
        World.login("bob")
        self.assertIn("Permission denied", as_user("bob", f"cat {MOUNT}/alice", check=False))
        as_user("bob", f"echo his > {MOUNT}/bob")
        self.assertEqual(self.owner("bob")[0], ACCOUNTS["bob"])

    def test_a_user_without_a_ticket_is_refused(self):
        """The kernel's client tells the one or the other, as it has the mount's root in its cache or not."""
        self.assertRegex(as_user("carol", f"ls {MOUNT}", check=False), "Permission denied|Stale file handle")

    def test_all_of_a_thousand_groups_count(self):
        World.login("dora")
        for group in (DORAS_GROUPS[0], DORAS_GROUPS[-1]):
            as_user("dora", f"echo in > {self.folder_of(group)}/dora")
        self.assertIn("Permission denied", as_user("dora", f"ls {self.folder_of(DORAS_GROUPS[-1] + 1)}", check=False))

    def test_as_many_groups_as_the_kernel_takes_arrive(self):
        """65,536: a reply of 264 KB, nearly all that the kernel has room for."""
        groups = range(100000, 100000 + 65535)
        kept = read("/etc/group")
        write("/etc/group", kept + "".join(f"m{g}:x:{g}:erin\n" for g in groups))
        try:
            World.login("erin")
            as_user("erin", f"echo in > {self.folder_of(groups[-1])}/erin")
        finally:
            write("/etc/group", kept)

    def test_root_is_nobody_until_its_principal_is_mapped(self):
        """no_root_squash speaks of uid 0; a machine's principal has no account, so root would be nobody without machine_uid."""
        self.assertEqual(run("touch", f"{MOUNT}/before"), "")
        self.assertEqual(self.owner("before")[0], NOBODY)
        rows = "".join(f"  machine_uid = {kind}/{HOST}@{REALM}:0\n" for kind in ("host", "nfs"))
        write(NFS_SERVER, read(NFS_SERVER) + rows)
        systemctl("reload", "gssproxy")
        wait_for(lambda: "New config loaded successfully" in journal("gssproxy"), "the reload")
        run("mount", "-t", "nfs4", "-o", "sec=krb5i,nosharecache", f"{HOST}:/", OTHER)
        run("touch", f"{OTHER}/after")
        self.assertEqual(self.owner("after"), (0, 0))
        self.assertIn("event=machine_mapped", journal("gssproxy"))
        run("umount", OTHER)

    def test_a_restart_ends_no_context_and_new_ones_come(self):
        before = accepted()
        systemctl("restart", "gssproxy")
        self.assertEqual(as_user("alice", f"cat {MOUNT}/alice"), "hers\n")
        World.login("carol")
        as_user("carol", f"echo hers > {MOUNT}/carol")
        self.assertEqual(self.owner("carol")[0], ACCOUNTS["carol"])
        self.assertGreater(accepted(), before)

    def test_a_user_with_a_keytab_at_the_daemon_needs_no_ticket(self):
        """The packaged example for file systems' clients: rpc.gssd asks the daemon as the user."""
        uid = ACCOUNTS["frank"]
        keytab = f"/var/lib/gssproxy/clients/{uid}.keytab"
        World.realm.kadmin(f"ktadd -k {keytab} frank")
        as_user("frank", f"echo his > {MOUNT}/frank")
        self.assertEqual(self.owner("frank")[0], uid)
        self.assertEqual(stat.S_IMODE(os.stat(keytab).st_mode), 0o600)
        self.assertRegex(journal("gssproxy"), rf'procedure="init_sec_context" service="network-fs-clients" uid={uid} ')
