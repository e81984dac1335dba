/* store_record.h - a mailbox as the store holds it in memory, its encoding in the database (doc/relay-store.md, "Head"), and
 * what each operation does to it. No I/O here: records and operations go in, changed records and results come out. */
#ifndef GAGE_RELAYD_STORE_RECORD_H
#define GAGE_RELAYD_STORE_RECORD_H

#include "relayd/store_key.h"

/* A request done before, and its reply. */
struct remembered {
    uint8_t hash[KEYED_LEN];
    uint64_t version;
    uint8_t note;
};

/* The last STORE_REMEMBERED of them, oldest first. */
struct memory {
    struct remembered entry[STORE_REMEMBERED];
    size_t count;
};

/* Where a payload's bytes are: payloads in the database are moved there, never through memory. */
enum body_source { BODY_NONE, BODY_IN_PAYLOAD, BODY_IN_INITIAL, BODY_IN_REQUEST };

struct body {
    enum body_source source;
    gage_slice type;
    gage_slice data; /* BODY_IN_REQUEST only */
};

struct record {
    uint8_t tag[KEYED_LEN], create_key[KEYED_LEN];
    bool by_create_key; /* which of the two names the engine looks it up by */
    bool present;       /* is (or, after the batch, will be) in the database */
    bool damaged;       /* the row is there, but not as we wrote it */

    int64_t row; /* the engine's; 0: not in the database */
    int64_t expires;
    uint64_t payload_max, version;

    /* The head. The slices point into `stored` or into an operation's request. */
    uint32_t rights;
    uint8_t create_note;
    enum store_role writer; /* of the current payload */
    bool bound;
    uint8_t claim[2][KEYED_LEN];
    uint8_t sealed_id[UUID_LEN]; /* mailbox id xor pad */
    gage_slice display, token[2];
    struct body current, initial; /* initial: the initiator's last payload, while the current one is the recipient's */
    struct memory done[2], relinquished;

    gage_buf stored; /* the head as it was read */

    /* What this batch did to it. */
    bool head_changed, body_changed, removed;
    bool woken;
    enum store_role wake_writer;
    struct record *successor; /* the new mailbox of the create whose old one this was; NULL: none */
};

#define HEAD_MAX ((size_t)40000)

void record_init(struct record *record);
void record_cleanup(struct record *record);

/* Appends the head. */
void record_encode(const struct record *record, gage_buf *head);
/* Reads a head; slices point into it. has_initial: whether the row has an initiator's payload aside. GAGE_E_FORMAT. */
gage_rc record_decode(struct record *record, gage_slice head, bool has_initial);

/* Whether the row's numbers can be ours; a database is foreign input. */
bool record_plausible(const struct record *record);

bool record_alive(const struct record *record, int64_t now);

/* ---- operations ---- */

/* Empties a result but for its tag, and sets the verdict. */
void result_fail(struct store_result *result, enum store_verdict verdict);

/* Makes a fresh record of a create. The caller has checked for duplicates and room. */
void apply_create(struct store_op *op, struct record *record);
/* A create that was done before. */
void answer_duplicate_create(struct store_op *op, const struct record *record);
/* Read (binding only: the payload is read after the commit), update, relinquish, delete. `record` may be absent. */
void apply(struct store_op *op, struct record *record);

enum read_need { READ_ANSWERED, READ_NEEDS_WRITE };
/* Answers a read or display from a record read outside a batch: payload is the row's (ignored where unchanged). Needs a write:
 * a claim to bind, or a token to keep. With op->inner.final (after that write) it is answered in any case. Copies what it
 * returns. */
enum read_need answer_read(struct store_op *op, const struct record *record, gage_slice payload);

#endif
