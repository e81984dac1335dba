"""What the stories share: a realm, its server's keytab, accounts, the NFS packages' configuration, units, what the journal says.

All of it is in the places where a machine has it, because the machine is the test's own and ends with it."""
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(CHECKOUT, "tests/lib"))
from realm import REALM, Realm  # noqa: E402

HOST = "server.test.gage"
with open("/proc/cmdline") as line:
    PREFIX = re.search(r"gage\.prefix=(\S+)", line.read()).group(1)
PROGRAM = "/usr/sbin/gage-proxyd"
UNITS = "/etc/systemd/system"
PACKAGED = "/lib/systemd/system/gssproxy.service"
OURS = os.path.join(PREFIX, "share/gage/gage-proxyd.service")
REGISTRATION = "/proc/net/rpc/use-gss-proxy"
ACCOUNTS = {"alice": 70001, "bob": 70002, "carol": 70003, "dora": 70004, "erin": 70005, "frank": 70006}
DORAS_GROUPS = range(80000, 81000)  # more than a page of the kernel's holds
NFS_CONF = """[nfsd]
threads=2
vers3=n
udp=n
grace-time=10
lease-time=10
[mountd]
manage-gids=n
[gssd]
use-gss-proxy=1
"""  # manage-gids, Debian's default, would have rpc.mountd's groups take the place of the daemon's


def run(*command, check=True, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}")
    return done.stdout


def as_user(name, script, check=True):
    """Runs a line of shell as one of the accounts; returns what it printed."""
    uid = ACCOUNTS[name]
    return run("sh", "-c", script, check=check, user=uid, group=uid, extra_groups=[], cwd="/")


def wait_for(condition, what, seconds=60):
    """Waits for a state, not for a time: the limit only ends a test that would hang."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("did not come about: " + what)


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def read(path):
    with open(path) as f:
        return f.read()


def systemctl(*words):
    return run("systemctl", *words)


def shown(unit, *properties):
    lines = systemctl("show", unit, *(f"--property={p}" for p in properties)).splitlines()
    return dict(line.split("=", 1) for line in lines)


def active(unit):
    return shown(unit, "ActiveState")["ActiveState"]


def journal(unit):
    return run("journalctl", "--no-pager", "-o", "cat", "-u", unit)


def packaged_unit():
    """The unit of the package gssproxy with the binary's path changed, and nothing else."""
    text = read(PACKAGED)
    assert text.count("/usr/sbin/gssproxy ") == 1
    return text.replace("/usr/sbin/gssproxy ", PROGRAM + " ")


def use_packaged_unit():
    if active("gssproxy") != "active":
        write(f"{UNITS}/gssproxy.service", packaged_unit())
        systemctl("daemon-reload")
        systemctl("start", "gssproxy")


class World:
    """One for the whole machine."""
    realm = None

    @classmethod
    def make(cls):
        if cls.realm is not None:
            return cls.realm
        os.environ.pop("KRB5_CONFIG", None)
        cls.accounts()
        cls.realm = Realm(users=tuple(ACCOUNTS), services=(f"host/{HOST}", f"nfs/{HOST}")).start()
        shutil.copy(cls.realm.path("krb5.conf"), "/etc/krb5.conf")
        shutil.copy(cls.realm.keytab, "/etc/krb5.keytab")
        os.chmod("/etc/krb5.keytab", 0o600)
        shutil.copy(os.path.join(PREFIX, "sbin/gage-proxyd"), PROGRAM)
        shutil.copy("/usr/share/doc/gssproxy/examples/99-network-fs-clients.conf", "/etc/gssproxy")
        write("/etc/nfs.conf.d/test.conf", NFS_CONF)
        return cls.realm

    @classmethod
    def accounts(cls):
        with open("/etc/passwd", "a") as users, open("/etc/group", "a") as groups:
            for name, uid in ACCOUNTS.items():
                users.write(f"{name}:x:{uid}:{uid}::/:/bin/sh\n")
                groups.write(f"{name}:x:{uid}:\n")
            groups.writelines(f"g{gid}:x:{gid}:dora\n" for gid in DORAS_GROUPS)

    @classmethod
    def login(cls, name):
        """A ticket where rpc.gssd looks for the user's."""
        path = f"/tmp/krb5cc_{ACCOUNTS[name]}"
        cls.realm.kinit(name, "FILE:" + path)
        os.chown(path, ACCOUNTS[name], ACCOUNTS[name])
