/* context.h - a context: the real mechanism's, or the daemon's, of which the real mechanism's is made when a message first needs it. */
#ifndef GAGE_INTERPOSER_CONTEXT_H
#define GAGE_INTERPOSER_CONTEXT_H

#include "interposer/cred.h"

struct context {
    pthread_mutex_t lock; /* guards wire, whose state each call of the daemon's replaces, and the making of local */
    const struct mech *mech;
    gss_ctx_id_t local; /* the real mechanism's, or none (yet) */
    bool remote;        /* wire is the daemon's */
    bool complete;
    gssx_ctx wire;
    gssx_cred kept; /* of the default ticket cache, for the legs to come of a context that was begun with it */
    int64_t told;   /* by clock_monotonic_ns: when wire's lifetime began */
};

static inline struct context *
context_of(gss_ctx_id_t handle)
{
    return (struct context *)(void *)handle;
}

static inline gss_ctx_id_t
context_handle(struct context *context)
{
    return (gss_ctx_id_t)(void *)context;
}

bool context_new(const struct mech *mech, struct context **out, struct outcome *o);
/* Tells the daemon where it keeps the context; wipes. */
void context_free(struct context *context);
/* Whether the daemon keeps the keys: messages go to it. */
bool context_is_kept(const struct context *context);
/* The real mechanism's context, imported from what the daemon exported where that was not done yet. Borrowed. A failure says why there is
 * none. */
bool context_local(struct context *context, gss_ctx_id_t *out, struct outcome *o);
/* Takes a new state from a result. */
void context_take(struct context *context, gssx_ctx *from);
/* The daemon's flags, without those that do not hold here: what it keeps cannot be passed on, and no message goes before the last leg. */
OM_uint32 context_flags(const struct context *context);
/* Of the wire's lifetime what is left. */
OM_uint32 context_left(const struct context *context);

/* The GSS library's form of a token for a mechanism, and back: four bytes of length, OID, token. */
bool token_for(const struct mech *mech, gage_slice token, gage_buf *out);
bool token_of(gage_slice exported, gage_slice *oid, gage_slice *token);

#endif
