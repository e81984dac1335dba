"""Starts a virtual machine with Debian's kernel and this machine's files, in which stories.py runs, and passes its TAP lines on.

The machine's root is this machine's, read-only over 9p, so it has the same packages and this checkout at the same path; what it has besides,
script/guest has put into build/guest. It has no network. Instructions are emulated: where /dev/kvm is there but does not work, a machine on it
just stands still, and nothing would tell.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
PREFIX = os.environ.get("GAGE_PREFIX", os.path.join(CHECKOUT, "build", "root"))
GUEST = os.path.join(CHECKOUT, "build", "guest")
EARLY = ("virtio_pci", "9pnet_virtio", "9p", "overlay")  # modules that the machine's init needs


def modules(release):
    """The early modules and what they need, in the order of loading."""
    folder = os.path.join(GUEST, "root/usr/lib/modules", release)
    needs, order = {}, []
    with open(os.path.join(folder, "modules.dep")) as f:
        for line in f:
            path, rest = line.split(":")
            needs[path] = rest.split()
    paths = {os.path.basename(path).removesuffix(".ko"): path for path in needs}
    for name in EARLY:
        order += [path for path in [*reversed(needs[paths[name]]), paths[name]] if path not in order]
    return [os.path.join(folder, path) for path in order]


def make_initrd(folder):
    with open(os.path.join(GUEST, "release")) as f:
        release = f.read().strip()
    root = os.path.join(folder, "root")
    for name in ("bin", "modules", "proc", "dev", "host", "guest", "over", "new"):
        os.makedirs(os.path.join(root, name))
    shutil.copy(os.path.join(GUEST, "root/usr/bin/busybox"), os.path.join(root, "bin"))
    shutil.copy(os.path.join(HERE, "init"), root)
    with open(os.path.join(root, "modules/order"), "w") as order:
        for path in modules(release):
            shutil.copy(path, os.path.join(root, "modules"))
            order.write(os.path.basename(path) + "\n")
    names = "\n".join(os.path.relpath(os.path.join(at, name), root) for at, folders, files in os.walk(root) for name in folders + files)
    with open(os.path.join(folder, "initrd"), "wb") as archive:
        subprocess.run([os.path.join(GUEST, "root/usr/bin/busybox"), "cpio", "-o", "-H", "newc"], cwd=root, input=names.encode(),
                       stdout=archive, stderr=subprocess.DEVNULL, check=True)


def command(folder):
    shared = "local,path={},mount_tag={},security_model=none,readonly=on,multidevs=remap"
    return ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-nodefaults", "-no-user-config", "-nographic",
            "-nic", "none", "-no-reboot", "-kernel", os.path.join(GUEST, "vmlinuz"), "-initrd", os.path.join(folder, "initrd"),
            "-append", f"console=ttyS0 panic=-1 quiet systemd.unit=stories.service systemd.show_status=no systemd.journald.forward_to_console=1 "
            f"gage.checkout={CHECKOUT} gage.prefix={PREFIX}",
            "-serial", "file:" + os.path.join(folder, "console"), "-serial", "stdio",
            "-virtfs", shared.format("/", "host"), "-virtfs", shared.format(os.path.join(GUEST, "root"), "guest")]


def stop_on_signal(machine):
    """The test runner ends us when our time is over: the machine ends first, and its console is still told."""
    signal.signal(signal.SIGTERM, lambda *_: machine.terminate())


def run(folder):
    make_initrd(folder)
    machine = subprocess.Popen(command(folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")
    stop_on_signal(machine)
    planned = False
    bad = 0
    for line in machine.stdout:
        line = line.rstrip()
        planned = planned or line.startswith("1..")
        bad += line.startswith("not ok")
        print(line, flush=True)
    machine.wait()
    if bad or not planned:
        with open(os.path.join(folder, "console"), errors="replace") as f:
            print("".join("# " + line.rstrip() + "\n" for line in f.readlines()[-400:]), end="")
    if not planned:
        print("Bail out! the virtual machine ended before its stories")
    return 0 if planned and not bad else 1


def main():
    if not os.path.exists(os.path.join(GUEST, "done")):
        sys.exit("Bail out! build/guest is not there: run script/deps test")
    with tempfile.TemporaryDirectory(prefix="gage-guest-") as folder:
        sys.exit(run(folder))


if __name__ == "__main__":
    main()
