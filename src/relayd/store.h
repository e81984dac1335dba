/* store.h - the relay's store of mailboxes: one narrow interface over SQLite (sqlite:///PATH) or PostgreSQL.
 *
 * The caller fills a struct store_op and submits it; the store calls op->done once, from one of its own threads, when the
 * effect is durable (group commit: what is queued while one fsync runs forms the next batch). The effect of a write, the
 * remembered request id with its reply and the new version are one transaction. Reads, wakes and version mismatches see
 * durable state only. What is in the database, and what an owner of a copy can and cannot do: doc/relay-store.md.
 * The requirements cited (R.., A..) are listed in doc/relay.md. */
#ifndef GAGE_RELAYD_STORE_H
#define GAGE_RELAYD_STORE_H

#include "base/bytes.h"
#include "base/encode.h"

/* Bounds of what a mailbox may hold, in bytes. Longer inputs are STORE_TOO_LARGE; the HTTP front has smaller ones. */
#define STORE_TYPE_MAX 64
#define STORE_DISPLAY_MAX 16384
#define STORE_TOKEN_MAX 4096
#define STORE_CLAIM_MAX 64
#define STORE_REQUEST_ID_MAX 128
#define STORE_PAYLOAD_MAX ((size_t)16 << 20)
/* Request ids remembered for each role of a mailbox, and relinquishments remembered for each mailbox (A2, A13). */
#define STORE_REMEMBERED 16

#define STORE_TAG_LEN 16

enum store_verb {
    STORE_CREATE,     /* R25: makes the mailbox, binds the initiator's claim */
    STORE_READ,       /* R32: the payload; the first foreign claim becomes the recipient (A4, A5) */
    STORE_DISPLAY,    /* R31: the preview; no claim, changes nothing (A10) */
    STORE_UPDATE,     /* R29: replaces the payload */
    STORE_RELINQUISH, /* R33: unbinds the recipient (A13) */
    STORE_DELETE,     /* R30 */
};

enum store_role { STORE_INITIATOR = 0, STORE_RECIPIENT = 1 };

/* Access rights (R28, A7), any combination; they apply to both roles. */
#define STORE_RIGHT_READ 1u
#define STORE_RIGHT_WRITE 2u
#define STORE_RIGHT_DELETE 4u

enum store_verdict {
    STORE_OK,        /* done, durably */
    STORE_DUPLICATE, /* this request id was done before: the fields of the reply are those of then; nothing changed */
    STORE_UNAUTHORIZED, /* the claim is none of the two bound ones (A6) */
    STORE_DENIED,       /* the mailbox's rights do not allow it (A7) */
    STORE_NOT_FOUND,    /* never there, deleted, swept, or expired and not yet swept (A9) */
    STORE_MISMATCH,     /* if_match is not the current version, which is in result.version (A21) */
    STORE_TOO_LARGE,    /* a field is longer than the bounds above, or the payload than was reserved at create */
    STORE_FULL,         /* create only: the quota, or the disk behind it, has no room left (A25). Retry later. */
    STORE_UNAVAILABLE,  /* the store cannot answer now (queue full, disk or database failing): nothing of the effect is
                         * known to be durable, nothing is remembered. Retry later with the same request id. */
};

/* The verdict's name, for logs and metrics: "ok", "duplicate", ... Static, never NULL. */
const char *store_verdict_name(enum store_verdict verdict);

/* What is asked. Slices are borrowed until completion and must not change meanwhile. Fields that a verb does not list are
 * ignored. `now` is the caller's clock (clock_now) and decides expiry. */
struct store_request {
    enum store_verb verb;
    uint8_t mailbox[UUID_LEN]; /* all; create: a fresh random UUID, used unless the create is a duplicate */
    int64_t now;               /* all: seconds since 1970 */
    gage_slice claim;          /* all but display: the device claim in one canonical form (16 bytes of the UUID), 1 to
                                * STORE_CLAIM_MAX bytes. Only a keyed hash of it is kept. */
    gage_slice
        request_id; /* create, update, relinquish, delete: canonical form, 1 to STORE_REQUEST_ID_MAX bytes; kept hashed */
    gage_slice payload_type; /* create, update: at most STORE_TYPE_MAX bytes, not looked into (A16) */
    gage_slice payload;      /* create, update: opaque */
    gage_slice display;      /* create: the display information as the front wants it back; opaque */
    gage_slice token;        /* create, read, update: notification token as the front wants it back, opaque. Empty: keep
                                * the one there is (A18). On read it counts for the role that reads, bound by it or before. */
    uint32_t rights;         /* create: STORE_RIGHT_... */
    int64_t expires;         /* create: seconds since 1970; the mailbox is gone at that second */
    uint64_t payload_max; /* create: longest payload (type and data together) that later updates may bring; space for it
                                * is reserved in the quota until the mailbox is gone. Raised to the first payload's size. */
    uint64_t if_match;    /* update: the version the caller expects, 0 for any */
    uint64_t after; /* read: where the version is not above it, the answer is `unchanged` and carries no payload */
    uint8_t note;   /* create, update, relinquish: kept with the request id, given back to a duplicate (A1);
                                * the front's own, e.g. "push is supported" */
};

/* What came of it. The buffers are the caller's to release with store_op_clear. Fields not listed for the verdict are zero or
 * empty; with STORE_UNAVAILABLE, FULL, TOO_LARGE, UNAUTHORIZED, DENIED and NOT_FOUND all are, except `tag`. */
struct store_result {
    enum store_verdict verdict;
    uint8_t mailbox[UUID_LEN];  /* create: the mailbox's id; for a duplicate, that of the first time */
    uint8_t tag[STORE_TAG_LEN]; /* all (create: once OK or DUPLICATE): the name by which `wake` tells of this mailbox */
    enum store_role role;       /* create, read, update, delete, relinquish: whom the claim stands for */
    uint64_t
        version;     /* OK: the current one; DUPLICATE: the one which the first request made; MISMATCH: the current one.
                                 * 1 at create, +1 with every change of the payload, never reused within a mailbox. */
    int64_t expires; /* create (also DUPLICATE), read, display */
    uint8_t note;    /* DUPLICATE: as given the first time */
    bool unchanged;  /* read: the version is not above `after` */
    gage_buf payload_type, payload; /* read, unless unchanged */
    gage_buf display;               /* read (unless unchanged), display */
    gage_buf
        peer_token; /* update, relinquish, delete: the other role's notification token, to tell it; empty if none */
};

/* One operation: in the caller's memory (typically inside its connection object), zeroed, from store_submit until done is
 * called. The store allocates nothing to queue it. */
struct store_op {
    struct store_request request;
    struct store_result result;
    /* Called exactly once for each accepted op, from a store thread; may call store_try and store_submit, must not block. From its start the op is the caller's again. */
    void (*done)(struct store_op *op);
    void *context; /* the caller's */

    struct { /* the store's own */
        struct store_op *next;
        uint8_t claim_hash[2][16], create_key[16], request_hash[16], id_pad[16];
        void *record;
        bool final;
    } inner;
};

/* Wipes and releases the result's buffers; the op is as good as zeroed then. Never for an op that is submitted. */
void store_op_clear(struct store_op *op);

struct store_limits {
    uint64_t mailboxes; /* at most so many at once, 0: 1,000,000 */
    uint64_t bytes; /* at most so much reserved space, 0: 4 GiB. A mailbox reserves store_reserve_of(payload_max). */
};
/* Bytes that a mailbox with this payload_max counts in the quota: two payloads (A13), display, tokens, bookkeeping. */
uint64_t store_reserve_of(uint64_t payload_max);

struct store_options {
    const char *url; /* sqlite:///PATH or postgresql://... (as libpq takes it). A password belongs into the pgpass file:
                               * a URL that carries one is refused. */
    const char
        *key_file; /* 32 random bytes, mode 0600, made when missing and the store is empty. NULL: PATH.key beside a
                               * SQLite file. PostgreSQL needs one named; all relays on one database share its contents. */
    struct store_limits limits;
    size_t queue_max; /* operations waiting, beyond which store_submit refuses; 0: 4096 */
    size_t batch_max; /* operations a transaction; 0: 256; 1: a row a commit (what the benchmark compares with) */

    /* A mailbox's payload or binding changed, durably: whoever waits for it reads again. Called from a store thread or within
     * store_now; must not block, nor call the store. `tag` NULL: changes by other relays may have been missed, every waiting reader
     * must look again. version 0: the mailbox is gone. `writer` is the role that did it (undefined with NULL, and for a sweep).
     * Also called for writes by other relays on the same database. May be NULL. */
    void (*wake)(void *context, const uint8_t *tag, enum store_role writer, uint64_t version);
    /* The store's state changed: err tells what failed (a sentence for the log, no secrets), NULL that it works again. Also
     * warnings (serious false), such as "durable on one node only". Called from any thread. May be NULL. */
    void (*report)(void *context, bool serious, const struct gage_err *err);
    void *context; /* of wake and report */
};

struct store;

/* Opens or creates the database and its key, checks and upgrades the schema, starts the threads. Blocks; the process must not
 * fork afterwards. The options' strings may go away afterwards. GAGE_E_USAGE (URL), GAGE_E_IO, GAGE_E_STATE (another process has
 * the SQLite file open), GAGE_E_FORMAT (damaged, or a newer gage's schema), GAGE_E_SECRET (the key file is not this database's),
 * GAGE_E_UNAVAILABLE (PostgreSQL does not answer). */
gage_rc store_open(const struct store_options *options, struct store **out, struct gage_err *err);
/* Answers what is queued (bounded by the database's own time-outs), stops the threads, closes the database; then no callback
 * comes any more. The caller must have stopped submitting. *store becomes NULL; NULL is fine. */
void store_close(struct store **store);

/* Answers a read or display now, in the calling thread, where that needs neither a write nor the network: true, op->result is
 * filled, done is not called. False: nothing happened, use store_submit. Costs microseconds; may be called from any number of
 * threads. A waiting reader holds nothing of the store: it remembers (tag, version) and asks again after a wake. To lose no
 * wake, it must be listed under its tag before it reads for the last time. */
bool store_try(struct store *store, struct store_op *op);

/* Runs any operation to its end in the calling thread, durably, where that may take no longer than a healthy disk's sync: the database is
 * local and was quick lately, and nobody else is at it or in the queue. True: op->result is filled, done is not called. False: nothing
 * happened, use store_submit. `wake` runs in the calling thread. It saves an idle relay two changes of thread a write; a busy one gathers
 * its writes in the queue. Thread-safe. */
bool store_now(struct store *store, struct store_op *op);

/* Queues the operation. True: op->done will be called (it may run before this returns). False: refused at once because the
 * queue is full or the store is closing; op->result says STORE_UNAVAILABLE (or TOO_LARGE) and done is not called. Thread-safe. */
bool store_submit(struct store *store, struct store_op *op);

/* Takes the operation in for the next transaction, whichever comes, at the latest for store_flush's. Whatever names its mailbox afterwards
 * finds it done. Only for an update, relinquish or delete on a local database, else false: nothing happened. True: op->done will be
 * called. Thread-safe. */
bool store_later(struct store *store, struct store_op *op);
/* Sees to it that what store_later took in is done soon. Only wakes the store's thread: call it every second. */
void store_flush(struct store *store);

/* The tag of a mailbox id, for listing a waiting reader before its read. GAGE_E_INTERNAL if OpenSSL fails. */
gage_rc store_tag_of(const struct store *store, const uint8_t mailbox[UUID_LEN], uint8_t tag[STORE_TAG_LEN]);

/* Removes mailboxes that expired at or before `now`, in pieces between which other work goes on, then makes the removed
 * bytes unrecoverable (checkpoint; PostgreSQL: left to its vacuum). Only wakes the store's thread: call it once a minute
 * (R18). Returns at once. */
void store_sweep(struct store *store, int64_t now);

/* New limits (SIGHUP). What is stored already stays, even above them. Thread-safe. */
void store_set_limits(struct store *store, const struct store_limits *limits);

struct store_stats {
    uint64_t mailboxes, reserved_bytes;   /* as of the last commit; PostgreSQL: of all relays */
    uint64_t mailboxes_max, reserved_max; /* the limits in force */
    uint64_t queued;                      /* operations waiting now */
    uint64_t operations, reads_direct;    /* answered through the queue or store_now; through store_try */
    uint64_t immediate;                   /* of the operations: by store_now */
    uint64_t batches, batches_failed;     /* transactions committed; failed ones */
    uint64_t refused_queue, refused_full; /* for want of queue room; of quota or disk */
    uint64_t swept;                       /* mailboxes removed by the sweep */
    bool shared;                          /* other relays may work on the same database */
};
void store_stats(struct store *store, struct store_stats *out);

/* Done while the last transaction (or a probe) worked and none has hung for ten seconds; else the failure, as reported. A shared database
 * that nobody asks is probed every five seconds, a failing one every second, so the answer is no older, however often it is asked for.
 * Never blocks on the database. */
gage_rc store_health(struct store *store, struct gage_err *err);

#endif
