"""In a network and mount namespace of its own: an NFS server, a daemon whose socket the kernel does not know, a first RPCSEC_GSS request to
the server, and a daemon that comes after it. Prints what both say until they have registered or were refused."""
import os
import re
import socket
import struct
import subprocess

from world import PROGRAM, REGISTRATION, read, run, write

CONF = """[gssproxy]
state_dir = /run/early
[service/nfs-server]
  mechs = krb5
  socket = SOCKET
  cred_store = keytab:/etc/krb5.keytab
  kernel_nfsd = yes
  euid = 0
"""


def first_request():
    """RFC 5531, RFC 2203: a NULL call whose credential begins a context; its token is of no mechanism."""
    credential = struct.pack(">5I", 1, 1, 0, 1, 0)
    call = struct.pack(">8I", 7, 0, 2, 100003, 4, 0, 6, len(credential)) + credential + struct.pack(">2I", 0, 0) + struct.pack(">I4s", 4, b"none")
    with socket.create_connection(("127.0.0.1", 2049), timeout=60) as s:
        s.sendall(struct.pack(">I", 0x80000000 | len(call)) + call)
        s.settimeout(1)
        try:
            s.recv(4)
        except TimeoutError:
            pass  # the old way has nobody to ask here


def start(socket_path):
    """A daemon, until it says how its registration went."""
    write("/run/early/gssproxy.conf", CONF.replace("SOCKET", socket_path))
    daemon = subprocess.Popen([PROGRAM, "-i", "-c", "/run/early/gssproxy.conf", "-s", "/run/early/default.sock"], stderr=subprocess.PIPE, text=True)
    for line in daemon.stderr:
        if re.search(r"event=kernel_", line):
            print(line, end="")
            break
    daemon.terminate()
    daemon.wait()


def main():
    run("mount", "-t", "tmpfs", "early", "/run")
    os.makedirs("/run/early")
    run("busybox", "ip", "link", "set", "lo", "up")
    run("mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd")
    run("rpc.nfsd", "1")
    start("/run/early/sock")
    assert read(REGISTRATION) == "-1\n"
    first_request()
    start("/run/gssproxy.sock")
    run("rpc.nfsd", "0")


if __name__ == "__main__":
    main()
