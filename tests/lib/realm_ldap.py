"""A private realm whose KDC keeps its database in LDAP (Debian's krb5-kdc-ldap, slapd): the one of MIT's back ends that knows, for
each service, to which others it may delegate (krbAllowedToDelegateTo).

slapd is a process of the test's own, on a unix socket in the realm's folder, and knows its one user by that socket (SASL EXTERNAL):
there is no password."""
import gzip
import os
import shutil
import socket
import subprocess
import time
import urllib.parse

from realm import REALM, Realm

BASE = "dc=gage"
CONTAINER = "cn=kerberos," + BASE
SCHEMA = "/usr/share/doc/krb5-kdc-ldap/kerberos.schema.gz"
SLAPD_CONF = """include /etc/ldap/schema/core.schema
include {dir}/kerberos.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {dir}/slapd.pid
database mdb
maxsize 16777216
suffix "{base}"
rootdn "gidNumber={gid}+uidNumber={uid},cn=peercred,cn=external,cn=auth"
directory {dir}/ldap
index objectClass,krbPrincipalName eq
"""
TOP = """dn: {base}
objectClass: organization
objectClass: dcObject
o: gage
dc: gage
"""
MODULE = """  database_module = ldap
"""
MODULES = """[dbmodules]
 ldap = {{
  db_library = kldap
  ldap_kerberos_container_dn = {container}
  ldap_servers = {url}
  ldap_kdc_sasl_mech = EXTERNAL
  ldap_kadmind_sasl_mech = EXTERNAL
 }}
"""


class LdapRealm(Realm):
    def __init__(self, **options):
        super().__init__(kdc=MODULE, **options)
        self.slapd = None

    @property
    def url(self):
        return "ldapi://" + urllib.parse.quote(self.path("ldapi"), safe="")

    def write_conf(self):
        super().write_conf()
        with open(self.path("kdc.conf"), "a") as f:
            f.write(MODULES.format(container=CONTAINER, url=self.url))

    def start_slapd(self):
        with gzip.open(SCHEMA) as packed, open(self.path("kerberos.schema"), "wb") as f:
            shutil.copyfileobj(packed, f)
        os.mkdir(self.path("ldap"), 0o700)
        with open(self.path("slapd.conf"), "w") as f:
            f.write(SLAPD_CONF.format(dir=self.dir, base=BASE, uid=os.getuid(), gid=os.getgid()))
        self.run("slapadd", "-f", self.path("slapd.conf"), input=TOP.format(base=BASE))
        with open(self.path("slapd.log"), "wb") as log:
            self.slapd = subprocess.Popen(["slapd", "-d", "0", "-h", self.url, "-f", self.path("slapd.conf")],
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(500):
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(self.path("ldapi")) == 0:
                    return
            if self.slapd.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError("slapd did not start: " + open(self.path("slapd.log")).read())

    def create_database(self, password):
        self.start_slapd()
        self.run("kdb5_ldap_util", "create", "-s", "-r", REALM, "-P", password, "-subtrees", BASE)

    def delegate(self, service, *targets):
        """The service may delegate to the targets (principals of this realm), and to none else."""
        entry = f"krbPrincipalName={service}@{REALM},cn={REALM},{CONTAINER}"
        values = "".join(f"krbAllowedToDelegateTo: {t}@{REALM}\n" for t in targets)
        self.run("ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", self.url,
                 input=f"dn: {entry}\nchangetype: modify\nreplace: krbAllowedToDelegateTo\n{values}")

    def stop(self):
        self.stop_kdc()
        if self.slapd is not None and self.slapd.poll() is None:
            self.slapd.terminate()
            self.slapd.wait(10)
        self.slapd = None
        super().stop()
