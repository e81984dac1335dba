#include "relayd/wire.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/clock.h"

#define THROWN_MAX (256 * 1024) /* bytes read and thrown away after a refusal */
#define LINGER_NS INT64_C(2000000000)

struct wire_counts wire_counts;

static struct wire *_Atomic *table;
static size_t table_size;
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER; /* entries change, and the clock looks, under it */

gage_rc
wire_table_new(struct gage_err *err)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY || files.rlim_cur > (1u << 21))
        files.rlim_cur = 1u << 21;
    table = calloc((size_t)files.rlim_cur, sizeof *table);
    REQUIRE(table != NULL, err, GAGE_E_NOMEM, "out of memory");
    table_size = (size_t)files.rlim_cur;
    return GAGE_DONE;
}

struct wire *
wire_of(int fd)
{
    if (fd < 0 || (size_t)fd >= table_size)
        return NULL;
    return atomic_load_explicit(&table[fd], memory_order_acquire);
}

static void
enter_table(int fd, struct wire *wire)
{
    pthread_mutex_lock(&table_lock);
    atomic_store_explicit(&table[fd], wire, memory_order_release);
    pthread_mutex_unlock(&table_lock);
}

struct wire *
wire_new(int fd, struct tls *tls, const struct wire_limits *limits)
{
    struct wire *wire = fd >= 0 && (size_t)fd < table_size ? calloc(1, sizeof *wire) : NULL;
    if (wire == NULL)
        return NULL;
    wire->fd = fd;
    wire->limits = limits;
    wire->started_ns = clock_monotonic_ns();
    wire->deadline_ns = wire->started_ns + limits->head_ns;
    guard_init(&wire->guard, limits->body_max);
    if (tls != NULL && (wire->ssl = tls_session(tls, fd)) == NULL) {
        free(wire);
        return NULL;
    }
    enter_table(fd, wire);
    return wire;
}

static void
drop_held(struct wire *wire)
{
    if (wire->held != NULL)
        gage_wipe(wire->held, (size_t)wire->held_at + wire->held_n);
    free(wire->held);
    wire->held = NULL;
    wire->held_at = wire->held_n = 0;
}

void
wire_free(struct wire **wire)
{
    struct wire *w = *wire;
    if (w == NULL)
        return;
    enter_table(w->fd, NULL);
    SSL_free(w->ssl);
    ERR_clear_error();
    drop_held(w);
    free(w);
    *wire = NULL;
}

/* ---- bytes from below ---- */

static ssize_t
fail(int error)
{
    errno = error;
    return -1;
}

/* What OpenSSL's result means in terms of a socket: 0 end, -1 with EAGAIN or ECONNRESET. */
static ssize_t
tls_result(struct wire *wire, int result)
{
    int why = SSL_get_error(wire->ssl, result);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return fail(EAGAIN);
    if (why == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (!SSL_is_init_finished(wire->ssl))
        wire_counts.handshakes_failed++;
    wire->broken = true;
    ERR_clear_error();
    return fail(ECONNRESET);
}

static ssize_t
tls_read(struct wire *wire, uint8_t *to, size_t n)
{
    if (wire->broken)
        return fail(ECONNRESET);
    bool shaking = !SSL_is_init_finished(wire->ssl);
    ERR_clear_error();
    int got = SSL_read(wire->ssl, to, (int)(n < INT32_MAX ? n : INT32_MAX));
    if (shaking && SSL_is_init_finished(wire->ssl))
        wire_counts.handshakes++;
    return got > 0 ? got : tls_result(wire, got);
}

/* One piece from the socket or of what was held back. */
static ssize_t
read_piece(struct wire *wire, uint8_t *to, size_t n)
{
    if (wire->held_n == 0)
        return wire->ssl != NULL ? tls_read(wire, to, n) : system_recv(wire->fd, to, n, MSG_DONTWAIT);
    size_t step = n < wire->held_n ? n : wire->held_n;
    memcpy(to, wire->held + wire->held_at, step);
    wire->held_at = (uint16_t)(wire->held_at + step);
    wire->held_n = (uint16_t)(wire->held_n - step);
    if (wire->held_n == 0)
        drop_held(wire);
    return (ssize_t)step;
}

/* Keeps the bytes behind the end of a request until that was answered. False where memory is short. */
static bool
hold(struct wire *wire, const uint8_t *bytes, size_t n)
{
    size_t old = wire->held_n;
    if (n + old > UINT16_MAX)
        return false;
    uint8_t *fresh = malloc(n + old);
    if (fresh == NULL)
        return false;
    memcpy(fresh, bytes, n);
    if (old > 0)
        memcpy(fresh + n, wire->held + wire->held_at, old);
    drop_held(wire);
    wire->held = fresh;
    wire->held_n = (uint16_t)(n + old);
    return true;
}

/* ---- refusal ---- */

static void
write_out(struct wire *wire, const char *text, size_t n)
{
    if (wire->ssl == NULL)
        (void)system_send(wire->fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    else if (!wire->broken && SSL_is_init_finished(wire->ssl)) {
        ERR_clear_error();
        (void)SSL_write(wire->ssl, text, (int)n);
        ERR_clear_error();
    }
}

/* Answers a request that the library never gets to see whole, and says goodbye; the connection is then drained for two seconds at most,
 * so that the answer is not lost to a reset. */
static ssize_t
refuse(struct wire *wire, const struct guard_refusal *why)
{
    char body[512], text[1024];
    int n = snprintf(body, sizeof body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":\"%s\"%s",
                     why->reason, why->status, why->detail, why->status == 413 ? "" : "}");
    if (why->status == 413)
        n += snprintf(body + n, sizeof body - (size_t)n, ",\"payloadLimit\":%lld}",
                      (long long)wire->limits->payload_max);
    int m = snprintf(text, sizeof text,
                     "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"
                     "Cache-Control: no-store\r\nMailbox-Payload-Limit: %lld\r\nConnection: close\r\n\r\n%s",
                     why->status, why->reason, n, (long long)wire->limits->payload_max, body);
    write_out(wire, text, (size_t)m);
    wire_counts.refused++;
    wire->refused = true;
    drop_held(wire);
    wire_shutdown(wire, SHUT_WR);
    wire->deadline_ns = clock_monotonic_ns() + LINGER_NS;
    return fail(EAGAIN);
}

/* After a refusal: throws away what comes, until the peer ends or has sent too much. */
static ssize_t
throw_away(struct wire *wire)
{
    uint8_t scratch[4096];
    for (;;) {
        ssize_t got = system_recv(wire->fd, scratch, sizeof scratch, MSG_DONTWAIT);
        if (got <= 0)
            return got;
        wire->thrown += (uint32_t)got;
        if (wire->thrown > THROWN_MAX)
            return fail(ECONNRESET);
    }
}

/* ---- the four calls ---- */

static bool
too_late(const struct wire *wire, int64_t now)
{
    int64_t limit = guard_in_body(&wire->guard) ? wire->limits->body_ns : wire->limits->head_ns;
    return now - wire->started_ns > limit;
}

/* Bytes came: what of them the library may have; -1 with EAGAIN after a refusal. */
static ssize_t
pass(struct wire *wire, const uint8_t *bytes, size_t n)
{
    int64_t now = clock_monotonic_ns();
    if (!guard_started(&wire->guard))
        wire->started_ns = now;
    wire->idle = false;
    size_t taken = guard_feed(&wire->guard, gage_slice_of(bytes, n));
    if (wire->guard.refusal != NULL)
        return refuse(wire, wire->guard.refusal);
    if (!wire->guard.complete && too_late(wire, now))
        return refuse(wire, &guard_too_slow);
    if (taken < n && !hold(wire, bytes + taken, n - taken))
        return fail(ECONNRESET);
    wire->deadline_ns = wire->guard.complete ? 0
                                             : wire->started_ns + (guard_in_body(&wire->guard) ? wire->limits->body_ns
                                                                                               : wire->limits->head_ns);
    return (ssize_t)taken;
}

/* Fills the buffer as far as there are bytes: the library takes a short count to mean that the socket is empty. */
ssize_t
wire_recv(struct wire *wire, void *to, size_t n)
{
    uint8_t *at = to;
    size_t total = 0;
    wire_counts.calls++;
    if (wire->refused)
        return throw_away(wire);
    while (total < n && !wire->guard.complete) {
        ssize_t got = read_piece(wire, at + total, n - total);
        if (got > 0)
            got = pass(wire, at + total, (size_t)got);
        if (got <= 0)
            return total > 0 && !wire->refused ? (ssize_t)total : got;
        total += (size_t)got;
    }
    return total > 0 ? (ssize_t)total : fail(EAGAIN);
}

static ssize_t
tls_write(struct wire *wire, const uint8_t *from, size_t n)
{
    ERR_clear_error();
    int sent = SSL_write(wire->ssl, from, (int)(n < INT32_MAX ? n : INT32_MAX));
    if (sent > 0)
        return sent;
    ssize_t result = tls_result(wire, sent);
    return result == 0 ? fail(ECONNRESET) : result;
}

static void
go_on_until(struct wire *wire, int64_t latest)
{
    int64_t idle = clock_monotonic_ns() + wire->limits->idle_ns;
    wire->deadline_ns = latest < idle ? latest : idle;
}

/* Writes on as long as the socket takes it: the library takes a short count to mean that the socket is full. */
static ssize_t
send_all(struct wire *wire, const uint8_t *from, size_t n)
{
    size_t total = 0;
    if (wire->ssl == NULL)
        return system_send(wire->fd, from, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (total < n) {
        ssize_t sent = tls_write(wire, from + total, n - total);
        if (sent < 0)
            return total > 0 ? (ssize_t)total : -1;
        total += (size_t)sent;
    }
    return (ssize_t)total;
}

/* A peer that takes something has more time, until the answer's own end. */
ssize_t
wire_send(struct wire *wire, const void *from, size_t n)
{
    wire_counts.calls++;
    if (wire->refused || wire->broken)
        return fail(ECONNRESET);
    ssize_t sent = send_all(wire, from, n);
    if (sent > 0 && wire->latest_ns > 0) /* not the interim answer to an expectation */
        go_on_until(wire, wire->latest_ns);
    return sent;
}

/* Copies what the message holds from `offset` on, as much as fits. */
static size_t
gather(const struct msghdr *message, size_t offset, uint8_t *to, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < message->msg_iovlen && n < size; i++) {
        size_t length = message->msg_iov[i].iov_len;
        size_t skip = offset < length ? offset : length;
        size_t step = length - skip < size - n ? length - skip : size - n;
        offset -= skip;
        memcpy(to + n, (const uint8_t *)message->msg_iov[i].iov_base + skip, step);
        n += step;
    }
    return n;
}

/* Head and body in one TLS record where they fit. */
ssize_t
wire_sendmsg(struct wire *wire, const struct msghdr *message)
{
    uint8_t together[16384];
    size_t total = 0, n;
    while ((n = gather(message, total, together, sizeof together)) > 0) {
        ssize_t sent = wire_send(wire, together, n);
        gage_wipe(together, n);
        if (sent < 0)
            return total > 0 ? (ssize_t)total : -1;
        total += (size_t)sent;
        if ((size_t)sent < n)
            break;
    }
    return (ssize_t)total;
}

int
wire_shutdown(struct wire *wire, int how)
{
    if (wire->ssl != NULL && !wire->broken && SSL_is_init_finished(wire->ssl)) {
        ERR_clear_error();
        (void)SSL_shutdown(wire->ssl);
        ERR_clear_error();
    }
    return system_shutdown(wire->fd, how);
}

/* ---- between requests ---- */

bool
wire_has_more(struct wire *wire)
{
    uint8_t one;
    if (wire->held_n > 0 || (wire->ssl != NULL && SSL_has_pending(wire->ssl)))
        return true;
    return system_recv(wire->fd, &one, 1, MSG_PEEK | MSG_DONTWAIT) >= 0; /* its end counts too */
}

void
wire_next(struct wire *wire)
{
    guard_next(&wire->guard);
    wire->guard.body_max = wire->limits->body_max;
    wire->idle = true;
    wire->latest_ns = 0;
    go_on_until(wire, INT64_MAX);
}

void
wire_set_deadline(struct wire *wire, int64_t deadline_ns)
{
    wire->latest_ns = deadline_ns;
    go_on_until(wire, deadline_ns);
}

size_t
wire_cut_late(int64_t now_ns)
{
    size_t cut = 0;
    pthread_mutex_lock(&table_lock);
    for (size_t fd = 0; fd < table_size; fd++) {
        struct wire *wire = atomic_load_explicit(&table[fd], memory_order_relaxed);
        int64_t deadline = wire != NULL ? wire->deadline_ns : 0;
        if (deadline == 0 || now_ns < deadline)
            continue;
        wire->deadline_ns = 0;
        system_shutdown((int)fd, SHUT_RDWR);
        cut += wire->idle ? 0 : 1;
    }
    pthread_mutex_unlock(&table_lock);
    wire_counts.late += cut;
    return cut;
}
