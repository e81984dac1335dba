"""bench/seal: gage seal and unseal beside the packaged age, in one run on this machine; prints ratios and the bars they are to reach.

    bench/seal [--quick] [MEBIBYTES]      everything in $GAGE_BENCH_FOLDER, by default /dev/shm, so that no disk is measured: room for five times the size, and
                                          400 MB for the large keyring

Each pair of runs takes turns, after one that counts for nothing; each writes a file that was not there. The best of each counts. Resident memory
is the peak (ru_maxrss) of the process that becomes the command's program. The 1,000,000 pairings are looked for by `gage unseal` in a fresh process, all of which
counts, and the 1,000 in a program that has the keyring open."""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/live/seal"))
from people import GAGE, Folder  # noqa: E402

BUILT = ROOT / "build/obj/bench"
FILES, MANY, SOME = 1000, 1_000_000, 1000


def run(*words):
    """Seconds, and the peak of resident memory in KiB."""
    done = subprocess.run([BUILT / "bench_seal_run", *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, (words, done.stderr)
    seconds, peak = done.stderr.splitlines()[-1].split()
    return float(seconds), int(peak)


def tell(what, figures, value, bar, form, at_most=False):
    good = value <= bar if at_most else value >= bar
    print(f"{what}: {figures}; {form.format(value)} (bar: at {'most' if at_most else 'least'} {form.format(bar)}){'' if good else '  NOT REACHED'}", flush=True)


class Bench:
    def __init__(self, size, quick):
        self.size, self.quick, self.repeats = size, quick, 3 if quick else 4
        self.f = Folder()
        os.rmdir(self.f.path)
        self.f.path = self.path = pathlib.Path(tempfile.mkdtemp(prefix="gage-bench-", dir=os.environ.get("GAGE_BENCH_FOLDER", "/dev/shm")))
        self.f.pair("alice", "bob")
        subprocess.run(["age-keygen", "-o", self.path / "key"], check=True, capture_output=True)
        self.to = subprocess.run(["age-keygen", "-y", self.path / "key"], check=True, capture_output=True, text=True).stdout.strip()

    def seal(self, to, *files):
        return [GAGE, "seal", "--keyring", self.f.ring("alice"), "--to", "bob", "--output", to, *files]

    def take_turns(self, ours, theirs, outputs):
        """The best seconds of each, and the highest peak of each."""
        best, peak = [1e9, 1e9], [0, 0]
        for turn in range(self.repeats + 1):
            for i, words in enumerate((ours, theirs)):
                outputs[i].unlink(missing_ok=True)
                seconds, memory = run(*words)
                if turn > 0:
                    best[i], peak[i] = min(best[i], seconds), max(peak[i], memory)
        return best, peak

    def large(self):
        data, ours, theirs, back, back2 = (self.path / n for n in ("data", "ours.seal", "theirs.age", "back", "back2"))
        with open(data, "wb") as out:
            for _ in range(self.size):
                out.write(os.urandom(1 << 20))
        peaks = []
        for name, bar, mine, other, outputs in (
                ("seal", 1.5, self.seal(ours, data), ["age", "-r", self.to, "-o", theirs, data], (ours, theirs)),
                ("unseal", 2, [GAGE, "unseal", "--keyring", self.f.ring("bob"), "--output", back, ours],
                 ["age", "-d", "-i", self.path / "key", "-o", back2, theirs], (back, back2))):
            (a, b), (peak, other_peak) = self.take_turns(mine, other, outputs)
            peaks.append(peak)
            tell(f"{name} {self.size} MiB", f"gage {a:.3f} s, age {b:.3f} s", b / a, bar, "{:.2f} times age's speed")
            print(f"  resident: gage {peak * 1024 / 1e6:.2f} MB, age {other_peak * 1024 / 1e6:.2f} MB")
        subprocess.run(["cmp", data, back], check=True)
        tell("resident memory", "the higher of both", max(peaks) * 1024 / 1e6, 8, "{:.2f} MB", at_most=True)
        for file in (data, ours, theirs, back, back2):
            file.unlink()

    def small(self):
        folder, sealed, one = self.path / "small", self.path / "sealed", self.path / "one"
        folder.mkdir()
        for i in range(FILES):
            (folder / str(i)).write_bytes(b"%d" % i)
        names = sorted(folder.iterdir())
        a = 1e9
        for _ in range(self.repeats):
            subprocess.run(["rm", "-rf", sealed], check=True)
            sealed.mkdir()
            a = min(a, run(*self.seal(sealed, *names))[0])
        b = 0
        for name in names[:FILES // 5 if self.quick else FILES]:
            b += run("age", "-r", self.to, "-o", one, name)[0]
        b *= 5 if self.quick else 1
        tell(f"{FILES} small files", f"gage in one run {a:.3f} s, age in {FILES} runs {b:.2f} s", b / a, 20, "{:.0f} times faster")

    def find(self):
        """One of few pairings in a running process, one of many in a fresh one."""
        bench = BUILT / "bench_seal_keyring"
        note, seal = self.path / "note", self.path / "note.seal"
        note.write_bytes(b"one line\n")
        subprocess.run(self.seal(seal, note), check=True)
        subprocess.run([bench, "fill", self.f.ring("bob"), str(SOME)], check=True)
        times = [float(subprocess.run([bench, "find", self.f.ring("bob"), seal, "2000"], check=True, capture_output=True).stdout) for _ in range(5)]
        tell(f"one of {SOME} pairings, running", f"5 times 2000: {min(times):.1f} to {max(times):.1f} us", statistics.median(times), 50, "median {:.1f} us", at_most=True)
        if self.quick:
            print(f"one of {MANY} pairings: not in a quick run")
            return
        subprocess.run([bench, "fill", self.f.ring("bob"), str(MANY)], check=True)
        words = [GAGE, "unseal", "--keyring", self.f.ring("bob"), "--output", "-", seal]
        run(*words)
        times = [1000 * run(*words)[0] for _ in range(15)]
        tell(f"one of {MANY} pairings, gage unseal in a fresh process", f"15 runs: {min(times):.1f} to {max(times):.1f} ms", statistics.median(times), 15, "median {:.1f} ms", at_most=True)
        print(f"  of that, for the same with one pairing: {1000 * statistics.median(run(*words[:3], self.path / 'one.ring', *words[4:])[0] for _ in range(15)):.1f} ms")


def main():
    words = [w for w in sys.argv[1:] if w != "--quick"]
    quick = len(words) < len(sys.argv) - 1
    b = Bench(int(words[0]) if words else 256 if quick else 1024, quick)
    try:
        subprocess.run(["cp", b.f.ring("bob"), b.path / "one.ring"], check=True)
        b.large()
        b.small()
        b.find()
    finally:
        b.f.remove()


if __name__ == "__main__":
    main()
