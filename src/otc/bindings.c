#include "otc/bindings.h"

#include "otc/status.h"

static bool
usable(const gss_buffer_desc *buffer)
{
    return buffer->length <= UINT32_MAX && (buffer->length == 0 || buffer->value != NULL);
}

static void
big_endian(OM_uint32 v, uint8_t out[4])
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> (24 - 8 * i));
}

gage_rc
otc_bindings_of(const struct gss_channel_bindings_struct *given, struct otc_bindings *out, struct gage_err *err)
{
    *out = (struct otc_bindings){0};
    if (given == GSS_C_NO_CHANNEL_BINDINGS)
        return GAGE_DONE;
    const gss_buffer_desc *buffer[3] = {&given->initiator_address, &given->acceptor_address, &given->application_data};
    uint8_t n[5][4];
    for (int i = 0; i < 3; i++) {
        if (!usable(buffer[i]))
            return otc_fail(err, OTC_S_BAD_BINDING_ARG);
        big_endian((OM_uint32)buffer[i]->length, n[i]);
    }
    big_endian(given->initiator_addrtype, n[3]);
    big_endian(given->acceptor_addrtype, n[4]);
    const gage_slice parts[] = {
        SLICE_LITERAL("gage/otc/1 bindings"),
        SLICE_OF(n[3]),
        SLICE_OF(n[0]),
        gage_slice_of(buffer[0]->value, buffer[0]->length),
        SLICE_OF(n[4]),
        SLICE_OF(n[1]),
        gage_slice_of(buffer[1]->value, buffer[1]->length),
        SLICE_OF(n[2]),
        gage_slice_of(buffer[2]->value, buffer[2]->length),
    };
    out->present = true;
    return sha256_parts(parts, sizeof parts / sizeof parts[0], out->hash);
}

enum otc_bound
otc_bindings_compare(const struct otc_bindings *own, const struct otc_bindings *peer)
{
    if (!own->present || !peer->present)
        return OTC_UNBOUND;
    return slice_equal_ct(SLICE_OF(own->hash), SLICE_OF(peer->hash)) ? OTC_BOUND : OTC_BINDINGS_DIFFER;
}

void
put_otc_bindings(gage_buf *buf, const struct otc_bindings *bindings)
{
    put_u8(buf, bindings->present ? 1 : 0);
    put_bytes(buf, SLICE_OF(bindings->hash));
}

void
get_otc_bindings(struct reader *r, struct otc_bindings *bindings)
{
    static const uint8_t none[SHA256_LEN];
    uint8_t present = get_u8(r);
    get_copy(r, bindings->hash, sizeof bindings->hash);
    bindings->present = present == 1;
    r->bad |= present > 1 || (present == 0 && !slice_equal(SLICE_OF(bindings->hash), SLICE_OF(none)));
}
