/* What the relay's store reads back from a database: a head that decodes must encode to the same bytes; a notification from another relay
 * calls for changes of whole tags only. The first byte chooses: 0 and 1 a head (1: with an initiator's payload aside), else text. */
#include <stdlib.h>
#include <string.h>

#include "relayd/store_pg.h"
#include "relayd/store_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
head(gage_slice bytes, bool has_initial)
{
    struct record record;
    AUTO(gage_buf) again = GAGE_BUF(1 << 20);
    record_init(&record);
    if (!gage_ok(record_decode(&record, bytes, has_initial)))
        return;
    record_encode(&record, &again);
    if (!slice_equal(gage_buf_slice(&again), bytes))
        abort();
}

static void
changed(void *context, const uint8_t *tag, enum store_role writer, uint64_t version)
{
    static volatile uint8_t sum;
    for (size_t i = 0; i < KEYED_LEN; i++)
        sum = (uint8_t)(sum + tag[i]);
    if (writer != STORE_INITIATOR && writer != STORE_RECIPIENT)
        abort();
}

static void
notification(gage_slice bytes)
{
    struct pg_engine engine = {.hooks = {.changed = changed}, .instance = "0123456789abcdef"};
    AUTO(gage_buf) text = GAGE_BUF(1 << 20);
    put_bytes(&text, bytes);
    put_u8(&text, 0);
    if (!text.bad)
        pg_heard(&engine, (const char *)text.p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    gage_slice rest = gage_slice_of(data + 1, size - 1);
    if (data[0] <= 1)
        head(rest, data[0] == 1);
    else
        notification(rest);
    return 0;
}
