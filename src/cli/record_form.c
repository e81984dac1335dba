/* A record as bytes. Private to this program: the version in front tells a later one what it reads. */
#include <string.h>

#include "cli/records.h"

#define MAGIC "gage-record-1"

void
record_encode(const record *r, gage_buf *out)
{
    put_bytes(out, SLICE_LITERAL(MAGIC));
    put_u8(out, (uint8_t)r->side);
    put_u32(out, r->flags);
    put_u64(out, (uint64_t)r->created);
    put_u64(out, (uint64_t)r->changed);
    put_u64(out, (uint64_t)r->expires);
    put_u8(out, (uint8_t)r->code);
    put_vec16(out, slice_str(r->outcome));
    put_vec16(out, slice_str(r->mailbox));
    put_vec16(out, slice_str(r->title));
    put_vec16(out, slice_str(r->pin));
    put_vec16(out, slice_str(r->ca_file));
    put_vec16(out, slice_str(r->output));
    put_vec32(out, gage_buf_slice(&r->state));
}

/* Reads a text field into an array of `size`; one that does not fit, or holds a NUL, is bad. */
static void
get_text(struct reader *in, char *to, size_t size)
{
    gage_slice text = get_vec16(in);
    if (text.n >= size || (text.n > 0 && memchr(text.p, '\0', text.n) != NULL)) {
        in->bad = true;
        return;
    }
    if (text.n > 0)
        memcpy(to, text.p, text.n);
    to[text.n] = '\0';
}

gage_rc
record_decode(gage_slice bytes, record *r, struct gage_err *err)
{
    struct reader in = read_from(bytes);
    gage_slice magic = get_bytes(&in, sizeof MAGIC - 1);
    REQUIRE(slice_equal(magic, SLICE_LITERAL(MAGIC)), err, GAGE_E_FORMAT,
            "this is not a record of a transfer, or one of another version of gage");
    uint8_t side = get_u8(&in);
    r->flags = get_u32(&in);
    r->created = (int64_t)get_u64(&in);
    r->changed = (int64_t)get_u64(&in);
    r->expires = (int64_t)get_u64(&in);
    r->code = (enum gage_code)get_u8(&in);
    get_text(&in, r->outcome, sizeof r->outcome);
    get_text(&in, r->mailbox, sizeof r->mailbox);
    get_text(&in, r->title, sizeof r->title);
    get_text(&in, r->pin, sizeof r->pin);
    get_text(&in, r->ca_file, sizeof r->ca_file);
    get_text(&in, r->output, sizeof r->output);
    gage_slice state = get_vec32(&in);
    TRY(read_end(&in, err, "a record of a transfer"));
    REQUIRE(side == RECORD_SHARE || side == RECORD_ACCEPT, err, GAGE_E_FORMAT, "a record of neither side");
    r->side = (enum record_side)side;
    buf_reset(&r->state);
    put_bytes(&r->state, state);
    return buf_check(&r->state, err);
}
