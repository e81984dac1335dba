"""The plugin's side of the interop tests: python3-gssapi on the system's GSS library, which loads the installed gage_otc.so."""
import gss

gss.use_otc()  # before the library is loaded

import gssapi  # noqa: E402
from gssapi import raw  # noqa: E402

from otc_core import NO_BINDINGS, bindings_of  # noqa: E402
from otc_pair import NAME_OF  # noqa: E402
from otc_store import secret_text  # noqa: E402

MECH = raw.OID(elements=gss.OTC)
USER = raw.import_name(b"anybody", raw.NameType.user)

def name_of(error):
    """The name, in section 13 of doc/otc.md, of a failure's minor status."""
    return NAME_OF.get(error.min_code, hex(error.min_code))


def channel(data, **addresses):
    """The same bindings for python3-gssapi and for the second implementation."""
    kind, address = addresses.get("kind", 0), addresses.get("address", b"")
    return raw.ChannelBindings(kind, address, kind, address, data), bindings_of(kind, address, kind, address, data)


NONE = (None, NO_BINDINGS)


def acquire(usage, store):
    return raw.acquire_cred_from({k.encode(): v.encode() for k, v in store.items()}, None, mechs=[MECH], usage=usage).creds


class Initiator:
    """token1 at once, then step(token 2) -> token 3."""

    def __init__(self, store, flags=(raw.RequirementFlag.replay_detection, raw.RequirementFlag.out_of_sequence_detection), bindings=None,
                 lifetime=None):
        self.options = {"creds": acquire("initiate", store) if isinstance(store, dict) else store, "mech": MECH,
                        "flags": list(flags), "channel_bindings": bindings, "lifetime": lifetime}
        made = raw.init_sec_context(USER, **self.options)
        self.context, self.token1, self.more = made.context, made.token, made.more_steps

    def step(self, token):
        made = raw.init_sec_context(USER, context=self.context, input_token=token, **self.options)
        self.context, self.more, self.flags, self.lifetime = made.context, made.more_steps, made.flags, made.lifetime
        return made.token


class Acceptor:
    """step(token 1) -> token 2, then finish(token 3)."""

    def __init__(self, store, bindings=None):
        self.creds = acquire("accept", store) if isinstance(store, dict) else store
        self.bindings, self.context = bindings, None

    def feed(self, token):
        made = raw.accept_sec_context(token, self.creds, self.context, self.bindings)
        self.context, self.more, self.flags, self.lifetime = made.context, made.more_steps, made.flags, made.lifetime
        return made.token

    step = finish = feed


def link(secret, **more):
    return {"otc_secret": secret_text(secret), **more}
