#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "proxyd/metrics.h"
#include "proxyd/server.h"
#include "proxyd/witness.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

#define MAX_REQUESTS_UNMATCHED 4
#define OUT_MAX (16u << 20)  /* unread replies of one connection; past it the connection is closed */
#define OUT_PAUSE (1u << 20) /* unread replies past which it is not read */

void
conn_unref(struct conn *c)
{
    if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    close(c->fd);
    record_cleanup(&c->in);
    gage_buf_free(&c->out);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- coming ---- */

static bool
is_named(struct server *s, const char *program)
{
    struct epoch *e = server_epoch(s);
    bool named = false;
    for (size_t i = 0; i < e->conf->service_count && !named; i++)
        named = e->conf->services[i].program != NULL && strcmp(e->conf->services[i].program, program) == 0;
    epoch_unref(&e);
    return named;
}

/* A kernel thread has no program: no reason to refuse it. Where the kernel can hold on to the process that connected, a number that
 * was given to another process meanwhile is found out. */
static void
read_program(struct server *s, int fd, struct peer *peer)
{
    AUTO(gage_fd) held = -1;
    socklen_t n = sizeof held;
    bool holds = getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &held, &n) == 0;
    if (!holds) {
        held = -1;
        if (errno != ENOPROTOOPT) /* it has ended */
            return;
    }
    witness_program(peer->pid, peer->program, sizeof peer->program);
    peer->same_program =
        peer->program[0] != '\0' && is_named(s, peer->program) && witness_same(peer->pid, peer->program);
    if (!holds || syscall(SYS_pidfd_send_signal, held, 0, NULL, 0) == 0 || errno == EPERM)
        return;
    peer->program[0] = '\0';
    peer->same_program = false;
}

static bool
read_peer(struct server *s, int fd, struct peer *peer)
{
    struct ucred cred;
    socklen_t n = sizeof cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) != 0)
        return false;
    *peer = (struct peer){.pid = cred.pid, .uid = cred.uid, .gid = cred.gid};
    n = sizeof peer->selinux - 1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERSEC, peer->selinux, &n) != 0)
        peer->selinux[0] = '\0';
    read_program(s, fd, peer);
    return true;
}

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
    c->account = server_account(s, c->peer.uid);
    bool good = c->account != NULL && c->fd < s->slot_count && admits(s, c->account, c->gate, service);
    if (good) {
        c->account->connections++;
        s->conn_count++;
        if (c->gate != NULL)
            __atomic_add_fetch(&c->gate->connections, 1, __ATOMIC_RELAXED);
        c->max_requests = service != NULL ? service->max_requests : MAX_REQUESTS_UNMATCHED;
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
    if (c == NULL || !read_peer(s, fd, &c->peer)) {
        free(c);
        close(fd);
        return;
    }
    c->server = s;
    c->fd = fd;
    c->refs = 1;
    c->out = GAGE_BUF(OUT_MAX);
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
        __atomic_sub_fetch(&c->account->bytes, unread, __ATOMIC_RELAXED);
        c->sent = c->out.n;
    }
    pthread_mutex_unlock(&c->lock);
    if (was_dead)
        return;
    pthread_mutex_lock(&s->lock);
    leave(s, c);
    pthread_mutex_unlock(&s->lock);
    conn_unref(c);
}

/* ---- events; with conn.lock held ---- */

static bool
over_share(const struct conn *c)
{
    const struct server *s = c->server;
    return __atomic_load_n(&c->account->requests, __ATOMIC_RELAXED) >=
               __atomic_load_n(&s->limit_requests, __ATOMIC_RELAXED) ||
           __atomic_load_n(&c->account->bytes, __ATOMIC_RELAXED) >= __atomic_load_n(&s->limit_bytes, __ATOMIC_RELAXED);
}

static void
arm(struct conn *c)
{
    if (c->dead)
        return;
    size_t unread = c->out.n - c->sent;
    c->stalled = over_share(c);
    if (c->stalled)
        __atomic_store_n(&c->account->stalled, true, __ATOMIC_RELAXED);
    struct epoll_event event = {.events = EPOLLONESHOT, .data.u64 = c->key};
    if (!c->stalled && c->in_flight < c->max_requests && unread < OUT_PAUSE)
        event.events |= EPOLLIN | EPOLLRDHUP;
    if (unread > 0)
        event.events |= EPOLLOUT;
    epoll_ctl(c->server->epoll, EPOLL_CTL_MOD, c->fd, &event);
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
        __atomic_sub_fetch(&c->account->bytes, n, __ATOMIC_RELAXED);
    }
    buf_reset(&c->out);
    c->sent = 0;
    return true;
}

/* Reads until a record is whole or the socket is empty. False where the connection is finished. */
static bool
fill(struct conn *c)
{
    uint8_t *to;
    while (!c->in.complete) {
        size_t want = record_want(&c->in, &to);
        ssize_t n = want > 0 ? recv(c->fd, to, want, MSG_DONTWAIT) : 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n <= 0)
            return false;
        c->last_active = now_ms();
        c->record_began = c->record_began == 0 ? c->last_active : c->record_began;
        struct gage_err err;
        if (!gage_ok(record_got(&c->in, (size_t)n, &err))) {
            COUNT(messages_bad_total);
            LOG(&ev_bad_message, F_INT("uid", c->peer.uid), F_INT("pid", c->peer.pid), F_ERR(&err));
            return false;
        }
    }
    return true;
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
    gage_buf message = GAGE_BUF(RECORD_MAX);
    pthread_mutex_lock(&c->lock);
    bool alive = !c->dead && (events & (EPOLLERR | EPOLLHUP)) == 0 && flush(c);
    if (alive && (events & (EPOLLIN | EPOLLRDHUP)) != 0)
        alive = fill(c);
    if (alive && c->in.complete) {
        message = record_take(&c->in);
        c->record_began = 0;
        c->in_flight++;
        __atomic_add_fetch(&c->account->requests, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&c->account->bytes, (int64_t)message.n, __ATOMIC_RELAXED);
    }
    if (alive)
        arm(c);
    pthread_mutex_unlock(&c->lock);
    if (!alive)
        conn_kill(c);
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

/* Connections of the uid that waited for its share to shrink are read again. */
static void
unstall(struct server *s, struct account *a)
{
    if (!__atomic_exchange_n(&a->stalled, false, __ATOMIC_ACQ_REL))
        return;
    pthread_mutex_lock(&s->lock);
    for (struct conn *c = s->conns; c != NULL; c = c->next) {
        if (c->account != a)
            continue;
        pthread_mutex_lock(&c->lock);
        bool stalled = c->stalled && !c->dead;
        pthread_mutex_unlock(&c->lock);
        if (!stalled)
            continue;
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLOUT | EPOLLONESHOT, .data.u64 = c->key};
        epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &event);
    }
    pthread_mutex_unlock(&s->lock);
}

void
conn_done(struct conn *c, int64_t bytes)
{
    struct account *a = c->account;
    __atomic_sub_fetch(&a->requests, 1, __ATOMIC_RELAXED);
    __atomic_sub_fetch(&a->bytes, bytes, __ATOMIC_RELAXED);
    pthread_mutex_lock(&c->lock);
    int64_t before = c->in_flight--;
    if (before > 1)
        arm(c);
    pthread_mutex_unlock(&c->lock);
    unstall(c->server, a);
}
