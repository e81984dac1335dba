/* seam.h - what the exported calls share: the handles' env, buffers given to the caller, missing arguments. Each exported call checks its
 * arguments, takes the context's lock, calls the core and translates the result once. */
#ifndef GAGE_OTC_SEAM_H
#define GAGE_OTC_SEAM_H

#include <gssapi/gssapi_ext.h>

#include "otc/context.h"
#include "otc/name.h"
#include "otc/oid.h"
#include "otc/status.h"

#define OTC_EXPORT __attribute__((visibility("default")))

/* The system's randomness and clock, now. */
struct otc_env otc_env_now(void);
/* The system's randomness, drawn once for what one call needs: each draw costs as much as two HMACs. Starts zeroed; cleanup wipes. */
struct otc_drawn {
    struct gage_rng rng;
    uint8_t bytes[64];
    size_t left;
};
const struct gage_rng *otc_draw_once(struct otc_drawn *drawn);
void otc_drawn_cleanup(struct otc_drawn *drawn);
typedef struct otc_drawn otc_drawn;
GAGE_AUTO_DEFINE(otc_drawn, otc_drawn_cleanup)

/* An empty buffer, where the caller gave one; what it had is not ours. */
void otc_clear(gss_buffer_t buffer);
/* Gives the bytes away: gss_release_buffer frees them. `from` is empty afterwards. `to` may be NULL. */
void otc_give(gage_buf *from, gss_buffer_t to);
/* The caller's bytes; bad (*ok false) for a length without bytes. NULL is empty. */
gage_slice otc_take(const gss_buffer_desc *buffer, bool *ok);

/* A name handle for the party of a context or credential; NOMEM leaves *out GSS_C_NO_NAME. */
gage_rc otc_give_party(const struct otc_credential *credential, bool initiator, bool vouched, gss_name_t *out);

/* Mechanism calls that the GSS headers do not declare. */
OM_uint32 gssspi_acquire_cred_with_password(OM_uint32 *minor, const gss_name_t desired_name,
                                            const gss_buffer_t password, OM_uint32 time_req,
                                            const gss_OID_set desired_mechs, gss_cred_usage_t usage,
                                            gss_cred_id_t *output, gss_OID_set *actual_mechs, OM_uint32 *time_rec);
OM_uint32 gssspi_authorize_localname(OM_uint32 *minor, const gss_name_t name, gss_const_buffer_t user,
                                     gss_const_OID type);
OM_uint32 gss_internal_release_oid(OM_uint32 *minor, gss_OID *oid);

#endif
