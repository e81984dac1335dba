#include "seal/keyring_db.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"

gage_rc
keyring_find(struct keyring *keyring, const char *alias, int64_t *slot, struct pairing *out, struct gage_err *err)
{
    STATEMENT s = NULL;
    TRY(keyring_prepare(keyring, "SELECT slot, record FROM pairing WHERE alias = ?1", &s, err));
    bind_text(s, 1, alias);
    int step = sqlite3_step(s);
    REQUIRE(step != SQLITE_DONE, err, GAGE_E_NOT_FOUND, "there is no peer of that name: gage peers lists them");
    if (step != SQLITE_ROW)
        return keyring_sql_fail(keyring, err);
    *slot = sqlite3_column_int64(s, 0);
    return pairing_get(column_bytes(s, 1), out, err);
}

gage_rc
keyring_store(struct keyring *keyring, int64_t slot, const struct pairing *pairing, struct gage_err *err)
{
    STATEMENT s = NULL;
    AUTO(gage_buf) record = GAGE_BUF(PAIRING_RECORD_MAX);
    pairing_put(&record, pairing);
    TRY(buf_check(&record, err));
    TRY(keyring_prepare(keyring, "UPDATE pairing SET record = ?1 WHERE slot = ?2", &s, err));
    bind_bytes(s, 1, gage_buf_slice(&record));
    sqlite3_bind_int64(s, 2, slot);
    return keyring_step_done(keyring, s, err);
}

/* Inside a transaction: gives a new generation and sets the slot's hint key, on the disk before the transaction's commit makes both count: else a
 * power cut could leave hints of the right generation without the key, and the pairing would never be found. Generations are random, so that one
 * written into the hints by a transaction that failed never comes again. */
static gage_rc
set_hint(struct keyring *keyring, int64_t slot, const uint8_t key[HINT_KEY_LEN], struct gage_err *err)
{
    int64_t generation = 0;
    TRY(keyring_number(keyring, "UPDATE generation SET value = random() RETURNING value", &generation, err));
    TRY(hints_set(&keyring->hints, (size_t)slot - 1, key, (uint64_t)generation, err));
    if (fdatasync(keyring->hints.fd) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot write the keyring's hints");
    return GAGE_DONE;
}

static gage_rc
check_alias(const char *alias, struct gage_err *err)
{
    size_t n = strlen(alias);
    bool plain = n > 0 && n <= KEYRING_ALIAS_MAX && alias[0] != '-' && strchr(alias, ':') == NULL;
    REQUIRE(plain && utf8_printable(slice_str(alias)), err, GAGE_E_USAGE,
            "a peer's name here has 1 to %d bytes of printable text without a colon, and does not begin with a dash",
            KEYRING_ALIAS_MAX);
    return GAGE_DONE;
}

gage_rc
keyring_has(struct keyring *keyring, const char *alias, bool *has, struct gage_err *err)
{
    STATEMENT s = NULL;
    TRY(check_alias(alias, err));
    TRY(keyring_prepare(keyring, "SELECT 1 FROM pairing WHERE alias = ?1", &s, err));
    bind_text(s, 1, alias);
    int step = sqlite3_step(s);
    *has = step == SQLITE_ROW;
    return *has || step == SQLITE_DONE ? GAGE_DONE : keyring_sql_fail(keyring, err);
}

gage_rc
keyring_party(gage_slice exported, int64_t *party)
{
    uint8_t hash[SHA256_LEN];
    TRY(sha256_of(exported, hash));
    memcpy(party, hash, sizeof *party);
    return GAGE_DONE;
}

gage_rc
keyring_insert(struct keyring *keyring, const struct pairing *pairing, const char *alias, int64_t *slot,
               struct gage_err *err)
{
    STATEMENT s = NULL;
    int64_t party = 0;
    AUTO(gage_buf) record = GAGE_BUF(PAIRING_RECORD_MAX);
    pairing_put(&record, pairing);
    TRY(buf_check(&record, err));
    TRY(keyring_party(gage_buf_slice(&pairing->peer), &party));
    TRY(keyring_number(
        keyring,
        "SELECT coalesce((SELECT min(slot) FROM pairing WHERE record IS NULL), (SELECT coalesce(max(slot), "
        "0) + 1 FROM pairing))",
        slot, err));
    TRY(keyring_prepare(
        keyring,
        "INSERT INTO pairing(slot, id, alias, record, party) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT(slot) DO UPDATE"
        " SET id = ?2, alias = ?3, record = ?4, party = ?5, last_use = 0",
        &s, err));
    sqlite3_bind_int64(s, 1, *slot);
    bind_bytes(s, 2, SLICE_OF(pairing->id));
    bind_text(s, 3, alias);
    bind_bytes(s, 4, gage_buf_slice(&record));
    sqlite3_bind_int64(s, 5, party);
    gage_rc rc = keyring_step_done(keyring, s, err);
    REQUIRE(rc.code != GAGE_E_EXISTS, err, GAGE_E_EXISTS, "there is a peer %s already (gage peers), or this pairing",
            alias);
    return rc;
}

/* Runs a statement whose last parameter is the alias; one row must change. */
static gage_rc
change(struct keyring *keyring, sqlite3_stmt *s, int alias_at, const char *alias, struct gage_err *err)
{
    bind_text(s, alias_at, alias);
    TRY(keyring_step_done(keyring, s, err));
    REQUIRE(sqlite3_changes(keyring->db) == 1, err, GAGE_E_NOT_FOUND,
            "there is no peer of that name: gage peers lists them");
    return GAGE_DONE;
}

gage_rc
keyring_rename(struct keyring *keyring, const char *alias, const char *to, struct gage_err *err)
{
    STATEMENT s = NULL;
    TRY(check_alias(to, err));
    TRY(keyring_prepare(keyring, "UPDATE pairing SET alias = ?1 WHERE alias = ?2", &s, err));
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
    TRY(keyring_prepare(keyring,
                        "UPDATE pairing SET id = NULL, alias = NULL, record = NULL, party = NULL, last_use = 0 WHERE "
                        "alias = ?1 RETURNING slot",
                        &s, err));
    bind_text(s, 1, alias);
    int step = sqlite3_step(s);
    REQUIRE(step != SQLITE_DONE, err, GAGE_E_NOT_FOUND, "there is no peer of that name: gage peers lists them");
    if (step != SQLITE_ROW)
        return keyring_sql_fail(keyring, err);
    int64_t slot = sqlite3_column_int64(s, 0);
    TRY(keyring_step_done(keyring, s, err));
    TRY(rng_fill(&gage_system_rng, random, sizeof random));
    return set_hint(keyring, slot, random, err);
}

/* Begins a transaction in which hints may be set. */
static gage_rc
begin(struct keyring *keyring, struct gage_err *err)
{
    TRY(keyring_run(keyring, "BEGIN IMMEDIATE", err));
    gage_rc rc = keyring_refresh_hints_inside(keyring, err);
    return gage_ok(rc) ? rc : keyring_finish(keyring, rc, err);
}

static gage_rc
end(struct keyring *keyring, gage_rc rc, struct gage_err *err)
{
    rc = keyring_finish(keyring, rc, err);
    if (!gage_ok(rc))
        (void)gage_ok(keyring_open_hints(keyring, NULL)); /* what hints_set wrote is of no generation then */
    return rc;
}

gage_rc
keyring_remove(struct keyring *keyring, const char *alias, struct gage_err *err)
{
    TRY(begin(keyring, err));
    return end(keyring, empty_slot(keyring, alias, err), err);
}

/* Whether the alias is this very pairing's; *taken: whether it is anybody's. */
static gage_rc
look_up(struct keyring *keyring, const char *alias, const struct pairing *pairing, bool *same, bool *taken,
        struct gage_err *err)
{
    STATEMENT s = NULL;
    TRY(keyring_prepare(keyring, "SELECT id FROM pairing WHERE alias = ?1", &s, err));
    bind_text(s, 1, alias);
    int step = sqlite3_step(s);
    *taken = step == SQLITE_ROW;
    *same = *taken && slice_equal(column_bytes(s, 0), SLICE_OF(pairing->id));
    return *taken || step == SQLITE_DONE ? GAGE_DONE : keyring_sql_fail(keyring, err);
}

static gage_rc
put(struct keyring *keyring, const struct pairing *pairing, const char *alias, bool replace, struct gage_err *err)
{
    bool same, taken;
    int64_t slot = 0;
    TRY(look_up(keyring, alias, pairing, &same, &taken, err));
    if (same)
        return GAGE_DONE;
    if (taken && replace)
        TRY(empty_slot(keyring, alias, err));
    TRY(keyring_insert(keyring, pairing, alias, &slot, err));
    return set_hint(keyring, slot, pairing->hint_receive, err);
}

gage_rc
keyring_add(struct keyring *keyring, const struct pairing *pairing, const char *alias, struct gage_err *err)
{
    TRY(check_alias(alias, err));
    TRY(begin(keyring, err));
    return end(keyring, put(keyring, pairing, alias, false, err), err);
}

gage_rc
keyring_replace(struct keyring *keyring, const struct pairing *pairing, const char *alias, struct gage_err *err)
{
    TRY(check_alias(alias, err));
    TRY(begin(keyring, err));
    return end(keyring, put(keyring, pairing, alias, true, err), err);
}

gage_rc
keyring_expire(struct keyring *keyring, const char *alias, int64_t until, struct gage_err *err)
{
    AUTO(pairing_t) p = {.made = 0};
    TRY(keyring_run(keyring, "BEGIN IMMEDIATE", err));
    int64_t slot = 0;
    gage_rc rc = keyring_find(keyring, alias, &slot, &p, err);
    if (gage_ok(rc)) {
        p.until = until < p.made ? p.made : until;
        rc = keyring_store(keyring, slot, &p, err);
    }
    return keyring_finish(keyring, rc, err);
}
