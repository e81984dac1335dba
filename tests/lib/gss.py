"""The GSS-API as C programs see it, through ctypes: every major and minor status, and what a failed call leaves in its outputs.

python3-gssapi hides both behind exceptions and lacks some calls (gss_pseudo_random, gss_localname, gss_userok). Each function here is one
call of the system's library and returns a Result: major, minor and the outputs by name. `.ok()` gives the Result back, or raises with the
texts of both statuses. Handles are c_void_p; nothing is released, for these are short test processes.

`use_otc()` writes the mech.d line of the plugin under test and must be called before anything that loads the library.
"""
import atexit
import ctypes
import os
import pathlib
import shutil
import tempfile
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from types import SimpleNamespace

ROOT = pathlib.Path(__file__).resolve().parents[2]
PREFIX = pathlib.Path(os.environ.get("GAGE_PREFIX", ROOT / "build/root"))
OTC = bytes.fromhex("2a864886f71401be40937a81be7882ac2b874981964782e26f83cea20782b59137")
OTC_TEXT = "1.2.840.113556.1.8000.2554.24440.38443.969.19271.45423.7573767.5064887"
KRB5 = bytes.fromhex("2a864886f712010202")
NT_USER, NT_HOST = bytes.fromhex("2a864886f71201020101"), bytes.fromhex("2a864886f71201020104")
NT_ANONYMOUS, NT_EXPORT, NT_COMPOSITE = (bytes.fromhex("2b060105060" + n) for n in "346")

BOTH, INITIATE, ACCEPT = 0, 1, 2
INDEFINITE = 0xFFFFFFFF
DELEG, MUTUAL, REPLAY, SEQUENCE, CONF, INTEG, ANON, PROT_READY, TRANS = 1, 2, 4, 8, 16, 32, 64, 128, 256
CHANNEL_BOUND, DCE_STYLE, IDENTIFY, EXTENDED_ERROR = 0x800, 0x1000, 0x2000, 0x4000
COMPLETE, CONTINUE, DUPLICATE, OLD, UNSEQ, GAP = 0, 1, 2, 4, 8, 16
(BAD_MECH, BAD_NAME, BAD_NAMETYPE, BAD_BINDINGS, BAD_STATUS, BAD_SIG, NO_CRED, NO_CONTEXT, DEFECTIVE_TOKEN, DEFECTIVE_CREDENTIAL,
 CREDENTIALS_EXPIRED, CONTEXT_EXPIRED, FAILURE, BAD_QOP, UNAUTHORIZED, UNAVAILABLE, DUPLICATE_ELEMENT,
 NAME_NOT_MN) = (n << 16 for n in range(1, 19))
IOV_DATA, IOV_HEADER, IOV_TRAILER, IOV_PADDING, IOV_STREAM, IOV_SIGN_ONLY, IOV_MIC = 1, 2, 7, 9, 10, 11, 12
ALLOCATE = 0x10000


class Buffer(Structure):
    _fields_ = [("length", c_size_t), ("value", c_void_p)]


class Oid(Structure):
    _fields_ = [("length", c_uint32), ("elements", c_void_p)]


class OidSet(Structure):
    _fields_ = [("count", c_size_t), ("elements", POINTER(Oid))]


class BufferSet(Structure):
    _fields_ = [("count", c_size_t), ("elements", POINTER(Buffer))]


class Bindings(Structure):
    _fields_ = [("initiator_addrtype", c_uint32), ("initiator_address", Buffer),
                ("acceptor_addrtype", c_uint32), ("acceptor_address", Buffer), ("application_data", Buffer)]


class StoreElement(Structure):
    _fields_ = [("key", c_char_p), ("value", c_char_p)]


class Store(Structure):
    _fields_ = [("count", c_uint32), ("elements", POINTER(StoreElement))]


class Iov(Structure):
    _fields_ = [("type", c_uint32), ("buffer", Buffer)]


def use_otc():
    folder = tempfile.mkdtemp(prefix="gage-mech-")
    owner = os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
    path = os.path.join(folder, "gage_otc.conf")
    with open(path, "w") as f:
        f.write(f"gage_otc {OTC_TEXT} {PREFIX}/lib/gage/gss/gage_otc.so\n")
    os.environ["GSS_MECH_CONFIG"] = path
    return path


class Error(Exception):
    def __init__(self, result):
        super().__init__(f"major {result.major:#x}, minor {result.minor:#x}: {text_of(result.minor)}")
        self.result = result


class Result(SimpleNamespace):
    @property
    def failed(self):
        return self.major & 0xFFFF0000 != 0

    def ok(self):
        if self.failed:
            raise Error(self)
        return self


library = None


def call(function, /, *args, **outputs):
    """Calls gss_FUNCTION(&minor, args...). Outputs are ctypes objects that the arguments point to; they are unpacked into the Result."""
    global library
    library = library or ctypes.CDLL("libgssapi_krb5.so.2")
    entry = getattr(library, "gss_" + function)
    entry.restype = c_uint32
    minor = c_uint32()
    major = entry(byref(minor), *args)
    return Result(major=major, minor=minor.value, **{key: unpack(value) for key, value in outputs.items()})


def unpack(value):
    if isinstance(value, Buffer):
        return bytes_of(value)
    if isinstance(value, (c_uint32, c_int)):
        return value.value
    if isinstance(value, POINTER(Oid)):
        return oid_bytes(value.contents) if value else None
    if isinstance(value, POINTER(OidSet)):
        return [oid_bytes(value.contents.elements[i]) for i in range(value.contents.count)] if value else None
    if isinstance(value, POINTER(BufferSet)):
        return [bytes_of(value.contents.elements[i]) for i in range(value.contents.count)] if value else None
    return value


def bytes_of(buffer):
    return ctypes.string_at(buffer.value, buffer.length) if buffer.value else b""


def oid_bytes(oid):
    return ctypes.string_at(oid.elements, oid.length)


def buffer(data):
    if data is None:
        return Buffer(0, None)
    held = ctypes.create_string_buffer(bytes(data), max(len(data), 1))
    made = Buffer(len(data), ctypes.cast(held, c_void_p))
    made.held = held
    return made


def oid(value):
    """A pointer to the OID, or NULL for None."""
    if value is None:
        return None
    held = ctypes.create_string_buffer(value, len(value))
    made = Oid(len(value), ctypes.cast(held, c_void_p))
    made.held = held
    return ctypes.pointer(made)


def oid_set(values):
    if values is None:
        return None
    array = (Oid * len(values))(*[oid(v).contents for v in values])
    array.held = [oid(v) for v in values]
    for element, pointer in zip(array, array.held):
        element.elements = pointer.contents.elements
    made = OidSet(len(values), array)
    made.held = array
    return ctypes.pointer(made)


def bindings(data=None, initiator=(0, None), acceptor=(0, None)):
    made = Bindings(initiator[0], buffer(initiator[1]), acceptor[0], buffer(acceptor[1]), buffer(data))
    made.held = [buffer(initiator[1]), buffer(acceptor[1]), buffer(data)]
    made.initiator_address, made.acceptor_address, made.application_data = made.held
    return made


# Statuses

def text_of(minor, mech=OTC, kind=2):
    out, more = Buffer(), c_uint32()
    call("display_status", c_uint32(minor), c_int(kind), oid(mech), byref(more), byref(out))
    return bytes_of(out).decode()


# Names

def import_name(data, kind=NT_USER):
    name = c_void_p()
    return call("import_name", byref(buffer(data)), oid(kind), byref(name), name=name)


def display_name(name):
    out, kind = Buffer(), POINTER(Oid)()
    return call("display_name", name, byref(out), byref(kind), text=out, kind=kind)


def compare_name(one, two):
    equal = c_int()
    return call("compare_name", one, two, byref(equal), equal=equal)


def canonicalize_name(name, mech=OTC):
    out = c_void_p()
    return call("canonicalize_name", name, oid(mech), byref(out), name=out)


def duplicate_name(name):
    out = c_void_p()
    return call("duplicate_name", name, byref(out), name=out)


def export_name(name):
    out = Buffer()
    return call("export_name", name, byref(out), data=out)


def inquire_name(name):
    is_mn, mech, attributes = c_int(), POINTER(Oid)(), POINTER(BufferSet)()
    return call("inquire_name", name, byref(is_mn), byref(mech), byref(attributes), is_mn=is_mn, mech=mech, attributes=attributes)


def get_name_attribute(name, attribute):
    authenticated, complete, value, shown, more = c_int(), c_int(), Buffer(), Buffer(), c_int(-1)
    return call("get_name_attribute", name, byref(buffer(attribute)), byref(authenticated), byref(complete), byref(value), byref(shown),
                byref(more), authenticated=authenticated, complete=complete, value=value, shown=shown, more=more)


def localname(name, mech=OTC):
    out = Buffer()
    return call("localname", name, oid(mech), byref(out), text=out)


def authorize_localname(name, user):
    return call("authorize_localname", name, user)


def userok(name, user):
    """gss_userok answers 1 or 0 and has no statuses."""
    call("release_buffer", byref(Buffer()))
    library.gss_userok.restype = c_int
    return library.gss_userok(name, user)


# Credentials

def acquire(store=None, password=None, usage=INITIATE, name=None, time=INDEFINITE, mech=OTC):
    cred, mechs, left = c_void_p(), POINTER(OidSet)(), c_uint32()
    outputs = {"cred": cred, "mechs": mechs, "left": left}
    want = [c_uint32(time), oid_set(mech and [mech]), c_int(usage)]
    ends = [byref(cred), byref(mechs), byref(left)]
    if password is not None:
        name = name or import_name(b"anybody").ok().name
        return call("acquire_cred_with_password", name, byref(buffer(password)), *want, *ends, **outputs)
    if store is not None:
        elements = (StoreElement * max(len(store), 1))(*[StoreElement(k.encode(), v.encode()) for k, v in store])
        return call("acquire_cred_from", name, *want, byref(Store(len(store), elements)), *ends, **outputs)
    return call("acquire_cred", name, *want, *ends, **outputs)


def inquire_cred(cred):
    name, left, usage, mechs = c_void_p(), c_uint32(), c_int(), POINTER(OidSet)()
    return call("inquire_cred", cred, byref(name), byref(left), byref(usage), byref(mechs), name=name, left=left, usage=usage, mechs=mechs)


def inquire_cred_by_mech(cred, mech=OTC):
    name, initiate, accept, usage = c_void_p(), c_uint32(), c_uint32(), c_int()
    return call("inquire_cred_by_mech", cred, oid(mech), byref(name), byref(initiate), byref(accept), byref(usage),
                name=name, initiate=initiate, accept=accept, usage=usage)


def export_cred(cred):
    out = Buffer()
    return call("export_cred", cred, byref(out), token=out)


def import_cred(token):
    cred = c_void_p()
    return call("import_cred", byref(buffer(token)), byref(cred), cred=cred)


# Contexts

def init(cred, token=b"", context=None, flags=REPLAY | SEQUENCE, target=None, time=0, binding=None, mech=OTC):
    context = context if context is not None else c_void_p()
    out, got, left, actual = Buffer(), c_uint32(), c_uint32(), POINTER(Oid)()
    target = target or import_name(b"anybody").ok().name
    return call("init_sec_context", cred, byref(context), target, oid(mech), c_uint32(flags), c_uint32(time),
                byref(binding) if binding is not None else None, byref(buffer(token)), byref(actual), byref(out), byref(got), byref(left),
                context=context, token=out, flags=got, left=left, mech=actual)


def accept(cred, token, context=None, binding=None):
    context = context if context is not None else c_void_p()
    source, out, got, left, mech, delegated = c_void_p(), Buffer(), c_uint32(), c_uint32(), POINTER(Oid)(), c_void_p()
    return call("accept_sec_context", byref(context), cred, byref(buffer(token)), byref(binding) if binding is not None else None,
                byref(source), byref(mech), byref(out), byref(got), byref(left), byref(delegated),
                context=context, source=source, mech=mech, token=out, flags=got, left=left, delegated=delegated)


def delete(context, with_token=False):
    out = Buffer()
    return call("delete_sec_context", byref(context), byref(out) if with_token else None, token=out)


def process(context, token):
    return call("process_context_token", context, byref(buffer(token)))


def inquire_context(context):
    source, target, left, mech, flags, local, opened = (c_void_p(), c_void_p(), c_uint32(), POINTER(Oid)(), c_uint32(), c_int(), c_int())
    return call("inquire_context", context, byref(source), byref(target), byref(left), byref(mech), byref(flags), byref(local),
                byref(opened), source=source, target=target, left=left, mech=mech, flags=flags, local=local, open=opened)


def context_time(context):
    left = c_uint32()
    return call("context_time", context, byref(left), left=left)


def export_context(context):
    out = Buffer()
    return call("export_sec_context", byref(context), byref(out), token=out)


def import_context(token):
    context = c_void_p()
    return call("import_sec_context", byref(buffer(token)), byref(context), context=context)


def pseudo_random(context, data, length, key=0):
    out = Buffer()
    return call("pseudo_random", context, c_int(key), byref(buffer(data)), ctypes.c_ssize_t(length), byref(out), data=out)


# Messages

def wrap(context, data, conf=1, qop=0):
    out, state = Buffer(), c_int(-1)
    return call("wrap", context, c_int(conf), c_uint32(qop), byref(buffer(data)), byref(state), byref(out), token=out, conf=state)


def unwrap(context, token):
    out, state, qop = Buffer(), c_int(-1), c_uint32(99)
    return call("unwrap", context, byref(buffer(token)), byref(out), byref(state), byref(qop), data=out, conf=state, qop=qop)


def get_mic(context, data, qop=0):
    out = Buffer()
    return call("get_mic", context, c_uint32(qop), byref(buffer(data)), byref(out), token=out)


def verify_mic(context, data, token):
    qop = c_uint32(99)
    return call("verify_mic", context, byref(buffer(data)), byref(buffer(token)), byref(qop), qop=qop)


def wrap_size_limit(context, output, conf=1, qop=0):
    limit = c_uint32()
    return call("wrap_size_limit", context, c_int(conf), c_uint32(qop), c_uint32(output), byref(limit), limit=limit)


def iov_array(parts):
    """parts: (type, bytes or None). Keeps the memory alive in .held."""
    array = (Iov * len(parts))()
    array.held = [buffer(data) for _, data in parts]
    for element, (kind, _), held in zip(array, parts, array.held):
        element.type, element.buffer = kind, held
    return array


def iov_call(name, context, parts, *between):
    """One of the IOV calls; .parts are the buffers' contents afterwards, .types their types."""
    array = iov_array(parts)
    result = call(name, context, *between, array, c_int(len(parts)))
    result.parts = [bytes_of(element.buffer) for element in array]
    result.types = [element.type for element in array]
    return result


def wrap_iov(context, parts, conf=1, qop=0, call_name="wrap_iov"):
    state = c_int(-1)
    result = iov_call(call_name, context, parts, c_int(conf), c_uint32(qop), byref(state))
    result.conf = state.value
    return result


def unwrap_iov(context, parts):
    state, qop = c_int(-1), c_uint32(99)
    result = iov_call("unwrap_iov", context, parts, byref(state), byref(qop))
    result.conf, result.qop = state.value, qop.value
    return result


def get_mic_iov(context, parts, qop=0, call_name="get_mic_iov"):
    return iov_call(call_name, context, parts, c_uint32(qop))


def verify_mic_iov(context, parts):
    qop = c_uint32(99)
    return iov_call("verify_mic_iov", context, parts, byref(qop))


# Mechanisms

def indicate_mechs():
    mechs = POINTER(OidSet)()
    return call("indicate_mechs", byref(mechs), mechs=mechs)


def inquire_attrs(mech=OTC):
    mine, known = POINTER(OidSet)(), POINTER(OidSet)()
    return call("inquire_attrs_for_mech", oid(mech), byref(mine), byref(known), attributes=mine, known=known)


def inquire_saslname(mech=OTC):
    sasl, name, text = Buffer(), Buffer(), Buffer()
    return call("inquire_saslname_for_mech", oid(mech), byref(sasl), byref(name), byref(text), sasl=sasl, name=name, text=text)


def inquire_names(mech=OTC):
    kinds = POINTER(OidSet)()
    return call("inquire_names_for_mech", oid(mech), byref(kinds), kinds=kinds)
