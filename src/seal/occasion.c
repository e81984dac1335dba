/* What a GSS context says of the occasion on which a carrier proves herself. */
#include <gage/seal.h>

#include "handshake/gss.h"
#include "base/bytes.h"

gage_rc
gage_carrier_occasion(gss_ctx_id_t context, gage_buf *occasion, struct gage_err *err)
{
    OM_uint32 minor;
    gss_buffer_desc label = gss_buffer_of(SLICE_LITERAL("gage-carrier-1"));
    AUTO(gss_buffer_desc) output = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_pseudo_random(&minor, context, GSS_C_PRF_KEY_FULL, &label, 32, &output);
    if (major != GSS_S_COMPLETE)
        return gss_fail(err, major, minor, GSS_C_NO_OID, "the context gives nothing to bind a proof to");
    put_bytes(occasion, gss_slice(&output));
    return buf_check(occasion, err);
}
