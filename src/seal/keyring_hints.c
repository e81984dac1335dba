#include "seal/keyring_db.h"

#define HINTS_MAX ((size_t)1 << 32) /* bytes: 268 million pairings */

/* All hint keys by slot (1, 2, ...); an emptied slot gets a random key, which no honest seal fits. */
static gage_rc
collect_keys(struct keyring *keyring, gage_buf *keys, struct gage_err *err)
{
    STATEMENT s = NULL;
    int step;
    TRY(keyring_prepare(keyring, "SELECT slot, record FROM pairing ORDER BY slot", &s, err));
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        AUTO(pairing_t) p = {.made = 0};
        uint8_t random[HINT_KEY_LEN];
        REQUIRE((uint64_t)sqlite3_column_int64(s, 0) == keys->n / HINT_KEY_LEN + 1, err, GAGE_E_FORMAT,
                "the keyring's slots are not in order: it is damaged");
        TRY(rng_fill(&gage_system_rng, random, sizeof random));
        bool empty = sqlite3_column_type(s, 1) == SQLITE_NULL;
        if (!empty)
            TRY(pairing_get(column_bytes(s, 1), &p, err));
        put_bytes(keys, gage_slice_of(empty ? random : p.hint_receive, HINT_KEY_LEN));
    }
    if (step != SQLITE_DONE)
        return keyring_sql_fail(keyring, err);
    return buf_check(keys, err);
}

/* Inside a writing transaction: nobody changes the keyring or rebuilds meanwhile. */
static gage_rc
open_or_rebuild(struct keyring *keyring, struct gage_err *err)
{
    AUTO(gage_buf) keys = GAGE_BUF(HINTS_MAX);
    int64_t generation = 0;
    TRY(keyring_number(keyring, "SELECT value FROM generation", &generation, err));
    hints_close(&keyring->hints);
    gage_rc rc = hints_open(&keyring->hints, keyring->hints_path, (uint64_t)generation, err);
    if (rc.code != GAGE_E_NOT_FOUND)
        return rc;
    TRY(collect_keys(keyring, &keys, err));
    TRY(hints_write(keyring->hints_path, (uint64_t)generation, gage_buf_slice(&keys), err));
    return hints_open(&keyring->hints, keyring->hints_path, (uint64_t)generation, err);
}

gage_rc
keyring_open_hints(struct keyring *keyring, struct gage_err *err)
{
    int64_t generation = 0;
    TRY(keyring_number(keyring, "SELECT value FROM generation", &generation, err));
    hints_close(&keyring->hints);
    gage_rc rc = hints_open(&keyring->hints, keyring->hints_path, (uint64_t)generation, err);
    if (rc.code != GAGE_E_NOT_FOUND)
        return rc;
    TRY(keyring_run(keyring, "BEGIN IMMEDIATE", err));
    return keyring_finish(keyring, open_or_rebuild(keyring, err), err);
}

gage_rc
keyring_refresh_hints_inside(struct keyring *keyring, struct gage_err *err)
{
    int64_t generation = 0;
    TRY(keyring_number(keyring, "SELECT value FROM generation", &generation, err));
    return hints_fit(&keyring->hints, (uint64_t)generation) ? GAGE_DONE : open_or_rebuild(keyring, err);
}

/* Another process may have changed the keyring since the hints were mapped. One that changes it after they are made anew comes too late. */
gage_rc
keyring_begin_reading(struct keyring *keyring, struct gage_err *err)
{
    int64_t generation = 0;
    TRY(keyring_run(keyring, "BEGIN", err));
    gage_rc rc = keyring_number(keyring, "SELECT value FROM generation", &generation, err);
    if (gage_ok(rc) && hints_fit(&keyring->hints, (uint64_t)generation))
        return GAGE_DONE;
    TRY(keyring_finish(keyring, rc, err));
    TRY(keyring_open_hints(keyring, err));
    return keyring_run(keyring, "BEGIN", err);
}
