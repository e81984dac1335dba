/* world.h - both sides, and sometimes a second receiver, against a relay that loses, repeats, rolls back, forks, reflects,
 * fails over and lies, with crashes at every step. Each seed is one random schedule; the invariants hold in all of them.
 *
 *   M1 the content is installed at most once, by at most one receiver, and equals what was sent
 *   M2 nothing beyond the first token ever leaves for a second acceptor
 *   M3 "delivered" only where a receiver installed; "installed" only where it did; "not installed" only where it did not
 *   M4 "not released" only if no payload with content ever left
 *   M5 where the relay is honest, whatever is lost or crashes, the content is delivered */
#ifndef GAGE_TEST_WORLD_H
#define GAGE_TEST_WORLD_H

#include "unit/transfer/fake.h"
#include "unit/transfer/mailbox.h"

#define ACTORS 3

struct actor {
    gage_transfer *t;
    gage_buf record; /* what is durable */
    bool has_record, done, started;
    bool busy;         /* its request waits at the relay */
    unsigned installs; /* files that appeared */
    uint8_t installed_hash[SHA256_LEN];
    struct gage_result result;
};

struct world {
    struct mailbox box;
    struct actor actor[ACTORS]; /* 0: the sender */
    gage_invitation *invitation;
    gage_secret secret;
    gage_buf content;
    uint64_t seed;
    bool lying, failing_over, second, verify, calls, timed, content_left, never_crash;
    uint64_t released_to;                     /* which third token left first, by its hash */
    const struct transfer_security *security; /* NULL: the stand-in */
    size_t events;
};

#define DEMAND(w, cond)                                                                                                \
    do {                                                                                                               \
        if (!(cond))                                                                                                   \
            fail_msg("seed %llu: %s", (unsigned long long)(w)->seed, #cond);                                           \
    } while (0)

/* Runs `count` schedules of this shape, each checked as it goes and then by `after`. GAGE_MODEL_SEEDS=FROM:COUNT runs other
 * schedules than the suite's. */
void schedules(unsigned count, struct world shape, void (*after)(const struct world *));

/* For `after`: M5; who came second is told so, and only the first has it. */
void demand_delivery(const struct world *w);
void demand_one(const struct world *w);
/* Counts how the senders ended; in all schedules so far: the answers to a write that brought what another wrote meanwhile. */
extern unsigned delivered, released, ended, brought;
void count_outcomes(const struct world *w);

#endif
