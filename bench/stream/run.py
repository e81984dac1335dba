"""Measures gage's tunnel beside stunnel (TLS 1.3, AES-256-GCM) and raw TCP, in one run on loopback, and prints ratios with their bars.

usage: /usr/bin/python3 bench/stream/run.py [--quick] [throughput|wrap|ping|open|memory ...]    (after script/build; needs what `script/deps test` installs)

Two sidecars, one on each side, as in use: client -> sidecar -> sidecar -> server. Kerberos from a private realm, and `gage forward` as it
is shipped. The contestants take turns, round by round; a figure is the median of the rounds, a ratio the median of the rounds' ratios. CPU
is that of both sidecars. Every step has a time limit. Exit status 1 where a bar is missed or a step did not end.
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
WRAP = ROOT / "build/obj/bench/bench_stream_wrap"
QUICK = "--quick" in sys.argv
PARTS = [a for a in sys.argv[1:] if not a.startswith("--")] or ["throughput", "wrap", "ping", "open", "memory"]
TICK = os.sysconf("SC_CLK_TCK")
STEP_S = 20  # seconds a step may take
END = time.monotonic() + (58 if QUICK else 145)
MIB = 1 << 20
PUSH, PUSH_WRAP = ((512 if QUICK else 1024) * MIB, 96 * MIB)
ROUNDS = 3 if QUICK else 7
PINGS = 2000
OPENS = 300
HELD = 1000

failures = []


def say(text):
    print(text, flush=True)


def patience():
    left = min(STEP_S, END - time.monotonic())
    if left <= 0:
        raise TimeoutError("the time for the whole run is over")
    return left


def judge(what, ratio, bar, at_least):
    """One line: the figures, the ratio, its bar and whether it is reached."""
    good = ratio >= bar if at_least else ratio <= bar
    if not good:
        failures.append(what)
    say(f"{what}: {ratio:.2f} (bar: {'at least' if at_least else 'at most'} {bar}) {'reached' if good else 'MISSED'}")


class Process:
    def __init__(self, *command, env=None):
        self.p = subprocess.Popen(list(map(str, command)), env=env, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

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
            self.p.wait(12)
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
    raise TimeoutError(f"nothing listens on {port}")


def load(tunnel, what, *arguments):
    words = [LOAD, what, tunnel.port, *arguments]
    try:
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=patience())
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"{tunnel.name}: {what} {' '.join(map(str, arguments))} did not end in time") from None
    if done.returncode != 0:
        raise RuntimeError(f"{tunnel.name}: {what}: {done.stderr.strip()}")
    return float(done.stdout)


class Tunnel:
    """Client-side port -> sidecar -> sidecar -> server; an empty list of sidecars is raw TCP."""

    def __init__(self, name, port, *sidecars):
        self.name, self.port, self.sidecars = name, port, sidecars

    def cpu(self):
        return sum(s.cpu() for s in self.sidecars)

    def stop(self):
        for s in self.sidecars:
            s.stop()


def gage(name, realm, server, *options):
    near, far = free_port(), free_port()
    binary = PREFIX / "bin/gage"
    common = ("--max-connections", 4000, "--max-handshakes", 4000, *options)
    t = Tunnel(name, near, Process(binary, "forward", "--protect", "local", "--allow", "alice", *common,
                                   f"127.0.0.1:{far}", f"127.0.0.1:{server}", env=realm.env),
               Process(binary, "forward", "--target", "gage@localhost", *common, f"127.0.0.1:{near}",
                       f"127.0.0.1:{far}", env=realm.env))
    wait_port(far)
    wait_port(near)
    return t


STUNNEL = """foreground = yes
pid =
debug = {debug}
sslVersion = TLSv1.3
ciphersuites = TLS_AES_256_GCM_SHA384
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
{more}
"""


def stunnel(name, folder, server, debug="err", more=""):
    """stunnel with its defaults but for the protocol, the cipher and TCP_NODELAY; the client verifies no certificate, as is its default."""
    near, far = free_port(), free_port()
    key, cert = folder / "key.pem", folder / "cert.pem"
    if not key.exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"], check=True,
                       capture_output=True)
    head = STUNNEL.format(debug=debug, more=more)
    files = folder / f"{far}.conf", folder / f"{near}.conf"
    files[0].write_text(head + f"[far]\naccept = 127.0.0.1:{far}\nconnect = 127.0.0.1:{server}\ncert = {cert}\nkey = {key}\n")
    files[1].write_text(head + f"[near]\nclient = yes\naccept = 127.0.0.1:{near}\nconnect = 127.0.0.1:{far}\n")
    t = Tunnel(name, near, *(Process("/usr/bin/stunnel4", f) for f in files))
    wait_port(far)
    wait_port(near)
    return t


# ---- measuring ----

class Figures:
    """Rounds of rows, one number a contestant."""

    def __init__(self, rows):
        self.rows = rows

    def median(self, name):
        return statistics.median(row[name] for row in self.rows)

    def ratio(self, name, to):
        return statistics.median(row[name] / row[to] for row in self.rows if row[to])


def take_turns(contestants, measure, rounds=ROUNDS):
    rows = []
    for i in range(rounds):
        turn = contestants[i % len(contestants):] + contestants[:i % len(contestants)]
        rows.append({t.name: measure(t) for t in turn})
    return Figures(rows)


def push(tunnel, size):
    """MB/s and CPU seconds a GB."""
    before = tunnel.cpu()
    seconds = load(tunnel, "push", size)
    time.sleep(0.05)
    return size / seconds / 1e6, (tunnel.cpu() - before) / (size / 1e9)


def apart(pairs):
    """Two tables of a table of pairs."""
    return [Figures([{name: pair[i] for name, pair in row.items()} for row in pairs.rows]) for i in (0, 1)]


def measure_throughput(raw, tls, aead):
    chosen = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    say(f"congestion control: stunnel uses the system's, which is {chosen}; gage forward and both ends of the load use reno on loopback")
    speed, cpu = apart(take_turns([raw, tls, aead], lambda t: push(t, PUSH)))
    for t in (raw, tls, aead):
        say(f"{t.name:12} {speed.median(t.name):6.0f} MB/s {cpu.median(t.name):6.2f} CPU-s/GB")
    judge("throughput, aead to stunnel", speed.ratio(aead.name, tls.name), 1.6, True)
    judge("CPU a byte, aead to stunnel", cpu.ratio(aead.name, tls.name), 0.7, False)


def wrap_itself(realm):
    """MB/s of gss_wrap alone, gss_unwrap alone, both at once with nothing between."""
    return list(map(float, realm.run(WRAP, "gage@localhost", str(PUSH_WRAP // MIB), timeout=patience()).split()))


def measure_wrap(realm, wrap):
    rows = []
    for _ in range(ROUNDS):
        alone = wrap_itself(realm)
        speed, cpu = push(wrap, PUSH_WRAP)
        rows.append({"wrap": alone[0], "unwrap": alone[1], "both": alone[2], "tunnel": speed, "cpu": cpu})
    f = Figures(rows)
    say(f"gss_wrap itself, 64 KiB: {f.median('wrap'):.0f} MB/s; gss_unwrap {f.median('unwrap'):.0f}; both at once in two threads "
        f"{f.median('both'):.0f}; gage wrap {f.median('tunnel'):.0f} MB/s, {f.median('cpu'):.2f} CPU-s/GB")
    judge("throughput, wrap to both at once", f.ratio("tunnel", "both"), 0.9, True)


def place(process, cpus):
    """All threads of a process; those it starts later follow."""
    for task in os.listdir(f"/proc/{process.p.pid}/task"):
        os.sched_setaffinity(int(task), cpus)


def placements():
    """Where client, near sidecar, far sidecar and server run. What a wake-up costs differs tenfold between one CPU and two, and which of the two
    the scheduler chooses changes from run to run: left to it alone, the figure is of its choice more than of the sidecars."""
    every = sorted(os.sched_getaffinity(0))
    yield "placed by the scheduler", (set(every),) * 4
    yield "all on one CPU", ({every[0]},) * 4
    if len(every) > 1:
        yield "neighbours on two CPUs", ({every[0]}, {every[1]}) * 2


def ping_placed(tunnel, server, at):
    for process, cpus in ((server, at[3]), *zip(tunnel.sidecars, (at[2], at[1]))):
        place(process, cpus)
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, at[0])  # the load inherits it
    try:
        return load(tunnel, "ping", PINGS)
    finally:
        os.sched_setaffinity(0, own)


def measure_ping(server, raw, tls, aead):
    for where, at in placements():
        f = take_turns([raw, tls, aead], lambda t: ping_placed(t, server, at), ROUNDS + 2)
        say(f"round trip of 64 bytes, {where}: " +
            ", ".join(f"{t.name} {f.median(t.name) / 1000:.1f} us" for t in (raw, tls, aead)))
        judge(f"round trip, {where}, aead to stunnel", f.ratio(aead.name, tls.name), 1, False)
    for t in (tls, aead):
        for process in t.sidecars:
            place(process, os.sched_getaffinity(0))
    place(server, os.sched_getaffinity(0))


def resumed(folder, server):
    """How many of 20 connections in a row stunnel resumes, by its own log."""
    log = folder / "stunnel.log"
    t = stunnel("stunnel", folder, server, "info", f"output = {log}")
    try:
        load(t, "open", 20, 1)
        time.sleep(0.2)
        return log.read_text().count("TLS connected: previous session reused")
    finally:
        t.stop()


def measure_open(folder, server, tls, aead):
    full = stunnel("stunnel, full handshakes", folder, server, more="sessionResume = no")
    try:
        say(f"new connections: stunnel as it is by default resumes TLS sessions ({resumed(folder, server)} of 20 here); "
            "gage authenticates both sides anew each time")
        for threads in (1, 4):
            f = take_turns([tls, full, aead], lambda t: load(t, "open", OPENS, threads), ROUNDS + 2)
            clients = f"{threads} client{'s' * (threads > 1)}"
            say(f"new connections/s, {clients}: " + ", ".join(f"{t.name} {f.median(t.name):.0f}" for t in (tls, full, aead)))
            judge(f"new connections/s, {clients}, aead to stunnel", f.ratio(aead.name, tls.name), 1, True)
            say(f"    to stunnel with full handshakes: {f.ratio(aead.name, full.name):.2f}")
    finally:
        full.stop()


def held_memory(tunnel):
    holder = subprocess.Popen([LOAD, "hold", str(tunnel.port), str(HELD)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    try:
        import select
        if not select.select([holder.stdout], [], [], patience())[0] or holder.stdout.readline().strip() != "held":
            raise TimeoutError(f"{tunnel.name}: {HELD} connections did not come about")
        return [s.memory() for s in tunnel.sidecars]
    finally:
        holder.kill()
        holder.communicate()


def measure_memory(tls, aead):
    found = {t.name: held_memory(t) for t in (tls, aead)}
    for name, each in found.items():
        say(f"{HELD} connections, {name}: " + " and ".join(f"{m:.1f} MB" for m in each) + " resident (server side, client side)")
    judge(f"MB for {HELD} connections, the larger side", max(found[aead.name]), 40, False)


def run(part, things):
    folder, realm, server, backend, raw, tls, aead, wrap = things
    if part == "throughput":
        measure_throughput(raw, tls, aead)
    elif part == "wrap":
        measure_wrap(realm, wrap)
    elif part == "ping":
        measure_ping(backend, raw, tls, aead)
    elif part == "open":
        measure_open(folder, server, tls, aead)
    elif part == "memory":
        measure_memory(tls, aead)
    else:
        raise ValueError(f"no part is called {part}")


def main():
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with Realm() as realm, tempfile.TemporaryDirectory() as folder:
        folder, server = pathlib.Path(folder), free_port()
        running = [Process(LOAD, "serve", server)]
        try:
            wait_port(server)
            running.append(stunnel("stunnel", folder, server))
            running.append(gage("gage aead", realm, server))
            running.append(gage("gage wrap", realm, server, "--records", "wrap"))
            for part in PARTS:
                try:
                    run(part, (folder, realm, server, running[0], Tunnel("raw TCP", server), *running[1:]))
                except (TimeoutError, subprocess.TimeoutExpired, RuntimeError) as e:
                    failures.append(part)
                    say(f"{part}: NOT MEASURED: {e}")
        finally:
            for p in running:
                p.stop()
    say(f"{len(failures)} of the bars missed: {'; '.join(failures)}" if failures else "every bar is reached")
    return 1 if failures else 0


sys.exit(main())
