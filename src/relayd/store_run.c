#include "relayd/store_core.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define READS_AT_ONCE 64
#define RERUNS 8
#define PROBE_MS 1000 /* while it fails */
#define LOOK_MS 5000  /* a shared database that nobody asked anything */

/* ---- the batch's working set ---- */

static struct record *
add_record(struct batch *batch)
{
    struct record *record = &batch->records[batch->count++];
    record_init(record);
    return record;
}

static struct record *
find_tag(struct batch *batch, const uint8_t tag[KEYED_LEN])
{
    for (size_t i = 0; i < batch->count; i++)
        if (!batch->records[i].by_create_key && memcmp(batch->records[i].tag, tag, KEYED_LEN) == 0)
            return &batch->records[i];
    return NULL;
}

static struct record *
find_create_key(struct batch *batch, const uint8_t key[KEYED_LEN])
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->records[i].by_create_key && memcmp(batch->records[i].create_key, key, KEYED_LEN) == 0)
            return &batch->records[i];
    return NULL;
}

/* The record an operation works on: one for each mailbox, however many operations name it. */
static void
plan(struct batch *batch, struct store_op *op)
{
    bool creates = op->request.verb == STORE_CREATE;
    struct record *record = creates ? find_create_key(batch, op->inner.create_key) : find_tag(batch, op->result.tag);
    if (record == NULL) {
        record = add_record(batch);
        record->by_create_key = creates;
        memcpy(creates ? record->create_key : record->tag, creates ? op->inner.create_key : op->result.tag, KEYED_LEN);
    }
    op->inner.record = record;
}

/* A mailbox that was found under both names is one record: the one found by its tag. */
static void
merge(struct batch *batch, struct store_op *op)
{
    struct record *record = op->inner.record;
    if (!record->by_create_key || !record->present)
        return;
    struct record *twin = find_tag(batch, record->tag);
    if (twin != NULL && twin->present)
        op->inner.record = twin;
}

/* ---- create ---- */

static void
account(struct batch *batch, const struct record *record, int sign)
{
    batch->mailboxes_delta += sign;
    batch->bytes_delta += sign * (int64_t)store_reserve_of(record->payload_max);
}

static bool
has_room(struct store *store, const struct batch *batch, const struct store_request *q)
{
    pthread_mutex_lock(&store->state);
    struct store_limits limits = store->limits;
    pthread_mutex_unlock(&store->state);
    uint64_t size = q->payload.n + q->payload_type.n;
    uint64_t reserve = store_reserve_of(q->payload_max > size ? q->payload_max : size);
    uint64_t most = limits.bytes < batch->capacity ? limits.bytes : batch->capacity;
    int64_t mailboxes, bytes; /* of a database: any number, and below zero where rows were damaged */
    if (__builtin_add_overflow((int64_t)batch->mailboxes, batch->mailboxes_delta, &mailboxes) ||
        __builtin_add_overflow((int64_t)batch->bytes, batch->bytes_delta + (int64_t)reserve, &bytes))
        return false;
    return (mailboxes < 0 || (uint64_t)mailboxes < limits.mailboxes) && (bytes < 0 || (uint64_t)bytes <= most);
}

/* Where the one create that had this request id made a mailbox that expired or was deleted since, it makes room for the new one. The
 * next such create in this batch finds that. */
static struct record *
replace_ended(struct batch *batch, struct record *old)
{
    if (!old->removed) {
        old->removed = old->woken = true;
        account(batch, old, -1);
    }
    old->successor = add_record(batch);
    return old->successor;
}

static void
run_create(struct store *store, struct batch *batch, struct store_op *op)
{
    struct record *record = op->inner.record;
    while (record->successor != NULL)
        record = record->successor;
    if (record->damaged) {
        op->result.verdict = STORE_UNAVAILABLE;
        return;
    }
    if (record_alive(record, op->request.now)) {
        answer_duplicate_create(op, record);
        return;
    }
    if (!has_room(store, batch, &op->request)) {
        op->result.verdict = STORE_FULL;
        store_count(store, &store->stats.refused_full, 1);
        return;
    }
    if (record->present)
        record = replace_ended(batch, record);
    apply_create(op, record);
    account(batch, record, 1);
    op->inner.record = record;
}

/* ---- one transaction ---- */

static void
run_op(struct store *store, struct batch *batch, struct store_op *op)
{
    struct record *record = op->inner.record;
    if (op->request.verb == STORE_CREATE) {
        run_create(store, batch, op);
        return;
    }
    bool was = record->present && !record->removed;
    apply(op, record);
    if (was && record->removed)
        account(batch, record, -1);
}

static bool
changed(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct record *record = &batch->records[i];
        if (record->head_changed || record->body_changed || record->removed)
            return true;
    }
    return false;
}

static void
reset_batch(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        record_cleanup(&batch->records[i]);
    batch->count = 0;
    batch->mailboxes_delta = batch->bytes_delta = 0;
    batch->capacity = UINT64_MAX;
}

static gage_rc
transact(struct store *store, struct batch *batch, struct store_op **ops, size_t count, struct gage_err *err)
{
    struct engine *engine = store->engine;
    reset_batch(batch);
    for (size_t i = 0; i < count; i++) {
        result_fail(&ops[i]->result, STORE_UNAVAILABLE);
        plan(batch, ops[i]);
    }
    TRY(engine->ops->begin(engine, batch, err));
    for (size_t i = 0; i < count; i++) {
        merge(batch, ops[i]);
        run_op(store, batch, ops[i]);
    }
    if (changed(batch))
        return engine->ops->commit(engine, batch, err);
    engine->ops->end(engine);
    return GAGE_DONE;
}

/* ---- telling ---- */

static void
wake_all(struct store *store, const struct batch *batch)
{
    if (store->wake == NULL)
        return;
    for (size_t i = 0; i < batch->count; i++) {
        const struct record *record = &batch->records[i];
        if (record->woken)
            store->wake(store->context, record->tag, record->wake_writer, record->removed ? 0 : record->version);
    }
}

/* Reads for which nothing more needs to be written. */
static void
finish_reads(struct store *store, struct store_op **ops, size_t count, bool writer)
{
    enum read_need need[READS_AT_ONCE];
    struct gage_err err = {0};
    gage_rc rc = store->engine->ops->read(store->engine, ops, need, count, writer, &err);
    if (!gage_ok(rc))
        store_note(store, rc, &err);
    for (size_t i = 0; i < count; i++) {
        if (!gage_ok(rc))
            result_fail(&ops[i]->result, STORE_UNAVAILABLE);
        else if (need[i] == READ_NEEDS_WRITE && lane_push(&store->writes, ops[i], true))
            continue;
        else if (need[i] == READ_NEEDS_WRITE)
            result_fail(&ops[i]->result, STORE_UNAVAILABLE);
        ops[i]->done(ops[i]);
    }
}

static void
deliver(struct store *store, struct store_op *op)
{
    bool reads = op->request.verb == STORE_READ || op->request.verb == STORE_DISPLAY;
    if (!reads || op->result.verdict == STORE_NOT_FOUND || op->result.verdict == STORE_UNAUTHORIZED ||
        op->result.verdict == STORE_UNAVAILABLE) {
        op->done(op);
        return;
    }
    op->inner.final = true;
    result_fail(&op->result, STORE_UNAVAILABLE);
    if (store->engine->ops->local)
        finish_reads(store, &op, 1, true);
    else if (!lane_push(&store->reads, op, true))
        op->done(op);
}

static void
check_damage(struct store *store, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct gage_err err;
        if (!batch->records[i].damaged || store->report == NULL)
            continue;
        gage_fail(&err, GAGE_E_FORMAT,
                  "a mailbox's row in the database is damaged and answered as unavailable: check the disk, restore "
                  "the database");
        store->report(store->context, true, &err);
    }
}

void
store_run_batch(struct store *store, struct batch *batch, struct store_op **ops, size_t count)
{
    struct gage_err err = {0};
    gage_rc rc = gage_rc_of(GAGE_E_STATE);
    for (int run = 0; run < RERUNS && rc.code == GAGE_E_STATE; run++)
        rc = transact(store, batch, ops, count, &err);
    store_note(store, rc, &err);
    store_count(store, gage_ok(rc) ? &store->stats.batches : &store->stats.batches_failed, 1);
    store_count(store, &store->stats.operations, count);
    if (gage_ok(rc)) {
        check_damage(store, batch);
        wake_all(store, batch);
    }
    for (size_t i = 0; i < count; i++) {
        if (!gage_ok(rc))
            result_fail(&ops[i]->result, STORE_UNAVAILABLE);
        deliver(store, ops[i]);
    }
    reset_batch(batch);
}

/* ---- sweep ---- */

/* One step of a sweep that was asked for, so that operations run between the steps. */
static void
sweep_step(struct store *store, struct swept *swept)
{
    struct gage_err err = {0};
    pthread_mutex_lock(&store->state);
    bool wanted = store->sweep_wanted, scrub = store->scrub_wanted;
    int64_t until = store->sweep_until;
    pthread_mutex_unlock(&store->state);
    if (!wanted && !scrub)
        return;
    swept->count = 0;
    gage_rc rc = wanted ? store->engine->ops->sweep(store->engine, until, swept, &err)
                        : store->engine->ops->scrub(store->engine, &err);
    store_note(store, rc, &err);
    for (size_t i = 0; i < swept->count && store->wake != NULL; i++)
        store->wake(store->context, swept->tag[i], STORE_INITIATOR, 0);
    store_count(store, &store->stats.swept, swept->count);
    bool more = gage_ok(rc) && swept->count == SWEEP_STEP;
    pthread_mutex_lock(&store->state);
    if (wanted)
        store->sweep_wanted = more || store->sweep_until != until;
    store->scrub_wanted = wanted && gage_ok(rc);
    pthread_mutex_unlock(&store->state);
    if (wanted)
        lane_poke(&store->writes);
}

static bool
is_failing(struct store *store)
{
    pthread_mutex_lock(&store->state);
    bool failing = store->failing;
    pthread_mutex_unlock(&store->state);
    return failing;
}

/* ---- threads ---- */

gage_rc
workshop_make(struct workshop *w, size_t batch_max, struct gage_err *err)
{
    *w = (struct workshop){.batch = {.max = 2 * batch_max, .scratch = GAGE_BUF(HEAD_MAX)}};
    w->batch.records = calloc(2 * batch_max, sizeof *w->batch.records);
    w->ops = calloc(batch_max, sizeof *w->ops);
    REQUIRE(w->batch.records != NULL && w->ops != NULL, err, GAGE_E_NOMEM, "no memory for the store's batches");
    return GAGE_DONE;
}

void
workshop_free(struct workshop *w)
{
    if (w->batch.records != NULL)
        reset_batch(&w->batch);
    free(w->batch.records);
    gage_buf_free(&w->batch.scratch);
    free(w->ops);
}

static void
probe(struct store *store)
{
    struct gage_err err = {0};
    store_note(store, store->engine->ops->probe(store->engine, &err), &err);
}

/* What was to be done later first: it came first. *over: closing, and the queue is empty. */
static size_t
take_batch(struct store *store, struct store_op **ops, bool *over)
{
    bool none;
    size_t later = lane_take(&store->later, ops, store->batch_max, BATCH_BYTES, &none);
    return later + lane_take(&store->writes, ops + later, store->batch_max - later, BATCH_BYTES, over);
}

void *
store_run_writes(void *context)
{
    struct store *store = context;
    struct workshop *w = &store->workshop;
    bool over = false;
    pthread_setname_np(pthread_self(), "store");
    while (!over) {
        bool poked = lane_wait(&store->writes, is_failing(store)            ? PROBE_MS
                                               : store->engine->ops->shared ? LOOK_MS
                                                                            : -1);
        pthread_mutex_lock(&store->writer); /* before the lane is emptied: what comes meanwhile is of this batch */
        store->busy_since_ns = clock_monotonic_ns();
        size_t n = take_batch(store, w->ops, &over);
        if (n > 0)
            store_run_batch(store, &w->batch, w->ops, n);
        else if (!over && !poked && (store->engine->ops->shared || is_failing(store)))
            probe(store);
        if (!over)
            sweep_step(store, &w->swept);
        store->busy_since_ns = 0;
        pthread_mutex_unlock(&store->writer);
    }
    lane_ended(&store->writes);
    return NULL;
}

void *
store_run_reads(void *context)
{
    struct store *store = context;
    struct store_op *ops[READS_AT_ONCE];
    bool over = false;
    pthread_setname_np(pthread_self(), "store");
    while (!over) {
        lane_wait(&store->reads, -1);
        size_t n = lane_take(&store->reads, ops, READS_AT_ONCE, SIZE_MAX, &over);
        store_count(store, &store->stats.operations, n);
        if (n > 0)
            finish_reads(store, ops, n, false);
    }
    lane_ended(&store->reads);
    return NULL;
}
