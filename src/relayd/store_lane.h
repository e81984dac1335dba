/* store_lane.h - a bounded queue of operations and the one thread that works on it. */
#ifndef GAGE_RELAYD_STORE_LANE_H
#define GAGE_RELAYD_STORE_LANE_H

#include <pthread.h>

#include "relayd/store.h"

struct lane {
    pthread_mutex_t lock;
    pthread_cond_t more;
    pthread_t thread;
    bool started;
    struct store_op *head, **tail;
    size_t count, count_max;
    size_t bytes, bytes_max; /* of borrowed payloads */
    bool closing, poked, ended;
};

void lane_init(struct lane *lane, size_t count_max, size_t bytes_max);
void lane_cleanup(struct lane *lane);
/* Starts the thread. */
gage_rc lane_start(struct lane *lane, void *(*run)(void *), void *context, struct gage_err *err);
/* No more operations are taken in; waits until the thread has ended, which it does when the queue is empty. After `patience_ms`
 * calls hurry(context), if there is one, and waits on. */
void lane_stop(struct lane *lane, int patience_ms, void (*hurry)(void *), void *context);
/* The thread says that it is about to end. */
void lane_ended(struct lane *lane);

/* Appends; false when full or closing. `always`: an operation that is moved from another lane: only closing refuses it. */
bool lane_push(struct lane *lane, struct store_op *op, bool always);
/* Wakes the thread out of lane_wait. */
void lane_poke(struct lane *lane);

/* Waits, at most wait_ms (negative: for ever), for operations, a poke or closing. True: it was poked. */
bool lane_wait(struct lane *lane, int wait_ms);
/* Takes the oldest operations: at most `max`, with at most bytes_max of payload unless the first alone is larger. *over: closing and
 * nothing left. */
size_t lane_take(struct lane *lane, struct store_op **ops, size_t max, size_t bytes_max, bool *over);
size_t lane_count(struct lane *lane);
/* Whether an operation on the mailbox of this tag is among them. */
bool lane_holds(struct lane *lane, const uint8_t tag[STORE_TAG_LEN]);

#endif
