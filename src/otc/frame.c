#include "otc/frame.h"

#include "otc/oid.h"
#include "otc/status.h"

void
put_frame(gage_buf *buf, gage_slice inner)
{
    size_t n = OTC_DER_OID_LEN + inner.n;
    put_u8(buf, 0x60);
    if (n >= 0x100) {
        put_u8(buf, 0x82);
        put_u16(buf, (uint16_t)n);
    } else {
        if (n >= 0x80)
            put_u8(buf, 0x81);
        put_u8(buf, (uint8_t)n);
    }
    put_bytes(buf, SLICE_OF(otc_der_oid));
    put_bytes(buf, inner);
}

/* A definite length of at most two bytes, in its shortest form; else SIZE_MAX. */
static size_t
get_length(struct reader *r)
{
    size_t first = get_u8(r);
    if (first < 0x80)
        return first;
    size_t n = first == 0x81 ? get_u8(r) : first == 0x82 ? get_u16(r) : 0;
    size_t least = first == 0x81 ? 0x80 : 0x100;
    return r->bad || n >= least ? n : SIZE_MAX;
}

gage_rc
read_frame(gage_slice token, gage_slice *inner, struct gage_err *err)
{
    struct reader r = read_from(token);
    uint8_t tag = get_u8(&r);
    if (!r.bad && tag != 0x60)
        return otc_fail(err, OTC_S_FOREIGN);
    size_t n = get_length(&r);
    if (r.bad)
        return otc_fail(err, OTC_S_TRUNCATED);
    gage_slice oid = get_bytes(&r, OTC_DER_OID_LEN < r.left ? OTC_DER_OID_LEN : r.left);
    if (!slice_equal(oid, gage_slice_of(otc_der_oid, oid.n)))
        return otc_fail(err, OTC_S_FOREIGN);
    if (n == SIZE_MAX || n < OTC_DER_OID_LEN || token.n > OTC_TOKEN1_MAX || n - OTC_DER_OID_LEN < r.left)
        return otc_fail(err, OTC_S_DAMAGED);
    if (oid.n < OTC_DER_OID_LEN || n - OTC_DER_OID_LEN > r.left)
        return otc_fail(err, OTC_S_TRUNCATED);
    *inner = get_rest(&r);
    return GAGE_DONE;
}
