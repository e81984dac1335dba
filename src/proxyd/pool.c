/* The worker threads: as many as execute, and always one more that waits. */
#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "proxyd/server.h"

#define IDLE_TIMEOUT_MS 30000
#define THREADS_MAX 4096
#define STACK_BYTES (512u * 1024)

static int64_t kept = 4; /* threads that wait without end */

static void *
work(void *context)
{
    struct server *s = context;
    for (;;) {
        struct epoll_event event;
        __atomic_add_fetch(&s->idle_threads, 1, __ATOMIC_ACQ_REL);
        int n = epoll_wait(s->epoll, &event, 1, IDLE_TIMEOUT_MS);
        int64_t idle = __atomic_sub_fetch(&s->idle_threads, 1, __ATOMIC_ACQ_REL);
        if (__atomic_load_n(&s->stopping, __ATOMIC_ACQUIRE))
            break;
        if (n == 0 && idle >= kept)
            break;
        if (n != 1)
            continue;
        struct request *r = conn_event(s, event.data.u64, event.events);
        if (r != NULL)
            request_run(r);
    }
    __atomic_sub_fetch(&s->threads, 1, __ATOMIC_ACQ_REL);
    return NULL;
}

static int
start_one(struct server *s)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    __atomic_add_fetch(&s->threads, 1, __ATOMIC_ACQ_REL);
    int failed = pthread_create(&thread, &attributes, work, s);
    if (failed != 0)
        __atomic_sub_fetch(&s->threads, 1, __ATOMIC_ACQ_REL);
    pthread_attr_destroy(&attributes);
    return failed;
}

void
pool_cover(struct server *s)
{
    if (__atomic_load_n(&s->idle_threads, __ATOMIC_ACQUIRE) > 0 ||
        __atomic_load_n(&s->threads, __ATOMIC_RELAXED) >= THREADS_MAX)
        return;
    int failed = start_one(s);
    if (failed != 0)
        LOG(&ev_thread_failed, F_INT("errno", failed));
}

gage_rc
pool_start(struct server *s, struct gage_err *err)
{
    int64_t configured = s->epoch->conf->settings.worker_threads;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    kept = configured > 0 ? configured : 2 * (processors > 0 ? processors : 1);
    for (int64_t i = 0; i < kept; i++) {
        int failed = start_one(s);
        if (failed != 0)
            return gage_fail_sys(err, GAGE_E_INTERNAL, failed, "cannot start a thread");
    }
    return GAGE_DONE;
}
