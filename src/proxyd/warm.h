/* warm.h - credentials kept ready: acquired once for all calls that mean the same, checked at every use, renewed before they end.
 *
 * Two calls mean the same where service, configuration, acting uid, expanded store, usage, mechanisms and name agree and the files
 * behind (keytab, ticket cache) are the same files as then. Each call has its credential for itself while it uses it. An acquisition
 * that others wait for happens once; its failure is told to all who waited and not kept. Thread-safe. */
#ifndef GAGE_PROXYD_WARM_H
#define GAGE_PROXYD_WARM_H

#include "proxyd/spec.h"

struct warm_entry;

struct warm_use {
    struct warm_entry *entry;
    gss_cred_id_t cred; /* the caller's until warm_give */
};

struct warm_pool *warm_new(void);
void warm_free(struct warm_pool **pool);

/* A credential for the spec. False with the call's status set. May block: on a KDC, on NSS, on another call's acquisition. */
bool warm_take(struct warm_pool *pool, struct call *call, const struct cred_spec *spec, struct warm_use *use);
/* Gives it back; `good` false drops it rather than keep it. A zeroed use is fine. */
void warm_give(struct warm_pool *pool, struct warm_use *use, bool good);
/* Fills a zeroed *to with the credential's description (cred_describe), lifetimes as of now, and its sealed handle. */
bool warm_describe(struct call *call, struct warm_use *use, const struct cred_spec *spec, gssx_cred *to);
/* Drops what was acquired under older configurations and what nobody used for ten minutes. */
void warm_sweep(struct warm_pool *pool, int64_t now, uint64_t oldest_generation);

#endif
