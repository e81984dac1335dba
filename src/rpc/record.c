#include "rpc/record.h"

#define CHUNK 16384u /* a body grows as its bytes arrive, not as its header promises */

void
record_init(struct record_in *r)
{
    *r = (struct record_in){.body = GAGE_BUF(RECORD_MAX)};
}

void
record_cleanup(struct record_in *r)
{
    gage_buf_free(&r->body);
    record_init(r);
}

bool
record_idle(const struct record_in *r)
{
    return r->header_n == 0 && r->body.n == 0 && r->remaining == 0 && !r->complete;
}

size_t
record_want(struct record_in *r, uint8_t **to)
{
    if (r->complete)
        return 0;
    if (r->remaining == 0) {
        *to = r->header + r->header_n;
        return RECORD_HEADER_LEN - (size_t)r->header_n;
    }
    size_t n = r->remaining < CHUNK ? r->remaining : CHUNK;
    buf_reserve(&r->body, n);
    if (r->body.bad)
        return 0;
    *to = r->body.p + r->body.n;
    return n;
}

static void
end_fragment(struct record_in *r)
{
    r->header_n = 0;
    r->complete = r->last && r->body.n > 0;
}

static gage_rc
begin_fragment(struct record_in *r, struct gage_err *err)
{
    struct reader header = read_from(SLICE_OF(r->header));
    uint32_t word = get_u32(&header);
    uint32_t length = word & 0x7fffffffu;
    REQUIRE(length <= RECORD_MAX - r->body.n, err, GAGE_E_LIMIT, "a record claims %zu bytes: the limit is %u",
            r->body.n + length, RECORD_MAX);
    r->last = (word >> 31) != 0;
    r->remaining = length;
    if (length == 0)
        end_fragment(r);
    return GAGE_DONE;
}

gage_rc
record_got(struct record_in *r, size_t n, struct gage_err *err)
{
    if (r->remaining == 0) {
        r->header_n = (uint8_t)(r->header_n + n);
        return r->header_n == RECORD_HEADER_LEN ? begin_fragment(r, err) : GAGE_DONE;
    }
    r->body.n += n;
    r->remaining -= (uint32_t)n;
    if (r->remaining == 0)
        end_fragment(r);
    return GAGE_DONE;
}

gage_buf
record_take(struct record_in *r)
{
    if (!r->complete)
        return GAGE_BUF(RECORD_MAX);
    gage_buf body = buf_move(&r->body);
    record_init(r);
    return body;
}

gage_rc
record_finish(gage_buf *buf, struct gage_err *err)
{
    REQUIRE(!buf->bad && buf->n >= RECORD_HEADER_LEN && buf->n - RECORD_HEADER_LEN <= RECORD_MAX, err, GAGE_E_LIMIT,
            "a message is longer than %u bytes", RECORD_MAX);
    uint32_t word = 0x80000000u | (uint32_t)(buf->n - RECORD_HEADER_LEN);
    for (unsigned i = 0; i < RECORD_HEADER_LEN; i++)
        buf->p[i] = (uint8_t)(word >> (24 - 8 * i));
    return GAGE_DONE;
}
