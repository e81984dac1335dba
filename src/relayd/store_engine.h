/* store_engine.h - what a database engine does for the store: load the records of a batch, write them back in one durable
 * transaction, read one outside of it. The engines know rows; what an operation means is store_record.h's. */
#ifndef GAGE_RELAYD_STORE_ENGINE_H
#define GAGE_RELAYD_STORE_ENGINE_H

#include "relayd/store_record.h"

/* The working set of one transaction. */
struct batch {
    struct record *records; /* `max` of them */
    size_t count, max;
    uint64_t mailboxes, bytes; /* in the database before the batch; filled by begin */
    uint64_t capacity;         /* how many reserved bytes in all the disk can hold; UINT64_MAX: not known */
    int64_t mailboxes_delta, bytes_delta;
    gage_buf scratch; /* for the engine: encoded heads */
};

/* Mailboxes removed by one step of the sweep. */
#define SWEEP_STEP 256
struct swept {
    uint8_t tag[SWEEP_STEP][KEYED_LEN];
    size_t count;
};

struct engine;

struct engine_ops {
    /* Reads need no network: store_try works, and reads run in the calling thread. Else a thread of their own runs them. */
    bool local;
    /* Other relays may write to the same database. */
    bool shared;

    void (*close)(struct engine *engine);

    /* Starts a transaction, looks up every record of the batch by tag or create key, locks it against other relays, and fills
     * the usage. Absent ones keep present == false. */
    gage_rc (*begin)(struct engine *engine, struct batch *batch, struct gage_err *err);
    /* Writes what changed and commits durably. GAGE_E_STATE: another relay was faster, nothing happened, run the batch again.
     * On any failure the transaction is over. */
    gage_rc (*commit)(struct engine *engine, struct batch *batch, struct gage_err *err);
    /* Ends the transaction without a change. */
    void (*end)(struct engine *engine);

    /* Answers reads outside a transaction through answer_read, and sets need[i] for each. Thread-safe where `local`, else
     * called from one thread. `writer`: the caller may use what begin, commit and the rest use, now. On failure nothing is
     * answered. */
    gage_rc (*read)(struct engine *engine, struct store_op **ops, enum read_need *need, size_t count, bool writer,
                    struct gage_err *err);

    /* Removes at most SWEEP_STEP mailboxes that expired at or before `now`, durably. */
    gage_rc (*sweep)(struct engine *engine, int64_t now, struct swept *swept, struct gage_err *err);
    /* Makes removed bytes unrecoverable, where the engine can. */
    gage_rc (*scrub)(struct engine *engine, struct gage_err *err);
    /* Whether a transaction can be written now; repairs the connection after a failure. */
    gage_rc (*probe)(struct engine *engine, struct gage_err *err);
    /* From another thread, at closing time: whatever waits for the network gives up. NULL where nothing does. */
    void (*interrupt)(struct engine *engine);
    /* Usage as last known; thread-safe. */
    void (*usage)(struct engine *engine, uint64_t *mailboxes, uint64_t *bytes);
};

/* Each engine's struct begins with this. */
struct engine {
    const struct engine_ops *ops;
};

/* What an engine may call back, any thread. */
struct engine_hooks {
    void *context;
    /* Another relay changed a mailbox; tag NULL: changes may have been missed. */
    void (*changed)(void *context, const uint8_t *tag, enum store_role writer, uint64_t version);
    /* A warning that is not a failure. */
    void (*warn)(void *context, const struct gage_err *err);
};

/* Open the database and make or upgrade the schema. `check` is the key's mark (relay_key_check), compared with the database's; a
 * fresh database takes it over. The hooks are copied. */
gage_rc sqlite_engine_open(const char *path, const uint8_t check[KEYED_LEN], const struct engine_hooks *hooks,
                           struct engine **out, struct gage_err *err);
gage_rc postgres_engine_open(const char *url, const uint8_t check[KEYED_LEN], const struct engine_hooks *hooks,
                             struct engine **out, struct gage_err *err);

#define STORE_SCHEMA 1

#endif
