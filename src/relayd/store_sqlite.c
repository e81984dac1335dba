#include "relayd/store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

#define APPLICATION_ID 0x67616765 /* "gage" */
#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)

static const char schema[] = "PRAGMA application_id = " TEXT_OF(
    APPLICATION_ID) ";"
                    "BEGIN IMMEDIATE;"
                    "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;"
                    "CREATE TABLE mailbox ("
                    " row INTEGER PRIMARY KEY, tag BLOB NOT NULL, create_key BLOB NOT NULL, expires INTEGER NOT NULL,"
                    " payload_max INTEGER NOT NULL, version INTEGER NOT NULL, head BLOB NOT NULL, payload BLOB NOT "
                    "NULL,"
                    " initial BLOB) STRICT;"
                    "CREATE UNIQUE INDEX mailbox_tag ON mailbox (tag);"
                    "CREATE UNIQUE INDEX mailbox_create_key ON mailbox (create_key);"
                    "CREATE INDEX mailbox_expires ON mailbox (expires, payload_max);"
                    "PRAGMA user_version = " TEXT_OF(STORE_SCHEMA) ";";

#define COLUMNS "row, tag, create_key, expires, payload_max, version, head, length(initial)"

const char sqlite_read_sql[] =
    "SELECT " COLUMNS ", CASE WHEN version > ?2 THEN payload END FROM mailbox WHERE tag = ?1";

static const char *const sql[SQL_STATEMENTS] = {
    [SQL_BEGIN] = "BEGIN",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_BY_TAG] = "SELECT " COLUMNS " FROM mailbox WHERE tag = ?1",
    [SQL_BY_CREATE_KEY] = "SELECT " COLUMNS " FROM mailbox WHERE create_key = ?1",
    [SQL_INSERT] = "INSERT INTO mailbox (tag, create_key, expires, payload_max, version, head, payload, initial)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [SQL_UPDATE_HEAD] = "UPDATE mailbox SET head = ?2 WHERE row = ?1",
    /* ?4 and ?6 are enum body_source */
    [SQL_UPDATE_BODY] = "UPDATE mailbox SET head = ?2, version = ?3,"
                        " payload = CASE ?4 WHEN 1 THEN payload WHEN 2 THEN initial ELSE ?5 END,"
                        " initial = CASE ?6 WHEN 0 THEN NULL WHEN 1 THEN payload WHEN 2 THEN initial ELSE ?7 END"
                        " WHERE row = ?1",
    [SQL_DELETE] = "DELETE FROM mailbox WHERE row = ?1",
    [SQL_SWEEP] = "DELETE FROM mailbox WHERE row IN (SELECT row FROM mailbox WHERE expires <= ?1 ORDER BY expires"
                  " LIMIT ?2) RETURNING tag, payload_max",
    [SQL_PROBE] = "INSERT INTO meta (name, value) VALUES ('probe', x'00')"
                  " ON CONFLICT (name) DO UPDATE SET value = randomblob(1)",
    [SQL_READ] = sqlite_read_sql,
};

/* ---- failures ---- */

struct failure {
    int code; /* primary result code */
    enum gage_code as;
    const char *advice;
};

static const struct failure failures[] = {
    {SQLITE_FULL, GAGE_E_UNAVAILABLE, "the disk is full: make room, service goes on by itself"},
    {SQLITE_IOERR, GAGE_E_IO, "the disk failed: look at the system's log"},
    {SQLITE_CORRUPT, GAGE_E_FORMAT, "the database is damaged: stop the relay and restore it from a copy"},
    {SQLITE_NOTADB, GAGE_E_FORMAT, "it is not a SQLite database, or its first page is damaged: restore it from a copy"},
    {SQLITE_READONLY, GAGE_E_IO, "it cannot be written: check owner, mode, and whether the file system is read-only"},
    {SQLITE_CANTOPEN, GAGE_E_IO, "it cannot be opened: check that the folder exists and may be written"},
    {SQLITE_PERM, GAGE_E_IO, "permission denied: check its owner and mode"},
    {SQLITE_BUSY, GAGE_E_UNAVAILABLE, "another process holds it locked"},
    {SQLITE_NOMEM, GAGE_E_NOMEM, "memory is short"},
};

gage_rc
sqlite_failed(sqlite3 *db, int code, const char *path, struct gage_err *err)
{
    int sys = db != NULL ? sqlite3_system_errno(db) : 0;
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        if ((code & 0xff) != failures[i].code)
            continue;
        gage_rc rc = gage_fail(err, failures[i].as, "store %s: %s (SQLite result %d%s%s)", path, failures[i].advice,
                               code, sys != 0 ? ", " : "", sys != 0 ? strerrordesc_np(sys) : "");
        if (err != NULL)
            err->sys = sys;
        return rc;
    }
    return gage_fail(err, GAGE_E_INTERNAL, "store %s: SQLite result %d (%s)", path, code, sqlite3_errstr(code));
}

/* Whether the connection may know something that the disk does not: then it is opened anew. */
static bool
beyond_repair(int code)
{
    int primary = code & 0xff;
    return primary != SQLITE_OK && primary != SQLITE_FULL && primary != SQLITE_BUSY && primary != SQLITE_CONSTRAINT &&
           primary != SQLITE_NOMEM;
}

static void
give_up(struct sqlite_engine *s)
{
    for (size_t i = 0; i < SQL_STATEMENTS; i++) {
        sqlite3_finalize(s->statement[i]);
        s->statement[i] = NULL;
    }
    sqlite3_close(s->db);
    s->db = NULL;
}

void
sqlite_recover(struct sqlite_engine *s, int code)
{
    if (s->db == NULL)
        return;
    for (size_t i = 0; i < SQL_STATEMENTS; i++)
        sqlite3_reset(s->statement[i]);
    if (sqlite3_get_autocommit(s->db) == 0)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    if ((code & 0xff) == SQLITE_FULL) /* pages moved into the database leave their place in the log to the next ones */
        sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (beyond_repair(code) || sqlite3_get_autocommit(s->db) == 0)
        give_up(s);
}

gage_rc
sqlite_run(struct sqlite_engine *s, enum sqlite_statement which, struct gage_err *err)
{
    int code = sqlite3_step(s->statement[which]);
    if (code == SQLITE_DONE)
        code = sqlite3_reset(s->statement[which]);
    if (code == SQLITE_OK)
        return GAGE_DONE;
    gage_rc rc = sqlite_failed(s->db, code, s->path, err);
    sqlite_recover(s, code);
    return rc;
}

/* ---- connection ---- */

gage_rc
sqlite_connect(const char *path, bool reads_only, sqlite3 **db, struct gage_err *err)
{
    /* FULL: a commit returns after the log is synced. ON: removed bytes are overwritten with zeros. A fresh database has pages that hold a
     * usual mailbox whole: a payload that runs over into further pages writes three more each time. */
    static const char settings[] =
        "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;"
        "PRAGMA wal_autocheckpoint = 1000; PRAGMA cache_size = -8192;"
        "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;"
        "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;";
    static const char reader_settings[] = "PRAGMA query_only = ON; PRAGMA cache_size = -512; PRAGMA mmap_size = 0;"
                                          "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;";
    int code = sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        sqlite3_extended_result_codes(*db, 1);
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(*db, 5000);
    if (code == SQLITE_OK)
        code = sqlite3_exec(*db, reads_only ? reader_settings : settings, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        return GAGE_DONE;
    gage_rc rc = sqlite_failed(*db, code, path, err);
    sqlite3_close(*db);
    *db = NULL;
    return rc;
}

/* The first column of the first row, as a number. */
static int
ask(sqlite3 *db, const char *text, int64_t *first, int64_t *second)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, text, -1, &statement, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        *first = sqlite3_column_int64(statement, 0);
        if (second != NULL)
            *second = sqlite3_column_int64(statement, 1);
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return code;
}

static int
write_check(sqlite3 *db, const uint8_t check[KEYED_LEN])
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, "INSERT INTO meta (name, value) VALUES ('key', ?1)", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_blob(statement, 1, check, KEYED_LEN, SQLITE_STATIC);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement) == SQLITE_DONE ? SQLITE_OK : sqlite3_extended_errcode(db);
    sqlite3_finalize(statement);
    return code;
}

static gage_rc
make_schema(struct sqlite_engine *s, struct gage_err *err)
{
    int code = sqlite3_exec(s->db, schema, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = write_check(s->db, s->check);
    if (code == SQLITE_OK)
        code = sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
    return code == SQLITE_OK ? GAGE_DONE : sqlite_failed(s->db, code, s->path, err);
}

static gage_rc
check_key(struct sqlite_engine *s, struct gage_err *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(s->db, "SELECT value FROM meta WHERE name = 'key'", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    bool same = code == SQLITE_ROW && sqlite3_column_bytes(statement, 0) == KEYED_LEN &&
                memcmp(sqlite3_column_blob(statement, 0), s->check, KEYED_LEN) == 0;
    gage_rc rc = GAGE_DONE;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        rc = sqlite_failed(s->db, code, s->path, err);
    else if (!same)
        rc = gage_fail(err, GAGE_E_SECRET,
                       "the relay key is not the one that the database %s was made with: restore that key", s->path);
    sqlite3_finalize(statement);
    return rc;
}

static gage_rc
check_schema(struct sqlite_engine *s, struct gage_err *err)
{
    int64_t version = 0, application = 0;
    int code = ask(s->db, "PRAGMA user_version", &version, NULL);
    if (code == SQLITE_OK)
        code = ask(s->db, "PRAGMA application_id", &application, NULL);
    if (code != SQLITE_OK)
        return sqlite_failed(s->db, code, s->path, err);
    if (version == 0 && (application == 0 || application == APPLICATION_ID))
        return make_schema(s, err);
    REQUIRE(application == APPLICATION_ID, err, GAGE_E_FORMAT,
            "%s is a database of another program: name another file for the store", s->path);
    REQUIRE(version <= STORE_SCHEMA, err, GAGE_E_FORMAT,
            "the database %s was written by a newer gage (schema %d, this one knows %d): run that one", s->path,
            (int)version, STORE_SCHEMA);
    return check_key(s, err);
}

static gage_rc
count_stored(struct sqlite_engine *s, struct gage_err *err)
{
    int64_t mailboxes = 0, payload = 0;
    int code = ask(s->db, "SELECT count(*), coalesce(sum(payload_max), 0) FROM mailbox INDEXED BY mailbox_expires",
                   &mailboxes, &payload);
    if (code != SQLITE_OK)
        return sqlite_failed(s->db, code, s->path, err);
    uint64_t bytes = (uint64_t)mailboxes * store_reserve_of(0) + 2 * (uint64_t)(payload < 0 ? 0 : payload);
    __atomic_store_n(&s->mailboxes, (uint64_t)mailboxes, __ATOMIC_RELAXED);
    __atomic_store_n(&s->bytes, bytes, __ATOMIC_RELAXED);
    return GAGE_DONE;
}

static gage_rc
prepare_all(struct sqlite_engine *s, struct gage_err *err)
{
    for (size_t i = 0; i < SQL_STATEMENTS; i++) {
        int code = sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statement[i], NULL);
        if (code != SQLITE_OK)
            return sqlite_failed(s->db, code, s->path, err);
    }
    return GAGE_DONE;
}

gage_rc
sqlite_ready(struct sqlite_engine *s, struct gage_err *err)
{
    if (s->db != NULL)
        return GAGE_DONE;
    TRY(sqlite_connect(s->path, false, &s->db, err));
    gage_rc rc = check_schema(s, err);
    if (gage_ok(rc))
        rc = prepare_all(s, err);
    if (gage_ok(rc))
        rc = count_stored(s, err);
    if (!gage_ok(rc))
        give_up(s);
    return rc;
}

/* ---- the engine ---- */

static gage_rc
sqlite_scrub(struct engine *engine, struct gage_err *err)
{
    struct sqlite_engine *s = (struct sqlite_engine *)engine;
    TRY(sqlite_ready(s, err));
    int code = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (code == SQLITE_OK || code == SQLITE_BUSY) /* busy: a reader was quicker; the next sweep comes back */
        return GAGE_DONE;
    gage_rc rc = sqlite_failed(s->db, code, s->path, err);
    sqlite_recover(s, code);
    return rc;
}

static gage_rc
sqlite_probe(struct engine *engine, struct gage_err *err)
{
    struct sqlite_engine *s = (struct sqlite_engine *)engine;
    TRY(sqlite_ready(s, err));
    return sqlite_run(s, SQL_PROBE, err);
}

static void
sqlite_usage(struct engine *engine, uint64_t *mailboxes, uint64_t *bytes)
{
    struct sqlite_engine *s = (struct sqlite_engine *)engine;
    *mailboxes = __atomic_load_n(&s->mailboxes, __ATOMIC_RELAXED);
    *bytes = __atomic_load_n(&s->bytes, __ATOMIC_RELAXED);
}

static void
sqlite_close(struct engine *engine)
{
    struct sqlite_engine *s = (struct sqlite_engine *)engine;
    for (size_t i = 0; i < SQLITE_READERS; i++) {
        sqlite3_finalize(s->reader[i].read);
        sqlite3_close(s->reader[i].db);
        pthread_mutex_destroy(&s->reader[i].lock);
    }
    give_up(s);
    sqlite3_close(s->anchor); /* the last connection moves the log into the database */
    gage_close_fd(&s->lock_fd);
    free(s->path);
    free(s);
}

static const struct engine_ops sqlite_ops = {
    .local = true,
    .close = sqlite_close,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .end = sqlite_end,
    .read = sqlite_read,
    .sweep = sqlite_sweep,
    .scrub = sqlite_scrub,
    .probe = sqlite_probe,
    .usage = sqlite_usage,
};

/* Takes the lock that keeps a second relay away, and makes the file with a mode that lets nobody else read it. */
static gage_rc
claim_file(struct sqlite_engine *s, struct gage_err *err)
{
    char lock_path[PATH_MAX];
    int n = snprintf(lock_path, sizeof lock_path, "%s.lock", s->path);
    REQUIRE(n > 0 && (size_t)n < sizeof lock_path, err, GAGE_E_LIMIT, "the path of the store is too long");
    TRY(file_lock(lock_path, &s->lock_fd, err));
    AUTO(gage_fd) fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot open the store %s", s->path);
    return GAGE_DONE;
}

static gage_rc
drop_anchor(struct sqlite_engine *s, struct gage_err *err)
{
    int64_t ignored;
    TRY(sqlite_connect(s->path, true, &s->anchor, err));
    int code = ask(s->anchor, "SELECT count(*) FROM meta", &ignored, NULL); /* attaches it to the log */
    return code == SQLITE_OK ? GAGE_DONE : sqlite_failed(s->anchor, code, s->path, err);
}

gage_rc
sqlite_engine_open(const char *path, const uint8_t check[KEYED_LEN], const struct engine_hooks *hooks,
                   struct engine **out, struct gage_err *err)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* a global lock around every allocation; refused once SQLite runs */
    struct sqlite_engine *s = calloc(1, sizeof *s);
    REQUIRE(s != NULL && (s->path = strdup(path)) != NULL, err, GAGE_E_NOMEM, "no memory for the store");
    s->engine.ops = &sqlite_ops;
    s->hooks = *hooks;
    s->lock_fd = -1;
    memcpy(s->check, check, KEYED_LEN);
    for (size_t i = 0; i < SQLITE_READERS; i++)
        pthread_mutex_init(&s->reader[i].lock, NULL);
    gage_rc rc = claim_file(s, err);
    if (gage_ok(rc))
        rc = sqlite_ready(s, err);
    if (gage_ok(rc))
        rc = drop_anchor(s, err);
    if (!gage_ok(rc)) {
        sqlite_close(&s->engine);
        return rc;
    }
    *out = &s->engine;
    return GAGE_DONE;
}
