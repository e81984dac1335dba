#include "relayd/chores.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"

#define TICK_NS INT64_C(100000000)
#define EVERY_SECOND 10 /* in ticks */
#define EVERY_TWO_SECONDS 20
#define EVERY_TEN_SECONDS 100

static pthread_t thread;
static _Atomic bool stopping;

static void
sleep_until(int64_t at_ns)
{
    struct timespec at = {at_ns / 1000000000, at_ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

static void
do_chores(struct relay *relay, uint64_t tick)
{
    int64_t now = clock_monotonic_ns();
    waiters_tick(relay->waiters, now);
    if (tick % EVERY_SECOND == 0) {
        wire_cut_late(now);
        store_flush(relay->store);
    }
    if (tick % EVERY_TEN_SECONDS == 0)
        peers_sweep(relay->peers);
    if (tick % EVERY_TWO_SECONDS == 0)
        waiters_check_peers(relay->waiters);
    if (tick % (uint64_t)(relay->settings.sweep_interval * EVERY_SECOND) == 0)
        store_sweep(relay->store, clock_now());
}

static void *
run(void *context)
{
    int64_t next = clock_monotonic_ns();
    pthread_setname_np(pthread_self(), "chores");
    for (uint64_t tick = 0; !stopping; tick++) {
        do_chores(context, tick);
        next += TICK_NS;
        if (next < clock_monotonic_ns())
            next = clock_monotonic_ns();
        sleep_until(next);
    }
    return NULL;
}

gage_rc
chores_start(struct relay *relay, struct gage_err *err)
{
    stopping = false;
    REQUIRE(pthread_create(&thread, NULL, run, relay) == 0, err, GAGE_E_INTERNAL, "cannot start a thread");
    return GAGE_DONE;
}

void
chores_stop(void)
{
    stopping = true;
    pthread_join(thread, NULL);
}
