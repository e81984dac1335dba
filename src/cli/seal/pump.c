#include "cli/seal/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#define WRITER_STACK ((size_t)128 * 1024)

/* The queue between the two threads: `filled` slots were handed over, `drained` of them written; slot i is in place i % PUMP_SLOTS. */
struct writer {
    struct pump *pump;
    int to;
    const char *where;
    size_t out_max;
    bool threaded;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t filled, drained;
    bool ended, failed;
    struct gage_err err; /* of the thread, once failed */
};

static gage_rc
write_slot(const struct writer *w, gage_buf *slot, struct gage_err *err)
{
    gage_rc rc = file_write_fd(w->to, w->where, gage_buf_slice(slot), err);
    slot->n = 0; /* wiped with the pump */
    return rc;
}

/* Takes slots in order until there are none and none will come. After a failure it takes no more. */
static void *
write_slots(void *argument)
{
    struct writer *w = argument;
    struct gage_err err = {0};
    pthread_mutex_lock(&w->lock);
    while (!w->failed && (w->drained < w->filled || !w->ended)) {
        if (w->drained == w->filled) {
            pthread_cond_wait(&w->changed, &w->lock);
            continue;
        }
        gage_buf *slot = &w->pump->slots[w->drained % PUMP_SLOTS];
        pthread_mutex_unlock(&w->lock);
        gage_rc rc = write_slot(w, slot, &err);
        pthread_mutex_lock(&w->lock);
        w->drained++;
        w->failed = !gage_ok(rc);
        w->err = err;
        pthread_cond_signal(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Where no thread can be had, this one writes. */
static void
start_thread(struct writer *w)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, WRITER_STACK);
    w->threaded = pthread_create(&w->thread, &attributes, write_slots, w) == 0;
    pthread_attr_destroy(&attributes);
}

/* The slot to fill next, once the writer is through with it. */
static gage_rc
free_slot(struct writer *w, gage_buf **slot, struct gage_err *err)
{
    gage_rc rc = GAGE_DONE;
    pthread_mutex_lock(&w->lock);
    while (!w->failed && w->filled - w->drained == PUMP_SLOTS)
        pthread_cond_wait(&w->changed, &w->lock);
    if (w->failed)
        rc = gage_fail(err, w->err.code, "%s", w->err.text);
    pthread_mutex_unlock(&w->lock);
    *slot = &w->pump->slots[w->filled % PUMP_SLOTS];
    (*slot)->max = w->out_max;
    return rc;
}

static gage_rc
hand_over(struct writer *w, gage_buf *slot, struct gage_err *err)
{
    if (slot->n == 0)
        return GAGE_DONE;
    if (!w->threaded)
        return write_slot(w, slot, err);
    pthread_mutex_lock(&w->lock);
    w->filled++;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return GAGE_DONE;
}

/* Waits until everything handed over is written. */
static gage_rc
finish(struct writer *w, gage_rc rc, struct gage_err *err)
{
    if (!w->threaded)
        return rc;
    pthread_mutex_lock(&w->lock);
    w->ended = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    return gage_ok(rc) && w->failed ? gage_fail(err, w->err.code, "%s", w->err.text) : rc;
}

/* One piece read and transformed; *n is its length, 0 at the end. */
static gage_rc
move_piece(struct writer *w, int from, const char *what, const struct pump_step *step, size_t *n, struct gage_err *err)
{
    ssize_t got;
    gage_buf *slot;
    while ((got = read(from, w->pump->piece, PUMP_PIECE)) < 0 && errno == EINTR)
        continue;
    if (got < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot read %.150s", what);
    *n = (size_t)got;
    if (got == 0)
        return GAGE_DONE;
    TRY(free_slot(w, &slot, err));
    if (*n == PUMP_PIECE)
        buf_reserve(slot, w->out_max);
    TRY(step->piece(step->context, gage_slice_of(w->pump->piece, *n), slot, err));
    if (*n == PUMP_PIECE && !w->threaded)
        start_thread(w);
    return hand_over(w, slot, err);
}

static gage_rc
move_all(struct writer *w, int from, const char *what, const struct pump_step *step, struct gage_err *err)
{
    gage_buf *slot;
    for (size_t n = 1; n > 0;)
        TRY(move_piece(w, from, what, step, &n, err));
    for (bool more = true; more;) {
        TRY(free_slot(w, &slot, err));
        TRY(step->end(step->context, slot, &more, err));
        TRY(hand_over(w, slot, err));
    }
    return GAGE_DONE;
}

gage_rc
pump_run(struct pump *pump, int from, const char *what, int to, const char *where, const struct pump_step *step,
         struct gage_err *err)
{
    struct writer w = {.pump = pump, .to = to, .where = where, .out_max = step->out_max};
    for (size_t i = 0; i < PUMP_SLOTS; i++)
        pump->slots[i].n = 0;
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.changed, NULL);
    posix_fadvise(from, 0, 0, POSIX_FADV_SEQUENTIAL); /* a pipe cannot take the advice, and needs none */
    gage_rc rc = finish(&w, move_all(&w, from, what, step, err), err);
    pthread_cond_destroy(&w.changed);
    pthread_mutex_destroy(&w.lock);
    return rc;
}

void
pump_cleanup(struct pump *pump)
{
    for (size_t i = 0; i < PUMP_SLOTS; i++)
        gage_buf_free(&pump->slots[i]);
    explicit_bzero(pump->piece, sizeof pump->piece);
}
