#include "seal/names.h"

#include <stdio.h>
#include <string.h>

#include <gage/seal.h>

#include "base/encode.h"
#include "handshake/mechanism.h"

#define EXPORTED_ID 0x0401
#define OID_TAG 0x06

/* 04 01, length of what follows (2), 06, length, the OID's value, ... */
const struct mechanism *
name_mechanism(gage_slice exported)
{
    struct reader r = read_from(exported);
    uint16_t id = get_u16(&r), framed = get_u16(&r);
    uint8_t tag = get_u8(&r);
    gage_slice value = get_vec8(&r);
    if (!read_ok(&r) || id != EXPORTED_ID || tag != OID_TAG || framed != value.n + 2)
        return NULL;
    gss_OID_desc oid = {(OM_uint32)value.n, (void *)(uintptr_t)value.p};
    return mechanism_of_oid(&oid);
}

bool
name_is_global(gage_slice exported)
{
    const struct mechanism *mechanism = name_mechanism(exported);
    return mechanism != NULL && mechanism->names_global;
}

gage_rc
name_export(gss_name_t name, gss_OID mech, gage_buf *exported, struct gage_err *err)
{
    OM_uint32 minor;
    AUTO(gss_buffer_desc) bytes = GSS_C_EMPTY_BUFFER;
    AUTO(gss_name_t) canonical = GSS_C_NO_NAME;
    OM_uint32 major = gss_export_name(&minor, name, &bytes);
    if (major != GSS_S_COMPLETE && mech != GSS_C_NO_OID) {
        major = gss_canonicalize_name(&minor, name, mech, &canonical);
        if (major == GSS_S_COMPLETE)
            major = gss_export_name(&minor, canonical, &bytes);
    }
    if (major != GSS_S_COMPLETE)
        return gss_fail(err, major, minor, mech, "the name cannot be exported");
    put_bytes(exported, gss_slice(&bytes));
    return buf_check(exported, err);
}

gage_rc
names_of_context(gss_ctx_id_t context, bool *we_initiated, gage_buf *initiator, gage_buf *acceptor,
                 struct gage_err *err)
{
    OM_uint32 minor;
    int local = 0, open = 0;
    gss_OID mech = GSS_C_NO_OID;
    AUTO(gss_name_t) from = GSS_C_NO_NAME;
    AUTO(gss_name_t) to = GSS_C_NO_NAME;
    OM_uint32 major = gss_inquire_context(&minor, context, &from, &to, NULL, &mech, NULL, &local, &open);
    if (major != GSS_S_COMPLETE)
        return gss_fail(err, major, minor, GSS_C_NO_OID, "the security context cannot be inquired");
    REQUIRE(open != 0, err, GAGE_E_STATE, "the security context is not established yet");
    REQUIRE(from != GSS_C_NO_NAME && to != GSS_C_NO_NAME, err, GAGE_E_UNSUPPORTED,
            "the mechanism tells no names of both parties: nothing could be sealed for them");
    *we_initiated = local != 0;
    TRY(name_export(from, mech, initiator, err));
    return name_export(to, mech, acceptor, err);
}

/* ---- text ---- */

static bool
display(gage_slice exported, gss_buffer_desc *text)
{
    OM_uint32 minor;
    gss_buffer_desc in = gss_buffer_of(exported);
    AUTO(gss_name_t) name = GSS_C_NO_NAME;
    return gss_import_name(&minor, &in, GSS_C_NT_EXPORT_NAME, &name) == GSS_S_COMPLETE &&
           gss_display_name(&minor, name, text, NULL) == GSS_S_COMPLETE;
}

void
gage_name_text(gage_slice exported, char text[GAGE_NAME_TEXT_MAX])
{
    const struct mechanism *mechanism = name_mechanism(exported);
    AUTO(gss_buffer_desc) shown = GSS_C_EMPTY_BUFFER;
    AUTO(gage_buf) clean = GAGE_BUF(8 * GAGE_SEAL_NAME_MAX);
    bool known = mechanism != NULL && display(exported, &shown);
    if (known)
        put_printable(&clean, gss_slice(&shown));
    else
        put_hex(&clean, exported);
    int room = clean.n < GAGE_NAME_TEXT_MAX - 20 ? (int)clean.n : GAGE_NAME_TEXT_MAX - 20;
    snprintf(text, GAGE_NAME_TEXT_MAX, "%s:%.*s", known ? mechanism->name : "other", room, (const char *)clean.p);
}

gage_rc
gage_name_parse(const char *text, gage_buf *exported, struct gage_err *err)
{
    char prefix[32];
    OM_uint32 minor;
    const struct mechanism *mechanism;
    const char *colon = strchr(text, ':');
    REQUIRE(colon != NULL && colon != text && (size_t)(colon - text) < sizeof prefix, err, GAGE_E_USAGE,
            "a party is written MECHANISM:NAME here, for example krb5:alice@EXAMPLE.ORG");
    snprintf(prefix, sizeof prefix, "%.*s", (int)(colon - text), text);
    TRY(mechanism_find(prefix, &mechanism, err));
    REQUIRE(mechanism->names_global, err, GAGE_E_UNSUPPORTED,
            "names of %s mean nothing by themselves: use the peer's alias (gage peers)", mechanism->name);
    gss_buffer_desc in = gss_buffer_of(slice_str(colon + 1));
    AUTO(gss_name_t) name = GSS_C_NO_NAME;
    OM_uint32 major = gss_import_name(&minor, &in, GSS_C_NT_USER_NAME, &name);
    if (major != GSS_S_COMPLETE)
        return gss_fail(err, major, minor, mechanism_oid(mechanism), "the name is not understood");
    return name_export(name, mechanism_oid(mechanism), exported, err);
}
