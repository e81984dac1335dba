#include "relayd/store_record.h"

#include <string.h>

#define HEAD_FORMAT 1

void
record_init(struct record *record)
{
    *record = (struct record){.stored = GAGE_BUF(HEAD_MAX)};
}

void
record_cleanup(struct record *record)
{
    gage_buf_free(&record->stored);
    record_init(record);
}

bool
record_alive(const struct record *record, int64_t now)
{
    return record->present && !record->removed && now < record->expires;
}

static void
put_memory(gage_buf *head, const struct memory *memory)
{
    put_u8(head, (uint8_t)memory->count);
    for (size_t i = 0; i < memory->count; i++) {
        put_bytes(head, SLICE_OF(memory->entry[i].hash));
        put_u64(head, memory->entry[i].version);
        put_u8(head, memory->entry[i].note);
    }
}

static void
get_memory(struct reader *r, struct memory *memory)
{
    memory->count = get_u8(r);
    if (memory->count > STORE_REMEMBERED)
        r->bad = true;
    for (size_t i = 0; i < memory->count && read_ok(r); i++) {
        get_copy(r, memory->entry[i].hash, KEYED_LEN);
        memory->entry[i].version = get_u64(r);
        memory->entry[i].note = get_u8(r);
    }
}

void
record_encode(const struct record *record, gage_buf *head)
{
    put_u8(head, HEAD_FORMAT);
    put_u8(head, (uint8_t)record->rights);
    put_u8(head, record->create_note);
    put_u8(head, (uint8_t)record->writer);
    put_u8(head, record->bound);
    put_bytes(head, SLICE_OF(record->claim[STORE_INITIATOR]));
    put_bytes(head, SLICE_OF(record->claim[STORE_RECIPIENT]));
    put_bytes(head, SLICE_OF(record->sealed_id));
    put_vec8(head, record->current.type);
    put_vec8(head, record->initial.type);
    put_vec16(head, record->display);
    put_vec16(head, record->token[STORE_INITIATOR]);
    put_vec16(head, record->token[STORE_RECIPIENT]);
    put_memory(head, &record->done[STORE_INITIATOR]);
    put_memory(head, &record->done[STORE_RECIPIENT]);
    put_memory(head, &record->relinquished);
}

gage_rc
record_decode(struct record *record, gage_slice head, bool has_initial)
{
    struct reader r = read_from(head);
    uint8_t format = get_u8(&r);
    record->rights = get_u8(&r);
    record->create_note = get_u8(&r);
    uint8_t writer = get_u8(&r), bound = get_u8(&r);
    get_copy(&r, record->claim[STORE_INITIATOR], KEYED_LEN);
    get_copy(&r, record->claim[STORE_RECIPIENT], KEYED_LEN);
    get_copy(&r, record->sealed_id, UUID_LEN);
    record->current = (struct body){BODY_IN_PAYLOAD, get_vec8(&r), SLICE_NONE};
    record->initial = (struct body){has_initial ? BODY_IN_INITIAL : BODY_NONE, get_vec8(&r), SLICE_NONE};
    record->display = get_vec16(&r);
    record->token[STORE_INITIATOR] = get_vec16(&r);
    record->token[STORE_RECIPIENT] = get_vec16(&r);
    get_memory(&r, &record->done[STORE_INITIATOR]);
    get_memory(&r, &record->done[STORE_RECIPIENT]);
    get_memory(&r, &record->relinquished);
    TRY(read_end(&r, NULL, "head"));
    /* The initiator's payload lies aside exactly while the recipient's is the current one. */
    bool sound = format == HEAD_FORMAT && writer <= STORE_RECIPIENT && bound <= 1 && record->rights <= 7 &&
                 has_initial == (writer == STORE_RECIPIENT);
    record->writer = writer == STORE_RECIPIENT ? STORE_RECIPIENT : STORE_INITIATOR;
    record->bound = bound == 1;
    return sound ? GAGE_DONE : gage_rc_of(GAGE_E_FORMAT);
}

bool
record_plausible(const struct record *record)
{
    return record->version >= 1 && record->version <= INT64_MAX / 2 && record->expires >= 0 &&
           record->payload_max <= STORE_PAYLOAD_MAX;
}
