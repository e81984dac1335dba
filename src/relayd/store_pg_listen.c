#include "relayd/store_pg.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/encode.h"

/* A notification is text: "1 INSTANCE" and then, for each change, " TAG:WRITER:VERSION", tag in hexadecimal, numbers in decimal. */
#define NOTIFICATION_MAX 7900 /* PostgreSQL takes 7999 bytes */
#define RECONNECT_MS 1000

/* ---- telling ---- */

void
pg_tell(struct pg_engine *s, const uint8_t tag[KEYED_LEN], enum store_role writer, uint64_t version)
{
    char numbers[32];
    int n = snprintf(numbers, sizeof numbers, ":%d:%" PRIu64, (int)writer, version);
    put_u8(&s->told, ' ');
    put_hex(&s->told, gage_slice_of(tag, KEYED_LEN));
    put_bytes(&s->told, gage_slice_of(numbers, (size_t)n));
}

/* How many of the first bytes are whole entries and fit one notification. */
static size_t
piece(gage_slice told)
{
    if (told.n <= NOTIFICATION_MAX - 32)
        return told.n;
    size_t n = NOTIFICATION_MAX - 32;
    while (told.p[n] != ' ')
        n--;
    return n;
}

bool
pg_tell_all(struct pg_engine *s, struct pg_link *link, size_t *sent)
{
    gage_slice left = gage_buf_slice(&s->told);
    if (s->told.bad)
        return false;
    while (left.n > 0) {
        size_t n = piece(left);
        AUTO(gage_buf) text = GAGE_BUF(NOTIFICATION_MAX);
        struct pg_args args = {0};
        put_bytes(&text, SLICE_LITERAL("1 "));
        put_bytes(&text, slice_str(s->instance));
        put_bytes(&text, gage_slice_of(left.p, n));
        arg_bytes(&args, gage_buf_slice(&text));
        if (text.bad || !pg_send(link, PG_TELL, &args))
            return false;
        ++*sent;
        left = gage_slice_of(left.p + n, left.n - n);
    }
    return true;
}

/* ---- hearing ---- */

/* A decimal number up to the next space or the end. */
static bool
get_decimal(struct reader *r, uint64_t *value)
{
    size_t digits = 0;
    for (*value = 0; r->left > 0 && r->p[0] >= '0' && r->p[0] <= '9'; digits++) {
        unsigned digit = get_u8(r) - (unsigned)'0';
        if (*value > (UINT64_MAX - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    return digits > 0;
}

static bool
get_mark(struct reader *r, char mark)
{
    return get_u8(r) == (uint8_t)mark && read_ok(r);
}

/* One entry; false at what is not ours. */
static bool
hear_one(struct pg_engine *s, struct reader *r)
{
    AUTO(gage_buf) tag = GAGE_BUF(KEYED_LEN);
    uint64_t version, writer;
    if (!get_mark(r, ' ') || !gage_ok(get_hex(get_bytes(r, (size_t)2 * KEYED_LEN), &tag)) || tag.n != KEYED_LEN ||
        !get_mark(r, ':') || !get_decimal(r, &writer) || writer > STORE_RECIPIENT || !get_mark(r, ':') ||
        !get_decimal(r, &version))
        return false;
    s->hooks.changed(s->hooks.context, tag.p, writer == 0 ? STORE_INITIATOR : STORE_RECIPIENT, version);
    return true;
}

void
pg_heard(struct pg_engine *s, const char *text)
{
    struct reader r = read_from(slice_str(text));
    if (!get_mark(&r, '1') || !get_mark(&r, ' '))
        return;
    gage_slice instance = get_bytes(&r, strlen(s->instance));
    if (!read_ok(&r) || slice_equal(instance, slice_str(s->instance)))
        return;
    while (r.left > 0 && hear_one(s, &r))
        continue;
}

/* ---- the listening thread ---- */

static bool
stop_within(struct pg_engine *s, int ms)
{
    struct pollfd stop = {.fd = s->stop_fd, .events = POLLIN};
    return poll(&stop, 1, ms) > 0;
}

static bool
start_listening(struct pg_engine *s, PGconn **conn)
{
    if (!gage_ok(pg_connect(s, conn, NULL)))
        return false;
    PGresult *result = PQexec(*conn, "LISTEN " PG_CHANNEL);
    bool listens = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return listens;
}

static void
hear_all(struct pg_engine *s, PGconn *conn)
{
    for (PGnotify *heard; (heard = PQnotifies(conn)) != NULL; PQfreemem(heard))
        pg_heard(s, heard->extra);
}

/* Listens until the connection breaks (true) or the store closes (false). */
static bool
listen_on(struct pg_engine *s, PGconn *conn)
{
    struct pollfd ready[] = {{.fd = s->stop_fd, .events = POLLIN}, {.fd = PQsocket(conn), .events = POLLIN}};
    for (;;) {
        hear_all(s, conn);
        if (poll(ready, 2, -1) < 0)
            continue;
        if (ready[0].revents != 0)
            return false;
        if (PQconsumeInput(conn) != 1 || PQstatus(conn) != CONNECTION_OK)
            return true;
    }
}

static void *
run_listener(void *context)
{
    struct pg_engine *s = context;
    for (bool open = true; open;) {
        PGconn *conn = NULL;
        if (start_listening(s, &conn)) {
            s->hooks.changed(s->hooks.context, NULL, STORE_INITIATOR, 0); /* what came while nobody listened */
            open = listen_on(s, conn);
        }
        PQfinish(conn);
        open = open && !stop_within(s, RECONNECT_MS);
    }
    return NULL;
}

gage_rc
pg_listen_start(struct pg_engine *s, struct gage_err *err)
{
    sigset_t all, before;
    s->stop_fd = eventfd(0, EFD_CLOEXEC);
    REQUIRE(s->stop_fd >= 0, err, GAGE_E_IO, "no descriptor is left for the store");
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->listening_started = pthread_create(&s->listening, NULL, run_listener, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    REQUIRE(s->listening_started, err, GAGE_E_NOMEM, "cannot start a thread of the store");
    return GAGE_DONE;
}

void
pg_listen_stop(struct pg_engine *s)
{
    if (s->stop_fd < 0)
        return;
    (void)!eventfd_write(s->stop_fd, 1);
    if (s->listening_started)
        pthread_join(s->listening, NULL);
    close(s->stop_fd);
    s->stop_fd = -1;
}
