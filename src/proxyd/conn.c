#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxyd/metrics.h"
#include "proxyd/relax.h"
#include "proxyd/server.h"

#define MAX_REQUESTS_UNMATCHED 4
#define OUT_MAX (16u << 20)  /* unread replies of one connection; past it the connection is closed */
#define OUT_PAUSE (1u << 20) /* unread replies past which it is not read */
#define AHEAD 16384          /* bytes read at once where a record may begin */
#define READS_MAX 8 /* of one event: who always has more to say, even empty fragments, takes turns with the others */
#define BODY_WAIT_NS 20000 /* for a body whose header came alone: the packaged plugin writes them one after the other */

void
conn_unref(struct conn *c)
{
    if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    close(c->fd);
    account_put(c->server, c->account);
    record_cleanup(&c->in);
    gage_buf_free(&c->rest);
    gage_buf_free(&c->out);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- coming ---- */

/* Whether one more connection of this uid fits. The last places are for root and for who has few. With server.lock held. */
static bool
admits(struct server *s, const struct account *a, const struct gate *gate, const struct service *service)
{
    const struct proxyd_settings *limits = &s->epoch->conf->settings;
    int64_t total = s->conn_count;
    bool reserved = total >= s->conn_limit - s->conn_limit / 16;
    if (total >= s->conn_limit || a->connections >= limits->max_connections_per_uid ||
        (reserved && a->uid != 0 && a->connections >= 4))
        return false;
    return gate == NULL || __atomic_load_n(&gate->connections, __ATOMIC_RELAXED) < service->max_connections;
}

/* Enters it in the books; false where a limit is reached. */
static bool
enter(struct server *s, struct conn *c)
{
    pthread_mutex_lock(&s->lock);
    const struct service *service = match_service(s->epoch->conf, &c->peer, c->socket);
    c->gate = service != NULL ? s->epoch->gates[service->index] : NULL;
    c->account = account_get(s, c->peer.uid);
    bool good = c->account != NULL && c->fd < s->slot_count && admits(s, c->account, c->gate, service);
    if (good) {
        c->account->connections++;
        s->conn_count++;
        if (c->gate != NULL)
            __atomic_add_fetch(&c->gate->connections, 1, __ATOMIC_RELAXED);
        c->max_requests = service != NULL ? service->max_requests : MAX_REQUESTS_UNMATCHED;
        c->pipelines = service != NULL && service->kernel_nfsd;
        c->key = (uint64_t)(++s->conn_serial & UINT32_MAX) << 32 | (uint32_t)c->fd;
        s->slots[c->fd] = c;
        c->next = s->conns;
        if (s->conns != NULL)
            s->conns->previous = c;
        s->conns = c;
    }
    pthread_mutex_unlock(&s->lock);
    return good;
}

/* With server.lock held. */
static void
leave(struct server *s, struct conn *c)
{
    s->slots[c->fd] = NULL;
    *(c->previous != NULL ? &c->previous->next : &s->conns) = c->next;
    if (c->next != NULL)
        c->next->previous = c->previous;
    c->account->connections--;
    s->conn_count--;
    if (c->gate != NULL)
        __atomic_sub_fetch(&c->gate->connections, 1, __ATOMIC_RELAXED);
}

void
conn_new(struct server *s, int fd, const char *socket)
{
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL || !peer_read(s, fd, &c->peer)) {
        free(c);
        close(fd);
        return;
    }
    c->server = s;
    c->fd = fd;
    c->refs = 1;
    c->out = GAGE_BUF(OUT_MAX);
    c->rest = GAGE_BUF(AHEAD);
    c->last_active = now_ms();
    snprintf(c->socket, sizeof c->socket, "%s", socket);
    record_init(&c->in);
    pthread_mutex_init(&c->lock, NULL);
    if (!enter(s, c)) {
        COUNT(connections_refused_total);
        LOG(&ev_conn_limit, F_INT("uid", c->peer.uid), F_INT("pid", c->peer.pid));
        conn_unref(c);
        return;
    }
    COUNT(connections_total);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.u64 = c->key};
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        conn_kill(c);
}

/* ---- going ---- */

/* The record begun counts so many bytes now; 0: none is begun, and its request ends. With conn.lock held. */
static void
claim(struct conn *c, int64_t bytes)
{
    int64_t before = c->claimed;
    c->claimed = bytes;
    if (before != bytes)
        __atomic_add_fetch(&c->account->bytes, bytes - before, __ATOMIC_SEQ_CST);
    if (before > 0 && bytes == 0)
        __atomic_sub_fetch(&c->account->requests, 1, __ATOMIC_SEQ_CST);
}

/* Takes it out of the set and the books, once; the descriptor closes with the last reference. */
void
conn_kill(struct conn *c)
{
    struct server *s = c->server;
    pthread_mutex_lock(&c->lock);
    bool was_dead = c->dead;
    c->dead = true;
    int64_t unread = (int64_t)(c->out.n - c->sent);
    if (!was_dead) {
        epoll_ctl(s->epoll, EPOLL_CTL_DEL, c->fd, NULL);
        shutdown(c->fd, SHUT_RDWR);
        account_forget(c);
        c->sent = c->out.n;
        __atomic_sub_fetch(&c->account->bytes, unread, __ATOMIC_SEQ_CST);
        claim(c, 0);
    }
    pthread_mutex_unlock(&c->lock);
    if (was_dead)
        return;
    account_unstall(s, c->account);
    pthread_mutex_lock(&s->lock);
    leave(s, c);
    pthread_mutex_unlock(&s->lock);
    conn_unref(c);
}

/* ---- events; with conn.lock held ---- */

/* Whether it may have another request, as far as it alone is concerned. */
static bool
may_ask(const struct conn *c)
{
    return c->in_flight < c->max_requests && c->out.n - c->sent < OUT_PAUSE;
}

static void
arm(struct conn *c)
{
    if (c->dead)
        return;
    c->held = false;
    struct epoll_event event = {.events = EPOLLONESHOT, .data.u64 = c->key};
    if (!account_stall(c->server, c) && may_ask(c))
        event.events |= EPOLLIN | EPOLLRDHUP | (c->rest.n > 0 ? EPOLLOUT : 0); /* with bytes at hand: at once */
    if (c->out.n > c->sent)
        event.events |= EPOLLOUT;
    epoll_ctl(c->server->epoll, EPOLL_CTL_MOD, c->fd, &event);
}

/* Whether it reads now; counts a record where it has begun none. One that is begun may be finished. */
static bool
begin_reading(struct conn *c, uint32_t events)
{
    if (((events & (EPOLLIN | EPOLLRDHUP)) == 0 && c->rest.n == 0) || !may_ask(c))
        return false;
    if (c->claimed == 0 && account_begin(c->server, c->account))
        c->claimed = RECORD_MAX;
    return c->claimed > 0;
}

/* False where the connection is finished. */
static bool
flush(struct conn *c)
{
    while (c->sent < c->out.n) {
        ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        c->sent += (size_t)n;
        __atomic_sub_fetch(&c->account->bytes, n, __ATOMIC_SEQ_CST);
    }
    buf_reset(&c->out);
    c->sent = 0;
    return true;
}

static bool
bad_message(const struct conn *c, const struct gage_err *err)
{
    COUNT(messages_bad_total);
    LOG(&ev_bad_message, F_INT("uid", c->peer.uid), F_INT("pid", c->peer.pid), F_ERR(err));
    return false;
}

/* Puts bytes into the record until it is whole or they are used up; *used says how many it took. */
static bool
feed(struct conn *c, gage_slice bytes, size_t *used)
{
    struct gage_err err;
    uint8_t *to;
    for (*used = 0; *used < bytes.n && !c->in.complete;) {
        size_t n = record_want(&c->in, &to);
        if (n == 0)
            return false;
        n = n < bytes.n - *used ? n : bytes.n - *used;
        memcpy(to, bytes.p + *used, n);
        *used += n;
        if (!gage_ok(record_got(&c->in, n, &err)))
            return bad_message(c, &err);
    }
    return true;
}

enum arrival { ARRIVED, NOTHING_YET, ENDED };

static enum arrival
receive(int fd, uint8_t *to, size_t room, size_t *n)
{
    ssize_t got = room > 0 ? recv(fd, to, room, MSG_DONTWAIT) : 0;
    *n = got > 0 ? (size_t)got : 0;
    if (got > 0)
        return ARRIVED;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? NOTHING_YET : ENDED;
}

/* Where a header may begin: as much as there is, what is beyond the record is kept for the next. */
static enum arrival
read_ahead(struct conn *c)
{
    static _Thread_local uint8_t bytes[AHEAD];
    size_t n, used;
    enum arrival arrival = receive(c->fd, bytes, sizeof bytes, &n);
    if (arrival != ARRIVED)
        return arrival;
    bool good = feed(c, gage_slice_of(bytes, n), &used);
    if (good)
        put_bytes(&c->rest, gage_slice_of(bytes + used, n - used));
    gage_wipe(bytes, n);
    return good && !c->rest.bad ? ARRIVED : ENDED;
}

/* Inside a fragment: straight to its place. */
static enum arrival
read_body(struct conn *c)
{
    struct gage_err err;
    uint8_t *to;
    size_t n, want = record_want(&c->in, &to);
    bool header_alone = c->in.body.n == 0;
    enum arrival arrival = receive(c->fd, to, want, &n);
    for (int64_t until = 0; arrival == NOTHING_YET && header_alone;) {
        int64_t now = clock_monotonic_ns();
        until = until == 0 ? now + BODY_WAIT_NS : until;
        if (now >= until)
            break;
        relax();
        sched_yield(); /* its sender may need this processor to go on */
        arrival = receive(c->fd, to, want, &n);
    }
    if (arrival == ARRIVED && !gage_ok(record_got(&c->in, n, &err)))
        return bad_message(c, &err) ? ARRIVED : ENDED;
    return arrival;
}

/* Reads until a record is whole, the socket is empty, or others may want a turn. False where the connection is finished. */
static bool
fill(struct conn *c)
{
    size_t used;
    if (c->rest.n > 0) {
        if (!feed(c, gage_buf_slice(&c->rest), &used))
            return false;
        buf_drop(&c->rest, used);
    }
    for (int reads = 0; !c->in.complete && reads < READS_MAX; reads++) {
        enum arrival arrival = c->in.remaining == 0 ? read_ahead(c) : read_body(c);
        if (arrival == ENDED)
            return false;
        c->last_active = now_ms();
        if (!record_idle(&c->in) && c->record_began == 0)
            c->record_began = c->last_active;
        if (arrival == NOTHING_YET)
            return true;
    }
    return true;
}

/* What the record begun will hold; of one whose last fragment has not begun, the most it may. */
static void
claim_record(struct conn *c)
{
    int64_t bytes = (int64_t)(c->in.body.n + c->in.remaining);
    claim(c, bytes > 0 && !c->in.last ? RECORD_MAX : bytes);
}

/* A whole record: it counts as under way, and the connection is held where nothing more can come before the answer. */
static gage_buf
take_record(struct conn *c)
{
    gage_buf message = record_take(&c->in);
    c->record_began = 0;
    c->in_flight++;
    c->claimed = 0; /* it has as many bytes, and goes on to count until conn_done */
    c->pipelines = c->pipelines || c->rest.n > 0 || c->in_flight > 1;
    c->held = !c->pipelines;
    return message;
}

/* ---- from outside ---- */

/* The connection that an event is for, with a reference; NULL where it has gone meanwhile. */
static struct conn *
take(struct server *s, uint64_t key)
{
    pthread_mutex_lock(&s->lock);
    struct conn *c = s->slots[(uint32_t)key];
    if (c != NULL && c->key == key)
        __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    else
        c = NULL;
    pthread_mutex_unlock(&s->lock);
    return c;
}

struct request *
conn_event(struct server *s, uint64_t key, uint32_t events)
{
    struct conn *c = take(s, key);
    if (c == NULL)
        return NULL;
    AUTO(gage_buf) message = GAGE_BUF(RECORD_MAX);
    pthread_mutex_lock(&c->lock);
    bool alive = !c->dead && (events & (EPOLLERR | EPOLLHUP)) == 0 && flush(c);
    account_forget(c);
    if (alive && begin_reading(c, events)) {
        alive = fill(c);
        claim_record(c);
    }
    if (alive && c->in.complete)
        message = take_record(c);
    if (alive && !c->held)
        arm(c);
    pthread_mutex_unlock(&c->lock);
    if (!alive)
        conn_kill(c);
    else
        account_unstall(s, c->account); /* what was flushed, or not read after all, made room */
    struct request *request = NULL;
    if (message.n > 0) {
        int64_t bytes = (int64_t)message.n;
        request = request_new(c, &message);
        if (request == NULL) {
            conn_done(c, bytes);
            conn_kill(c);
        }
    }
    if (request == NULL)
        conn_unref(c);
    return request;
}

void
conn_send(struct conn *c, gage_buf *record)
{
    pthread_mutex_lock(&c->lock);
    bool alive = !c->dead;
    size_t done = 0;
    c->last_active = now_ms();
    if (alive && c->out.n == 0) {
        ssize_t n = send(c->fd, record->p, record->n, MSG_NOSIGNAL | MSG_DONTWAIT);
        alive = n >= 0 || errno == EAGAIN || errno == EINTR;
        done = n > 0 ? (size_t)n : 0;
    }
    if (alive && done < record->n) {
        put_bytes(&c->out, gage_slice_of(record->p + done, record->n - done));
        alive = !c->out.bad;
        if (alive) {
            __atomic_add_fetch(&c->account->bytes, (int64_t)(record->n - done), __ATOMIC_RELAXED);
            arm(c);
        }
    }
    pthread_mutex_unlock(&c->lock);
    if (!alive)
        conn_kill(c);
}

void
conn_release(struct conn *c)
{
    pthread_mutex_lock(&c->lock);
    if (c->held)
        arm(c);
    pthread_mutex_unlock(&c->lock);
}

bool
conn_resume(struct conn *c)
{
    int waiting = 0;
    bool comes = false;
    pthread_mutex_lock(&c->lock);
    if (!c->dead && !c->held) {
        arm(c);
        comes = !__atomic_load_n(&c->stalled, __ATOMIC_RELAXED) && may_ask(c) &&
                (c->rest.n > 0 || (ioctl(c->fd, FIONREAD, &waiting) == 0 && waiting > 0));
    }
    pthread_mutex_unlock(&c->lock);
    return comes;
}

void
conn_done(struct conn *c, int64_t bytes)
{
    struct account *a = c->account;
    __atomic_sub_fetch(&a->requests, 1, __ATOMIC_SEQ_CST);
    __atomic_sub_fetch(&a->bytes, bytes, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&c->lock);
    int64_t before = c->in_flight--;
    if (c->held || before > 1 || before >= c->max_requests)
        arm(c);
    pthread_mutex_unlock(&c->lock);
    account_unstall(c->server, a);
}
