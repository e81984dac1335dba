/* store_core.h - the store's inside: two lanes of work over one engine.
 *
 * Writes (and reads that must bind a claim) go through the write lane, whose thread gathers them into batches; on an idle store with
 * a local engine, a batch of one runs in the thread that asks. Where the engine is local, reads run in the thread that asks; else the
 * read lane's thread sends them to the database, many at a time.
 * Locks: who has `writer` is at a transaction, and runs the callbacks under it. A lane's lock and `state` are leaves: nothing else is
 * taken, and no callback runs, under either. */
#ifndef GAGE_RELAYD_STORE_CORE_H
#define GAGE_RELAYD_STORE_CORE_H

#include "relayd/store_engine.h"
#include "relayd/store_lane.h"

#define BATCH_BYTES ((size_t)32 << 20) /* payload in one transaction, beyond its first operation */

/* What a batch works with. */
struct workshop {
    struct batch batch;
    struct swept swept;
    struct store_op **ops;
};
gage_rc workshop_make(struct workshop *workshop, size_t batch_max, struct gage_err *err);
void workshop_free(struct workshop *workshop);

struct store {
    struct engine *engine;
    struct hmac_key key;
    size_t batch_max;
    void (*wake)(void *context, const uint8_t *tag, enum store_role writer, uint64_t version);
    void (*report)(void *context, bool serious, const struct gage_err *err);
    void *context;

    struct lane writes, reads;
    struct lane later;      /* writes that nobody waits for, without a thread: the next transaction takes them along */
    pthread_mutex_t writer; /* the engine's transactions, and: */
    struct workshop workshop;
    _Atomic int64_t busy_since_ns; /* monotonic: when its holder began, 0: nobody holds it, or only to read */
    _Atomic int64_t slow_until_ns; /* monotonic: the disk is slow, and until then nothing runs at once */

    pthread_mutex_t state; /* what follows */
    struct store_limits limits;
    struct store_stats stats;
    bool failing;
    struct gage_err failure;
    bool sweep_wanted, scrub_wanted;
    int64_t sweep_until;
};

/* The lanes' threads. */
void *store_run_writes(void *store);
void *store_run_reads(void *store);

/* Runs one batch of operations to their completion, under the writing lock. */
void store_run_batch(struct store *store, struct batch *batch, struct store_op **ops, size_t count);

/* Notes that the database failed or works again, and reports a change; a failure wakes the thread that looks for its end. */
void store_note(struct store *store, gage_rc rc, const struct gage_err *err);
/* Adds to a counter of stats. */
void store_count(struct store *store, uint64_t *counter, uint64_t n);

#endif
