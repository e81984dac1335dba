"""AMQP 1.0 parts for tests/live/stream/amqp.py: a broker over Proton, RabbitMQ with its own node, clients over Proton and rhea."""
import collections
import os
import subprocess
import sys
import tempfile

from proton import Message
from proton.handlers import MessagingHandler
from proton.reactor import Container

BATCH = 500


class Broker(MessagingHandler):
    """Queues by address; every message goes to one consumer that has credit."""

    def __init__(self, url):
        super().__init__(auto_accept=True)
        self.url, self.queues, self.consumers = url, collections.defaultdict(collections.deque), collections.defaultdict(list)

    def on_start(self, event):
        self.acceptor = event.container.listen(self.url)
        print("ready", flush=True)

    def on_link_opening(self, event):
        link = event.link
        link.source.address, link.target.address = link.remote_source.address, link.remote_target.address
        if link.is_sender:
            self.consumers[link.source.address].append(link)

    def on_sendable(self, event):
        self.dispatch(event.link.source.address)

    def on_message(self, event):
        address = event.link.target.address
        self.queues[address].append(event.message)
        self.dispatch(address)

    def on_link_closing(self, event):
        if event.link.is_sender:
            self.consumers[event.link.source.address].remove(event.link)

    def dispatch(self, address):
        queue = self.queues[address]
        for link in self.consumers[address]:
            while queue and link.credit > 0:
                link.send(queue.popleft())


class Exchange(MessagingHandler):
    """Sends `count` messages to an address and receives them back; each carries its number."""

    def __init__(self, url, address, count):
        super().__init__(prefetch=BATCH)
        self.url, self.address, self.count = url, address, count
        self.sent = self.accepted = 0
        self.received = []

    def on_start(self, event):
        connection = event.container.connect(self.url, allowed_mechs="ANONYMOUS", reconnect=False)
        event.container.create_receiver(connection, self.address)
        event.container.create_sender(connection, self.address)

    def on_sendable(self, event):
        while event.sender.credit and self.sent < self.count:
            event.sender.send(Message(body=f"message {self.sent}"))
            self.sent += 1

    def on_message(self, event):
        self.received.append(event.message.body)
        if len(self.received) == self.count:
            event.connection.close()

    def on_transport_error(self, event):
        raise RuntimeError(f"transport: {event.transport.condition}")


def exchange(port, address, count):
    handler = Exchange(f"amqp://127.0.0.1:{port}", address, count)
    Container(handler).run()
    return handler.received


RHEA = """
const rhea = require('rhea'), [port, address, count] = [+process.argv[2], process.argv[3], +process.argv[4]];
let sent = 0, received = 0, ordered = true;
rhea.on('connection_open', c => { c.connection.open_receiver({source: address, credit_window: 500}); c.connection.open_sender(address); });
rhea.on('sendable', c => { while (c.sender.sendable() && sent < count) c.sender.send({body: 'message ' + sent++}); });
rhea.on('message', c => {
  ordered = ordered && c.message.body === 'message ' + received;
  if (++received === count) { console.log(received + ' ' + ordered); c.connection.close(); }
});
rhea.on('disconnected', c => { if (received !== count) { console.error('disconnected'); process.exit(1); } });
rhea.connect({host: '127.0.0.1', port, username: 'anonymous', reconnect: false});
"""


def rhea_folder(root):
    """rhea from the npm registry, installed once under build/."""
    folder = root / "build/npm"
    if not (folder / "node_modules/rhea").exists():
        folder.mkdir(parents=True, exist_ok=True)
        authorities = {"NODE_EXTRA_CA_CERTS": "/etc/ssl/certs/ca-certificates.crt"}  # the system's, besides npm's own
        done = subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", "--fetch-retries=1", "--fetch-timeout=20000",
                               "--prefix", folder, "rhea@3"], env={**authorities, **os.environ}, capture_output=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError("npm cannot fetch rhea from its registry: is the network there? " + done.stderr.decode())
    return folder


def rhea_exchange(root, port, address, count):
    folder = rhea_folder(root)
    script = folder / "exchange.js"
    script.write_text(RHEA)
    done = subprocess.run(["node", script, str(port), address, str(count)], capture_output=True, text=True, timeout=90)
    if done.returncode != 0:
        raise RuntimeError("rhea: " + done.stdout + done.stderr)
    return done.stdout.strip()


class RabbitMQ:
    """A node of its own: own folder, own ports, own epmd; ended by pid."""
    BIN = "/usr/lib/rabbitmq/bin"

    def __init__(self, port, dist, epmd):
        self.port = port
        self.folder = tempfile.TemporaryDirectory(prefix="gage-rabbit-")
        path = self.folder.name
        with open(os.path.join(path, "plugins"), "w") as f:
            f.write("[rabbitmq_amqp1_0].\n")
        with open(os.path.join(path, "rabbit.conf"), "w") as f:
            f.write(f"listeners.tcp.1 = 127.0.0.1:{port}\namqp1_0.default_user = guest\n")
        self.env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": path, "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": f"gage{os.getpid()}@localhost", "RABBITMQ_DIST_PORT": str(dist),
            "ERL_EPMD_PORT": str(epmd), "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_MNESIA_BASE": path + "/mnesia",
            "RABBITMQ_LOG_BASE": path + "/log", "RABBITMQ_ENABLED_PLUGINS_FILE": path + "/plugins",
            "RABBITMQ_CONFIG_FILE": path + "/rabbit.conf", "RABBITMQ_CONF_ENV_FILE": path + "/none",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}"}
        quiet = dict(env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.epmd = subprocess.Popen(["epmd", "-port", str(epmd), "-address", "127.0.0.1"], **quiet)
        self.server = subprocess.Popen([self.BIN + "/rabbitmq-server"], start_new_session=True, **quiet)

    def stop(self):
        subprocess.run([self.BIN + "/rabbitmqctl", "stop"], env=self.env, capture_output=True, timeout=60)
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.epmd.terminate()
        self.epmd.wait()
        self.folder.cleanup()


if __name__ == "__main__":
    Container(Broker(f"127.0.0.1:{sys.argv[1]}")).run()
