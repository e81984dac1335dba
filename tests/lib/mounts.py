"""A mount namespace for a child process: subprocess.Popen(..., preexec_fn=own_mounts). As root (CAP_SYS_ADMIN, CAP_SYS_CHROOT)."""
import ctypes
import os

NEW_MOUNTS, BIND, MOVE, RECURSIVE, PRIVATE = 0x20000, 1 << 12, 1 << 13, 1 << 14, 1 << 18
LIBC = ctypes.CDLL(None, use_errno=True)


def check(failed):
    if failed:
        raise OSError(ctypes.get_errno(), "a mount namespace: " + os.strerror(ctypes.get_errno()))


def mount(source, target, kind=None, flags=0, options=None):
    check(LIBC.mount(*(None if text is None else os.fsencode(text) for text in (source, target, kind)), ctypes.c_ulong(flags),
                     None if options is None else os.fsencode(options)))


def own_mounts():
    """Between fork and exec: a namespace of the caller's own, in which nothing it mounts is seen by others.

    Its "/" shows what the caller's showed, and is the first mount of all, so that the kernel tells others paths of this namespace as
    they are told inside. After a chroot neither would be so by unshare alone: the root is then a folder like any other, whose
    propagation cannot be changed, and paths are told with what leads to it. Entering a namespace, even one's own, leads out of that
    folder to the namespace's root; there a copy of the folder with all that is mounted below it takes the root's place.
    """
    check(LIBC.unshare(NEW_MOUNTS))
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    check(LIBC.setns(namespace, NEW_MOUNTS))
    mount(None, "/", flags=PRIVATE | RECURSIVE)
    os.fchdir(root)
    mount(".", "proc", flags=BIND | RECURSIVE)  # any folder that is surely there: it is covered for this moment alone
    os.chdir("proc")
    mount(".", "/", flags=MOVE)
    os.chroot(".")
    os.close(root)
    os.close(namespace)
