/* waiters.h - reads that wait for a mailbox to change: who waits for which, and until when. One waiting read per mailbox and role.
 *
 * A waiter is part of its request's memory. While it is listed, exactly one of: a wake, its deadline, a newer waiter, a drain, or its own
 * request takes it off the list; who took it off makes the request go on. It holds no payload and no handle of the store. */
#ifndef GAGE_RELAYD_WAITERS_H
#define GAGE_RELAYD_WAITERS_H

#include "relayd/store.h"

enum waiter_state {
    WAITER_NONE,    /* not listed */
    WAITER_READING, /* listed; its request is reading the mailbox */
    WAITER_PARKED   /* listed; waits */
};

enum wait_end { WAIT_CHANGED, WAIT_DEADLINE, WAIT_REPLACED, WAIT_DRAINED, WAIT_LEFT };

struct waiter {
    struct waiter *next, *previous;             /* of the same bucket */
    struct waiter *wheel_next, *wheel_previous; /* of the same tick */
    uint8_t tag[STORE_TAG_LEN];
    uint8_t state, role, end;
    bool woken; /* the mailbox changed while it was reading */
    uint64_t tick;
    int fd; /* the client's socket, which stays open while the waiter is parked; -1: none to look at */
    /* Called without lock after the waiter was parked and taken off the list; `end` says why. Must not block. */
    void (*ready)(struct waiter *waiter);
};

struct waiters;

gage_rc waiters_new(struct waiters **out, struct gage_err *err);
void waiters_free(struct waiters **waiters);

/* Lists the waiter (state READING) under the tag, until `deadline_ns` of the monotonic clock (at most 100 s ahead). Then its request reads. */
void waiters_list(struct waiters *waiters, struct waiter *waiter, const uint8_t tag[STORE_TAG_LEN],
                  int64_t deadline_ns);
/* The read found nothing new: parks the waiter; an older one of the same mailbox and role ends with WAIT_REPLACED. False where the
 * mailbox changed meanwhile, the deadline passed or the relay drains: then the waiter is off the list, and `woken` says whether to read
 * again. */
bool waiters_park(struct waiters *waiters, struct waiter *waiter, enum store_role role);
/* Takes it off the list; false where it was not on it (then `ready` was or will be called). */
bool waiters_unlist(struct waiters *waiters, struct waiter *waiter);
/* The mailbox changed; NULL: any may have. */
void waiters_wake(struct waiters *waiters, const uint8_t *tag);
/* Ends the waits whose deadline has come. Call it every tenth of a second. */
void waiters_tick(struct waiters *waiters, int64_t now_ns);
/* Ends the waits (WAIT_LEFT) of clients that closed their side or are gone: nothing else notices, for a sleeping connection is not read.
 * Costs a poll of all sockets that wait. */
void waiters_check_peers(struct waiters *waiters);
/* Ends all waits, and every later one at once. */
void waiters_drain(struct waiters *waiters);
/* How many wait now. */
size_t waiters_count(struct waiters *waiters);

#endif
