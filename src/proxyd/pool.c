/* The worker threads. One serves, or a few where one is not enough: each waits for an event, executes what it brought, answers and waits
 * again, without waking anybody. The others are parked. A watcher looks every two milliseconds, while anybody has an event. A thread that takes
 * longer than LONG_NS for one, whatever it does, gives its place up to a parked or a new one; it takes a place again, or parks, once it is
 * through. So a call that blocks holds others up for about two milliseconds, and one that does not costs no hand-over. Where those who serve never had to
 * wait for an event between two looks, there is one place more, up to one for each processor; one less after a while without that. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxyd/relax.h"
#include "proxyd/server.h"

#define IDLE_TIMEOUT_MS 30000 /* a thread parked so long ends */
#define THREADS_MAX 4096
#define STACK_BYTES (512u * 1024)
#define LONG_NS 500000  /* an event that takes longer gives its thread's place up */
#define LOOK_NS 2000000 /* between two looks of the watcher */
#define LINGER_LOOKS 50 /* without an event in between, after which the watcher sleeps */
#define PRESSED_LOOKS 3 /* at which nobody had waited, after which there is one place more */
#define CALM_LOOKS 100  /* without one such, after which there is one place less */
#define SPIN_NS 300000  /* for a client that asks alone and at once: waking up would take as long as its call */
#define ALONE 8         /* requests of one connection after which it counts as alone */

struct worker {
    struct worker *next, *previous; /* of all */
    int64_t began_ns;               /* when its event came; 0: it has none; atomic */
    bool serves;                    /* atomic; set under pool.lock */
    bool waited;                    /* for an event, since the watcher last looked; atomic */
    uint64_t key;                   /* of its last event */
    int repeated;                   /* events with that key in a row */
    bool spins;                     /* the last time that was worth it */
};

static struct {
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t place; /* somebody parked may serve */
    pthread_cond_t work;  /* the watcher is needed */
    struct worker *workers;
    int64_t places,
        serving; /* threads that serve: as many as they should be, as they are (those who were given one included) */
    int64_t most_places;
    int pressed, calm;     /* looks in a row */
    int64_t parked, given; /* places given to parked threads that have not woken up yet */
    bool asleep;           /* the watcher; atomic */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .place = PTHREAD_COND_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};

/* ---- a worker ---- */

/* Waits until it may serve; false where it is to end. With the lock held. */
static bool
park(struct worker *w)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += IDLE_TIMEOUT_MS / 1000;
    int outcome = 0;
    pool.parked++;
    while (pool.given == 0 && outcome != ETIMEDOUT)
        outcome = pthread_cond_timedwait(&pool.place, &pool.lock, &until);
    pool.parked--;
    if (pool.given == 0)
        return false;
    pool.given--;
    __atomic_store_n(&w->serves, true, __ATOMIC_RELEASE);
    return true;
}

/* A place, which it may have already; false where it is to end. */
static bool
take_place(struct worker *w)
{
    if (__atomic_load_n(&w->serves, __ATOMIC_ACQUIRE))
        return true;
    pthread_mutex_lock(&pool.lock);
    bool good = pool.serving < pool.places;
    if (good) {
        pool.serving++;
        __atomic_store_n(&w->serves, true, __ATOMIC_RELEASE);
    } else {
        good = park(w);
    }
    pthread_mutex_unlock(&pool.lock);
    return good;
}

static void
enter(struct worker *w)
{
    pthread_mutex_lock(&pool.lock);
    w->next = pool.workers;
    if (w->next != NULL)
        w->next->previous = w;
    pool.workers = w;
    pthread_mutex_unlock(&pool.lock);
}

static void
leave(struct worker *w)
{
    pthread_mutex_lock(&pool.lock);
    *(w->previous != NULL ? &w->previous->next : &pool.workers) = w->next;
    if (w->next != NULL)
        w->next->previous = w->previous;
    pool.serving -= w->serves;
    pthread_mutex_unlock(&pool.lock);
}

/* Looks for an event again and again for a moment. */
static int
spin(const struct server *s, struct epoll_event *event)
{
    int n = 0;
    for (int64_t until = clock_monotonic_ns() + SPIN_NS; n == 0 && clock_monotonic_ns() < until;) {
        relax();
        sched_yield(); /* its client may need this processor to go on */
        n = epoll_wait(s->epoll, event, 1, 0);
    }
    return n;
}

/* The next event. 1, or less where there is none after all. */
static int
next_event(const struct server *s, struct worker *w, struct epoll_event *event)
{
    int n = epoll_wait(s->epoll, event, 1, 0);
    if (n != 0)
        return n;
    __atomic_store_n(&w->waited, true, __ATOMIC_RELAXED);
    bool alone = w->repeated >= ALONE && pool.most_places > 1;
    if (alone && w->spins && (n = spin(s, event)) != 0)
        return n;
    int64_t began = alone ? clock_monotonic_ns() : 0;
    n = epoll_wait(s->epoll, event, 1, -1);
    w->spins = alone && clock_monotonic_ns() - began < SPIN_NS;
    return n;
}

/* The watcher looks at it now. */
static void
begin(struct worker *w)
{
    __atomic_store_n(&w->began_ns, clock_monotonic_ns(), __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&pool.asleep, __ATOMIC_SEQ_CST))
        return;
    pthread_mutex_lock(&pool.lock);
    __atomic_store_n(&pool.asleep, false, __ATOMIC_SEQ_CST);
    pthread_cond_signal(&pool.work);
    pthread_mutex_unlock(&pool.lock);
}

static void *
work(void *context)
{
    struct server *s = context;
    struct worker w = {.serves = true}; /* whoever started it gave it a place */
    enter(&w);
    while (take_place(&w)) {
        struct epoll_event event;
        int n = next_event(s, &w, &event);
        if (__atomic_load_n(&s->stopping, __ATOMIC_ACQUIRE))
            break;
        if (n != 1)
            continue;
        w.repeated = event.data.u64 == w.key ? w.repeated + 1 : 0;
        w.key = event.data.u64;
        begin(&w);
        struct request *r = conn_event(s, event.data.u64, event.events);
        if (r != NULL)
            request_run(r);
        __atomic_store_n(&w.began_ns, 0, __ATOMIC_RELEASE);
    }
    leave(&w);
    __atomic_sub_fetch(&s->threads, 1, __ATOMIC_ACQ_REL);
    return NULL;
}

/* ---- threads ---- */

static int
start_thread(void *(*function)(void *), struct server *s)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int failed = pthread_create(&thread, &attributes, function, s);
    pthread_attr_destroy(&attributes);
    return failed;
}

/* Another worker, for a place that was counted for it. */
static int
start_worker(struct server *s)
{
    int failed = EAGAIN;
    if (__atomic_add_fetch(&s->threads, 1, __ATOMIC_ACQ_REL) <= THREADS_MAX)
        failed = start_thread(work, s);
    if (failed == 0)
        return 0;
    __atomic_sub_fetch(&s->threads, 1, __ATOMIC_ACQ_REL);
    pthread_mutex_lock(&pool.lock);
    pool.serving--;
    pthread_mutex_unlock(&pool.lock);
    return failed;
}

/* ---- the watcher ---- */

/* Takes the place of a worker. With the lock held. */
static void
take_from(struct worker *w)
{
    __atomic_store_n(&w->serves, false, __ATOMIC_RELEASE);
    pool.serving--;
}

/* Takes the places of those whose event takes long; whether anybody has one. With the lock held. */
static bool
look(int64_t now)
{
    bool busy = false;
    for (struct worker *w = pool.workers; w != NULL; w = w->next) {
        int64_t began = __atomic_load_n(&w->began_ns, __ATOMIC_SEQ_CST);
        busy = busy || began != 0;
        if (w->serves && began != 0 && now - began >= LONG_NS)
            take_from(w);
    }
    return busy;
}

/* As many places as there is work for. With the lock held. */
static void
adapt(bool busy)
{
    bool pressed = busy;
    struct worker *idle = NULL;
    for (struct worker *w = pool.workers; w != NULL; w = w->next) {
        if (w->serves && __atomic_exchange_n(&w->waited, false, __ATOMIC_RELAXED))
            pressed = false;
        if (w->serves)
            idle = w;
    }
    pool.pressed = pressed ? pool.pressed + 1 : 0;
    pool.calm = pressed ? 0 : pool.calm + 1;
    if (pool.pressed >= PRESSED_LOOKS && pool.places < pool.most_places) {
        pool.places++;
        pool.pressed = 0;
    } else if (pool.calm >= CALM_LOOKS && pool.places > 1) {
        pool.places--;
        pool.calm = 0;
        if (pool.serving > pool.places && idle != NULL)
            take_from(idle); /* it parks after its next event */
    }
}

/* Gives free places to parked threads; how many are left for new ones, counted as taken. With the lock held. */
static int64_t
fill_places(void)
{
    int64_t missing = pool.places - pool.serving;
    pool.serving += missing > 0 ? missing : 0;
    for (; missing > 0 && pool.parked > pool.given; missing--) {
        pool.given++;
        pthread_cond_signal(&pool.place);
    }
    return missing;
}

/* Until somebody has an event. With the lock held. */
static void
sleep_until_work(void)
{
    __atomic_store_n(&pool.asleep, true, __ATOMIC_SEQ_CST);
    if (look(clock_monotonic_ns())) /* it began before it could see that we sleep */
        __atomic_store_n(&pool.asleep, false, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&pool.asleep, __ATOMIC_SEQ_CST))
        pthread_cond_wait(&pool.work, &pool.lock);
}

static void *
watch_workers(void *context)
{
    struct server *s = context;
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    for (int idle = 0; !__atomic_load_n(&s->stopping, __ATOMIC_ACQUIRE);) {
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&pool.lock);
        bool busy = look(clock_monotonic_ns());
        adapt(busy);
        idle = busy ? 0 : idle + 1;
        int64_t missing = fill_places();
        if (idle > LINGER_LOOKS && missing <= 0)
            sleep_until_work();
        pthread_mutex_unlock(&pool.lock);
        for (; missing > 0; missing--) {
            int failed = start_worker(s);
            if (failed != 0)
                LOG(&ev_thread_failed, F_INT("errno", failed));
        }
    }
    return NULL;
}

gage_rc
pool_start(struct server *s, struct gage_err *err)
{
    int64_t configured = s->epoch->conf->settings.worker_threads;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    pool.most_places = configured > 0 ? configured : processors;
    pool.places = pool.serving = 1;
    int failed = start_worker(s);
    if (failed == 0)
        failed = start_thread(watch_workers, s);
    return failed == 0 ? GAGE_DONE : gage_fail_sys(err, GAGE_E_INTERNAL, failed, "cannot start a thread");
}
