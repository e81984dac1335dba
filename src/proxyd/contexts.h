/* contexts.h - security contexts between calls. What goes to the client as `state` is either the context itself, sealed, or (where keys
 * stay inside, or a mechanism cannot export a half-open context) an identifier of one that lives here.
 *
 * A sealed state is good for one use: each use gives a successor, and the older one is refused, so that nobody rolls a replay window or
 * a handshake back. Both kinds end with the daemon. Thread-safe. */
#ifndef GAGE_PROXYD_CONTEXTS_H
#define GAGE_PROXYD_CONTEXTS_H

#include "proxyd/call.h"
#include "proxyd/context_book.h"
#include "proxyd/conv.h"

/* A context a call works on. */
struct live_context {
    gss_ctx_id_t ctx;
    bool resident; /* lives in the table */
    bool fresh;    /* began with this call */
    uint8_t id[CONTEXT_ID_LEN];
    uint64_t born;   /* sequence number of its first sealing */
    uint32_t serial; /* uses so far */
    uid_t uid;       /* owner */
};

struct context_table *contexts_new(void);
void contexts_free(struct context_table **table);
/* Half-open contexts never leave: for a process whose GSS library is itself the client of a proxy, whose plugin (gssproxy's proxymech.so)
 * dereferences null when such a context is exported. Before any thread. */
void contexts_keep_half_open(struct context_table *table);

/* A new one, without a GSS context yet. */
void context_begin(struct call *call, struct live_context *live);
/* Opens a state. NO_CONTEXT where it is none of ours for this client, was used before, or is from before a restart. */
bool context_open(struct call *call, gage_slice state, struct live_context *live);
/* Opens it for a look that changes nothing: the state stays good. End with context_look_end. */
bool context_look(struct call *call, gage_slice state, struct live_context *live);
void context_look_end(struct call *call, struct live_context *live);
/* Gives the context back and writes its state (and, for an established one that may leave, the exported token) to *to; consumes
 * live->ctx in any case. `half_open`: not established yet. */
bool context_close(struct call *call, struct live_context *live, bool half_open, gssx_ctx *to);
/* Ends it: deletes the context, and what it left in the table. */
void context_drop(struct call *call, struct live_context *live);
/* Forgets what has expired. */
void contexts_sweep(struct context_table *table, int64_t now);
/* How many live in the table. */
size_t contexts_count(struct context_table *table);

#endif
