#include "relayd/store_record.h"

#include <string.h>

/* ---- remembering requests ---- */

static const struct remembered *
recall(const struct memory *memory, const uint8_t hash[KEYED_LEN])
{
    for (size_t i = 0; i < memory->count; i++)
        if (memcmp(memory->entry[i].hash, hash, KEYED_LEN) == 0)
            return &memory->entry[i];
    return NULL;
}

static void
remember(struct memory *memory, const struct store_op *op, uint64_t version)
{
    if (memory->count == STORE_REMEMBERED) {
        memory->count--;
        memmove(&memory->entry[0], &memory->entry[1], memory->count * sizeof memory->entry[0]);
    }
    struct remembered *entry = &memory->entry[memory->count++];
    memcpy(entry->hash, op->inner.request_hash, KEYED_LEN);
    entry->version = version;
    entry->note = op->request.note;
}

/* Whether the request was done before; then the result is the reply of that time. */
static bool
answered_before(struct store_op *op, const struct memory *memory)
{
    const struct remembered *entry = recall(memory, op->inner.request_hash);
    if (entry == NULL)
        return false;
    op->result.verdict = STORE_DUPLICATE;
    op->result.version = entry->version;
    op->result.note = entry->note;
    return true;
}

/* ---- who is it ---- */

static bool
is_claim(const struct store_op *op, const struct record *record, enum store_role role)
{
    return slice_equal_ct(SLICE_OF(op->inner.claim_hash[role]), SLICE_OF(record->claim[role]));
}

/* The role the claim stands for. The initiator's never counts as a recipient's (A5). */
static bool
recognise(struct store_op *op, const struct record *record)
{
    if (is_claim(op, record, STORE_INITIATOR))
        op->result.role = STORE_INITIATOR;
    else if (record->bound && is_claim(op, record, STORE_RECIPIENT))
        op->result.role = STORE_RECIPIENT;
    else
        return false;
    return true;
}

static enum store_role
other(enum store_role role)
{
    return role == STORE_INITIATOR ? STORE_RECIPIENT : STORE_INITIATOR;
}

void
result_fail(struct store_result *result, enum store_verdict verdict)
{
    uint8_t tag[STORE_TAG_LEN];
    memcpy(tag, result->tag, sizeof tag);
    gage_buf_free(&result->payload_type);
    gage_buf_free(&result->payload);
    gage_buf_free(&result->display);
    gage_buf_free(&result->peer_token);
    *result = (struct store_result){.verdict = verdict};
    memcpy(result->tag, tag, sizeof tag);
}

/* Copies out; a failed allocation makes the operation fail, whatever it was. */
static bool
give(struct store_op *op, gage_buf *to, gage_slice bytes)
{
    *to = GAGE_BUF(bytes.n);
    put_bytes(to, bytes);
    if (to->bad)
        op->result.verdict = STORE_UNAVAILABLE;
    return !to->bad;
}

static void
keep_token(const struct store_op *op, struct record *record, enum store_role role)
{
    if (op->request.token.n == 0 || slice_equal(op->request.token, record->token[role]))
        return;
    record->token[role] = op->request.token;
    record->head_changed = true;
}

static void
wake_later(struct record *record, enum store_role writer)
{
    record->woken = true;
    record->wake_writer = writer;
}

/* ---- create ---- */

void
apply_create(struct store_op *op, struct record *record)
{
    const struct store_request *q = &op->request;
    memcpy(record->tag, op->result.tag, KEYED_LEN);
    memcpy(record->create_key, op->inner.create_key, KEYED_LEN);
    memcpy(record->claim[STORE_INITIATOR], op->inner.claim_hash[STORE_INITIATOR], KEYED_LEN);
    for (size_t i = 0; i < UUID_LEN; i++)
        record->sealed_id[i] = q->mailbox[i] ^ op->inner.id_pad[i];
    uint64_t size = q->payload.n + q->payload_type.n;
    record->payload_max = q->payload_max > size ? q->payload_max : size;
    record->present = record->head_changed = record->body_changed = true;
    record->rights = q->rights;
    record->expires = q->expires;
    record->version = 1;
    record->create_note = q->note;
    record->writer = STORE_INITIATOR;
    record->display = q->display;
    record->token[STORE_INITIATOR] = q->token;
    record->current = (struct body){BODY_IN_REQUEST, q->payload_type, q->payload};
    remember(&record->done[STORE_INITIATOR], op, 1);
    memcpy(op->result.mailbox, q->mailbox, UUID_LEN);
    op->result.version = 1;
    op->result.expires = q->expires;
    op->result.verdict = STORE_OK;
}

void
answer_duplicate_create(struct store_op *op, const struct record *record)
{
    op->result.verdict = STORE_DUPLICATE;
    op->result.version = 1;
    op->result.note = record->create_note;
    op->result.expires = record->expires;
    memcpy(op->result.tag, record->tag, KEYED_LEN);
    for (size_t i = 0; i < UUID_LEN; i++)
        op->result.mailbox[i] = record->sealed_id[i] ^ op->inner.id_pad[i];
}

/* ---- read ---- */

/* Binds the first foreign claim (A4); the caller reads afterwards. */
static void
apply_bind(struct store_op *op, struct record *record)
{
    if (!recognise(op, record)) {
        if (record->bound) {
            op->result.verdict = STORE_UNAUTHORIZED;
            return;
        }
        memcpy(record->claim[STORE_RECIPIENT], op->inner.claim_hash[STORE_RECIPIENT], KEYED_LEN);
        record->bound = record->head_changed = true;
        op->result.role = STORE_RECIPIENT;
    }
    keep_token(op, record, op->result.role);
    op->result.verdict = STORE_OK;
}

static void
give_payload(struct store_op *op, const struct record *record, gage_slice payload)
{
    struct store_result *out = &op->result;
    out->version = record->version;
    out->expires = record->expires;
    out->verdict = STORE_OK;
    out->unchanged = record->version <= op->request.after;
    if (out->unchanged)
        return;
    if (!give(op, &out->payload_type, record->current.type) || !give(op, &out->payload, payload) ||
        !give(op, &out->display, record->display))
        result_fail(out, STORE_UNAVAILABLE);
}

enum read_need
answer_read(struct store_op *op, const struct record *record, gage_slice payload)
{
    struct store_result *out = &op->result;
    if (record->damaged || !record_alive(record, op->request.now)) {
        out->verdict = record->damaged ? STORE_UNAVAILABLE : STORE_NOT_FOUND;
        return READ_ANSWERED;
    }
    if (op->request.verb == STORE_DISPLAY) {
        out->verdict = STORE_OK;
        out->expires = record->expires;
        out->version = record->version;
        give(op, &out->display, record->display);
        return READ_ANSWERED;
    }
    bool known = recognise(op, record);
    if (!known && record->bound) {
        out->verdict = STORE_UNAUTHORIZED;
        return READ_ANSWERED;
    }
    bool token = known && op->request.token.n > 0 && !slice_equal(op->request.token, record->token[out->role]);
    if (!op->inner.final && (!known || token))
        return READ_NEEDS_WRITE;
    if (!known) /* bound, and relinquished again before we could read */
        out->verdict = STORE_UNAUTHORIZED;
    else if ((record->rights & STORE_RIGHT_READ) == 0)
        out->verdict = STORE_DENIED;
    else
        give_payload(op, record, payload);
    return READ_ANSWERED;
}

/* ---- update, relinquish, delete ---- */

static void
replace_payload(const struct store_op *op, struct record *record, enum store_role role)
{
    const struct store_request *q = &op->request;
    if (role == STORE_INITIATOR)
        record->initial = (struct body){.source = BODY_NONE};
    else if (record->writer == STORE_INITIATOR)
        record->initial = record->current;
    record->current = (struct body){BODY_IN_REQUEST, q->payload_type, q->payload};
    record->writer = role;
    record->version++;
    record->body_changed = record->head_changed = true;
}

static void
apply_update(struct store_op *op, struct record *record)
{
    const struct store_request *q = &op->request;
    struct store_result *out = &op->result;
    if (answered_before(op, &record->done[out->role]))
        return;
    if ((record->rights & STORE_RIGHT_WRITE) == 0)
        out->verdict = STORE_DENIED;
    else if (q->payload.n + q->payload_type.n > record->payload_max)
        out->verdict = STORE_TOO_LARGE;
    else if (q->if_match != 0 && q->if_match != record->version) {
        out->verdict = STORE_MISMATCH;
        out->version = record->version;
    } else {
        if (!give(op, &out->peer_token, record->token[other(out->role)]))
            return;
        replace_payload(op, record, out->role);
        keep_token(op, record, out->role);
        remember(&record->done[out->role], op, record->version);
        wake_later(record, out->role);
        out->version = record->version;
        out->verdict = STORE_OK;
    }
}

/* The next recipient finds what the first one found: the initiator's last payload (A13). */
static void
restore_initial(struct record *record)
{
    if (record->writer != STORE_RECIPIENT)
        return;
    record->current = record->initial;
    record->initial = (struct body){.source = BODY_NONE};
    record->writer = STORE_INITIATOR;
    record->version++;
    record->body_changed = true;
}

static void
apply_relinquish(struct store_op *op, struct record *record)
{
    struct store_result *out = &op->result;
    if (out->role != STORE_RECIPIENT) {
        out->verdict = STORE_UNAUTHORIZED;
        return;
    }
    if (answered_before(op, &record->done[STORE_RECIPIENT]))
        return;
    if (!give(op, &out->peer_token, record->token[STORE_INITIATOR]))
        return;
    restore_initial(record);
    record->bound = false;
    memset(record->claim[STORE_RECIPIENT], 0, KEYED_LEN);
    record->token[STORE_RECIPIENT] = SLICE_NONE;
    record->done[STORE_RECIPIENT].count = 0;
    remember(&record->relinquished, op, record->version);
    record->head_changed = true;
    wake_later(record, STORE_RECIPIENT);
    out->version = record->version;
    out->verdict = STORE_OK;
}

static void
apply_delete(struct store_op *op, struct record *record)
{
    struct store_result *out = &op->result;
    if ((record->rights & STORE_RIGHT_DELETE) == 0) {
        out->verdict = STORE_DENIED;
        return;
    }
    if (!give(op, &out->peer_token, record->token[other(out->role)]))
        return;
    record->removed = true;
    wake_later(record, out->role);
    out->verdict = STORE_OK;
}

void
apply(struct store_op *op, struct record *record)
{
    struct store_result *out = &op->result;
    enum store_verb verb = op->request.verb;
    if (record->damaged)
        out->verdict = STORE_UNAVAILABLE;
    else if (!record_alive(record, op->request.now))
        out->verdict = STORE_NOT_FOUND;
    else if (verb == STORE_DISPLAY)
        out->verdict = STORE_OK; /* the caller reads afterwards */
    else if (verb == STORE_READ)
        apply_bind(op, record);
    else if (verb == STORE_RELINQUISH && answered_before(op, &record->relinquished))
        out->role = STORE_RECIPIENT;
    else if (!recognise(op, record))
        out->verdict = STORE_UNAUTHORIZED;
    else if (verb == STORE_UPDATE)
        apply_update(op, record);
    else if (verb == STORE_RELINQUISH)
        apply_relinquish(op, record);
    else
        apply_delete(op, record);
}
