"""A private PostgreSQL server for tests: `with Postgres() as pg: pg.url`, or postgres.py COMMAND, which runs COMMAND with
GAGE_STORE_URL and GAGE_STORE_KEY set. fsync stays on. It listens on a unix socket in its own folder only, and runs as the user
postgres where we are root (the server refuses to)."""
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time


def programs():
    """The folder of the newest packaged server."""
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if not found:
        raise RuntimeError("no PostgreSQL server: apt-get install postgresql")
    return os.path.dirname(max(found, key=lambda p: int(p.split("/")[4])))


class Postgres:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="gage-pg-")
        self.data = os.path.join(self.folder, "data")
        self.key = os.path.join(self.folder, "relay.key")
        self.url = f"postgresql:///postgres?host={self.folder}&user=postgres"
        self.server = None

    def as_server(self):
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []

    def __enter__(self):
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
        os.chmod(self.folder, 0o711)
        subprocess.run(self.as_server() + [programs() + "/initdb", "-D", self.data, "-A", "trust", "-U", "postgres",
                                           "-E", "UTF8", "--locale=C", "--no-sync"],
                       check=True, stdout=subprocess.DEVNULL)
        self.start()
        return self

    def start(self, *settings):
        """Starts the server with extra NAME=VALUE settings and waits until it answers."""
        command = self.as_server() + [programs() + "/pg_ctl", "-D", self.data, "-w", "-t", "60", "-s",
                                      "-l", self.data + "/log", "-o",
                                      " ".join(["-c listen_addresses=''", f"-k {self.folder}"] +
                                               [f"-c {s}" for s in settings])]
        for attempt in range(100):
            done = subprocess.run(command + ["start"], capture_output=True)
            if done.returncode == 0:
                return
            time.sleep(0.1)  # after kill(): the last of the old server's processes is still going
        raise RuntimeError(done.stderr.decode())

    def stop(self, mode="fast"):
        subprocess.run(self.as_server() + [programs() + "/pg_ctl", "-D", self.data, "-w", "-s", "-m", mode, "stop"],
                       check=True, stdout=subprocess.DEVNULL)

    def kill(self):
        """Ends the whole server with SIGKILL: its machine lost power, but for the disk."""
        with open(self.data + "/postmaster.pid") as pid_file:
            pid = int(pid_file.readline())
        with open(f"/proc/{pid}/task/{pid}/children") as children_file:
            victims = [pid, *map(int, children_file.read().split())]
        for victim in victims:
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def sql(self, text):
        """Runs SQL and gives back what psql prints."""
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.url, "-c", text],
                              check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def environment(self):
        return {**os.environ, "GAGE_STORE_URL": self.url, "GAGE_STORE_KEY": self.key}

    def __exit__(self, *_):
        try:
            self.stop("immediate")
        except subprocess.CalledProcessError:
            pass
        shutil.rmtree(self.folder, ignore_errors=True)


if __name__ == "__main__":
    with Postgres() as pg:
        sys.exit(subprocess.run(sys.argv[1:], env=pg.environment()).returncode)
