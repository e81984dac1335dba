#include "cli/tunnel/workers.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/file.h"

#define STACK_BYTES (512 * 1024)

struct job {
    STAILQ_ENTRY(job) link;
    gage_stream_work *work;
    workers_done *done;
    void *owner;
};
STAILQ_HEAD(jobs, job);

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t some;
    struct jobs waiting, finished;
    unsigned threads, idle, busy, most;
    size_t queued;
    bool stop;
    pthread_t *ids;
    int wake; /* eventfd: something is in `finished` */
    struct event *event;
};

static void
report(struct workers *w, struct job *job)
{
    const uint64_t one = 1;
    bool first = STAILQ_EMPTY(&w->finished);
    STAILQ_INSERT_TAIL(&w->finished, job, link);
    if (first && write(w->wake, &one, sizeof one) < 0)
        return; /* the counter is at its limit: the loop has been woken already */
}

static void *
serve(void *context)
{
    struct workers *w = context;
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        struct job *job = STAILQ_FIRST(&w->waiting);
        if (job == NULL) {
            w->idle++;
            pthread_cond_wait(&w->some, &w->lock);
            w->idle--;
            continue;
        }
        STAILQ_REMOVE_HEAD(&w->waiting, link);
        w->queued--;
        w->busy++;
        pthread_mutex_unlock(&w->lock);
        gage_stream_work_run(job->work);
        pthread_mutex_lock(&w->lock);
        w->busy--;
        report(w, job);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void
collect(evutil_socket_t fd, short what, void *context)
{
    struct workers *w = context;
    struct jobs finished = STAILQ_HEAD_INITIALIZER(finished);
    struct job *job;
    uint64_t count;
    (void)what;
    pthread_mutex_lock(&w->lock);
    if (read(fd, &count, sizeof count) < 0)
        count = 0; /* nothing was signalled: the list tells */
    STAILQ_CONCAT(&finished, &w->finished);
    pthread_mutex_unlock(&w->lock);
    while ((job = STAILQ_FIRST(&finished)) != NULL) {
        STAILQ_REMOVE_HEAD(&finished, link);
        job->done(job->owner);
        free(job);
    }
}

gage_rc
workers_new(struct event_base *base, unsigned most, struct workers **out, struct gage_err *err)
{
    struct workers *w = calloc(1, sizeof *w);
    REQUIRE(w != NULL, err, GAGE_E_NOMEM, "no memory for threads");
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->some, NULL);
    STAILQ_INIT(&w->waiting);
    STAILQ_INIT(&w->finished);
    w->most = most;
    w->ids = calloc(most, sizeof *w->ids);
    w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    w->event = w->wake >= 0 ? event_new(base, w->wake, EV_READ | EV_PERSIST, collect, w) : NULL;
    if (w->ids == NULL || w->event == NULL || event_add(w->event, NULL) != 0) {
        (void)workers_free(&w);
        return gage_fail(err, GAGE_E_NOMEM, "no memory or descriptors for threads");
    }
    *out = w;
    return GAGE_DONE;
}

static void
free_jobs(struct jobs *jobs)
{
    struct job *job;
    while ((job = STAILQ_FIRST(jobs)) != NULL) {
        STAILQ_REMOVE_HEAD(jobs, link);
        free(job);
    }
}

bool
workers_cancel(struct workers *w, const void *owner)
{
    struct job *job;
    pthread_mutex_lock(&w->lock);
    STAILQ_FOREACH(job, &w->waiting, link)
    if (job->owner == owner)
        break;
    if (job != NULL) {
        STAILQ_REMOVE(&w->waiting, job, job, link);
        w->queued--;
    }
    pthread_mutex_unlock(&w->lock);
    free(job);
    return job != NULL;
}

bool
workers_free(struct workers **workers)
{
    struct workers *w = *workers;
    if (w == NULL)
        return true;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    bool stuck = w->busy > 0;
    pthread_cond_broadcast(&w->some);
    pthread_mutex_unlock(&w->lock);
    *workers = NULL;
    if (stuck)
        return false; /* a KDC may be mute for half a minute: the process ends without waiting for it */
    for (unsigned i = 0; i < w->threads; i++)
        pthread_join(w->ids[i], NULL);
    if (w->event != NULL)
        event_free(w->event);
    gage_close_fd(&w->wake);
    free_jobs(&w->waiting);
    free_jobs(&w->finished);
    free(w->ids);
    free(w);
    return true;
}

/* One more thread where all are busy and more are allowed. */
static void
grow(struct workers *w)
{
    pthread_attr_t attr;
    if (w->idle >= w->queued || w->threads == w->most || pthread_attr_init(&attr) != 0)
        return;
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (pthread_create(&w->ids[w->threads], &attr, serve, w) == 0)
        w->threads++;
    pthread_attr_destroy(&attr);
}

gage_rc
workers_run(struct workers *w, gage_stream_work *work, workers_done *done, void *owner, struct gage_err *err)
{
    struct job *job = malloc(sizeof *job);
    REQUIRE(job != NULL, err, GAGE_E_NOMEM, "no memory for a GSS step");
    *job = (struct job){.work = work, .done = done, .owner = owner};
    pthread_mutex_lock(&w->lock);
    w->queued++;
    grow(w);
    bool served = w->threads > 0;
    if (served) {
        STAILQ_INSERT_TAIL(&w->waiting, job, link);
        pthread_cond_signal(&w->some);
    } else {
        w->queued--;
        free(job);
    }
    pthread_mutex_unlock(&w->lock);
    REQUIRE(served, err, GAGE_E_NOMEM, "no thread can be started for a GSS step");
    return GAGE_DONE;
}
