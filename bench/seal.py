"""bench/seal: gage seal and unseal beside the packaged age, in one run on this machine; prints ratios.

    /usr/bin/python3 bench/seal.py [MEBIBYTES]      everything in $GAGE_BENCH_FOLDER, by default /dev/shm, so that no disk is measured: room for three times the size
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/live/seal"))
from people import GAGE, Folder  # noqa: E402

FILES = 1000
REPEATS = 3


def timed(words, **options):
    """Seconds, and the peak resident memory in KiB, of one process; the best of some."""
    best, peak = None, 0
    for _ in range(REPEATS):
        start = time.monotonic()
        process = subprocess.Popen([str(w) for w in words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        assert status == 0, words
        best = min(best or 1e9, time.monotonic() - start)
        peak = max(peak, usage.ru_maxrss)
    return best, peak


def main():
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    f = Folder()
    shutil.rmtree(f.path)
    f.path = pathlib.Path(tempfile.mkdtemp(prefix="gage-bench-", dir=os.environ.get("GAGE_BENCH_FOLDER", "/dev/shm")))
    try:
        f.pair("alice", "bob")
        subprocess.run(["age-keygen", "-o", f.path / "key"], check=True, capture_output=True)
        to = subprocess.run(["age-keygen", "-y", f.path / "key"], check=True, capture_output=True, text=True).stdout.strip()
        data, ours, theirs = f.path / "data", f.path / "ours.seal", f.path / "theirs.age"
        with open(data, "wb") as out:
            for _ in range(size):
                out.write(os.urandom(1 << 20))
        gage = lambda command, who, *w: [GAGE, command, "--keyring", f.ring(who), *w]  # noqa: E731
        pairs = (
            ("seal", gage("seal", "alice", "--to", "bob", "--force", "--output", ours, data), ["age", "-r", to, "-o", theirs, data]),
            ("unseal", gage("unseal", "bob", "--force", "--output", f.path / "o1", ours),
             ["age", "-d", "-i", f.path / "key", "-o", f.path / "o2", theirs]))
        for name, mine, other in pairs:
            a, peak = timed(mine)
            b, other_peak = timed(other)
            print(f"{name} {size} MiB: gage {a:.2f} s ({peak / 1024:.1f} MiB resident), age {b:.2f} s ({other_peak / 1024:.1f} MiB): {b / a:.2f} times age's speed", flush=True)
            for leftover in ("o1", "o2"):
                (f.path / leftover).unlink(missing_ok=True)
        small = f.path / "small"
        small.mkdir()
        for i in range(FILES):
            (small / str(i)).write_bytes(b"%d" % i)
        names = sorted(small.iterdir())
        (f.path / "sealed").mkdir()
        a, _ = timed(gage("seal", "alice", "--to", "bob", "--force", "--output", f.path / "sealed", *names))
        start = time.monotonic()
        for name in names:
            subprocess.run(["age", "-r", to, "-o", f.path / "one", name], check=True)
        b = time.monotonic() - start
        print(f"{FILES} small files: gage in one run {a:.3f} s, age in {FILES} runs {b:.2f} s: {b / a:.0f} times faster")
    finally:
        f.remove()


if __name__ == "__main__":
    main()
