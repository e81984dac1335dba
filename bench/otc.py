"""The one-time-credential mechanism beside krb5 and raw AES-256-GCM: contexts/s and wrap MB/s, with their ratios.

usage: /usr/bin/python3 bench/otc.py        needs script/build; starts a private realm on loopback; takes about half a minute.
krb5 runs as it comes, its replay cache included; its service ticket is in the cache, so no KDC takes part in what is measured. Looking the
service's host up in the DNS, which krb5 does by default for each context, is off: that is the network's speed, not the mechanism's.
"""
import base64
import os
import pathlib
import secrets
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/lib"))
import realm as realms  # noqa: E402

PREFIX = pathlib.Path(os.environ.get("GAGE_PREFIX", ROOT / "build/root"))
PROGRAM = ROOT / "build/obj/bench/bench_otc"


def oid():
    text = (ROOT / "include/gage/otc.h").read_text()
    return text.split('OID_TEXT "')[1].split('"')[0]


def secret_files(folder):
    secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    paths = []
    for side in "ab":
        paths.append(os.path.join(folder, "secret-" + side))
        with open(os.open(paths[-1], os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
            f.write(f"gage-otc-secret 1\nside={side}\nsecret={secret}\n")
    return paths


def main():
    with realms.Realm() as realm:
        conf = realm.path("mech.conf")
        with open(conf, "w") as f:
            f.write(f"gage_otc {oid()} {PREFIX}/lib/gage/gss/gage_otc.so\n")
        env = dict(realm.env, GSS_MECH_CONFIG=conf)
        done = subprocess.run([PROGRAM, *secret_files(realm.dir), "host@localhost"], env=env)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
