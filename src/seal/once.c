#include "seal/once.h"

#include <string.h>

#include "seal/keyring_db.h"

gage_rc
once_check_clock(struct keyring *keyring, int64_t now, struct gage_err *err)
{
    STATEMENT s = NULL;
    int64_t highest = 0;
    TRY(keyring_number(keyring, "SELECT highest FROM clock", &highest, err));
    REQUIRE(
        now >= highest - ONCE_CLOCK_SLACK, err, GAGE_E_CLOCK,
        "the clock stands more than an hour before the last use of this keyring: set it right, else seals seen before "
        "could pass as new");
    if (now <= highest)
        return GAGE_DONE;
    TRY(keyring_prepare(keyring, "UPDATE clock SET highest = ?1 WHERE highest < ?1", &s, err));
    sqlite3_bind_int64(s, 1, now);
    return keyring_step_done(keyring, s, err);
}

static gage_rc
drop_over(struct keyring *keyring, int64_t now, struct gage_err *err)
{
    STATEMENT note = NULL;
    STATEMENT s = NULL;
    TRY(keyring_prepare(
        keyring,
        "UPDATE clock SET forgotten = max(forgotten, (SELECT coalesce(max(sealed_at), -1) FROM once WHERE "
        "until < ?1 AND temporary IS NULL))",
        &note, err));
    sqlite3_bind_int64(note, 1, now);
    TRY(keyring_step_done(keyring, note, err));
    TRY(keyring_prepare(keyring, "DELETE FROM once WHERE until < ?1 AND temporary IS NULL", &s, err));
    sqlite3_bind_int64(s, 1, now);
    return keyring_step_done(keyring, s, err);
}

/* Entries live as long as the age that was demanded when they were made. Under a longer one a seal could be asked about that has been forgotten. */
static gage_rc
check_remembered(struct keyring *keyring, int64_t sealed_at, struct gage_err *err)
{
    int64_t forgotten = -1;
    TRY(keyring_number(keyring, "SELECT forgotten FROM clock", &forgotten, err));
    REQUIRE(
        sealed_at > forgotten, err, GAGE_E_FORGOTTEN,
        "the seal is from a time of which this keyring has forgotten what it opened, under a shorter age: whether it "
        "is a repetition cannot be told any more");
    return GAGE_DONE;
}

static gage_rc
insert(struct keyring *keyring, const uint8_t id[SEAL_ID_LEN], int64_t sealed_at, int64_t until, const char *temporary,
       const char *target, struct gage_err *err)
{
    STATEMENT s = NULL;
    TRY(keyring_prepare(
        keyring, "INSERT INTO once(id, until, temporary, target, sealed_at) VALUES (?1, ?2, ?3, ?4, ?5)", &s, err));
    sqlite3_bind_int64(s, 5, sealed_at);
    bind_bytes(s, 1, gage_slice_of(id, SEAL_ID_LEN));
    sqlite3_bind_int64(s, 2, until);
    bind_text(s, 3, temporary);
    bind_text(s, 4, target);
    gage_rc rc = keyring_step_done(keyring, s, err);
    REQUIRE(rc.code != GAGE_E_EXISTS, err, GAGE_E_USED, "this seal was opened before: it is a repetition");
    return rc;
}

gage_rc
once_begin(struct keyring *keyring, const uint8_t id[SEAL_ID_LEN], int64_t sealed_at, int64_t max_age, int64_t now,
           const char *temporary, const char *target, struct gage_err *err)
{
    int64_t until;
    REQUIRE(max_age > 0 && !__builtin_add_overflow(sealed_at, max_age, &until) &&
                !__builtin_add_overflow(until, ONCE_GRACE, &until),
            err, GAGE_E_USAGE,
            "to open each seal once, a maximum age is needed: how long would it have to be remembered?");
    bool none = temporary == NULL && target == NULL,
         both = temporary != NULL && target != NULL && temporary[0] == '/' && target[0] == '/';
    REQUIRE(none || both, err, GAGE_E_USAGE, "the paths of a file on its way are absolute");
    TRY(keyring_run(keyring, "BEGIN IMMEDIATE", err));
    gage_rc rc = once_check_clock(keyring, now, err);
    if (gage_ok(rc))
        rc = drop_over(keyring, now, err);
    if (gage_ok(rc))
        rc = insert(keyring, id, sealed_at, until, temporary, target, err);
    if (gage_ok(rc))
        rc = check_remembered(keyring, sealed_at, err);
    return keyring_finish(keyring, rc, err);
}

gage_rc
once_end(struct keyring *keyring, const uint8_t id[SEAL_ID_LEN], struct gage_err *err)
{
    STATEMENT s = NULL;
    TRY(keyring_prepare(keyring, "UPDATE once SET temporary = NULL, target = NULL WHERE id = ?1", &s, err));
    bind_bytes(s, 1, gage_slice_of(id, SEAL_ID_LEN));
    return keyring_step_done(keyring, s, err);
}

static gage_rc
finish_pending(struct keyring *keyring, bool (*finish)(void *context, const char *temporary, const char *target),
               void *context, struct gage_err *err)
{
    STATEMENT s = NULL;
    int step;
    TRY(keyring_prepare(keyring, "SELECT id, temporary, target FROM once WHERE temporary IS NOT NULL", &s, err));
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        uint8_t id[SEAL_ID_LEN];
        gage_slice bytes = column_bytes(s, 0);
        const char *temporary = (const char *)sqlite3_column_text(s, 1),
                   *target = (const char *)sqlite3_column_text(s, 2);
        REQUIRE(bytes.n == sizeof id && temporary != NULL && target != NULL, err, GAGE_E_FORMAT,
                "the keyring's record of opened seals is damaged");
        memcpy(id, bytes.p, sizeof id);
        if (finish(context, temporary, target))
            TRY(once_end(keyring, id, err));
    }
    return step == SQLITE_DONE ? GAGE_DONE : keyring_sql_fail(keyring, err);
}

/* A reader that begins to write while another commits would fail at once, whatever the time-out: so it is a writer from the start. */
gage_rc
once_pending(struct keyring *keyring, bool (*finish)(void *context, const char *temporary, const char *target),
             void *context, struct gage_err *err)
{
    int64_t any = 0;
    TRY(keyring_number(keyring, "SELECT count(*) FROM once WHERE temporary IS NOT NULL", &any, err));
    if (any == 0)
        return GAGE_DONE;
    TRY(keyring_run(keyring, "BEGIN IMMEDIATE", err));
    return keyring_finish(keyring, finish_pending(keyring, finish, context, err), err);
}
