#include "seal/keyring.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <fcntl.h>

#include <sqlite3.h>

#include "base/encode.h"
#include "base/file.h"
#include "seal/hints.h"

#define SCHEMA_VERSION 1
#define HINTS_MAX ((size_t)1 << 32)

struct keyring {
    sqlite3 *db;
    struct hints hints;
    char hints_path[PATH_MAX];
};

/* ---- SQLite, once ---- */

static gage_rc
sql_fail(struct keyring *keyring, struct gage_err *err)
{
    int code = sqlite3_errcode(keyring->db) & 0xff;
    enum gage_code is = code == SQLITE_CONSTRAINT                         ? GAGE_E_EXISTS
                        : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? GAGE_E_FORMAT
                        : code == SQLITE_NOMEM                            ? GAGE_E_NOMEM
                                                                          : GAGE_E_IO;
    return gage_fail(err, is, "the keyring: %s", sqlite3_errmsg(keyring->db));
}

static gage_rc
run(struct keyring *keyring, const char *sql, struct gage_err *err)
{
    if (sqlite3_exec(keyring->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return sql_fail(keyring, err);
    return GAGE_DONE;
}

static void
finalize(sqlite3_stmt **statement)
{
    sqlite3_finalize(*statement);
}
#define STATEMENT __attribute__((cleanup(finalize))) sqlite3_stmt *

static gage_rc
prepare(struct keyring *keyring, const char *sql, sqlite3_stmt **statement, struct gage_err *err)
{
    if (sqlite3_prepare_v2(keyring->db, sql, -1, statement, NULL) != SQLITE_OK)
        return sql_fail(keyring, err);
    return GAGE_DONE;
}

static void
bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

static void
bind_bytes(sqlite3_stmt *statement, int at, gage_slice bytes)
{
    sqlite3_bind_blob64(statement, at, bytes.p, bytes.n, SQLITE_STATIC);
}

static gage_slice
column_bytes(sqlite3_stmt *statement, int at)
{
    const void *p = sqlite3_column_blob(statement, at);
    return gage_slice_of(p, (size_t)sqlite3_column_bytes(statement, at));
}

/* Runs a statement that gives no rows. */
static gage_rc
step_done(struct keyring *keyring, sqlite3_stmt *statement, struct gage_err *err)
{
    if (sqlite3_step(statement) != SQLITE_DONE)
        return sql_fail(keyring, err);
    return GAGE_DONE;
}

/* Ends a transaction: commits what went well, takes back the rest. */
static gage_rc
finish(struct keyring *keyring, gage_rc rc, struct gage_err *err)
{
    if (gage_ok(rc))
        rc = run(keyring, "COMMIT", err);
    if (!gage_ok(rc))
        sqlite3_exec(keyring->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* ---- opening ---- */

static gage_rc
one_number(struct keyring *keyring, const char *sql, int64_t *value, struct gage_err *err)
{
    STATEMENT s = NULL;
    TRY(prepare(keyring, sql, &s, err));
    if (sqlite3_step(s) != SQLITE_ROW)
        return sql_fail(keyring, err);
    *value = sqlite3_column_int64(s, 0);
    return GAGE_DONE;
}

static gage_rc
make_schema(struct keyring *keyring, struct gage_err *err)
{
    int64_t version = 0;
    TRY(run(keyring, "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON", err));
    TRY(one_number(keyring, "PRAGMA user_version", &version, err));
    REQUIRE(version <= SCHEMA_VERSION, err, GAGE_E_FORMAT, "the keyring was made by a newer gage: use that one");
    if (version == SCHEMA_VERSION)
        return GAGE_DONE;
    /* slot is the key's place in the hints; a removed pairing leaves its slot, emptied, for the next one */
    return run(
        keyring,
        "BEGIN IMMEDIATE;"
        "CREATE TABLE IF NOT EXISTS pairing(slot INTEGER PRIMARY KEY, id BLOB UNIQUE, alias TEXT UNIQUE, record BLOB,"
        " last_use INTEGER NOT NULL DEFAULT 0);"
        "CREATE TABLE IF NOT EXISTS generation(value INTEGER NOT NULL);"
        "INSERT INTO generation SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM generation);"
        "PRAGMA user_version=1; COMMIT",
        err);
}

static gage_rc
check_file(const char *path, bool create, struct gage_err *err)
{
    struct stat st;
    if (create) {
        AUTO(gage_fd) fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        REQUIRE(fd >= 0, err, GAGE_E_IO, "cannot make the keyring %s", path);
    }
    REQUIRE(stat(path, &st) == 0, err, GAGE_E_NOT_FOUND, "there is no keyring at %s: pair with somebody first", path);
    REQUIRE((st.st_mode & 077) == 0, err, GAGE_E_REFUSED,
            "others may read or write the keyring %s: chmod 600 it, or pair anew", path);
    return GAGE_DONE;
}

static gage_rc open_hints(struct keyring *keyring, struct gage_err *err);

static gage_rc
open_parts(struct keyring *keyring, const char *path, struct gage_err *err)
{
    int n = snprintf(keyring->hints_path, sizeof keyring->hints_path, "%s.hints", path);
    REQUIRE(n > 0 && (size_t)n < sizeof keyring->hints_path, err, GAGE_E_LIMIT, "the keyring's path is too long");
    if (sqlite3_open_v2(path, &keyring->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return sql_fail(keyring, err);
    sqlite3_busy_timeout(keyring->db, 10000);
    TRY(make_schema(keyring, err));
    return open_hints(keyring, err);
}

gage_rc
keyring_open(const char *path, bool create, struct keyring **out, struct gage_err *err)
{
    TRY(check_file(path, create, err));
    struct keyring *keyring = calloc(1, sizeof *keyring);
    REQUIRE(keyring != NULL, err, GAGE_E_NOMEM, "out of memory");
    keyring->hints = HINTS_CLOSED;
    gage_rc rc = open_parts(keyring, path, err);
    if (!gage_ok(rc)) {
        keyring_close(&keyring);
        return rc;
    }
    *out = keyring;
    return GAGE_DONE;
}

void
keyring_close(struct keyring **keyring)
{
    if (*keyring == NULL)
        return;
    hints_close(&(*keyring)->hints);
    sqlite3_close((*keyring)->db);
    free(*keyring);
    *keyring = NULL;
}

/* ---- hints ---- */

static gage_rc
read_pairing(sqlite3_stmt *s, int column, struct pairing *out, struct gage_err *err)
{
    return pairing_get(column_bytes(s, column), out, err);
}

/* All hint keys by slot (1, 2, ...); an emptied slot gets a random key, which no honest seal fits. */
static gage_rc
collect_keys(struct keyring *keyring, gage_buf *keys, struct gage_err *err)
{
    STATEMENT s = NULL;
    int step;
    TRY(prepare(keyring, "SELECT slot, record FROM pairing ORDER BY slot", &s, err));
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        AUTO(pairing_t) p = {.made = 0};
        uint8_t random[HINT_KEY_LEN];
        REQUIRE((uint64_t)sqlite3_column_int64(s, 0) == keys->n / HINT_KEY_LEN + 1, err, GAGE_E_FORMAT,
                "the keyring's slots are not in order: it is damaged");
        TRY(rng_fill(&gage_system_rng, random, sizeof random));
        bool empty = sqlite3_column_type(s, 1) == SQLITE_NULL;
        if (!empty)
            TRY(read_pairing(s, 1, &p, err));
        put_bytes(keys, gage_slice_of(empty ? random : p.hint_receive, HINT_KEY_LEN));
    }
    if (step != SQLITE_DONE)
        return sql_fail(keyring, err);
    return buf_check(keys, err);
}

static gage_rc
rebuild_hints(struct keyring *keyring, struct gage_err *err)
{
    AUTO(gage_buf) keys = GAGE_BUF(HINTS_MAX);
    int64_t generation = 0;
    TRY(run(keyring, "BEGIN IMMEDIATE", err)); /* nobody changes the keyring or rebuilds meanwhile */
    gage_rc rc = one_number(keyring, "SELECT value FROM generation", &generation, err);
    if (gage_ok(rc))
        rc = collect_keys(keyring, &keys, err);
    if (gage_ok(rc))
        rc = hints_write(keyring->hints_path, (uint64_t)generation, gage_buf_slice(&keys), err);
    TRY(finish(keyring, rc, err));
    return hints_open(&keyring->hints, keyring->hints_path, (uint64_t)generation, err);
}

static gage_rc
open_hints(struct keyring *keyring, struct gage_err *err)
{
    int64_t generation = 0;
    TRY(one_number(keyring, "SELECT value FROM generation", &generation, err));
    hints_close(&keyring->hints);
    gage_rc rc = hints_open(&keyring->hints, keyring->hints_path, (uint64_t)generation, err);
    return rc.code == GAGE_E_NOT_FOUND ? rebuild_hints(keyring, err) : rc;
}

/* Another process may have changed the keyring since the hints were mapped. */
static gage_rc
refresh_hints(struct keyring *keyring, struct gage_err *err)
{
    int64_t generation = 0;
    TRY(one_number(keyring, "SELECT value FROM generation", &generation, err));
    if (hints_fit(&keyring->hints, (uint64_t)generation))
        return GAGE_DONE;
    return open_hints(keyring, err);
}

/* Inside a transaction: gives a new generation and sets the slot's hint key. The transaction's commit makes both count. Generations are random, so
 * that one written into the hints by a transaction that failed never comes again. */
static gage_rc
set_hint(struct keyring *keyring, int64_t slot, const uint8_t key[HINT_KEY_LEN], struct gage_err *err)
{
    int64_t generation = 0;
    TRY(one_number(keyring, "UPDATE generation SET value = random() RETURNING value", &generation, err));
    return hints_set(&keyring->hints, (size_t)slot - 1, key, (uint64_t)generation, err);
}

/* ---- records ---- */

static gage_rc
find_alias(struct keyring *keyring, const char *alias, int64_t *slot, struct pairing *out, struct gage_err *err)
{
    STATEMENT s = NULL;
    TRY(prepare(keyring, "SELECT slot, record FROM pairing WHERE alias = ?1", &s, err));
    bind_text(s, 1, alias);
    int step = sqlite3_step(s);
    REQUIRE(step != SQLITE_DONE, err, GAGE_E_NOT_FOUND, "there is no peer of that name: gage peers lists them");
    if (step != SQLITE_ROW)
        return sql_fail(keyring, err);
    *slot = sqlite3_column_int64(s, 0);
    return read_pairing(s, 1, out, err);
}

static gage_rc
store_record(struct keyring *keyring, int64_t slot, const struct pairing *pairing, struct gage_err *err)
{
    STATEMENT s = NULL;
    AUTO(gage_buf) record = GAGE_BUF(PAIRING_RECORD_MAX);
    pairing_put(&record, pairing);
    TRY(buf_check(&record, err));
    TRY(prepare(keyring, "UPDATE pairing SET record = ?1 WHERE slot = ?2", &s, err));
    bind_bytes(s, 1, gage_buf_slice(&record));
    sqlite3_bind_int64(s, 2, slot);
    return step_done(keyring, s, err);
}

/* ---- changing ---- */

static gage_rc
check_alias(const char *alias, struct gage_err *err)
{
    size_t n = strlen(alias);
    REQUIRE(n > 0 && n <= KEYRING_ALIAS_MAX && alias[0] != '-' && utf8_printable(slice_str(alias)), err, GAGE_E_USAGE,
            "a peer's name here has 1 to %d bytes of printable text and does not begin with a dash", KEYRING_ALIAS_MAX);
    return GAGE_DONE;
}

static gage_rc
insert(struct keyring *keyring, const struct pairing *pairing, const char *alias, struct gage_err *err)
{
    STATEMENT s = NULL;
    int64_t slot = 0;
    AUTO(gage_buf) record = GAGE_BUF(PAIRING_RECORD_MAX);
    pairing_put(&record, pairing);
    TRY(buf_check(&record, err));
    TRY(one_number(keyring,
                   "SELECT coalesce((SELECT min(slot) FROM pairing WHERE record IS NULL), (SELECT coalesce(max(slot), "
                   "0) + 1 FROM pairing))",
                   &slot, err));
    TRY(prepare(keyring,
                "INSERT INTO pairing(slot, id, alias, record) VALUES (?1, ?2, ?3, ?4) ON CONFLICT(slot) DO UPDATE"
                " SET id = ?2, alias = ?3, record = ?4, last_use = 0",
                &s, err));
    sqlite3_bind_int64(s, 1, slot);
    bind_bytes(s, 2, SLICE_OF(pairing->id));
    bind_text(s, 3, alias);
    bind_bytes(s, 4, gage_buf_slice(&record));
    gage_rc rc = step_done(keyring, s, err);
    REQUIRE(rc.code != GAGE_E_EXISTS, err, GAGE_E_EXISTS, "there is a peer %s already (gage peers), or this pairing",
            alias);
    TRY(rc);
    return set_hint(keyring, slot, pairing->hint_receive, err);
}

gage_rc
keyring_add(struct keyring *keyring, const struct pairing *pairing, const char *alias, struct gage_err *err)
{
    TRY(check_alias(alias, err));
    TRY(refresh_hints(keyring, err));
    TRY(run(keyring, "BEGIN IMMEDIATE", err));
    gage_rc rc = insert(keyring, pairing, alias, err);
    rc = finish(keyring, rc, err);
    if (!gage_ok(rc))
        (void)gage_ok(open_hints(keyring, NULL)); /* what hints_set wrote is of no generation then */
    return rc;
}

/* Runs a statement whose last parameter is the alias; one row must change. */
static gage_rc
change(struct keyring *keyring, sqlite3_stmt *s, int alias_at, const char *alias, struct gage_err *err)
{
    bind_text(s, alias_at, alias);
    TRY(step_done(keyring, s, err));
    REQUIRE(sqlite3_changes(keyring->db) == 1, err, GAGE_E_NOT_FOUND,
            "there is no peer of that name: gage peers lists them");
    return GAGE_DONE;
}

gage_rc
keyring_rename(struct keyring *keyring, const char *alias, const char *to, struct gage_err *err)
{
    STATEMENT s = NULL;
    TRY(check_alias(to, err));
    TRY(prepare(keyring, "UPDATE pairing SET alias = ?1 WHERE alias = ?2", &s, err));
    bind_text(s, 1, to);
    gage_rc rc = change(keyring, s, 2, alias, err);
    REQUIRE(rc.code != GAGE_E_EXISTS, err, GAGE_E_EXISTS, "there is a peer %s already", to);
    return rc;
}

static gage_rc
empty_slot(struct keyring *keyring, const char *alias, struct gage_err *err)
{
    STATEMENT s = NULL;
    uint8_t random[HINT_KEY_LEN];
    TRY(prepare(
        keyring,
        "UPDATE pairing SET id = NULL, alias = NULL, record = NULL, last_use = 0 WHERE alias = ?1 RETURNING slot", &s,
        err));
    bind_text(s, 1, alias);
    int step = sqlite3_step(s);
    REQUIRE(step != SQLITE_DONE, err, GAGE_E_NOT_FOUND, "there is no peer of that name: gage peers lists them");
    if (step != SQLITE_ROW)
        return sql_fail(keyring, err);
    int64_t slot = sqlite3_column_int64(s, 0);
    TRY(step_done(keyring, s, err));
    TRY(rng_fill(&gage_system_rng, random, sizeof random));
    return set_hint(keyring, slot, random, err);
}

gage_rc
keyring_remove(struct keyring *keyring, const char *alias, struct gage_err *err)
{
    TRY(refresh_hints(keyring, err));
    TRY(run(keyring, "BEGIN IMMEDIATE", err));
    gage_rc rc = empty_slot(keyring, alias, err);
    rc = finish(keyring, rc, err);
    if (!gage_ok(rc))
        (void)gage_ok(open_hints(keyring, NULL));
    return rc;
}

gage_rc
keyring_expire(struct keyring *keyring, const char *alias, int64_t until, struct gage_err *err)
{
    AUTO(pairing_t) p = {.made = 0};
    TRY(run(keyring, "BEGIN IMMEDIATE", err));
    int64_t slot = 0;
    gage_rc rc = find_alias(keyring, alias, &slot, &p, err);
    if (gage_ok(rc)) {
        p.until = until < p.made ? p.made : until;
        rc = store_record(keyring, slot, &p, err);
    }
    return finish(keyring, rc, err);
}

/* ---- using ---- */

/* Steps the keys to now and stores the step, so that older ones are gone from the file too. */
static gage_rc
step_and_store(struct keyring *keyring, int64_t slot, int64_t now, unsigned keep, struct pairing *p,
               struct gage_err *err)
{
    bool changed = false;
    gage_rc rc = pairing_step(p, now, keep, &changed);
    REQUIRE(gage_ok(rc), err, GAGE_E_STATE,
            "the clock stands years after the pairing's last use: set it right, or pair again");
    return changed ? store_record(keyring, slot, p, err) : GAGE_DONE;
}

static gage_rc
touch(struct keyring *keyring, int64_t slot, int64_t now, struct gage_err *err)
{
    STATEMENT s = NULL;
    TRY(prepare(keyring, "UPDATE pairing SET last_use = ?1 WHERE slot = ?2", &s, err));
    sqlite3_bind_int64(s, 1, now);
    sqlite3_bind_int64(s, 2, slot);
    return step_done(keyring, s, err);
}

gage_rc
keyring_get(struct keyring *keyring, const char *alias, int64_t now, unsigned keep, bool use, struct pairing *out,
            struct gage_err *err)
{
    AUTO(pairing_t) p = {.made = 0};
    int64_t slot = 0;
    TRY(run(keyring, "BEGIN IMMEDIATE", err));
    gage_rc rc = find_alias(keyring, alias, &slot, &p, err);
    if (gage_ok(rc))
        rc = step_and_store(keyring, slot, now, keep, &p, err);
    if (gage_ok(rc) && use)
        rc = touch(keyring, slot, now, err);
    TRY(finish(keyring, rc, err));
    *out = p;
    memset(&p, 0, sizeof p);
    return GAGE_DONE;
}

/* The pairing in a slot of the hints. An emptied slot, or one that changed meanwhile, gives none. */
static gage_rc
load_slot(struct keyring *keyring, int64_t slot, int64_t now, unsigned keep, struct pairing *out, char *alias,
          bool *found, struct gage_err *err)
{
    STATEMENT s = NULL;
    *found = false;
    TRY(prepare(keyring, "SELECT record, alias FROM pairing WHERE slot = ?1 AND record IS NOT NULL", &s, err));
    sqlite3_bind_int64(s, 1, slot);
    int step = sqlite3_step(s);
    if (step == SQLITE_DONE)
        return GAGE_DONE;
    if (step != SQLITE_ROW)
        return sql_fail(keyring, err);
    TRY(read_pairing(s, 0, out, err));
    if (alias != NULL)
        snprintf(alias, KEYRING_ALIAS_MAX + 1, "%s", (const char *)sqlite3_column_text(s, 1));
    sqlite3_reset(s);
    gage_rc rc = step_and_store(keyring, slot, now, keep, out, err);
    if (!gage_ok(rc))
        pairing_cleanup(out);
    *found = gage_ok(rc);
    return rc;
}

gage_rc
keyring_match(struct keyring *keyring, const struct seal_header *header, int64_t now, unsigned keep,
              struct pairing out[KEYRING_MATCHES_MAX], char aliases[][KEYRING_ALIAS_MAX + 1], size_t *count,
              struct gage_err *err)
{
    size_t slots[KEYRING_MATCHES_MAX], n = 0;
    *count = 0;
    TRY(refresh_hints(keyring, err));
    gage_slice keys = hints_keys(&keyring->hints);
    size_t matches =
        hint_search(keys.p, keys.n / HINT_KEY_LEN, header->nonce, header->hint, slots, KEYRING_MATCHES_MAX);
    REQUIRE(matches <= KEYRING_MATCHES_MAX, err, GAGE_E_REFUSED, "this seal's hint fits %zu pairings: it is refused",
            matches);
    gage_rc rc = GAGE_DONE;
    for (size_t i = 0; gage_ok(rc) && i < matches; i++) {
        bool found = false;
        rc = load_slot(keyring, (int64_t)slots[i] + 1, now, keep, &out[n], aliases == NULL ? NULL : aliases[n], &found,
                       err);
        n += found;
    }
    for (size_t i = 0; !gage_ok(rc) && i < n; i++)
        pairing_cleanup(&out[i]);
    *count = gage_ok(rc) ? n : 0;
    return rc;
}

gage_rc
keyring_list(struct keyring *keyring, bool (*row)(void *context, const struct keyring_row *row), void *context,
             struct gage_err *err)
{
    STATEMENT s = NULL;
    int step;
    TRY(prepare(keyring, "SELECT alias, record, last_use FROM pairing WHERE record IS NOT NULL ORDER BY alias", &s,
                err));
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        AUTO(pairing_t) p = {.made = 0};
        TRY(read_pairing(s, 1, &p, err));
        struct keyring_row r = {.alias = (const char *)sqlite3_column_text(s, 0),
                                .self = gage_buf_slice(&p.self),
                                .peer = gage_buf_slice(&p.peer),
                                .made = p.made,
                                .until = p.until,
                                .last_use = sqlite3_column_int64(s, 2)};
        memcpy(r.id, p.id, sizeof r.id);
        if (!row(context, &r))
            return GAGE_DONE;
    }
    return step == SQLITE_DONE ? GAGE_DONE : sql_fail(keyring, err);
}

static gage_rc
step_slots(struct keyring *keyring, int64_t now, unsigned keep, struct gage_err *err)
{
    STATEMENT s = NULL;
    int step;
    TRY(prepare(keyring, "SELECT slot, record FROM pairing WHERE record IS NOT NULL", &s, err));
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        AUTO(pairing_t) p = {.made = 0};
        TRY(read_pairing(s, 1, &p, err));
        TRY(step_and_store(keyring, sqlite3_column_int64(s, 0), now, keep, &p, err));
    }
    return step == SQLITE_DONE ? GAGE_DONE : sql_fail(keyring, err);
}

gage_rc
keyring_step_all(struct keyring *keyring, int64_t now, unsigned keep, struct gage_err *err)
{
    TRY(run(keyring, "BEGIN IMMEDIATE", err));
    return finish(keyring, step_slots(keyring, now, keep, err), err);
}
