/* store_pg.h - the PostgreSQL engine's inside: one connection for each of the store's two lanes and one that listens for what other
 * relays write. Schema and set-up: doc/relay-store.md. */
#ifndef GAGE_RELAYD_STORE_PG_H
#define GAGE_RELAYD_STORE_PG_H

#include <libpq-fe.h>
#include <pthread.h>

#include "relayd/store_engine.h"

enum pg_statement {
    PG_LOAD,
    PG_USAGE,
    PG_INSERT,
    PG_UPDATE_HEAD,
    PG_UPDATE_BODY,
    PG_DELETE,
    PG_USE,
    PG_TELL,
    PG_READ,
    PG_SWEEP,
    PG_STATEMENTS
};

/* A connection, used by one thread. */
struct pg_link {
    PGconn *conn; /* NULL: to be made again */
    bool fresh;   /* nothing has worked over it yet */
    bool warned;  /* the server sent a warning since it was last cleared */
    int64_t retry_ns;
    struct gage_err failure; /* of the last attempt to connect */
    pthread_mutex_t lock;    /* of `fd`, so that pg_link_interrupt touches no closed one */
    int fd;
    bool over; /* interrupted: no new connections */
};

struct pg_engine {
    struct engine engine;
    struct engine_hooks hooks;
    char *url;
    uint8_t check[KEYED_LEN];
    char instance[17]; /* names this process in notifications */
    uint32_t slot;     /* its row of gage_usage */
    struct pg_link writer, reader;
    pthread_t listening;
    bool listening_started;
    int stop_fd;
    gage_buf told;             /* notifications of the batch */
    uint64_t mailboxes, bytes; /* atomic: as last read */
};

/* ---- links (store_pg_link.c) ---- */

void pg_link_init(struct pg_link *link);
void pg_link_cleanup(struct pg_link *link);
/* Makes the connection if there is none: time-outs, durability, schema and key checked, statements prepared, pipeline mode.
 * After a failure the next attempt is made half a second later at the earliest. GAGE_E_UNAVAILABLE, GAGE_E_SECRET, ... */
gage_rc pg_link_ready(struct pg_engine *s, struct pg_link *link, struct gage_err *err);
void pg_link_drop(struct pg_link *link);
/* From another thread: what the link waits for fails at once. */
void pg_link_interrupt(struct pg_link *link);
/* A plain connection, with time-outs, without anything prepared. */
gage_rc pg_connect(struct pg_engine *s, PGconn **conn, struct gage_err *err);

/* Translates what the server or libpq says. Only the primary message: details may quote keys. */
gage_rc pg_failed(PGconn *conn, const PGresult *result, struct gage_err *err);
/* Runs commands that matter only by their success. */
gage_rc pg_run_text(PGconn *conn, const char *commands, struct gage_err *err);

/* ---- schema (store_pg_schema.c) ---- */

/* Makes tables and indexes where they are missing. Once, at open. */
gage_rc pg_make_schema(struct pg_engine *s, PGconn *conn, struct gage_err *err);
/* Whether schema and key are ours; at every connection. GAGE_E_FORMAT, GAGE_E_SECRET. */
gage_rc pg_check_meta(struct pg_engine *s, PGconn *conn, struct gage_err *err);

/* ---- sending (store_pg_link.c) ---- */

/* Parameters in binary form; bytes are borrowed until they are sent. */
#define PG_ARGS_MAX 8
struct pg_args {
    const char *value[PG_ARGS_MAX];
    int length[PG_ARGS_MAX], format[PG_ARGS_MAX];
    uint8_t number[PG_ARGS_MAX][8];
    int count;
};
void arg_bytes(struct pg_args *args, gage_slice bytes);
void arg_null(struct pg_args *args);
void arg_int64(struct pg_args *args, int64_t v);

bool pg_send(struct pg_link *link, enum pg_statement which, const struct pg_args *args);
bool pg_send_text(struct pg_link *link, const char *command); /* BEGIN, COMMIT, ROLLBACK */
bool pg_sync(struct pg_link *link);
/* The next result of the pipeline; NULL where it failed (then the rest is consumed up to the sync, *err tells; GAGE_E_STATE: the
 * transaction collided with another relay's). The caller clears it. */
PGresult *pg_next(struct pg_link *link, gage_rc *rc, struct gage_err *err);
/* Consumes the sync. */
gage_rc pg_finish(struct pg_link *link, struct gage_err *err);
/* The connection is of no use (any more): what to answer. Where it had worked before, GAGE_E_STATE: a new one may work. */
gage_rc pg_lost(struct pg_link *link, struct gage_err *err);

gage_slice pg_bytes(const PGresult *result, int row, int column);
int64_t pg_number(const PGresult *result, int row, int column);

/* ---- the engine's parts ---- */

gage_rc pg_begin(struct engine *engine, struct batch *batch, struct gage_err *err);
gage_rc pg_commit(struct engine *engine, struct batch *batch, struct gage_err *err);
void pg_end(struct engine *engine);
gage_rc pg_sweep(struct engine *engine, int64_t now, struct swept *swept, struct gage_err *err);
gage_rc pg_read(struct engine *engine, struct store_op **ops, enum read_need *need, size_t count, bool writer,
                struct gage_err *err);
/* Fills a record from columns: tag, create_key, expires, payload_max, version, head, whether `initial` is there. */
void pg_get_row(const PGresult *result, int row, struct record *record, gage_buf *head);

/* The listener's thread (store_pg_listen.c). */
#define PG_CHANNEL "gage_wake"
gage_rc pg_listen_start(struct pg_engine *s, struct gage_err *err);
void pg_listen_stop(struct pg_engine *s);
/* Queues a notification in s->told; pg_tell_all sends them inside the transaction and says how many. */
void pg_tell(struct pg_engine *s, const uint8_t tag[KEYED_LEN], enum store_role writer, uint64_t version);
bool pg_tell_all(struct pg_engine *s, struct pg_link *link, size_t *sent);
/* Parses one notification and calls the hook for each change it tells of. Own ones and foreign text are ignored. */
void pg_heard(struct pg_engine *s, const char *text);

#endif
