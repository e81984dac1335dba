/* step.h - one call of gss_init_sec_context or gss_accept_sec_context (RFC 2744 sections 5.19, 5.1), in a form that another thread can
 * run: it may block for a KDC or a replay cache. What came of it is looked at afterwards, in the owner's thread. */
#ifndef GAGE_HANDSHAKE_STEP_H
#define GAGE_HANDSHAKE_STEP_H

#include "handshake/gss.h"

#define STEP_TOKEN_MAX 131072 /* of either direction: real tickets reach 64 KiB */

struct gss_step {
    /* set before */
    bool initiator;
    gss_OID mech;       /* initiator: what to use; GSS_C_NO_OID is the library's default */
    gss_name_t target;  /* initiator; borrowed */
    gss_cred_id_t cred; /* borrowed */
    /* Unless NULL: an initiator's credential for one step, and its giving back, in the thread that runs the step */
    gss_cred_id_t (*take)(void *context, void **use);
    void (*give)(void *context, void *use);
    void *context_of_take;
    OM_uint32 want; /* GSS_C_..._FLAG, initiator */
    gage_buf in;    /* the peer's token; empty for the initiator's first step */
    /* kept between steps */
    gss_ctx_id_t context;
    /* found after */
    OM_uint32 major, minor;
    gss_OID used_mech;   /* whose `minor` is */
    gss_buffer_desc out; /* to the peer unless empty: a token, or on failure the mechanism's error token */
};

void gss_step_init(struct gss_step *step, bool initiator);
void gss_step_cleanup(struct gss_step *step);
/* Runs one call; empties `in`. */
void gss_step_run(struct gss_step *step);
/* What came of it: *complete, or more is needed, or the mechanism's failure in words. */
gage_rc gss_step_result(const struct gss_step *step, bool *complete, struct gage_err *err);

#endif
