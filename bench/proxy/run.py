"""Context establishment through gage-proxyd, through the packaged gssproxy and without a proxy, in one run: pairs a second, how many times
slower than direct, fairness, CPU; and 1,000 clients that start at once.

usage: /usr/bin/python3 bench/proxy/run.py [--quick] [--seconds N] [--limit N]      (the checkout built and installed by script/build)

A pair is gss_init_sec_context, gss_accept_sec_context, gss_init_sec_context in one process, Kerberos, aes256, mutual; the initiator's ticket is
in its cache. Through a proxy the acceptor's part goes through the packaged client plugin (proxymech.so), and in the lines "gage both" through
gage_proxy.so. "default": accepting without a credential, which the packaged plugin makes two calls to the daemon of and ours one; "acquired":
with one acquired beforehand, one call. Direct is the same program without a plugin. They take turns, so that what disturbs one disturbs all.
Two lines say what any daemon could reach with the packaged plugin on this machine (bare.c): "no daemon", canned answers, so that only the plugin,
the sockets and the scheduler are left; "bare accept", a thread for each connection that does gss_accept_sec_context, exports and nothing else.
CPU is microseconds a pair of the clients' processes and of the daemon: the clients' part, compared with direct's, is the price of the plugin
itself, whichever daemon answers. "x CPU" is both together in direct's: what being slower comes to where all processors are busy.
"""
import argparse
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(CHECKOUT, "tests", "lib"), os.path.join(CHECKOUT, "tests", "live", "proxyd")]
from daemon import OURS, PACKAGED, PLUGIN, Daemon, wait_for  # noqa: E402
from realm import Realm  # noqa: E402

PROGRAMS = os.path.join(CHECKOUT, "build", "obj", "bench")
PAIRS = os.path.join(PROGRAMS, "bench_proxy_pairs")
SERVICE = "[service/test]\nmechs = krb5\neuid = 0\ncred_usage = accept\nsocket = {dir}/sock\ncred_store = keytab:{keytab}\n"
SHAPES = ((1, 1), (8, 1), (64, 1), (1, 8))  # processes, threads of each
SLOWER = {1: 1.5, 8: 1.6, 64: 1.6}  # bars: at most so many times slower than direct
JAIN = 0.95
STARTERS = 1000
SETTLES = 3  # seconds after which our daemon keeps what it read of a new keytab


def say(line):
    print(line, flush=True)


class Bare:
    """bare.c between clients and our daemon."""

    def __init__(self, realm, ours, work):
        self.socket = ours.path(work)
        env = dict(realm.env, KRB5RCACHENAME="none:")
        self.process = subprocess.Popen([os.path.join(PROGRAMS, "bare_proxy"), self.socket, ours.socket, work], env=env)

    def __enter__(self):
        wait_for(lambda: os.path.exists(self.socket), "the bare daemon listens")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Library:
    def __init__(self, name, env, daemon=None):
        self.name, self.env, self.daemon = name, env, daemon

    @classmethod
    def through(cls, name, daemon, ticket, plugin=PLUGIN):
        daemon.plugin = plugin
        return cls(name, daemon.client_env(BENCH_TICKET=ticket), daemon)

    def daemon_cpu(self):
        """Seconds that the daemon used so far."""
        if self.daemon is None:
            return 0.0
        with open(f"/proc/{self.daemon.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Figures:
    """What several turns of one library gave together."""

    def __init__(self):
        self.pairs = self.seconds = self.failed = self.client_us = self.daemon_s = 0.0
        self.jain, self.least, self.error = 1.0, 1.0, None

    def add(self, library, clients, threads, kind, seconds, left):
        before = library.daemon_cpu()
        try:
            done = subprocess.run([PAIRS, str(clients), str(seconds), kind, str(threads)], env=library.env, capture_output=True,
                                  text=True, timeout=max(1, min(seconds + 30, left)))
        except subprocess.TimeoutExpired:
            self.error = "did not end in time"
            return
        if done.returncode != 0:
            self.error = (done.stderr.strip().splitlines() or ["failed"])[-1]
            return
        pairs, took, jain, failed, least, cpu = (float(x) for x in done.stdout.split())
        self.pairs, self.seconds, self.failed = self.pairs + pairs, self.seconds + took, self.failed + failed
        self.jain, self.least = min(self.jain, jain), min(self.least, least)
        self.client_us += cpu * pairs
        self.daemon_s += library.daemon_cpu() - before

    @property
    def rate(self):
        return self.pairs / self.seconds if self.seconds else 0.0

    @property
    def cpu_us(self):
        """Of clients and daemon, for a pair."""
        return (self.client_us + self.daemon_s * 1e6) / self.pairs if self.pairs else 0.0


def verdict(name, clients, threads, slower, jain):
    """The bars of gage-proxyd, reached or not, with either plugin."""
    if name not in ("gage-proxyd", "gage both") or threads > 1:
        return ""
    bars = [f"bar {SLOWER[clients]} {'reached' if slower <= SLOWER[clients] else 'MISSED'}"]
    if clients > 1:
        bars.append(f"fairness {JAIN} {'reached' if jain >= JAIN else 'MISSED'}")
    return "  " + ", ".join(bars)


def show(kind, clients, threads, libraries, figures):
    base, cpu_base = figures["direct"].rate, figures["direct"].cpu_us
    for library in libraries:
        f = figures[library.name]
        label = f"{clients}" if threads == 1 else f"{threads} thr."
        if f.error or not f.pairs:
            say(f"{library.name:12}{label:>8}{kind:>10}   {f.error or 'no pair was made'}")
            continue
        slower = base / f.rate
        say(f"{library.name:12}{label:>8}{kind:>10}{f.rate:9.0f}{slower:8.2f}{f.jain:8.3f}{f.least:7.2f}{f.failed:7.0f}"
            f"{f.client_us / f.pairs:9.0f}{f.daemon_s / f.pairs * 1e6:9.0f}{f.cpu_us / cpu_base if cpu_base else 0:8.2f}{verdict(library.name, clients, threads, slower, f.jain)}")


def measure(libraries, seconds, rounds, end):
    say(f"{'':12}{'clients':>8}{'cred.':>10}{'pairs/s':>9}{'slower':>8}{'Jain':>8}{'least':>7}{'failed':>7}{'cli us':>9}{'dmn us':>9}{'x CPU':>8}")
    for kind in ("default", "acquired"):
        for clients, threads in SHAPES:
            figures = {library.name: Figures() for library in libraries}
            for _ in range(rounds):
                for library in libraries:
                    left = end - time.monotonic()
                    if left <= 1:
                        say("stopped: the time limit is reached")
                        return False
                    figures[library.name].add(library, clients, threads, kind, seconds / rounds, left)
            show(kind, clients, threads, libraries, figures)
    return True


def start_at_once(library):
    try:
        done = subprocess.run([PAIRS, "burst", str(STARTERS), library.daemon.socket], capture_output=True, text=True, timeout=60)
        refused, served, took = done.stdout.split()
    except (subprocess.TimeoutExpired, ValueError):
        say(f"{library.name}: the {STARTERS} clients did not end in time")
        return
    bar = f"  bar: none refused, {'reached' if refused == '0' and int(served) == STARTERS else 'MISSED'}" if library.name == "gage-proxyd" else ""
    say(f"{library.name}: of {STARTERS} clients that start at once {refused} were refused, {served} answered, in {took} s{bar}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="0.8 s for each line instead of 3")
    parser.add_argument("--seconds", type=float, help="for each line")
    parser.add_argument("--limit", type=float, default=200, help="seconds for everything")
    options = parser.parse_args()
    seconds = options.seconds or (0.8 if options.quick else 3)
    end = time.monotonic() + options.limit
    with Realm() as realm, Daemon(realm, SERVICE, settings="audit = {dir}/audit\n") as ours, \
            Daemon(realm, SERVICE, program=PACKAGED) as theirs, Bare(realm, ours, "nothing") as nothing, Bare(realm, ours, "accept") as accept:
        ticket = realm.env["KRB5CCNAME"]
        direct = dict(realm.env, KRB5RCACHENAME="file2:" + os.path.join(realm.dir, "direct-replay"), BENCH_TICKET=ticket)
        libraries = (Library("direct", direct), Library.through("gage both", ours, ticket, OURS), Library.through("gage-proxyd", ours, ticket),
                     Library.through("gssproxy", theirs, ticket),
                     Library("no daemon", ours.client_env(BENCH_TICKET=ticket, GSSPROXY_SOCKET=nothing.socket, BENCH_UNCHECKED="1"), nothing),
                     Library("bare accept", ours.client_env(BENCH_TICKET=ticket, GSSPROXY_SOCKET=accept.socket), accept))
        time.sleep(SETTLES)
        complete = measure(libraries, seconds, 2, end)
        for library in libraries[2:4]:
            start_at_once(library)
    sys.exit(0 if complete else 1)


if __name__ == "__main__":
    main()
