"""bench/relay: the relay's figures, each beside what it is compared with, in one run.

usage: /usr/bin/python3 bench/relay.py [creates|readers|transfers ...]   GAGE_PREFIX: the installation, GAGE_OBJ: the build folder

  creates    durable creates a second by 64 clients over HTTPS, and the same with one commit for each (batch_max = 1)
  readers    10,000 waiting TLS readers: resident memory, time from an acknowledged write to its reader's answer, all woken at once
  transfers  processor time (user and system) of the relay for a whole transfer as gage share and gage accept make it: 2 TLS connections,
             7 requests (create, claim, waiting read, 2 writes that wait, write, delete), 5 commits; one after the other, and 16 at once; and
             of a bare TLS server that syncs as often (bench/bare_relay.c), which tells what this machine takes for TLS and disk alone
"""
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
RELAYD = pathlib.Path(os.environ.get("GAGE_PREFIX", ROOT / "build/root")) / "sbin/gage-relayd"
READERS = 10000
TRANSFERS = 1000


class Relay:
    def __init__(self, folder, *lines):
        conf = os.path.join(folder, "relay.conf")
        with open(conf, "w") as f:
            f.write("[relay]\n" + "\n".join(lines) + "\n[limits]\nexpiration = 1h\n")
        self.process = subprocess.Popen(
            [RELAYD, "--listen", "127.0.0.1:0", "--store", f"sqlite:///{folder}/relay.db", "--config", conf],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.port = None
        for line in self.process.stdout:
            if line.startswith("listening"):
                self.port = line.split()[1].rsplit(":", 1)[1]
            if line == "ready\n":
                return
        raise SystemExit("the relay did not start: " + self.process.stderr.read())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(15)

    def rss_mb(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024 / 1e6


def values(text):
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def run_creates(load, folder, *lines):
    with Relay(folder, *lines) as relay:
        out = subprocess.run([load, relay.port, "creates", "64", "5"], check=True, capture_output=True, text=True).stdout
    return float(values(out)["creates_per_second"])


def creates(load):
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        single = run_creates(load, one, "batch_max = 1")
        group = run_creates(load, two)
    print(f"durable creates/s, 64 clients: {group:.0f}; with one commit each: {single:.0f}; ratio {group / single:.1f} (bar 4)")


def readers(load):
    with tempfile.TemporaryDirectory() as folder, Relay(folder) as relay:
        client = subprocess.Popen([load, relay.port, "readers", str(READERS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert client.stdout.readline() == "parked\n"
        rss = relay.rss_mb()
        client.stdin.write("go\n")
        client.stdin.flush()
        found = {}
        for line in client.stdout:
            if line == "parked\n":
                break
            found.update(values(line))
        again = relay.rss_mb()
        client.stdin.write("go\n")
        client.stdin.flush()
        relay.process.terminate()
        found.update(values(client.stdout.read()))
        client.wait()
    print(f"{READERS} waiting TLS readers: {rss:.0f} MB resident, {again:.0f} MB when each connection waits again (bar 250)")
    print(f"from an acknowledged write to its reader's whole answer: median {found['wake_after_write_p50_ms']} ms, "
          f"99 % {found['wake_after_write_p99_ms']} ms, longest {found['wake_after_write_max_ms']} ms (bar 500)")
    print(f"all woken at once (by a drain): the last answer {found['all_woken_after_ms']} ms after the signal, "
          f"{found['spread_ms']} ms after the first (bar 500)")


def thread_ms(pid):
    """Milliseconds of processor time by kind of thread: HTTP front, store, the rest."""
    by_name = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        name = open(f"/proc/{pid}/task/{task}/comm").read().strip()
        spent = int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0]) / 1e6
        user, system = map(int, open(f"/proc/{pid}/task/{task}/stat").read().rsplit(")", 1)[1].split()[11:13])
        kind = "HTTP and TLS" if name.startswith("MHD") else "store" if name == "store" else "the rest"
        old = by_name.get(kind, (0, 0, 0))
        by_name[kind] = (old[0] + spent, old[1] + user, old[2] + system)
    return by_name


class Bare(Relay):
    """The bare server, with the certificate that a relay made in the folder."""

    def __init__(self, folder):
        program = pathlib.Path(os.environ.get("GAGE_OBJ", ROOT / "build/obj")) / "bench/bare_relay"
        self.process = subprocess.Popen([program, f"{folder}/relay.db.tls-cert.pem", f"{folder}/relay.db.tls-key.pem", "0", f"{folder}/log"],
                                        stdout=subprocess.PIPE, text=True)
        self.port = self.process.stdout.readline().split()[1]


def run_bare(load, bare, at_once):
    """Milliseconds a transfer."""
    before = thread_ms(bare.process.pid)
    subprocess.run([load, bare.port, "transfers", str(TRANSFERS), str(at_once)], check=True)
    return sum(spent[0] - before[kind][0] for kind, spent in thread_ms(bare.process.pid).items()) / TRANSFERS


def run_transfers(load, relay, bare, at_once):
    before, began = thread_ms(relay.process.pid), time.monotonic()
    subprocess.run([load, relay.port, "transfers", str(TRANSFERS), str(at_once)], check=True)
    wall, after = time.monotonic() - began, thread_ms(relay.process.pid)
    parts, total = [], 0
    for kind, (spent, user, system) in after.items():
        old = before.get(kind, (0, 0, 0))
        each, ticks = (spent - old[0]) / TRANSFERS, max(1, user + system - old[1] - old[2])
        total += each
        parts.append(f"{kind} {each:.2f} ({100 * (system - old[2]) // ticks} % in the kernel)")
    least = run_bare(load, bare, at_once)
    print(f"relay's processor time a whole transfer, {at_once} at once: {total:.2f} ms (bar 1.5): {', '.join(parts)}; "
          f"{TRANSFERS / wall:.0f} transfers/s; a bare TLS server that syncs as often: {least:.2f} ms; ratio {total / least:.2f}")


def transfers(load):
    with tempfile.TemporaryDirectory() as folder, Relay(folder) as relay, Bare(folder) as bare:
        for port in (relay.port, bare.port):
            subprocess.run([load, port, "transfers", "100", "1"], check=True)
        for at_once in (1, 16):
            run_transfers(load, relay, bare, at_once)


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    load = os.path.join(os.environ.get("GAGE_OBJ", ROOT / "build/obj"), "bench/relay_load")
    chosen = sys.argv[1:] or ["creates", "readers", "transfers"]
    for name in chosen:
        {"creates": creates, "readers": readers, "transfers": transfers}[name](load)


if __name__ == "__main__":
    main()
