/* cred.h - the credential a call names: opened from a handle or the service's default, usable until given back.
 *
 * A handle holds either a spec (the daemon acquires by it and keeps the tickets) or an exported credential (delegated to the service, or
 * got by impersonation: it cannot be acquired again). */
#ifndef GAGE_PROXYD_CRED_H
#define GAGE_PROXYD_CRED_H

#include "proxyd/warm.h"

struct cred_ref {
    bool by_spec;
    struct cred_spec spec;
    gage_buf token; /* of gss_export_cred, when not by spec */
};
typedef struct cred_ref cred_ref;
#define CRED_REF_EMPTY                                                                                                 \
    {                                                                                                                  \
        .spec = SPEC_EMPTY, .token = {.max = VAULT_PAYLOAD_MAX }                                                       \
    }
void cred_ref_free(struct cred_ref *ref);
GAGE_AUTO_DEFINE(cred_ref, cred_ref_free)

struct cred_use {
    struct warm_pool *pool;
    struct warm_use warm; /* by spec */
    gss_cred_id_t own;    /* else */
    gss_cred_id_t cred;   /* what to use: one of the two */
    bool from_token;      /* the client holds its tickets */
    char ccache[64];      /* of `own`, in memory; or empty */
};
typedef struct cred_use cred_use;
void cred_use_end(struct cred_use *use);
GAGE_AUTO_DEFINE(cred_use, cred_use_end)

/* Opens the handle of `in`. DEFECTIVE_CREDENTIAL where it is not one of ours for this client, CREDENTIALS_EXPIRED. */
bool cred_open(struct call *call, enum handle_kind kind, gage_slice handle, struct cred_ref *ref);
/* Makes it usable, with the options that the client put on its elements (`in` may be NULL). */
bool cred_begin(struct call *call, const struct cred_ref *ref, const gssx_cred *in, struct cred_use *use);
/* Both; with no handle, the service's default credential for the usage and mechanism. */
bool cred_begin_call(struct call *call, const gssx_cred *in, gss_cred_usage_t usage, gss_const_OID mech,
                     struct cred_use *use);

/* Describes the credential in use into a zeroed *to, handle included. */
bool cred_to_gssx(struct call *call, const struct cred_ref *ref, struct cred_use *use, gssx_cred *to);
/* A credential of the daemon's making (delegated, impersonated) as the client's handle. */
bool cred_export_to_gssx(struct call *call, gss_cred_id_t cred, gssx_cred *to);
/* Seals the payload of a handle of another kind (EXPORT_CRED). */
bool cred_seal_ref(struct call *call, enum handle_kind kind, const struct cred_ref *ref, gage_buf *out);

/* How many tickets a Kerberos credential holds; 0 where that cannot be told. */
size_t cred_ticket_count(gss_cred_id_t cred);

#endif
