#include "relayd/store_lane.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

void
lane_init(struct lane *lane, size_t count_max, size_t bytes_max)
{
    *lane = (struct lane){.count_max = count_max, .bytes_max = bytes_max};
    lane->tail = &lane->head;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->more, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void
lane_cleanup(struct lane *lane)
{
    pthread_cond_destroy(&lane->more);
    pthread_mutex_destroy(&lane->lock);
}

static struct timespec
after_ms(int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return until;
}

/* Signals belong to the program's own threads. */
gage_rc
lane_start(struct lane *lane, void *(*run)(void *), void *context, struct gage_err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int sys = pthread_create(&lane->thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (sys != 0)
        return gage_fail_sys(err, GAGE_E_NOMEM, sys, "cannot start a thread of the store");
    lane->started = true;
    return GAGE_DONE;
}

void
lane_ended(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    lane->ended = true;
    pthread_cond_broadcast(&lane->more);
    pthread_mutex_unlock(&lane->lock);
}

void
lane_stop(struct lane *lane, int patience_ms, void (*hurry)(void *), void *context)
{
    struct timespec until = after_ms(patience_ms);
    int sys = 0;
    pthread_mutex_lock(&lane->lock);
    lane->closing = true;
    pthread_cond_broadcast(&lane->more);
    while (lane->started && !lane->ended && sys != ETIMEDOUT)
        sys = pthread_cond_timedwait(&lane->more, &lane->lock, &until);
    bool late = lane->started && !lane->ended;
    pthread_mutex_unlock(&lane->lock);
    if (late && hurry != NULL)
        hurry(context);
    if (lane->started)
        pthread_join(lane->thread, NULL);
    lane->started = false;
}

static size_t
weight(const struct store_op *op)
{
    return op->request.payload.n + op->request.display.n;
}

bool
lane_push(struct lane *lane, struct store_op *op, bool always)
{
    size_t bytes = weight(op);
    pthread_mutex_lock(&lane->lock);
    bool room = lane->count < lane->count_max && (lane->count == 0 || lane->bytes + bytes <= lane->bytes_max);
    bool taken = !lane->closing && (always || room);
    if (taken) {
        op->inner.next = NULL;
        *lane->tail = op;
        lane->tail = &op->inner.next;
        lane->count++;
        lane->bytes += bytes;
        if (lane->count == 1)
            pthread_cond_signal(&lane->more);
    }
    pthread_mutex_unlock(&lane->lock);
    return taken;
}

void
lane_poke(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    lane->poked = true;
    pthread_cond_signal(&lane->more);
    pthread_mutex_unlock(&lane->lock);
}

bool
lane_wait(struct lane *lane, int wait_ms)
{
    struct timespec until = after_ms(wait_ms);
    int sys = 0;
    pthread_mutex_lock(&lane->lock);
    while (lane->head == NULL && !lane->closing && !lane->poked && sys != ETIMEDOUT)
        sys = wait_ms < 0 ? pthread_cond_wait(&lane->more, &lane->lock)
                          : pthread_cond_timedwait(&lane->more, &lane->lock, &until);
    bool poked = lane->poked;
    lane->poked = false;
    pthread_mutex_unlock(&lane->lock);
    return poked;
}

size_t
lane_take(struct lane *lane, struct store_op **ops, size_t max, size_t bytes_max, bool *over)
{
    size_t n = 0, bytes = 0;
    pthread_mutex_lock(&lane->lock);
    while (lane->head != NULL && n < max && (n == 0 || weight(lane->head) <= bytes_max - bytes)) {
        struct store_op *op = lane->head;
        lane->head = op->inner.next;
        lane->count--;
        lane->bytes -= weight(op);
        bytes += weight(op) < bytes_max - bytes ? weight(op) : bytes_max - bytes;
        ops[n++] = op;
    }
    if (lane->head == NULL)
        lane->tail = &lane->head;
    *over = lane->closing && n == 0;
    pthread_mutex_unlock(&lane->lock);
    return n;
}

size_t
lane_count(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    size_t n = lane->count;
    pthread_mutex_unlock(&lane->lock);
    return n;
}

bool
lane_holds(struct lane *lane, const uint8_t tag[STORE_TAG_LEN])
{
    pthread_mutex_lock(&lane->lock);
    struct store_op *op = lane->head;
    while (op != NULL && memcmp(op->result.tag, tag, STORE_TAG_LEN) != 0)
        op = op->inner.next;
    pthread_mutex_unlock(&lane->lock);
    return op != NULL;
}
