#include "seal/keyring_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Steps the keys to now and stores the step, so that older ones are gone from the file too. */
static gage_rc
step_and_store(struct keyring *keyring, int64_t slot, int64_t now, unsigned keep, struct pairing *p,
               struct gage_err *err)
{
    bool changed = false;
    gage_rc rc = pairing_step(p, now, keep, &changed);
    REQUIRE(gage_ok(rc), err, GAGE_E_CLOCK,
            "the clock stands years after the pairing's last use: set it right, or pair again");
    return changed ? keyring_store(keyring, slot, p, err) : GAGE_DONE;
}

/* To the minute: many seals in a row do not write each time. */
static gage_rc
touch(struct keyring *keyring, int64_t slot, int64_t now, struct gage_err *err)
{
    STATEMENT s = NULL;
    TRY(keyring_prepare(keyring, "UPDATE pairing SET last_use = ?1 WHERE slot = ?2 AND last_use < ?1 - 60", &s, err));
    sqlite3_bind_int64(s, 1, now);
    sqlite3_bind_int64(s, 2, slot);
    return keyring_step_done(keyring, s, err);
}

gage_rc
keyring_get(struct keyring *keyring, const char *alias, int64_t now, unsigned keep, bool use, struct pairing *out,
            struct gage_err *err)
{
    AUTO(pairing_t) p = {.made = 0};
    int64_t slot = 0;
    TRY(keyring_run(keyring, "BEGIN IMMEDIATE", err));
    gage_rc rc = keyring_find(keyring, alias, &slot, &p, err);
    if (gage_ok(rc))
        rc = step_and_store(keyring, slot, now, keep, &p, err);
    if (gage_ok(rc) && use)
        rc = touch(keyring, slot, now, err);
    TRY(keyring_finish(keyring, rc, err));
    *out = p;
    memset(&p, 0, sizeof p);
    return GAGE_DONE;
}

/* The pairing in a slot of the hints. An emptied slot, or one that changed meanwhile, gives none. */
static gage_rc
read_slot(struct keyring *keyring, int64_t slot, struct pairing *out, char *alias, bool *found, struct gage_err *err)
{
    STATEMENT s = NULL;
    *found = false;
    TRY(keyring_prepare(keyring, "SELECT record, alias FROM pairing WHERE slot = ?1 AND record IS NOT NULL", &s, err));
    sqlite3_bind_int64(s, 1, slot);
    int step = sqlite3_step(s);
    if (step == SQLITE_DONE)
        return GAGE_DONE;
    if (step != SQLITE_ROW)
        return keyring_sql_fail(keyring, err);
    const char *name = (const char *)sqlite3_column_text(s, 1);
    REQUIRE(name != NULL, err, GAGE_E_FORMAT, "the keyring has a pairing without a name: it is damaged");
    TRY(pairing_get(column_bytes(s, 0), out, err));
    if (alias != NULL)
        snprintf(alias, KEYRING_ALIAS_MAX + 1, "%s", name);
    *found = true;
    return GAGE_DONE;
}

/* Looking for whose a seal is. */
struct matching {
    int64_t now;
    unsigned keep;
    size_t slots[KEYRING_MATCHES_MAX], n; /* from 0, as hints stand */
    bool due;                             /* a pairing's keys are to be stepped */
    struct pairing *out;
    char (*aliases)[KEYRING_ALIAS_MAX + 1];
    size_t count;
};

static gage_rc
find_slots(struct keyring *keyring, const struct seal_header *header, struct matching *m, struct gage_err *err)
{
    gage_slice keys = hints_keys(&keyring->hints);
    m->n = hint_search_threads(keys.p, keys.n / HINT_KEY_LEN, header->nonce, header->hint, m->slots);
    REQUIRE(m->n <= KEYRING_MATCHES_MAX, err, GAGE_E_CRAFTED, "this seal's hint fits %zu pairings: it is refused",
            m->n);
    return GAGE_DONE;
}

static void
drop_matches(struct matching *m)
{
    for (size_t i = 0; i < m->count; i++)
        pairing_cleanup(&m->out[i]);
    m->count = 0;
}

/* Writing, what is stored must be what was read: another process may remove, expire or step the pairing at any time before. */
static gage_rc
load_slots(struct keyring *keyring, bool writing, struct matching *m, struct gage_err *err)
{
    for (size_t i = 0; i < m->n; i++) {
        bool found = false, changed = false;
        struct pairing *p = &m->out[m->count];
        int64_t slot = (int64_t)m->slots[i] + 1;
        TRY(read_slot(keyring, slot, p, m->aliases == NULL ? NULL : m->aliases[m->count], &found, err));
        m->count += found;
        if (found && writing)
            TRY(step_and_store(keyring, slot, m->now, m->keep, p, err));
        else if (found)
            m->due = !gage_ok(pairing_step(p, m->now, m->keep, &changed)) || changed || m->due;
    }
    return GAGE_DONE;
}

/* In a transaction that reads, what is found fits together, and SQLite locks and looks once. */
static gage_rc
match_reading(struct keyring *keyring, const struct seal_header *header, struct matching *m, struct gage_err *err)
{
    TRY(keyring_keep(keyring, &m->keep, err));
    TRY(find_slots(keyring, header, m, err));
    return load_slots(keyring, false, m, err);
}

gage_rc
keyring_match(struct keyring *keyring, const struct seal_header *header, int64_t now, unsigned *keep,
              struct pairing out[KEYRING_MATCHES_MAX], char aliases[][KEYRING_ALIAS_MAX + 1], size_t *count,
              struct gage_err *err)
{
    struct matching m = {.now = now, .out = out, .aliases = aliases};
    *count = 0;
    TRY(keyring_begin_reading(keyring, err));
    gage_rc rc = keyring_finish(keyring, match_reading(keyring, header, &m, err), err);
    if (gage_ok(rc) && m.due) {
        drop_matches(&m);
        rc = keyring_run(keyring, "BEGIN IMMEDIATE", err);
        if (gage_ok(rc))
            rc = keyring_finish(keyring, load_slots(keyring, true, &m, err), err);
    }
    if (!gage_ok(rc))
        drop_matches(&m);
    *keep = m.keep;
    *count = m.count;
    return rc;
}

gage_rc
keyring_alias_of(struct keyring *keyring, gage_slice exported, int64_t now, char *alias, struct gage_err *err)
{
    STATEMENT s = NULL;
    int64_t party = 0, made = -1;
    int step;
    TRY(keyring_party(exported, &party));
    TRY(keyring_prepare(keyring, "SELECT alias, record FROM pairing WHERE party = ?1 AND record IS NOT NULL", &s, err));
    sqlite3_bind_int64(s, 1, party);
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        AUTO(pairing_t) p = {.made = 0};
        TRY(pairing_get(column_bytes(s, 1), &p, err));
        if (!slice_equal(gage_buf_slice(&p.peer), exported) || p.until <= now || p.made < made)
            continue;
        made = p.made;
        snprintf(alias, KEYRING_ALIAS_MAX + 1, "%s", (const char *)sqlite3_column_text(s, 0));
    }
    if (step != SQLITE_DONE)
        return keyring_sql_fail(keyring, err);
    REQUIRE(made >= 0, err, GAGE_E_NOT_FOUND, "there is no pairing with this party, or its time is over: pair first");
    return GAGE_DONE;
}

/* ---- walking ---- */

#define PAGE_ROWS 64

/* Some rows, read so that whoever shows them, slowly perhaps, does not keep others from writing. */
struct page {
    size_t n;
    char alias[PAGE_ROWS][KEYRING_ALIAS_MAX + 1];
    int64_t last_use[PAGE_ROWS];
    struct pairing pairing[PAGE_ROWS];
};

static void
page_cleanup(struct page *page)
{
    for (size_t i = 0; i < page->n; i++)
        pairing_cleanup(&page->pairing[i]);
    page->n = 0;
}

/* The rows after the alias; from the first where it is empty. */
static gage_rc
read_page(struct keyring *keyring, const char *after, struct page *page, struct gage_err *err)
{
    STATEMENT s = NULL;
    int step;
    TRY(keyring_prepare(keyring,
                        after[0] == '\0' ? "SELECT alias, record, last_use FROM pairing WHERE record IS NOT NULL"
                                           " ORDER BY alias LIMIT ?2"
                                         : "SELECT alias, record, last_use FROM pairing WHERE record IS NOT NULL AND"
                                           " alias > ?1 ORDER BY alias LIMIT ?2",
                        &s, err));
    if (after[0] != '\0')
        bind_text(s, 1, after);
    sqlite3_bind_int64(s, 2, PAGE_ROWS);
    while ((step = sqlite3_step(s)) == SQLITE_ROW && page->n < PAGE_ROWS) {
        const char *alias = (const char *)sqlite3_column_text(s, 0);
        REQUIRE(alias != NULL && alias[0] != '\0' && strlen(alias) <= KEYRING_ALIAS_MAX, err, GAGE_E_FORMAT,
                "the keyring has a pairing without a name: it is damaged");
        TRY(pairing_get(column_bytes(s, 1), &page->pairing[page->n], err));
        snprintf(page->alias[page->n], sizeof page->alias[0], "%s", alias);
        page->last_use[page->n++] = sqlite3_column_int64(s, 2);
    }
    return step == SQLITE_DONE ? GAGE_DONE : keyring_sql_fail(keyring, err);
}

static bool
show_row(const struct page *page, size_t i, bool (*row)(void *context, const struct keyring_row *row), void *context)
{
    const struct pairing *p = &page->pairing[i];
    struct keyring_row r = {.alias = page->alias[i],
                            .self = gage_buf_slice(&p->self),
                            .peer = gage_buf_slice(&p->peer),
                            .made = p->made,
                            .until = p->until,
                            .last_use = page->last_use[i]};
    memcpy(r.id, p->id, sizeof r.id);
    return row(context, &r);
}

static gage_rc
walk(struct keyring *keyring, struct page *page, bool (*row)(void *context, const struct keyring_row *row),
     void *context, struct gage_err *err)
{
    char after[KEYRING_ALIAS_MAX + 1] = "";
    do {
        page_cleanup(page);
        TRY(read_page(keyring, after, page, err));
        for (size_t i = 0; i < page->n; i++)
            if (!show_row(page, i, row, context))
                return GAGE_DONE;
        if (page->n > 0)
            memcpy(after, page->alias[page->n - 1], sizeof after);
    } while (page->n == PAGE_ROWS);
    return GAGE_DONE;
}

gage_rc
keyring_list(struct keyring *keyring, bool (*row)(void *context, const struct keyring_row *row), void *context,
             struct gage_err *err)
{
    struct page *page = calloc(1, sizeof *page);
    REQUIRE(page != NULL, err, GAGE_E_NOMEM, "out of memory");
    gage_rc rc = walk(keyring, page, row, context, err);
    page_cleanup(page);
    free(page);
    return rc;
}

/* ---- stepping ---- */

static gage_rc
step_slots(struct keyring *keyring, int64_t now, unsigned keep, struct gage_err *err)
{
    STATEMENT s = NULL;
    int step;
    TRY(keyring_prepare(keyring, "SELECT slot, record FROM pairing WHERE record IS NOT NULL", &s, err));
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        AUTO(pairing_t) p = {.made = 0};
        TRY(pairing_get(column_bytes(s, 1), &p, err));
        struct gage_err why = {0};
        gage_rc rc = step_and_store(keyring, sqlite3_column_int64(s, 0), now, keep, &p, &why);
        if (!gage_ok(rc) && p.until <= now)
            continue; /* long over: it must not keep the others from stepping */
        REQUIRE(gage_ok(rc), err, rc.code, "%s", why.text);
    }
    return step == SQLITE_DONE ? GAGE_DONE : keyring_sql_fail(keyring, err);
}

gage_rc
keyring_step_all(struct keyring *keyring, int64_t now, unsigned keep, struct gage_err *err)
{
    TRY(keyring_run(keyring, "BEGIN IMMEDIATE", err));
    return keyring_finish(keyring, step_slots(keyring, now, keep, err), err);
}

gage_rc
keyring_keep(struct keyring *keyring, unsigned *weeks, struct gage_err *err)
{
    int64_t value = 0;
    TRY(keyring_number(keyring, "SELECT weeks FROM keep", &value, err));
    REQUIRE(value >= 0 && value <= PAIRING_KEEP_MAX, err, GAGE_E_FORMAT, "the keyring's settings are damaged");
    *weeks = (unsigned)value;
    return GAGE_DONE;
}

gage_rc
keyring_set_keep(struct keyring *keyring, unsigned weeks, struct gage_err *err)
{
    STATEMENT s = NULL;
    REQUIRE(weeks <= PAIRING_KEEP_MAX, err, GAGE_E_USAGE, "keys are kept for 0 to %d weeks", PAIRING_KEEP_MAX);
    TRY(keyring_prepare(keyring, "UPDATE keep SET weeks = ?1", &s, err));
    sqlite3_bind_int64(s, 1, weeks);
    return keyring_step_done(keyring, s, err);
}
