#include "relayd/waiters.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define BUCKETS 16384
#define TICK_NS INT64_C(100000000)
#define WHEEL 1024 /* ticks: waits up to 102 s */

struct waiters {
    pthread_mutex_t lock;
    bool draining;
    size_t count;
    uint64_t tick; /* the last one that was handled */
    struct waiter *buckets[BUCKETS];
    struct waiter *wheel[WHEEL];
};

gage_rc
waiters_new(struct waiters **out, struct gage_err *err)
{
    struct waiters *waiters = calloc(1, sizeof *waiters);
    REQUIRE(waiters != NULL, err, GAGE_E_NOMEM, "out of memory");
    pthread_mutex_init(&waiters->lock, NULL);
    waiters->tick = (uint64_t)(clock_monotonic_ns() / TICK_NS);
    *out = waiters;
    return GAGE_DONE;
}

void
waiters_free(struct waiters **waiters)
{
    free(*waiters);
    *waiters = NULL;
}

static struct waiter **
bucket_of(struct waiters *waiters, const uint8_t *tag)
{
    return &waiters->buckets[(tag[0] | (size_t)tag[1] << 8) % BUCKETS];
}

static void
put_in(struct waiters *waiters, struct waiter *w)
{
    struct waiter **bucket = bucket_of(waiters, w->tag), **slot = &waiters->wheel[w->tick % WHEEL];
    w->previous = w->wheel_previous = NULL;
    w->next = *bucket;
    w->wheel_next = *slot;
    if (w->next != NULL)
        w->next->previous = w;
    if (w->wheel_next != NULL)
        w->wheel_next->wheel_previous = w;
    *bucket = *slot = w;
    waiters->count++;
}

static void
take_out(struct waiters *waiters, struct waiter *w)
{
    if (w->previous != NULL)
        w->previous->next = w->next;
    else
        *bucket_of(waiters, w->tag) = w->next;
    if (w->next != NULL)
        w->next->previous = w->previous;
    if (w->wheel_previous != NULL)
        w->wheel_previous->wheel_next = w->wheel_next;
    else
        waiters->wheel[w->tick % WHEEL] = w->wheel_next;
    if (w->wheel_next != NULL)
        w->wheel_next->wheel_previous = w->wheel_previous;
    w->state = WAITER_NONE;
    waiters->count--;
}

/* Something happened to a listed waiter: a parked one comes off the list and onto `ended`, a reading one learns of it when it parks. */
static void
end_wait(struct waiters *waiters, struct waiter *w, enum wait_end end, struct waiter **ended)
{
    if (w->state == WAITER_READING) {
        w->woken = w->woken || end == WAIT_CHANGED;
        return;
    }
    take_out(waiters, w);
    w->end = (uint8_t)end;
    w->next = *ended;
    *ended = w;
}

/* Those that came last stand first in the lists, and first on `ended` stands who came first: so the oldest goes on first. */
static void
call_ready(struct waiter *ended)
{
    while (ended != NULL) {
        struct waiter *next = ended->next;
        ended->ready(ended);
        ended = next;
    }
}

void
waiters_list(struct waiters *waiters, struct waiter *waiter, const uint8_t tag[STORE_TAG_LEN], int64_t deadline_ns)
{
    memcpy(waiter->tag, tag, STORE_TAG_LEN);
    pthread_mutex_lock(&waiters->lock);
    waiter->state = WAITER_READING;
    waiter->woken = false;
    waiter->tick = (uint64_t)((deadline_ns + TICK_NS - 1) / TICK_NS);
    if (waiter->tick <= waiters->tick)
        waiter->tick = waiters->tick + 1;
    put_in(waiters, waiter);
    pthread_mutex_unlock(&waiters->lock);
}

static void
replace_older(struct waiters *waiters, const struct waiter *waiter, struct waiter **ended)
{
    for (struct waiter *w = *bucket_of(waiters, waiter->tag), *next; w != NULL; w = next) {
        next = w->next;
        if (w != waiter && w->state == WAITER_PARKED && w->role == waiter->role &&
            memcmp(w->tag, waiter->tag, STORE_TAG_LEN) == 0)
            end_wait(waiters, w, WAIT_REPLACED, ended);
    }
}

bool
waiters_park(struct waiters *waiters, struct waiter *waiter, enum store_role role)
{
    struct waiter *ended = NULL;
    pthread_mutex_lock(&waiters->lock);
    bool stay = !waiter->woken && !waiters->draining && waiter->tick > waiters->tick;
    if (stay) {
        waiter->role = (uint8_t)role;
        waiter->state = WAITER_PARKED;
        replace_older(waiters, waiter, &ended);
    } else {
        take_out(waiters, waiter);
    }
    pthread_mutex_unlock(&waiters->lock);
    call_ready(ended);
    return stay;
}

bool
waiters_unlist(struct waiters *waiters, struct waiter *waiter)
{
    pthread_mutex_lock(&waiters->lock);
    bool listed = waiter->state != WAITER_NONE;
    if (listed)
        take_out(waiters, waiter);
    pthread_mutex_unlock(&waiters->lock);
    return listed;
}

static void
end_all(struct waiters *waiters, enum wait_end end, struct waiter **ended)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct waiter *w = waiters->buckets[i], *next; w != NULL; w = next) {
            next = w->next;
            end_wait(waiters, w, end, ended);
        }
}

void
waiters_wake(struct waiters *waiters, const uint8_t *tag)
{
    struct waiter *ended = NULL;
    pthread_mutex_lock(&waiters->lock);
    if (tag == NULL)
        end_all(waiters, WAIT_CHANGED, &ended);
    else
        for (struct waiter *w = *bucket_of(waiters, tag), *next; w != NULL; w = next) {
            next = w->next;
            if (memcmp(w->tag, tag, STORE_TAG_LEN) == 0)
                end_wait(waiters, w, WAIT_CHANGED, &ended);
        }
    pthread_mutex_unlock(&waiters->lock);
    call_ready(ended);
}

void
waiters_tick(struct waiters *waiters, int64_t now_ns)
{
    struct waiter *ended = NULL;
    pthread_mutex_lock(&waiters->lock);
    for (uint64_t now = (uint64_t)(now_ns / TICK_NS); waiters->tick < now;) {
        uint64_t tick = ++waiters->tick;
        for (struct waiter *w = waiters->wheel[tick % WHEEL], *next; w != NULL; w = next) {
            next = w->wheel_next;
            if (w->tick <= tick)
                end_wait(waiters, w, WAIT_DEADLINE, &ended);
        }
    }
    pthread_mutex_unlock(&waiters->lock);
    call_ready(ended);
}

#define POLLED 256

/* Polls the sockets of these parked waiters and ends the waits of those that were left. */
static void
end_left(struct waiters *waiters, struct waiter *const *parked, size_t n, struct waiter **ended)
{
    struct pollfd sockets[POLLED];
    for (size_t i = 0; i < n; i++)
        sockets[i] = (struct pollfd){.fd = parked[i]->fd, .events = POLLRDHUP};
    if (n == 0 || poll(sockets, n, 0) <= 0)
        return;
    for (size_t i = 0; i < n; i++)
        if ((sockets[i].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
            end_wait(waiters, parked[i], WAIT_LEFT, ended);
}

void
waiters_check_peers(struct waiters *waiters)
{
    struct waiter *ended = NULL, *parked[POLLED];
    size_t n = 0;
    pthread_mutex_lock(&waiters->lock);
    for (size_t i = 0; i < WHEEL; i++)
        for (struct waiter *w = waiters->wheel[i], *next; w != NULL; w = next) {
            next = w->wheel_next;
            if (w->state == WAITER_PARKED && w->fd >= 0)
                parked[n++] = w;
            if (n == POLLED) {
                end_left(waiters, parked, n, &ended); /* `next` is not among them: it stays listed */
                n = 0;
            }
        }
    end_left(waiters, parked, n, &ended);
    pthread_mutex_unlock(&waiters->lock);
    call_ready(ended);
}

void
waiters_drain(struct waiters *waiters)
{
    struct waiter *ended = NULL;
    pthread_mutex_lock(&waiters->lock);
    waiters->draining = true;
    end_all(waiters, WAIT_DRAINED, &ended);
    pthread_mutex_unlock(&waiters->lock);
    call_ready(ended);
}

size_t
waiters_count(struct waiters *waiters)
{
    pthread_mutex_lock(&waiters->lock);
    size_t count = waiters->count;
    pthread_mutex_unlock(&waiters->lock);
    return count;
}
