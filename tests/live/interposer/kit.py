"""What the tests of gage_proxy.so share: daemons whose clients load it, both daemons, both sides of a context."""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, "..", "proxyd"))
from daemon import OURS, PACKAGED, PLUGIN, PROGRAM, Daemon, run_client, wait_for  # noqa: E402,F401
from realm import REALM, Realm  # noqa: E402,F401

BOTH_ROLES = """[service/test]
  mechs = krb5
  euid = {uid}
  socket = {dir}/sock
  cred_store = keytab:{keytab}
  cred_store = client_keytab:{keytab}
  cred_store = ccache:FILE:{dir}/service-cache
  krb5_principal = gage/localhost
  trusted = yes
"""
LOGGED = "debug_level = 1\n"  # each call is a line of the log


def daemon_for(realm, *args, plugin=OURS, **more):
    made = Daemon(realm, *args, **more)
    made.plugin = plugin
    return made


def pair(daemon, role, *extra, behavior="REMOTE_FIRST", env=None, **more):
    """A context and messages both ways: `role` with the plugin, the other side without."""
    peer = daemon.path("peer.json")
    with open(peer, "w") as f:
        json.dump(daemon.realm.env, f)
    env = dict(env or daemon.client_env(behavior, **more), PEER_ENV=peer)
    return run_client("pair", "host@localhost", role, *extra, env=env)


def first_token(realm, target="host@localhost", *extra):
    return run_client("initiate", target, *extra, env=realm.env)["token"]


def calls(daemon, procedure):
    """How often gage-proxyd executed it so far (with LOGGED)."""
    return daemon.text().count(f'event=call service="test" procedure="{procedure}"')
