/* keyring_db.h - what the files that work on the keyring's database share. */
#ifndef GAGE_SEAL_KEYRING_DB_H
#define GAGE_SEAL_KEYRING_DB_H

#include <limits.h>

#include <sqlite3.h>

#include "seal/hints.h"
#include "seal/keyring.h"

struct keyring {
    sqlite3 *db;
    struct hints hints;
    char hints_path[PATH_MAX];
};

/* SQLite's failures become ours here, once. */
gage_rc keyring_sql_fail(struct keyring *keyring, struct gage_err *err);
gage_rc keyring_run(struct keyring *keyring, const char *sql, struct gage_err *err);
gage_rc keyring_prepare(struct keyring *keyring, const char *sql, sqlite3_stmt **statement, struct gage_err *err);
/* Runs a statement that gives no rows. */
gage_rc keyring_step_done(struct keyring *keyring, sqlite3_stmt *statement, struct gage_err *err);
/* Runs a statement that gives one number. */
gage_rc keyring_number(struct keyring *keyring, const char *sql, int64_t *value, struct gage_err *err);
/* Ends a transaction: commits what went well, takes back the rest. */
gage_rc keyring_finish(struct keyring *keyring, gage_rc rc, struct gage_err *err);

void statement_done(sqlite3_stmt **statement);
/* A statement given back at scope end. Between keyring_prepare and its first step the same text must not be prepared again. */
#define STATEMENT __attribute__((cleanup(statement_done))) sqlite3_stmt *
/* Before the database is closed. */
void keyring_forget_statements(struct keyring *keyring);
void bind_text(sqlite3_stmt *statement, int at, const char *text);
void bind_bytes(sqlite3_stmt *statement, int at, gage_slice bytes);
gage_slice column_bytes(sqlite3_stmt *statement, int at);

/* Maps the hints again if another process changed the keyring, building them if they are stale: at the beginning of a reading transaction, which
 * keyring_finish ends; and inside a writing one, until whose end they stay right. */
gage_rc keyring_begin_reading(struct keyring *keyring, struct gage_err *err);
gage_rc keyring_refresh_hints_inside(struct keyring *keyring, struct gage_err *err);
gage_rc keyring_open_hints(struct keyring *keyring, struct gage_err *err);

/* Inside a transaction: the record under an alias; a new one, in a free slot, whose hint is then to be set; storing one anew. */
gage_rc keyring_find(struct keyring *keyring, const char *alias, int64_t *slot, struct pairing *out,
                     struct gage_err *err);
gage_rc keyring_insert(struct keyring *keyring, const struct pairing *pairing, const char *alias, int64_t *slot,
                       struct gage_err *err);
gage_rc keyring_store(struct keyring *keyring, int64_t slot, const struct pairing *pairing, struct gage_err *err);

/* The number by which a peer's exported name is indexed: 8 bytes of its SHA-256. Two names may share it. */
gage_rc keyring_party(gage_slice exported, int64_t *party);

#endif
