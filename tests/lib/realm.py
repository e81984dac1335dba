"""A private MIT Kerberos realm on loopback, for one test file.

In Python:    with Realm() as realm: realm.env, realm.kinit("alice"), realm.keytab ...
From a shell: /usr/bin/python3 tests/lib/realm.py COMMAND [ARGS...]   runs the command inside a fresh realm, with a ticket
              for alice in the cache, the keytab of host@localhost's services as KRB5_KTNAME, and everything torn down after.

Everything lives in one temporary folder; the KDC listens on a free port of 127.0.0.1 and is ended by its pid.
"""
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

REALM = "TEST.GAGE"
KRB5_CONF = """[libdefaults]
 default_realm = {realm}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 forwardable = true
 udp_preference_limit = 1
{libdefaults}
[realms]
 {realm} = {{
  kdc = 127.0.0.1:{port}
 }}
[domain_realm]
 localhost = {realm}
"""
KDC_CONF = """[kdcdefaults]
 kdc_listen = 127.0.0.1:{port}
 kdc_tcp_listen = 127.0.0.1:{port}
[realms]
 {realm} = {{
  database_name = {dir}/principal
  key_stash_file = {dir}/stash
  acl_file = {dir}/acl
  max_life = 12h
  max_renewable_life = 7d
{kdc}
 }}
[logging]
 kdc = FILE:{dir}/kdc.log
"""
SERVICES = ("host/localhost", "nfs/localhost", "HTTP/localhost", "gage/localhost")
USERS = ("alice", "bob", "carol")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Realm:
    def __init__(self, users=USERS, services=SERVICES, libdefaults="", kdc=""):
        self.users, self.services = users, services
        self.extra = {"libdefaults": libdefaults, "kdc": kdc}
        self.dir = self.kdc = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.dir = tempfile.mkdtemp(prefix="gage-realm-")
        self.port = free_port()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("KRB5", "GSS"))}
        self.env.update(
            KRB5_CONFIG=self.path("krb5.conf"), KRB5_KDC_PROFILE=self.path("kdc.conf"),
            KRB5_KTNAME="FILE:" + self.path("keytab"), KRB5CCNAME="FILE:" + self.path("ccache"),
            KRB5RCACHEDIR=self.dir, PATH="/usr/sbin:/usr/bin:/sbin:/bin")
        self.write_conf()
        self.admin = secrets.token_hex(16)
        self.create_database(secrets.token_hex(16))
        self.passwords = {user: secrets.token_hex(16) for user in self.users}
        script = [f"add_principal -pw {password} {user}" for user, password in self.passwords.items()]
        script += [f"add_principal -randkey {s}\nktadd -k {self.path('keytab')} {s}" for s in self.services]
        self.kadmin("\n".join(script))
        self.start_kdc()
        if self.users:
            self.kinit(self.users[0])
        return self

    def write_conf(self):
        for name, text in (("krb5.conf", KRB5_CONF), ("kdc.conf", KDC_CONF)):
            with open(self.path(name), "w") as f:
                f.write(text.format(realm=REALM, port=self.port, dir=self.dir, **self.extra))

    def create_database(self, password):
        self.run("kdb5_util", "create", "-s", "-r", REALM, "-P", password)

    def path(self, name):
        return os.path.join(self.dir, name)

    @property
    def keytab(self):
        return self.path("keytab")

    def run(self, *command, **options):
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, **options)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def kadmin(self, script):
        """Feeds kadmin.local a script on standard input (no password on a command line)."""
        out = self.run("kadmin.local", "-r", REALM, input=script + "\n")
        return out

    def start_kdc(self, **env):
        self.kdc = subprocess.Popen(["krb5kdc", "-n", "-r", REALM], env=dict(self.env, **env),
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.kdc.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError("krb5kdc did not start: " + open(self.path("kdc.log")).read())

    def stop_kdc(self):
        if self.kdc is not None and self.kdc.poll() is None:
            self.kdc.send_signal(signal.SIGCONT)
            self.kdc.terminate()
            self.kdc.wait(10)
        self.kdc = None

    def kinit(self, user, ccache=None, options=()):
        """A ticket for the user, in the default cache or the one named. Returns the environment to use it with."""
        env = dict(self.env, KRB5CCNAME=ccache) if ccache else self.env
        done = subprocess.run(["kinit", *options, user], env=env, input=self.passwords[user] + "\n",
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError("kinit: " + done.stderr)
        return env

    def stop(self):
        self.stop_kdc()
        if self.dir:
            shutil.rmtree(self.dir, ignore_errors=True)
            self.dir = None


def main():
    with Realm() as realm:
        sys.exit(subprocess.run(sys.argv[1:], env=realm.env).returncode)


if __name__ == "__main__":
    main()
