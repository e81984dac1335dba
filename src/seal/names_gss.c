/* Exported names by way of the GSS library; what can be said without it stands in names.c. */
#include <stdio.h>
#include <string.h>

#include <gage/seal.h>

#include "seal/names.h"

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
