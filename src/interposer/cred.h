/* cred.h - a credential: the real mechanism's, or the daemon's, of which this process holds a sealed handle and nothing else. */
#ifndef GAGE_INTERPOSER_CRED_H
#define GAGE_INTERPOSER_CRED_H

#include "interposer/name.h"

struct cred {
    pthread_rwlock_t lock; /* guards wire, which calls read, for as long as the daemon takes, and may renew */
    const struct mech *mech;
    gss_cred_id_t local; /* the real mechanism's, or none */
    bool remote;         /* wire is the daemon's */
    gssx_cred wire;
    int64_t told; /* by clock_monotonic_ns: when its lifetimes began */
};

static inline struct cred *
cred_of(gss_cred_id_t handle)
{
    return (struct cred *)(void *)handle;
}

static inline gss_cred_id_t
cred_handle(struct cred *cred)
{
    return (gss_cred_id_t)(void *)cred;
}

/* Each takes what *local or *wire holds, also where it fails. */
bool cred_from_local(const struct mech *mech, gss_cred_id_t *local, struct cred **out, struct outcome *o);
bool cred_from_wire(const struct mech *mech, gssx_cred *wire, struct cred **out, struct outcome *o);
/* Tells the daemon where it keeps something for it; wipes. */
void cred_free(struct cred *cred);

/* The daemon's credential, to be sent along, by several threads at once: unchanged from cred_lend to cred_return. NULL for none. */
gssx_cred *cred_lend(struct cred *cred);
/* The same for one caller alone, who may change it. */
gssx_cred *cred_lend_alone(struct cred *cred);
void cred_return(struct cred *cred);
/* Replaces the daemon's credential by what it sent of it (the option sync_creds), where there is that option. The caller has not lent it. */
void cred_sync(struct cred *cred, const gssx_options *options);

/* What the daemon said of it: its element of the mechanism, its name, remaining seconds (either may be NULL), usage. */
struct cred_facts {
    const gssx_name *name;
    OM_uint32 initiate, accept; /* seconds left, 0 where it is not for that */
    gss_cred_usage_t usage;
};
void cred_facts(const struct cred *cred, struct cred_facts *facts);

/* Of remaining seconds told then, those left now; GSS_C_INDEFINITE stays. */
OM_uint32 seconds_left(uint64_t seconds, int64_t told);
gssx_cred_usage usage_to_wire(gss_cred_usage_t usage);

/* Wipes and releases. */
void wire_cred_free(gssx_cred *wire);

/* A wish for a credential, and how each side fulfils it. */
struct wish {
    const struct mech *mech;
    struct name *name; /* or NULL */
    OM_uint32 time;
    gss_cred_usage_t usage;
    gss_const_key_value_set_t store; /* or NULL */
    gss_const_buffer_t password;     /* or NULL */
    struct cred *impersonator;       /* or NULL */
    bool impersonate;
    struct cred *made;
};
bool wish_local(void *wish, struct outcome *o);
bool wish_remote(void *wish, struct outcome *o);
/* An acceptor's or initiator's default credential of the real mechanism. The caller releases it. */
bool default_local_cred(const struct mech *mech, gss_cred_usage_t usage, gss_cred_id_t *out, struct outcome *o);

#endif
