/* spec.h - what a credential is, in the terms of a service's configuration: enough to acquire it, and to acquire it again. It is what
 * credential handles hold, so that a handle outlives the tickets behind it and a renewal is the daemon's work. */
#ifndef GAGE_PROXYD_SPEC_H
#define GAGE_PROXYD_SPEC_H

#include "proxyd/call.h"
#include "proxyd/conv.h"
#include "proxyd/store.h"

#define SPEC_BYTES_MAX 8192

struct cred_spec {
    gss_cred_usage_t usage;
    uid_t uid;                          /* acting: whose patterns the store expands to */
    bool service_keytab;                /* the service's own name: the keytab serves as client keytab too */
    bool impersonate;                   /* S4U2Self and S4U2Proxy for `name` */
    bool default_name;                  /* `name` is the service's krb5_principal: the client asked for none */
    int64_t until;                      /* as long as was asked for, seconds since 1970; 0: no bound */
    gage_buf name;                      /* display form; empty: none asked for */
    gage_buf name_type;                 /* OID; empty: the mechanism's default */
    gss_OID_desc mechs[CONF_MECHS_MAX]; /* point into mech_bytes */
    size_t mech_count;
    gage_buf mech_bytes;
};

void spec_free(struct cred_spec *spec);
typedef struct cred_spec cred_spec;
GAGE_AUTO_DEFINE(cred_spec, spec_free)

#define SPEC_EMPTY                                                                                                     \
    {                                                                                                                  \
        .name = {.max = 4096}, .name_type = {.max = 128}, .mech_bytes = {.max = CONF_MECHS_MAX * 64 }                  \
    }

/* What a client's wish means under its service: who acts, under which name, with which of the service's mechanisms. An empty set of
 * mechanisms is all of them. NO_CRED where the service allows none of them or not the usage. */
bool spec_from_wish(struct call *call, const gssx_name *desired, gss_cred_usage_t usage, const gssx_OID_set *mechs,
                    struct cred_spec *spec);
/* Bounds it to the seconds asked for (0 and GSS_C_INDEFINITE: no bound), where its mechanisms may heed that: MIT's krb5 and SPNEGO do not. */
void spec_bound(struct call *call, uint64_t seconds, struct cred_spec *spec);
/* What a credential handle stands for where it is stored: krb5's in place of SPNEGO's, which is the same one. */
void spec_for_storing(struct cred_spec *spec);
/* What a credential handle stands for where it accepts. krb5_principal is a default and no bound: with a handle acquired without a name a
 * ticket for any principal of the keytab is good, as with gssproxy; a name that the client asked for does bind. */
void spec_for_accepting(struct cred_spec *spec);
/* Adds the mechanisms and the usage of `more`. */
bool spec_add(struct call *call, struct cred_spec *spec, const struct cred_spec *more);

void spec_encode(const struct cred_spec *spec, gage_buf *out);
gage_rc spec_decode(gage_slice bytes, struct cred_spec *spec);

/* Acquires it. False with the call's status set. */
bool spec_acquire(struct call *call, const struct cred_spec *spec, struct cred_store *store, gss_cred_id_t *cred);

#endif
