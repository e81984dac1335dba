#include "seal/inner.h"

#include <string.h>

#define INNER_VERSION 1

static void
put_carrier(gage_buf *buf, const struct seal_inner *inner)
{
    put_u8(buf, (uint8_t)inner->carrier);
    if (inner->carrier == CARRIER_NAME)
        put_vec16(buf, inner->carrier_name);
    else if (inner->carrier == CARRIER_KEY)
        put_bytes(buf, SLICE_OF(inner->carrier_key));
}

void
inner_put(gage_buf *buf, const struct seal_inner *inner)
{
    put_u8(buf, INNER_VERSION);
    put_bytes(buf, SLICE_OF(inner->id));
    put_u64(buf, (uint64_t)inner->time);
    put_vec16(buf, inner->originator);
    put_vec16(buf, inner->recipient);
    put_carrier(buf, inner);
}

static gage_slice
get_name(struct reader *r)
{
    gage_slice name = get_vec16(r);
    if (name.n == 0 || name.n > SEAL_NAME_MAX)
        r->bad = true;
    return name;
}

static void
get_carrier(struct reader *r, struct seal_inner *inner)
{
    uint8_t kind = get_u8(r);
    if (kind > CARRIER_KEY)
        r->bad = true;
    inner->carrier = r->bad ? CARRIER_ANY : (enum carrier_kind)kind;
    if (inner->carrier == CARRIER_NAME)
        inner->carrier_name = get_name(r);
    else if (inner->carrier == CARRIER_KEY)
        get_copy(r, inner->carrier_key, sizeof inner->carrier_key);
}

gage_rc
inner_get(gage_slice bytes, struct seal_inner *inner, size_t *taken, struct gage_err *err)
{
    struct reader r = read_from(bytes);
    memset(inner, 0, sizeof *inner);
    uint8_t version = get_u8(&r);
    get_copy(&r, inner->id, sizeof inner->id);
    uint64_t time = get_u64(&r);
    inner->originator = get_name(&r);
    inner->recipient = get_name(&r);
    get_carrier(&r, inner);
    REQUIRE(read_ok(&r) && version == INNER_VERSION && time <= INT64_MAX, err, GAGE_E_FORMAT,
            "the seal is authentic, but says inside what this version of gage does not understand");
    inner->time = (int64_t)time;
    *taken = bytes.n - r.left;
    return GAGE_DONE;
}
