#include "relayd/store_pg.h"

#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

#define RETRY_NS INT64_C(500000000)

#define COLUMNS "tag, create_key, expires, payload_max, version, head, initial IS NOT NULL"

static const struct {
    const char *name, *sql;
} statements[PG_STATEMENTS] = {
    /* In the order of tags, so that relays whose batches overlap wait for each other instead of dying in a deadlock. */
    [PG_LOAD] = {"gage_load", "SELECT " COLUMNS " FROM gage_mailbox WHERE tag = ANY($1::bytea[])"
                              " OR create_key = ANY($2::bytea[]) ORDER BY tag FOR UPDATE"},
    [PG_USAGE] = {"gage_usage",
                  "SELECT coalesce(sum(mailboxes), 0)::bigint, coalesce(sum(bytes), 0)::bigint FROM gage_usage"},
    [PG_INSERT] = {"gage_insert", "INSERT INTO gage_mailbox (tag, create_key, expires, payload_max, version, head,"
                                  " payload, initial) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"},
    [PG_UPDATE_HEAD] = {"gage_head", "UPDATE gage_mailbox SET head = $2 WHERE tag = $1"},
    /* $4 and $6 are enum body_source */
    [PG_UPDATE_BODY] =
        {"gage_body", "UPDATE gage_mailbox SET head = $2, version = $3,"
                      " payload = CASE $4::bigint WHEN 1 THEN payload WHEN 2 THEN initial ELSE $5 END,"
                      " initial = CASE $6::bigint WHEN 0 THEN NULL WHEN 1 THEN payload WHEN 2 THEN initial ELSE $7 END"
                      " WHERE tag = $1"},
    [PG_DELETE] = {"gage_delete", "DELETE FROM gage_mailbox WHERE tag = $1"},
    [PG_USE] = {"gage_use",
                "INSERT INTO gage_usage AS u (slot, mailboxes, bytes) VALUES ($1, $2, $3) ON CONFLICT (slot)"
                " DO UPDATE SET mailboxes = u.mailboxes + excluded.mailboxes,"
                " bytes = u.bytes + excluded.bytes"},
    [PG_TELL] = {"gage_tell", "SELECT pg_notify('" PG_CHANNEL "', $1::text)"},
    [PG_READ] = {"gage_read", "SELECT " COLUMNS ", CASE WHEN version > $2 THEN payload END FROM gage_mailbox"
                              " WHERE tag = $1"},
    [PG_SWEEP] = {"gage_sweep", "DELETE FROM gage_mailbox WHERE tag = ANY (ARRAY(SELECT tag FROM gage_mailbox"
                                " WHERE expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED))"
                                " RETURNING tag, payload_max"},
};

/* ---- failures ---- */

gage_rc
pg_failed(PGconn *conn, const PGresult *result, struct gage_err *err)
{
    const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    static const char *const collisions[] = {"23505", "40001", "40P01"};
    for (size_t i = 0; state != NULL && i < sizeof collisions / sizeof collisions[0]; i++)
        if (strcmp(state, collisions[i]) == 0)
            return gage_fail(err, GAGE_E_STATE, "another relay wrote the same mailbox at the same time");
    if (state != NULL && strcmp(state, "53100") == 0)
        return gage_fail(err, GAGE_E_UNAVAILABLE, "PostgreSQL's disk is full: make room, service goes on by itself");
    if (text == NULL)
        text = PQerrorMessage(conn);
    return gage_fail(err, GAGE_E_UNAVAILABLE, "PostgreSQL: %s%s%s", text, state != NULL ? ", SQLSTATE " : "",
                     state != NULL ? state : "");
}

static void
on_notice(void *context, const PGresult *notice)
{
    struct pg_link *link = context; /* NULL: of no interest; libpq alone would print it */
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (link != NULL && severity != NULL && strcmp(severity, "WARNING") == 0)
        link->warned = true;
}

/* ---- connecting ---- */

void
pg_link_init(struct pg_link *link)
{
    *link = (struct pg_link){.fd = -1};
    pthread_mutex_init(&link->lock, NULL);
}

static void
set_fd(struct pg_link *link, int fd)
{
    pthread_mutex_lock(&link->lock);
    link->fd = fd;
    if (link->over && fd >= 0)
        shutdown(fd, SHUT_RDWR);
    pthread_mutex_unlock(&link->lock);
}

void
pg_link_drop(struct pg_link *link)
{
    set_fd(link, -1);
    PQfinish(link->conn);
    link->conn = NULL;
}

void
pg_link_cleanup(struct pg_link *link)
{
    pg_link_drop(link);
    pthread_mutex_destroy(&link->lock);
}

void
pg_link_interrupt(struct pg_link *link)
{
    pthread_mutex_lock(&link->lock);
    link->over = true;
    if (link->fd >= 0)
        shutdown(link->fd, SHUT_RDWR);
    pthread_mutex_unlock(&link->lock);
}

gage_rc
pg_run_text(PGconn *conn, const char *commands, struct gage_err *err)
{
    PGresult *result = PQexec(conn, commands);
    ExecStatusType status = PQresultStatus(result);
    gage_rc rc = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? GAGE_DONE : pg_failed(conn, result, err);
    PQclear(result);
    return rc;
}

gage_rc
pg_connect(struct pg_engine *s, PGconn **conn, struct gage_err *err)
{
    static const char *const keys[] = {"dbname",           "fallback_application_name", "connect_timeout",
                                       "keepalives_idle",  "keepalives_interval",       "keepalives_count",
                                       "tcp_user_timeout", "client_encoding",           NULL};
    const char *const values[] = {s->url, "gage-relayd", "5", "5", "2", "3", "15000", "SQL_ASCII", NULL};
    *conn = PQconnectdbParams(keys, values, 1);
    PQsetNoticeReceiver(*conn, on_notice, NULL);
    if (PQstatus(*conn) == CONNECTION_OK)
        return GAGE_DONE;
    gage_rc rc = gage_fail(err, GAGE_E_UNAVAILABLE, "cannot connect to PostgreSQL: %s", PQerrorMessage(*conn));
    PQfinish(*conn);
    *conn = NULL;
    return rc;
}

/* A lock is waited for 5 s at most. No statement_timeout: it would end the wait for a standby, and with it the promise. */
static const char settings[] =
    "SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '60s'; SET statement_timeout = 0;"
    "SET default_transaction_isolation = 'read committed';"
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')";

static gage_rc
prepare_all(PGconn *conn, struct gage_err *err)
{
    gage_rc rc = GAGE_DONE;
    for (size_t i = 0; i < PG_STATEMENTS && gage_ok(rc); i++) {
        PGresult *result = PQprepare(conn, statements[i].name, statements[i].sql, 0, NULL);
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            rc = pg_failed(conn, result, err);
        PQclear(result);
    }
    if (gage_ok(rc) && PQenterPipelineMode(conn) != 1)
        rc = gage_fail(err, GAGE_E_INTERNAL, "libpq refused pipeline mode");
    return rc;
}

static gage_rc
set_up(struct pg_engine *s, struct pg_link *link, struct gage_err *err)
{
    TRY(pg_connect(s, &link->conn, err));
    set_fd(link, PQsocket(link->conn));
    PQsetNoticeReceiver(link->conn, on_notice, link);
    TRY(pg_run_text(link->conn, settings, err));
    TRY(pg_check_meta(s, link->conn, err));
    return prepare_all(link->conn, err);
}

static bool
is_over(struct pg_link *link)
{
    pthread_mutex_lock(&link->lock);
    bool over = link->over;
    pthread_mutex_unlock(&link->lock);
    return over;
}

gage_rc
pg_link_ready(struct pg_engine *s, struct pg_link *link, struct gage_err *err)
{
    if (link->conn != NULL)
        return GAGE_DONE;
    REQUIRE(!is_over(link), err, GAGE_E_UNAVAILABLE, "the store is closing");
    if (link->retry_ns != 0 && clock_monotonic_ns() < link->retry_ns) {
        if (err != NULL)
            *err = link->failure;
        return gage_rc_of(link->failure.code);
    }
    gage_rc rc = set_up(s, link, &link->failure);
    if (gage_ok(rc)) {
        link->fresh = true;
        link->retry_ns = 0;
        return rc;
    }
    pg_link_drop(link);
    link->retry_ns = clock_monotonic_ns() + RETRY_NS;
    if (err != NULL)
        *err = link->failure;
    return rc;
}

gage_rc
pg_lost(struct pg_link *link, struct gage_err *err)
{
    bool again = !link->fresh;
    gage_fail(err, again ? GAGE_E_STATE : GAGE_E_UNAVAILABLE, "the connection to PostgreSQL broke: %s",
              PQerrorMessage(link->conn));
    pg_link_drop(link);
    return gage_rc_of(again ? GAGE_E_STATE : GAGE_E_UNAVAILABLE);
}

/* ---- parameters and results ---- */

static void
arg_add(struct pg_args *args, const void *value, size_t length)
{
    args->value[args->count] = value;
    args->length[args->count] = (int)length;
    args->format[args->count++] = 1;
}

void
arg_bytes(struct pg_args *args, gage_slice bytes)
{
    arg_add(args, bytes.n > 0 ? (const void *)bytes.p : "", bytes.n);
}

void
arg_null(struct pg_args *args)
{
    arg_add(args, NULL, 0);
}

void
arg_int64(struct pg_args *args, int64_t v)
{
    uint8_t *to = args->number[args->count];
    for (unsigned i = 0; i < 8; i++)
        to[i] = (uint8_t)((uint64_t)v >> (56 - 8 * i));
    arg_add(args, to, 8);
}

gage_slice
pg_bytes(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return SLICE_NONE;
    return gage_slice_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

int64_t
pg_number(const PGresult *result, int row, int column)
{
    struct reader r = read_from(pg_bytes(result, row, column));
    return (int64_t)get_u64(&r);
}

bool
pg_send(struct pg_link *link, enum pg_statement which, const struct pg_args *args)
{
    return PQsendQueryPrepared(link->conn, statements[which].name, args->count, args->value, args->length, args->format,
                               1) == 1;
}

bool
pg_send_text(struct pg_link *link, const char *command)
{
    return PQsendQueryParams(link->conn, command, 0, NULL, NULL, NULL, NULL, 1) == 1;
}

bool
pg_sync(struct pg_link *link)
{
    return PQpipelineSync(link->conn) == 1;
}

/* Reads on to the sync; false: the connection broke. One empty result ends each query's; several in a row mean that nothing more will
 * come, which is all that libpq says of a server that ended the session while it was idle: the status stays good. */
static bool
skip_to_sync(struct pg_link *link)
{
    for (int empty = 0; empty < 3;) {
        PGresult *result = PQgetResult(link->conn);
        ExecStatusType status = result != NULL ? PQresultStatus(result) : PGRES_COMMAND_OK;
        empty = result == NULL ? empty + 1 : 0;
        PQclear(result);
        if (status == PGRES_PIPELINE_SYNC)
            return true;
        if (PQstatus(link->conn) != CONNECTION_OK)
            return false;
    }
    return false;
}

PGresult *
pg_next(struct pg_link *link, gage_rc *rc, struct gage_err *err)
{
    PGresult *result = PQgetResult(link->conn);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        PQclear(PQgetResult(link->conn)); /* the NULL that ends this query */
        return result;
    }
    *rc = pg_failed(link->conn, result, err);
    PQclear(result);
    if (PQstatus(link->conn) != CONNECTION_OK || !skip_to_sync(link))
        *rc = pg_lost(link, err);
    return NULL;
}

gage_rc
pg_finish(struct pg_link *link, struct gage_err *err)
{
    PGresult *result = PQgetResult(link->conn);
    bool synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
    PQclear(result);
    if (!synced)
        return pg_lost(link, err);
    link->fresh = false;
    return GAGE_DONE;
}
