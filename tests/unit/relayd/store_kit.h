/* store_kit.h - what the tests of the relay's store share: a store to open, operations that wait for their completion. */
#ifndef GAGE_TEST_STORE_KIT_H
#define GAGE_TEST_STORE_KIT_H

#include "relayd/store.h"

#define NOW INT64_C(2000000000)
#define RWD (STORE_RIGHT_READ | STORE_RIGHT_WRITE | STORE_RIGHT_DELETE)

/* Where the store under test lives: GAGE_STORE_URL, or a SQLite file in a temporary folder of this process, removed at exit. */
const char *kit_url(void);
const char *kit_folder(void);
const char *kit_key(void);
/* Whether the store is a SQLite file. */
bool kit_is_sqlite(void);

/* Options for kit_url. Opening that fails ends the test. */
struct store_options kit_options(void);
struct store *kit_open(const struct store_options *options);

/* An operation with fresh random names where the caller gives none. */
struct call {
    struct store_op op;
    uint8_t claim[16], request_id[16];
    bool finished; /* set by done, under the kit's lock */
};
/* A 16-byte name made of one number: claims, request ids. */
void kit_name(uint8_t name[16], uint64_t number);
uint64_t kit_fresh(void); /* a number not used before, in any process */

/* Fills in verb, mailbox, claim and request id (a fresh one), now = NOW. */
void call_init(struct call *call, enum store_verb verb, const uint8_t mailbox[UUID_LEN], uint64_t claim);
/* Submits without waiting; what is refused counts as finished. */
void call_start(struct store *store, struct call *call);
void call_wait(struct call *call);
/* Tries, else (every other time) does it now, else submits, and waits: as the HTTP front does. */
enum store_verdict call_run(struct store *store, struct call *call);

/* Shorthands, each a complete operation; results in *call where asked for (NULL: not). */
struct box {
    uint8_t id[UUID_LEN];
    uint64_t initiator, recipient;
};
enum store_verdict box_create(struct store *store, struct box *box, const char *payload);
enum store_verdict box_read(struct store *store, const struct box *box, uint64_t claim, struct call *call);
enum store_verdict box_update(struct store *store, const struct box *box, uint64_t claim, const char *payload,
                              struct call *call);
enum store_verdict box_plain(struct store *store, enum store_verb verb, const struct box *box, uint64_t claim,
                             struct call *call);
/* The payload that the claim reads now. */
bool box_holds(struct store *store, const struct box *box, uint64_t claim, const char *payload);

#endif
