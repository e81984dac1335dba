"""Context establishment through gage-proxyd, through the packaged gssproxy and without a proxy, in one run: pairs a second, the ratio to
direct, fairness; and 1,000 clients that start at once.

usage: /usr/bin/python3 bench/proxy/run.py [SECONDS]     (the checkout built and installed by script/build)
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(CHECKOUT, "tests", "lib"), os.path.join(CHECKOUT, "tests", "live", "proxyd")]
from daemon import PACKAGED, PROGRAM, Daemon  # noqa: E402
from realm import Realm  # noqa: E402

PAIRS = os.path.join(CHECKOUT, "build", "obj", "bench", "bench_proxy_pairs")
SERVICE = "[service/test]\nmechs = krb5\neuid = 0\ncred_usage = accept\nsocket = {dir}/sock\ncred_store = keytab:{keytab}\n"


def pairs(env, clients, seconds, kind, threads=1):
    done = subprocess.run([PAIRS, str(clients), str(seconds), kind, str(threads)], env=env, capture_output=True, text=True)
    if done.returncode != 0:
        return None
    rate, fairness, failed, least = done.stdout.split()
    return float(rate), float(fairness), int(failed), float(least)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3
    with Realm() as realm, Daemon(realm, SERVICE, settings="audit = {dir}/audit\n") as ours, \
            Daemon(realm, SERVICE, program=PACKAGED) as theirs:
        direct = dict(realm.env, KRB5RCACHENAME="file2:" + os.path.join(realm.dir, "direct-replay"))
        ticket = realm.env["KRB5CCNAME"]
        direct["BENCH_TICKET"] = ticket
        libraries = (("direct", direct), ("gage-proxyd", ours.client_env(BENCH_TICKET=ticket)),
                     ("gssproxy", theirs.client_env(BENCH_TICKET=ticket)))
        print(f"{'':14}{'clients':>8}{'credential':>12}{'pairs/s':>10}{'x slower':>10}{'Jain':>8}{'least':>8}{'failed':>8}")
        for kind in ("default", "acquired"):
            for clients, threads in ((1, 1), (8, 1), (64, 1), (1, 8)):
                base = None
                for name, env in libraries:
                    got = pairs(env, clients, seconds, kind, threads)
                    label = f"{clients}" if threads == 1 else f"{threads} thr."
                    if got is None:
                        print(f"{name:14}{label:>8}{kind:>12}   did not complete")
                        continue
                    rate, fairness, failed, least = got
                    base = base or rate
                    print(f"{name:14}{label:>8}{kind:>12}{rate:10.0f}{base / rate if rate else 0:10.2f}{fairness:8.3f}{least:8.2f}{failed:8}",
                          flush=True)
        for name, daemon in (("gage-proxyd", ours), ("gssproxy", theirs)):
            done = subprocess.run([PAIRS, "burst", "1000", daemon.socket], capture_output=True, text=True)
            print(f"{name}: of 1000 clients that start at once, {done.stdout.strip() or '0'} were served")


if __name__ == "__main__":
    main()
