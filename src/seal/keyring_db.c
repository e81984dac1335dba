#include "seal/keyring_db.h"

#include <string.h>

gage_rc
keyring_sql_fail(struct keyring *keyring, struct gage_err *err)
{
    int code = sqlite3_errcode(keyring->db) & 0xff;
    enum gage_code is = code == SQLITE_CONSTRAINT                         ? GAGE_E_EXISTS
                        : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? GAGE_E_FORMAT
                        : code == SQLITE_NOMEM                            ? GAGE_E_NOMEM
                                                                          : GAGE_E_IO;
    return gage_fail(err, is, "the keyring: %s", sqlite3_errmsg(keyring->db));
}

gage_rc
keyring_run(struct keyring *keyring, const char *sql, struct gage_err *err)
{
    if (sqlite3_exec(keyring->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return keyring_sql_fail(keyring, err);
    return GAGE_DONE;
}

/* Statements stay prepared: parsing one costs more than running it. The database lists them. */
void
statement_done(sqlite3_stmt **statement)
{
    if (*statement == NULL)
        return;
    sqlite3_reset(*statement);
    sqlite3_clear_bindings(*statement);
}

gage_rc
keyring_prepare(struct keyring *keyring, const char *sql, sqlite3_stmt **statement, struct gage_err *err)
{
    sqlite3_stmt *known = NULL;
    while ((known = sqlite3_next_stmt(keyring->db, known)) != NULL) {
        if (sqlite3_stmt_busy(known) == 0 && strcmp(sqlite3_sql(known), sql) == 0) {
            *statement = known;
            return GAGE_DONE;
        }
    }
    if (sqlite3_prepare_v3(keyring->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) != SQLITE_OK)
        return keyring_sql_fail(keyring, err);
    return GAGE_DONE;
}

void
keyring_forget_statements(struct keyring *keyring)
{
    sqlite3_stmt *known;
    while ((known = sqlite3_next_stmt(keyring->db, NULL)) != NULL)
        sqlite3_finalize(known);
}

void
bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

void
bind_bytes(sqlite3_stmt *statement, int at, gage_slice bytes)
{
    sqlite3_bind_blob64(statement, at, bytes.p, bytes.n, SQLITE_STATIC);
}

gage_slice
column_bytes(sqlite3_stmt *statement, int at)
{
    const void *p = sqlite3_column_blob(statement, at);
    return gage_slice_of(p, (size_t)sqlite3_column_bytes(statement, at));
}

gage_rc
keyring_step_done(struct keyring *keyring, sqlite3_stmt *statement, struct gage_err *err)
{
    if (sqlite3_step(statement) != SQLITE_DONE)
        return keyring_sql_fail(keyring, err);
    return GAGE_DONE;
}

gage_rc
keyring_finish(struct keyring *keyring, gage_rc rc, struct gage_err *err)
{
    if (gage_ok(rc))
        rc = keyring_run(keyring, "COMMIT", err);
    if (!gage_ok(rc))
        sqlite3_exec(keyring->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

gage_rc
keyring_number(struct keyring *keyring, const char *sql, int64_t *value, struct gage_err *err)
{
    STATEMENT s = NULL;
    TRY(keyring_prepare(keyring, sql, &s, err));
    if (sqlite3_step(s) != SQLITE_ROW)
        return keyring_sql_fail(keyring, err);
    *value = sqlite3_column_int64(s, 0);
    return GAGE_DONE;
}
