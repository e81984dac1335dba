/* seam.h - what the exported calls share: visibility, buffers given to the caller, objects of the GSS library that release themselves. */
#ifndef GAGE_INTERPOSER_SEAM_H
#define GAGE_INTERPOSER_SEAM_H

#include <gssapi/gssapi_ext.h>

#include "interposer/mech.h"
#include "interposer/remote.h"

#define INTERPOSER_EXPORT __attribute__((visibility("default")))

/* Which row of rpc/proc.h. */
enum {
    PROC_IMPORT_AND_CANON_NAME = 3,
    PROC_ACQUIRE_CRED = 6,
    PROC_INIT_SEC_CONTEXT = 8,
    PROC_ACCEPT_SEC_CONTEXT = 9,
    PROC_RELEASE_HANDLE = 10,
    PROC_GET_MIC = 11,
    PROC_VERIFY = 12,
    PROC_WRAP = 13,
    PROC_UNWRAP = 14,
    PROC_WRAP_SIZE_LIMIT = 15,
};

/* ---- released at scope end ---- */

typedef gss_buffer_desc owned_buffer; /* wiped: it may hold keys */
void owned_buffer_free(owned_buffer *buffer);
GAGE_AUTO_DEFINE(owned_buffer, owned_buffer_free)
void seam_release_name(gss_name_t *name);
GAGE_AUTO_DEFINE(gss_name_t, seam_release_name)
void seam_release_cred(gss_cred_id_t *cred);
GAGE_AUTO_DEFINE(gss_cred_id_t, seam_release_cred)

/* ---- who is asked ---- */

/* How one exported call is done on a side, with its arguments in `call`. */
typedef bool (*way)(void *call, struct outcome *o);
struct ways {
    way side[2]; /* by enum side */
};
/* Asks the sides in their order until one does it, and ends the exported call. */
OM_uint32 seam_run(const struct sides *sides, const struct ways *ways, void *call, OM_uint32 *minor);

/* ---- buffers ---- */

/* An empty buffer, where the caller gave one; what it had is not ours. */
void seam_clear(gss_buffer_t buffer);
/* A copy for the caller, which gss_release_buffer frees; false where memory is short. `to` may be NULL. */
bool seam_give(gage_slice bytes, gss_buffer_t to);
/* Gives away what was decoded: no copy. */
void seam_move(octet_string *from, gss_buffer_t to);
gage_slice seam_slice(const gss_buffer_desc *buffer);
/* A borrowed view for an argument of a call. */
octet_string seam_view(const gss_buffer_desc *buffer);
octet_string seam_view_slice(gage_slice bytes);
gss_buffer_desc seam_buffer(const octet_string *from);

#endif
