#include "app/lines.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define PIECE 4096            /* PIPE_BUF: what a pipe takes whole or not at all */
#define STOPPED_NS 1000000000 /* a reader that took nothing for so long has stopped */
#define FINISH_NS 5000000000
#define PAUSE_NS 2000000  /* between two looks for more, while lines come */
#define LINGER_LOOKS 20   /* in vain, after which the thread sleeps */
#define POLL_MS 100       /* the descriptor's number may come to mean something else meanwhile */
#define KEPT (64u * 1024) /* a buffer that grew beyond it is given back */
#define STACK_BYTES (256u * 1024)

struct lines {
    int fd;
    enum lines_kind kind;
    const struct log_event *lost_event;
    size_t room;
    gage_buf out;         /* being handed on: the thread's own */
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t work;  /* for the thread */
    pthread_cond_t moved; /* something was taken or refused */
    gage_buf in;          /* handed in */
    size_t held;          /* bytes of both */
    int64_t moved_ns;     /* when something was, or when there began to be something */
    uint64_t lost, told;  /* lines; how many of them were said */
    bool sleeps;
};

/* ---- the thread ---- */

/* Until there is something to hand on; it is in `out` then. */
static void
wait_for_lines(struct lines *l)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    bool any = false;
    for (int looks = 0; !any; looks++) {
        if (looks > 0)
            nanosleep(&pause, NULL);
        pthread_mutex_lock(&l->lock);
        l->sleeps = looks >= LINGER_LOOKS;
        while (l->in.n == 0 && l->sleeps)
            pthread_cond_wait(&l->work, &l->lock);
        any = l->in.n > 0;
        if (any) {
            gage_buf empty = l->out;
            l->out = l->in;
            l->in = empty;
        }
        pthread_mutex_unlock(&l->lock);
    }
}

/* As many whole lines as one write takes; of a longer line, all. */
static size_t
piece_of(gage_slice text)
{
    size_t n = text.n < PIECE ? text.n : PIECE;
    while (n > 0 && text.p[n - 1] != '\n')
        n--;
    if (n > 0)
        return n;
    n = text.n < PIECE ? text.n : PIECE;
    while (n < text.n && text.p[n - 1] != '\n')
        n++;
    return n;
}

static uint64_t
count_lines(gage_slice text)
{
    uint64_t count = 0;
    for (size_t i = 0; i < text.n; i++)
        count += text.p[i] == '\n';
    return count;
}

/* Writes it all, however long that takes; false where it is refused. */
static bool
write_piece(const struct lines *l, gage_slice text)
{
    while (text.n > 0) {
        struct pollfd ready = {l->fd, POLLOUT, 0};
        if (poll(&ready, 1, POLL_MS) <= 0)
            continue;
        ssize_t n = write(l->fd, text.p, text.n);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (n > 0)
            text = gage_slice_of(text.p + n, text.n - (size_t)n);
    }
    return true;
}

/* A piece was taken or refused; says what was lost where it can be said now. */
static void
settle(struct lines *l, gage_slice piece, bool taken)
{
    AUTO(gage_buf) note = GAGE_BUF(512);
    pthread_mutex_lock(&l->lock);
    l->held -= piece.n;
    l->moved_ns = clock_monotonic_ns();
    l->lost += taken ? 0 : count_lines(piece);
    if (taken && l->lost > l->told) {
        const struct log_field lines = F_INT("lines", l->lost - l->told);
        log_line(l->lost_event, &lines, 1, 0, &note);
        l->told = l->lost;
    }
    pthread_cond_broadcast(&l->moved);
    pthread_mutex_unlock(&l->lock);
    (void)write_piece(l, gage_buf_slice(&note));
}

static void *
hand_on(void *context)
{
    struct lines *l = context;
    for (;;) {
        wait_for_lines(l);
        for (gage_slice left = gage_buf_slice(&l->out); left.n > 0;) {
            gage_slice piece = gage_slice_of(left.p, piece_of(left));
            settle(l, piece, write_piece(l, piece));
            left = gage_slice_of(left.p + piece.n, left.n - piece.n);
        }
        buf_reset(&l->out);
        if (l->out.cap > KEPT)
            gage_buf_free(&l->out);
    }
    return NULL;
}

/* ---- beginning ---- */

static int
start_thread(struct lines *l)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int failed = pthread_create(&thread, &attributes, hand_on, l);
    pthread_attr_destroy(&attributes);
    return failed;
}

gage_rc
lines_begin(int fd, enum lines_kind kind, size_t room, const struct log_event *lost, struct lines **out,
            struct gage_err *err)
{
    pthread_condattr_t monotonic;
    struct lines *l = calloc(1, sizeof *l);
    REQUIRE(l != NULL, err, GAGE_E_NOMEM, "out of memory");
    *l = (struct lines){fd, kind, lost, room, .in = GAGE_BUF(room), .out = GAGE_BUF(room)};
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&l->moved, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failed = start_thread(l);
    if (failed != 0) {
        free(l);
        return gage_fail_sys(err, GAGE_E_INTERNAL, failed, "cannot start a thread");
    }
    *out = l;
    return GAGE_DONE;
}

/* ---- handing in ---- */

/* Waits until something moves, but no longer than until then; false where that is past. With the lock held. */
static bool
wait_until(struct lines *l, int64_t until_ns)
{
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    return pthread_cond_timedwait(&l->moved, &l->lock, &until) == 0 || clock_monotonic_ns() < until_ns;
}

bool
lines_put(struct lines *l, gage_slice line)
{
    bool good = true;
    pthread_mutex_lock(&l->lock);
    while (good && l->held + line.n > l->room)
        good = l->kind == LINES_MATTER && wait_until(l, l->moved_ns + STOPPED_NS);
    if (good)
        put_bytes(&l->in, line);
    if (!good || l->in.bad) {
        l->in.bad = l->in.starved = false;
        l->lost++;
        good = false;
    } else {
        l->moved_ns = l->held == 0 ? clock_monotonic_ns() : l->moved_ns;
        l->held += line.n;
    }
    if (l->sleeps) {
        l->sleeps = false;
        pthread_cond_signal(&l->work);
    }
    pthread_mutex_unlock(&l->lock);
    return good;
}

uint64_t
lines_lost(struct lines *l)
{
    pthread_mutex_lock(&l->lock);
    uint64_t lost = l->lost;
    pthread_mutex_unlock(&l->lock);
    return lost;
}

void
lines_finish(struct lines *l)
{
    if (l == NULL)
        return;
    int64_t end = clock_monotonic_ns() + FINISH_NS;
    pthread_mutex_lock(&l->lock);
    for (bool good = true; good && l->held > 0;) {
        int64_t stopped = l->moved_ns + STOPPED_NS;
        good = wait_until(l, stopped < end ? stopped : end);
    }
    pthread_mutex_unlock(&l->lock);
}
