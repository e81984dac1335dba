/* Text from outside: whatever decodes must encode back to the same bytes, and printable text must be printable. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
base64_round_trip(gage_slice text)
{
    AUTO(gage_buf) bytes = GAGE_BUF(1 << 20);
    AUTO(gage_buf) again = GAGE_BUF(1 << 21);
    AUTO(gage_buf) back = GAGE_BUF(1 << 20);
    if (!gage_ok(get_base64(text, &bytes)))
        return;
    put_base64(&again, gage_buf_slice(&bytes));
    if (!gage_ok(get_base64(gage_buf_slice(&again), &back)) ||
        !slice_equal(gage_buf_slice(&back), gage_buf_slice(&bytes)))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    gage_slice text = gage_slice_of(data, size);
    AUTO(gage_buf) shown = GAGE_BUF(1 << 20);
    uint8_t uuid[UUID_LEN];
    int64_t seconds;
    base64_round_trip(text);
    put_printable(&shown, text);
    if (!shown.bad && !utf8_printable(gage_buf_slice(&shown)))
        abort();
    if (utf8_printable(text) && !utf8_valid(text))
        abort();
    (void)gage_ok(uuid_parse(text, uuid));
    (void)gage_ok(rfc3339_parse((const char *)data, size, &seconds));
    return 0;
}
