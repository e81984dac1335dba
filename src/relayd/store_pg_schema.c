#include "relayd/store_pg.h"

#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)

static const char schema[] =
    "BEGIN; SELECT pg_advisory_xact_lock(1734436709);" /* relays that start at the same moment take turns */
    "CREATE TABLE IF NOT EXISTS gage_meta (name text PRIMARY KEY, value bytea NOT NULL);"
    "CREATE TABLE IF NOT EXISTS gage_mailbox (tag bytea PRIMARY KEY, create_key bytea NOT NULL UNIQUE,"
    " expires bigint NOT NULL, payload_max bigint NOT NULL, version bigint NOT NULL, head bytea NOT NULL,"
    " payload bytea NOT NULL, initial bytea) WITH (fillfactor = 70);"
    /* ciphertext does not compress */
    "ALTER TABLE gage_mailbox ALTER payload SET STORAGE EXTERNAL, ALTER initial SET STORAGE EXTERNAL;"
    "CREATE INDEX IF NOT EXISTS gage_mailbox_expires ON gage_mailbox (expires);"
    "CREATE TABLE IF NOT EXISTS gage_usage (slot bigint PRIMARY KEY, mailboxes bigint NOT NULL, bytes bigint NOT NULL)"
    " WITH (fillfactor = 50);"
    "INSERT INTO gage_meta (name, value) VALUES ('schema', '\\x0" TEXT_OF(STORE_SCHEMA) "') ON CONFLICT DO NOTHING;"
                                                                                        "COMMIT";

/* The key's mark is the last thing that making the schema writes. */
static bool
has_schema(PGconn *conn)
{
    PGresult *result = PQexec(conn, "SELECT value FROM gage_meta WHERE name = 'key'");
    bool made = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    PQclear(result);
    return made;
}

gage_rc
pg_make_schema(struct pg_engine *s, PGconn *conn, struct gage_err *err)
{
    if (has_schema(conn)) /* then no lock is taken, and no right to make tables needed */
        return GAGE_DONE;
    gage_slice check = SLICE_OF(s->check);
    const char *value = (const char *)check.p;
    int length = (int)check.n, format = 1;
    TRY(pg_run_text(conn, schema, err));
    PGresult *result =
        PQexecParams(conn, "INSERT INTO gage_meta (name, value) VALUES ('key', $1) ON CONFLICT DO NOTHING", 1,
                     (const Oid[]){17}, &value, &length, &format, 1);
    gage_rc rc = PQresultStatus(result) == PGRES_COMMAND_OK ? GAGE_DONE : pg_failed(conn, result, err);
    PQclear(result);
    return rc;
}

/* One row of gage_meta; NULL where it cannot be had. */
static PGresult *
meta(PGconn *conn, const char *query, gage_rc *rc, struct gage_err *err)
{
    PGresult *result = PQexecParams(conn, query, 0, NULL, NULL, NULL, NULL, 1);
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
        return result;
    *rc = PQresultStatus(result) == PGRES_TUPLES_OK
              ? gage_fail(err, GAGE_E_FORMAT, "the database's table gage_meta lacks a row: restore it")
              : pg_failed(conn, result, err);
    PQclear(result);
    return NULL;
}

gage_rc
pg_check_meta(struct pg_engine *s, PGconn *conn, struct gage_err *err)
{
    gage_rc rc = GAGE_DONE;
    PGresult *result = meta(conn, "SELECT value FROM gage_meta WHERE name = 'schema'", &rc, err);
    if (result == NULL)
        return rc;
    gage_slice version = pg_bytes(result, 0, 0);
    if (version.n != 1 || version.p[0] != STORE_SCHEMA)
        rc = gage_fail(err, GAGE_E_FORMAT,
                       "the database has another schema than this gage's (%d): run the gage that wrote it",
                       STORE_SCHEMA);
    PQclear(result);
    TRY(rc);
    result = meta(conn, "SELECT value FROM gage_meta WHERE name = 'key'", &rc, err);
    if (result == NULL)
        return rc;
    if (!slice_equal_ct(pg_bytes(result, 0, 0), SLICE_OF(s->check)))
        rc = gage_fail(
            err, GAGE_E_SECRET,
            "the relay key is not the one that the database was made with: give all its relays the same key file");
    PQclear(result);
    return rc;
}
