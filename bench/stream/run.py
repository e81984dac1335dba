"""Measures gage's tunnel beside stunnel (TLS 1.3, AES-256-GCM) and raw TCP, in one run on loopback, and prints ratios.

usage: /usr/bin/python3 bench/stream/run.py [--quick] [throughput|ping|open|memory ...]      (after script/build; needs what `script/deps test` installs)

Two sidecars, one on each side, as in use: client -> sidecar -> sidecar -> server. Kerberos from a private realm. Repetitions of the
contestants alternate; figures are medians. CPU is that of both sidecars.
"""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lib"))
from realm import Realm, free_port  # noqa: E402

PREFIX = pathlib.Path(os.environ.get("GAGE_PREFIX", ROOT / "build/root"))
LOAD = ROOT / "build/obj/bench/bench_stream_load"
QUICK = "--quick" in sys.argv
PARTS = [a for a in sys.argv[1:] if not a.startswith("--")] or ["throughput", "ping", "open", "memory"]
TICK = os.sysconf("SC_CLK_TCK")
PUSH = (1 << 30) if QUICK else (4 << 30)
PUSH_SLOW = 1 << 28
ROUNDS = 3 if QUICK else 5


class Process:
    def __init__(self, *command, env=None, stderr=None):
        self.p = subprocess.Popen(list(map(str, command)), env=env, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=stderr or subprocess.DEVNULL)

    def cpu(self):
        fields = open(f"/proc/{self.p.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self):
        for line in open(f"/proc/{self.p.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0

    def stop(self):
        self.p.terminate()
        try:
            self.p.wait(15)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()


def wait_port(port):
    import socket
    for _ in range(300):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on {port}")


def load(*arguments):
    return float(subprocess.run([LOAD, *map(str, arguments)], check=True, capture_output=True, text=True).stdout)


class Tunnel:
    """Client-side port -> sidecar -> sidecar -> server; an empty list of sidecars is raw TCP."""
    sidecars = ()

    def __init__(self, name, port):
        self.name, self.port = name, port

    def cpu(self):
        return sum(s.cpu() for s in self.sidecars)

    def stop(self):
        for s in self.sidecars:
            s.stop()


def gage(name, realm, server, *options):
    near, far = free_port(), free_port()
    t = Tunnel(name, near)
    binary = PREFIX / "bin/gage"
    common = ("--max-connections", 4000, "--max-handshakes", 4000, *options)
    t.sidecars = (
        Process(binary, "forward", "--protect", "local", "--allow", "alice", *common, f"127.0.0.1:{far}",
                f"127.0.0.1:{server}", env=realm.env),
        Process(binary, "forward", "--target", "gage@localhost", *common, f"127.0.0.1:{near}", f"127.0.0.1:{far}",
                env=realm.env))
    wait_port(near)
    wait_port(far)
    return t


def stunnel(folder, server):
    near, far = free_port(), free_port()
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"], check=True, capture_output=True)
    head = ("foreground = yes\npid =\ndebug = 3\nsslVersion = TLSv1.3\nciphersuites = TLS_AES_256_GCM_SHA384\n"
            "socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n")
    (folder / "far.conf").write_text(head + f"[far]\naccept = 127.0.0.1:{far}\nconnect = 127.0.0.1:{server}\n"
                                     f"cert = {cert}\nkey = {key}\n")
    (folder / "near.conf").write_text(head + f"[near]\nclient = yes\naccept = 127.0.0.1:{near}\n"
                                      f"connect = 127.0.0.1:{far}\n")
    t = Tunnel("stunnel", near)
    t.sidecars = (Process("/usr/bin/stunnel4", folder / "far.conf"), Process("/usr/bin/stunnel4", folder / "near.conf"))
    wait_port(far)
    wait_port(near)
    return t


def push(tunnel, size):
    before = tunnel.cpu()
    seconds = load("push", tunnel.port, size)
    time.sleep(0.05)
    return size / seconds / 1e6, (tunnel.cpu() - before) / (size / 1e9)


def throughput(tunnels):
    results = {t.name: [] for t in tunnels}
    for _ in range(ROUNDS):
        for t in tunnels:
            results[t.name].append(push(t, PUSH_SLOW if "wrap" in t.name else PUSH))
    return {name: (statistics.median(r[0] for r in rows), statistics.median(r[1] for r in rows))
            for name, rows in results.items()}


def repeat(tunnels, *arguments):
    results = {t.name: [] for t in tunnels}
    for _ in range(ROUNDS):
        for t in tunnels:
            results[t.name].append(load(arguments[0], t.port, *arguments[1:]))
    return {name: statistics.median(rows) for name, rows in results.items()}


def memory(tunnel, connections):
    holder = subprocess.Popen([LOAD, "hold", str(tunnel.port), str(connections)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline().strip() == "held"
    found = [s.memory() for s in tunnel.sidecars]
    holder.stdin.close()
    holder.wait()
    return found


def wrap_allows(realm):
    """MB/s of gss_wrap and gss_unwrap themselves, 64 KiB at a time, on one core each side: what a wrap tunnel cannot exceed."""
    script = """
import gssapi, time
name = gssapi.Name("gage@localhost", gssapi.NameType.hostbased_service)
i = gssapi.SecurityContext(name=name, usage="initiate")
a = gssapi.SecurityContext(usage="accept")
t = a.step(i.step()); i.step(t)
data, n = bytes(65536), 1500
start = time.perf_counter()
for _ in range(n):
    w = i.wrap(data, True)
wrap = time.perf_counter() - start
i = gssapi.SecurityContext(name=name, usage="initiate"); a = gssapi.SecurityContext(usage="accept")
t = a.step(i.step()); i.step(t)
tokens = [i.wrap(data, True).message for _ in range(400)]
start = time.perf_counter()
for w in tokens:
    a.unwrap(w)
unwrap = (time.perf_counter() - start) * n / 400
print(n * 65536 / max(wrap, unwrap) / 1e6)
"""
    return float(realm.run("/usr/bin/python3", "-c", script))


def main():
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with Realm() as realm, tempfile.TemporaryDirectory() as folder:
        server = free_port()
        processes = [Process(LOAD, "serve", server)]
        try:
            wait_port(server)
            raw = Tunnel("raw TCP", server)
            tls = stunnel(pathlib.Path(folder), server)
            aead = gage("gage aead", realm, server)
            wrap = gage("gage wrap", realm, server, "--records", "wrap")
            processes += [tls, aead, wrap]
            report(realm, raw, tls, aead, wrap)
        finally:
            for p in processes:
                p.stop()


def report(realm, raw, tls, aead, wrap):
    if "throughput" in PARTS:
        report_throughput(realm, raw, tls, aead, wrap)
    if "ping" in PARTS:
        rtt = repeat([raw, tls, aead], "ping", 5000)
        print("round trip of 64 bytes: " + ", ".join(f"{n} {v / 1000:.1f} us" for n, v in rtt.items())
              + f"; gage/stunnel {rtt['gage aead'] / rtt['stunnel']:.2f}")
    for threads in (1, 4) if "open" in PARTS else ():
        rate = repeat([tls, aead], "open", 400, threads)
        print(f"new connections/s, {threads} client{'s' * (threads > 1)}: "
              + ", ".join(f"{n} {v:.0f}" for n, v in rate.items())
              + f"; gage/stunnel {rate['gage aead'] / rate['stunnel']:.2f}")
    for t in (tls, aead) if "memory" in PARTS else ():
        near = memory(t, 1000)
        print(f"1,000 connections, {t.name}: " + " and ".join(f"{m:.1f} MB" for m in near)
              + " resident (server side, client side)")


def report_throughput(realm, raw, tls, aead, wrap):
    speed = throughput([raw, tls, aead, wrap])
    base = speed["stunnel"]
    print(f"{'':12} {'MB/s':>8} {'/stunnel':>9} {'CPU-s/GB':>9} {'/stunnel':>9}")
    for name, (rate, cpu) in speed.items():
        print(f"{name:12} {rate:8.0f} {rate / base[0]:9.2f} {cpu:9.2f} {cpu / base[1] if base[1] else 0:9.2f}")
    allowed = wrap_allows(realm)
    print(f"gss_wrap itself, 64 KiB, one core a side: {allowed:.0f} MB/s; the wrap tunnel reaches "
          f"{speed['gage wrap'][0] / allowed:.2f} of it")


main()
