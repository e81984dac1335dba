/* gss.h - the seam to the GSS-API (RFC 2744): its failures become our results here, its objects release themselves. */
#ifndef GAGE_HANDSHAKE_GSS_H
#define GAGE_HANDSHAKE_GSS_H

#include <gssapi/gssapi.h>

#include "base/secret.h"

/* Fails with what the GSS-API said: "<what>: <major's text>: <minor's text>", both status values kept in *err. The code tells
 * classes apart: GAGE_E_EXPIRED (credentials or context), GAGE_E_USED (duplicate or old token), GAGE_E_SECRET (defective
 * credential), GAGE_E_AUTH (defective token, bad MIC), GAGE_E_MISMATCH (channel bindings), GAGE_E_UNSUPPORTED (unavailable,
 * bad mechanism), else GAGE_E_GSS. `mech` (may be GSS_C_NO_OID) is whose minor status it is. */
gage_rc gss_fail(struct gage_err *err, OM_uint32 major, OM_uint32 minor, gss_OID mech, const char *what);

/* Borrowed views of one another. */
gss_buffer_desc gss_buffer_of(gage_slice bytes);
gage_slice gss_slice(const gss_buffer_desc *buffer);

static inline void
gss_buffer_wipe(gss_buffer_desc *buffer)
{
    OM_uint32 minor;
    if (buffer->value != NULL)
        gage_wipe(buffer->value, buffer->length);
    gss_release_buffer(&minor, buffer);
}

static inline void
gss_name_drop(gss_name_t *name)
{
    OM_uint32 minor;
    if (*name != GSS_C_NO_NAME)
        gss_release_name(&minor, name);
}

static inline void
gss_cred_drop(gss_cred_id_t *cred)
{
    OM_uint32 minor;
    if (*cred != GSS_C_NO_CREDENTIAL)
        gss_release_cred(&minor, cred);
}

static inline void
gss_ctx_drop(gss_ctx_id_t *context)
{
    OM_uint32 minor;
    if (*context != GSS_C_NO_CONTEXT)
        gss_delete_sec_context(&minor, context, GSS_C_NO_BUFFER);
}

GAGE_AUTO_DEFINE(gss_buffer_desc, gss_buffer_wipe)
GAGE_AUTO_DEFINE(gss_name_t, gss_name_drop)
GAGE_AUTO_DEFINE(gss_cred_id_t, gss_cred_drop)
GAGE_AUTO_DEFINE(gss_ctx_id_t, gss_ctx_drop)

#endif
