#include "stream/state.h"

#include <time.h>

#include "base/encode.h"

#define NAME_MAX_LEN 1024
#define EXPORTED_MAX 65536
#define SECOND ((int64_t)1000000000)
#define DEMANDED_FLAGS                                                                                                 \
    (GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG)

static gage_rc
export_name(gss_name_t name, gss_OID mech, gage_buf *out, struct gage_err *err)
{
    OM_uint32 minor;
    AUTO(gss_buffer_desc) bytes = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_export_name(&minor, name, &bytes);
    if (major != GSS_S_COMPLETE)
        return gss_fail(err, major, minor, mech, "a name of the context cannot be exported");
    put_bytes(out, gss_slice(&bytes));
    return buf_check(out, err);
}

static gage_rc
display_name(gss_name_t name, gss_OID mech, gage_buf *out, struct gage_err *err)
{
    OM_uint32 minor;
    AUTO(gss_buffer_desc) text = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_display_name(&minor, name, &text, NULL);
    if (major != GSS_S_COMPLETE)
        return gss_fail(err, major, minor, mech, "the peer's name cannot be displayed");
    REQUIRE(text.length <= NAME_MAX_LEN, err, GAGE_E_LIMIT, "the peer's name has %zu bytes, more than %d", text.length,
            NAME_MAX_LEN);
    put_escaped_name(out, gss_slice(&text));
    put_u8(out, 0);
    return buf_check(out, err);
}

static int64_t
expiry(OM_uint32 lifetime, int64_t now)
{
    return lifetime == GSS_C_INDEFINITE ? INT64_MAX : now + (int64_t)lifetime * SECOND;
}

/* Names of both sides, flags and lifetime into s->peer; says in *self whether both names are one. */
static gage_rc
inquire(gage_stream *s, int64_t now, bool *self, struct gage_err *err)
{
    OM_uint32 minor, lifetime = 0, flags = 0;
    gss_OID mech = GSS_C_NO_OID;
    AUTO(gss_name_t) initiator = GSS_C_NO_NAME;
    AUTO(gss_name_t) acceptor = GSS_C_NO_NAME;
    AUTO(gage_buf) own = GAGE_BUF(EXPORTED_MAX);
    OM_uint32 major =
        gss_inquire_context(&minor, s->step.context, &initiator, &acceptor, &lifetime, &mech, &flags, NULL, NULL);
    if (major != GSS_S_COMPLETE)
        return gss_fail(err, major, minor, mech, "the security context cannot be inquired");
    TRY(export_name(s->initiator ? acceptor : initiator, mech, &s->peer_exported, err));
    TRY(display_name(s->initiator ? acceptor : initiator, mech, &s->peer_name, err));
    TRY(export_name(s->initiator ? initiator : acceptor, mech, &own, err));
    *self = slice_equal(gage_buf_slice(&own), gage_buf_slice(&s->peer_exported));
    s->peer = (struct gage_stream_peer){.name = (const char *)s->peer_name.p,
                                        .exported = gage_buf_slice(&s->peer_exported),
                                        .mech = mech,
                                        .flags = flags,
                                        .initiator = s->initiator,
                                        .expires = expiry(lifetime, now)};
    s->expires = s->peer.expires;
    s->peer_known = true;
    return GAGE_DONE;
}

gage_rc
peer_check(gage_stream *s, int64_t now, struct gage_err *err)
{
    bool self;
    TRY(inquire(s, now, &self, err));
    REQUIRE((s->peer.flags & DEMANDED_FLAGS) == DEMANDED_FLAGS, err, GAGE_E_UNSUPPORTED,
            "the context lacks mutual authentication, confidentiality, integrity, replay detection or sequencing "
            "(flags %#x)",
            (unsigned)s->peer.flags);
    REQUIRE(
        !self || s->config.allow_self, err, GAGE_E_REFUSED,
        "the peer has our own name: a connection to ourselves, or through somebody who sends us back (--allow-self)");
    return s->config.authorise == NULL ? GAGE_DONE : s->config.authorise(s->config.authorise_context, &s->peer, err);
}
