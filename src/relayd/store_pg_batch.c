#include "relayd/store_pg.h"

#include <string.h>

#define OID_BYTEA 17

/* ---- begin ---- */

void
pg_get_row(const PGresult *result, int row, struct record *record, gage_buf *head)
{
    gage_slice tag = pg_bytes(result, row, 0), create_key = pg_bytes(result, row, 1), bytes = pg_bytes(result, row, 5);
    gage_slice initial = pg_bytes(result, row, 6);
    bool named = tag.n == KEYED_LEN && create_key.n == KEYED_LEN;
    record->present = true;
    record->row = 1;
    record->expires = pg_number(result, row, 2);
    record->payload_max = (uint64_t)pg_number(result, row, 3);
    record->version = (uint64_t)pg_number(result, row, 4);
    if (head != NULL) {
        put_bytes(head, bytes);
        bytes = gage_buf_slice(head);
    }
    bool aside = initial.n == 1 && initial.p[0] != 0;
    record->damaged = !named || !gage_ok(record_decode(record, bytes, aside)) || !record_plausible(record);
    if (named) {
        memcpy(record->tag, tag.p, KEYED_LEN);
        memcpy(record->create_key, create_key.p, KEYED_LEN);
    }
}

/* A one-dimensional array of bytea in PostgreSQL's binary form. */
static void
put_names(gage_buf *to, const struct batch *batch, bool by_create_key)
{
    uint32_t count = 0;
    for (size_t i = 0; i < batch->count; i++)
        count += batch->records[i].by_create_key == by_create_key;
    put_u32(to, count > 0 ? 1 : 0); /* dimensions */
    put_u32(to, 0);                 /* no NULLs */
    put_u32(to, OID_BYTEA);
    if (count > 0) {
        put_u32(to, count);
        put_u32(to, 1); /* lower bound */
    }
    for (size_t i = 0; i < batch->count; i++) {
        const struct record *record = &batch->records[i];
        if (record->by_create_key == by_create_key)
            put_vec32(to, by_create_key ? SLICE_OF(record->create_key) : SLICE_OF(record->tag));
    }
}

static bool
send_begin(struct pg_link *link, const struct batch *batch)
{
    AUTO(gage_buf) tags = GAGE_BUF(1 << 20);
    AUTO(gage_buf) create_keys = GAGE_BUF(1 << 20);
    struct pg_args names = {0}, none = {0};
    put_names(&tags, batch, false);
    put_names(&create_keys, batch, true);
    arg_bytes(&names, gage_buf_slice(&tags));
    arg_bytes(&names, gage_buf_slice(&create_keys));
    return !tags.bad && !create_keys.bad && pg_send_text(link, "BEGIN") && pg_send(link, PG_LOAD, &names) &&
           pg_send(link, PG_USAGE, &none) && pg_sync(link);
}

/* Gives a row to every record that asked for it, by either name. */
static void
take_row(struct batch *batch, const PGresult *result, int row)
{
    gage_slice tag = pg_bytes(result, row, 0), create_key = pg_bytes(result, row, 1);
    for (size_t i = 0; i < batch->count; i++) {
        struct record *record = &batch->records[i];
        gage_slice name = record->by_create_key ? SLICE_OF(record->create_key) : SLICE_OF(record->tag);
        if (!record->present && slice_equal(record->by_create_key ? create_key : tag, name))
            pg_get_row(result, row, record, &record->stored);
    }
}

static void
take_usage(struct pg_engine *s, struct batch *batch, const PGresult *result)
{
    int64_t mailboxes = pg_number(result, 0, 0), bytes = pg_number(result, 0, 1);
    batch->mailboxes = (uint64_t)(mailboxes > 0 ? mailboxes : 0);
    batch->bytes = (uint64_t)(bytes > 0 ? bytes : 0);
    __atomic_store_n(&s->mailboxes, batch->mailboxes, __ATOMIC_RELAXED);
    __atomic_store_n(&s->bytes, batch->bytes, __ATOMIC_RELAXED);
}

static gage_rc
receive_begin(struct pg_engine *s, struct batch *batch, struct gage_err *err)
{
    gage_rc rc = GAGE_DONE;
    for (int step = 0; step < 3; step++) {
        PGresult *result = pg_next(&s->writer, &rc, err);
        if (result == NULL)
            return rc;
        for (int row = 0; step == 1 && row < PQntuples(result); row++)
            take_row(batch, result, row);
        if (step == 2)
            take_usage(s, batch, result);
        PQclear(result);
    }
    return pg_finish(&s->writer, err);
}

gage_rc
pg_begin(struct engine *engine, struct batch *batch, struct gage_err *err)
{
    struct pg_engine *s = (struct pg_engine *)engine;
    TRY(pg_link_ready(s, &s->writer, err));
    if (!send_begin(&s->writer, batch))
        return pg_lost(&s->writer, err);
    gage_rc rc = receive_begin(s, batch, err);
    if (!gage_ok(rc))
        pg_end(engine);
    return rc;
}

void
pg_end(struct engine *engine)
{
    struct pg_engine *s = (struct pg_engine *)engine;
    gage_rc rc = GAGE_DONE;
    if (s->writer.conn == NULL)
        return;
    if (!pg_send_text(&s->writer, "ROLLBACK") || !pg_sync(&s->writer)) {
        pg_link_drop(&s->writer);
        return;
    }
    PGresult *result = pg_next(&s->writer, &rc, NULL);
    PQclear(result);
    if (result == NULL)
        pg_link_drop(&s->writer);
    else
        (void)pg_finish(&s->writer, NULL);
}

/* ---- commit ---- */

static bool
send_insert(struct pg_link *link, const struct record *record, gage_slice head)
{
    struct pg_args args = {0};
    arg_bytes(&args, SLICE_OF(record->tag));
    arg_bytes(&args, SLICE_OF(record->create_key));
    arg_int64(&args, record->expires);
    arg_int64(&args, (int64_t)record->payload_max);
    arg_int64(&args, (int64_t)record->version);
    arg_bytes(&args, head);
    arg_bytes(&args, record->current.data);
    if (record->initial.source == BODY_IN_REQUEST)
        arg_bytes(&args, record->initial.data);
    else
        arg_null(&args);
    return pg_send(link, PG_INSERT, &args);
}

static bool
send_update(struct pg_link *link, const struct record *record, gage_slice head)
{
    struct pg_args args = {0};
    arg_bytes(&args, SLICE_OF(record->tag));
    arg_bytes(&args, head);
    if (!record->body_changed)
        return pg_send(link, PG_UPDATE_HEAD, &args);
    arg_int64(&args, (int64_t)record->version);
    arg_int64(&args, (int64_t)record->current.source);
    arg_bytes(&args, record->current.data);
    arg_int64(&args, (int64_t)record->initial.source);
    arg_bytes(&args, record->initial.data);
    return pg_send(link, PG_UPDATE_BODY, &args);
}

static bool
send_record(struct pg_link *link, struct batch *batch, const struct record *record)
{
    struct pg_args name = {0};
    arg_bytes(&name, SLICE_OF(record->tag));
    if (record->removed)
        return pg_send(link, PG_DELETE, &name);
    buf_reset(&batch->scratch);
    record_encode(record, &batch->scratch);
    if (batch->scratch.bad)
        return false;
    gage_slice head = gage_buf_slice(&batch->scratch);
    return record->row == 0 ? send_insert(link, record, head) : send_update(link, record, head);
}

static bool
is_dirty(const struct record *record)
{
    return record->removed ? record->row != 0 : record->head_changed || record->body_changed;
}

/* Removals first: a mailbox that takes an expired one's place has its create key. */
static bool
send_records(struct pg_link *link, struct batch *batch, size_t *sent)
{
    for (int removals = 1; removals >= 0; removals--)
        for (size_t i = 0; i < batch->count; i++) {
            const struct record *record = &batch->records[i];
            if (!is_dirty(record) || record->removed != (removals == 1))
                continue;
            if (!send_record(link, batch, record))
                return false;
            ++*sent;
        }
    return true;
}

static bool
send_use(struct pg_engine *s, int64_t mailboxes, int64_t bytes, size_t *sent)
{
    struct pg_args args = {0};
    if (mailboxes == 0 && bytes == 0)
        return true;
    arg_int64(&args, (int64_t)s->slot);
    arg_int64(&args, mailboxes);
    arg_int64(&args, bytes);
    ++*sent;
    return pg_send(&s->writer, PG_USE, &args);
}

/* Usage, notifications, COMMIT: the end of every writing transaction. The usage row comes last of all rows, so that relays that
 * share one only ever wait for a commit there. */
static bool
send_end(struct pg_engine *s, int64_t mailboxes, int64_t bytes, size_t *sent)
{
    s->writer.warned = false;
    ++*sent;
    return pg_tell_all(s, &s->writer, sent) && send_use(s, mailboxes, bytes, sent) &&
           pg_send_text(&s->writer, "COMMIT") && pg_sync(&s->writer);
}

/* A warning at COMMIT says that the wait for the standby was cut short: durable on one node is not what was promised. */
static gage_rc
receive_end(struct pg_engine *s, size_t sent, struct gage_err *err)
{
    gage_rc rc = GAGE_DONE;
    for (size_t i = 0; i < sent; i++) {
        PGresult *result = pg_next(&s->writer, &rc, err);
        if (result == NULL)
            return rc;
        PQclear(result);
    }
    TRY(pg_finish(&s->writer, err));
    REQUIRE(!s->writer.warned, err, GAGE_E_UNAVAILABLE,
            "PostgreSQL committed with a warning: the standby may not have it; look at the server's log");
    return GAGE_DONE;
}

/* A COMMIT that got no answer may have worked. Running the batch again would then find its own request ids and answer
 * "duplicate"; the client's repetition does that, so this is not for us to hide. */
static gage_rc
settle(struct pg_engine *s, gage_rc rc)
{
    bool lost = !gage_ok(rc) && s->writer.conn == NULL;
    if (!gage_ok(rc))
        pg_end(&s->engine);
    return lost ? gage_rc_of(GAGE_E_UNAVAILABLE) : rc;
}

/* What is known of the usage until it is read again. */
static void
count_usage(struct pg_engine *s, int64_t mailboxes, int64_t bytes)
{
    __atomic_fetch_add(&s->mailboxes, (uint64_t)mailboxes, __ATOMIC_RELAXED);
    __atomic_fetch_add(&s->bytes, (uint64_t)bytes, __ATOMIC_RELAXED);
}

gage_rc
pg_commit(struct engine *engine, struct batch *batch, struct gage_err *err)
{
    struct pg_engine *s = (struct pg_engine *)engine;
    size_t sent = 0;
    buf_reset(&s->told);
    for (size_t i = 0; i < batch->count; i++) {
        const struct record *record = &batch->records[i];
        if (record->woken && is_dirty(record))
            pg_tell(s, record->tag, record->wake_writer, record->removed ? 0 : record->version);
    }
    if (!send_records(&s->writer, batch, &sent) || !send_end(s, batch->mailboxes_delta, batch->bytes_delta, &sent)) {
        gage_rc rc =
            gage_fail(err, GAGE_E_UNAVAILABLE, "cannot send to PostgreSQL: %s", PQerrorMessage(s->writer.conn));
        pg_link_drop(&s->writer);
        return rc;
    }
    gage_rc rc = settle(s, receive_end(s, sent, err));
    if (gage_ok(rc))
        count_usage(s, batch->mailboxes_delta, batch->bytes_delta);
    return rc;
}

/* ---- sweep ---- */

static bool
send_sweep(struct pg_link *link, int64_t now)
{
    struct pg_args args = {0};
    arg_int64(&args, now);
    arg_int64(&args, SWEEP_STEP);
    return pg_send_text(link, "BEGIN") && pg_send(link, PG_SWEEP, &args) && pg_sync(link);
}

static gage_rc
receive_sweep(struct pg_engine *s, struct swept *swept, uint64_t *bytes, struct gage_err *err)
{
    gage_rc rc = GAGE_DONE;
    for (int step = 0; step < 2; step++) {
        PGresult *result = pg_next(&s->writer, &rc, err);
        if (result == NULL)
            return rc;
        for (int row = 0; step == 1 && row < PQntuples(result) && swept->count < SWEEP_STEP; row++) {
            gage_slice tag = pg_bytes(result, row, 0);
            if (tag.n != KEYED_LEN)
                continue;
            memcpy(swept->tag[swept->count++], tag.p, KEYED_LEN);
            *bytes += store_reserve_of((uint64_t)pg_number(result, row, 1));
            pg_tell(s, tag.p, STORE_INITIATOR, 0);
        }
        PQclear(result);
    }
    return pg_finish(&s->writer, err);
}

static gage_rc
sweep_in_transaction(struct pg_engine *s, int64_t now, struct swept *swept, uint64_t *bytes, struct gage_err *err)
{
    size_t sent = 0;
    if (!send_sweep(&s->writer, now))
        return pg_lost(&s->writer, err);
    TRY(receive_sweep(s, swept, bytes, err));
    if (!send_end(s, -(int64_t)swept->count, -(int64_t)*bytes, &sent))
        return pg_lost(&s->writer, err);
    return receive_end(s, sent, err);
}

gage_rc
pg_sweep(struct engine *engine, int64_t now, struct swept *swept, struct gage_err *err)
{
    struct pg_engine *s = (struct pg_engine *)engine;
    TRY(pg_link_ready(s, &s->writer, err));
    uint64_t bytes = 0;
    buf_reset(&s->told);
    gage_rc rc = sweep_in_transaction(s, now, swept, &bytes, err);
    rc = settle(s, rc);
    if (!gage_ok(rc))
        swept->count = bytes = 0;
    count_usage(s, -(int64_t)swept->count, -(int64_t)bytes);
    return rc;
}
