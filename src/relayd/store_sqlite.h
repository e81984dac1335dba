/* store_sqlite.h - the SQLite engine's inside: one writing connection, used under the store's writing lock, and a few reading ones,
 * each under its own lock. Schema and settings: doc/relay-store.md. */
#ifndef GAGE_RELAYD_STORE_SQLITE_H
#define GAGE_RELAYD_STORE_SQLITE_H

#include <pthread.h>
#include <sqlite3.h>

#include "relayd/store_engine.h"

#define SQLITE_READERS 4

enum sqlite_statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_BY_TAG,
    SQL_BY_CREATE_KEY,
    SQL_INSERT,
    SQL_UPDATE_HEAD,
    SQL_UPDATE_BODY,
    SQL_DELETE,
    SQL_SWEEP,
    SQL_PROBE,
    SQL_READ,
    SQL_STATEMENTS
};

struct sqlite_reader {
    pthread_mutex_t lock;
    sqlite3 *db;
    sqlite3_stmt *read;
};

struct sqlite_engine {
    struct engine engine;
    struct engine_hooks hooks;
    char *path;
    int lock_fd;
    uint8_t check[KEYED_LEN];

    /* Never used, and open as long as the engine: were the writing connection ever the last one, opening it anew after a failed
     * sync would replay the log, and take the failed transaction for a committed one. */
    sqlite3 *anchor;
    sqlite3 *db; /* NULL: to be opened again */
    sqlite3_stmt *statement[SQL_STATEMENTS];
    uint64_t capacity;
    int64_t capacity_read_ns;

    struct sqlite_reader reader[SQLITE_READERS];
    unsigned next_reader;      /* atomic */
    uint64_t mailboxes, bytes; /* atomic; written under the writing lock */
};

/* ---- connection (store_sqlite.c) ---- */

/* Opens a connection with our settings. */
gage_rc sqlite_connect(const char *path, bool reads_only, sqlite3 **db, struct gage_err *err);
/* Opens the writing connection if there is none, prepares its statements and counts what is stored. */
gage_rc sqlite_ready(struct sqlite_engine *s, struct gage_err *err);
/* Translates a result code: the sentence says what failed and what to do. */
gage_rc sqlite_failed(sqlite3 *db, int code, const char *path, struct gage_err *err);
/* After a failure of the writing connection: ends the transaction, and gives the connection up where it may be beyond repair. */
void sqlite_recover(struct sqlite_engine *s, int code);
/* Runs a prepared statement that returns no rows. */
gage_rc sqlite_run(struct sqlite_engine *s, enum sqlite_statement which, struct gage_err *err);

/* The statement of a read: the payload comes only where the version is above ?2. */
extern const char sqlite_read_sql[];

/* ---- rows (store_sqlite_rows.c) ---- */

gage_rc sqlite_begin(struct engine *engine, struct batch *batch, struct gage_err *err);
gage_rc sqlite_commit(struct engine *engine, struct batch *batch, struct gage_err *err);
void sqlite_end(struct engine *engine);
gage_rc sqlite_sweep(struct engine *engine, int64_t now, struct swept *swept, struct gage_err *err);
gage_rc sqlite_read(struct engine *engine, struct store_op **ops, enum read_need *need, size_t count, bool writer,
                    struct gage_err *err);

#endif
