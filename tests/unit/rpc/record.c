#include "unit/test.h"

#include "rpc/record.h"

/* Delivers all bytes, at most `step` at a time, and collects the records; returns how many came. */
static size_t
deliver(gage_slice stream, size_t step, gage_buf *records)
{
    struct record_in r;
    size_t count = 0;
    record_init(&r);
    while (stream.n > 0) {
        uint8_t *to;
        size_t n = record_want(&r, &to);
        n = n < step ? n : step;
        n = n < stream.n ? n : stream.n;
        memcpy(to, stream.p, n);
        stream = gage_slice_of(stream.p + n, stream.n - n);
        assert_ok(record_got(&r, n, NULL));
        if (r.complete) {
            AUTO(gage_buf) body = record_take(&r);
            put_vec32(records, gage_buf_slice(&body));
            count++;
        }
    }
    assert_true(record_idle(&r));
    record_cleanup(&r);
    return count;
}

TEST(assembles_split_headers_and_several_fragments)
{
    static const uint8_t stream[] = {0x80, 0, 0, 2, 'h', 'i',                                   /* one fragment */
                                     0,    0, 0, 1, 'a', 0,   0, 0, 0, 0x80, 0, 0, 2, 'b', 'c', /* three, one empty */
                                     0x80, 0, 0, 0,                                             /* nothing: ignored */
                                     0x80, 0, 0, 1, 'z'};
    static const uint8_t expected[] = {0, 0, 0, 2, 'h', 'i', 0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 1, 'z'};
    for (size_t step = 1; step <= sizeof stream; step++) {
        AUTO(gage_buf) records = GAGE_BUF(1024);
        assert_int_equal(deliver(SLICE_OF(stream), step, &records), 3);
        assert_slice_equal(gage_buf_slice(&records), SLICE_OF(expected));
    }
}

TEST(takes_one_mebibyte_and_refuses_the_byte_past_it)
{
    struct record_in r;
    record_init(&r);
    static const uint8_t at_limit[] = {0x80, 0x10, 0, 0}, past[] = {0x80, 0x10, 0, 1};
    uint8_t *to;
    assert_int_equal(record_want(&r, &to), 4);
    memcpy(to, at_limit, 4);
    assert_ok(record_got(&r, 4, NULL));
    while (!r.complete) {
        size_t n = record_want(&r, &to);
        assert_true(n > 0);
        memset(to, 7, n);
        assert_ok(record_got(&r, n, NULL));
    }
    assert_int_equal(r.body.n, RECORD_MAX);
    record_cleanup(&r);
    assert_int_equal(record_want(&r, &to), 4);
    memcpy(to, past, 4);
    assert_code(record_got(&r, 4, NULL), GAGE_E_LIMIT);
    record_cleanup(&r);
}

TEST(counts_all_fragments_against_the_limit)
{
    struct record_in r;
    record_init(&r);
    static const uint8_t one[] = {0, 0, 0, 1}, rest[] = {0x80, 0x10, 0, 0};
    uint8_t *to;
    record_want(&r, &to);
    memcpy(to, one, 4);
    assert_ok(record_got(&r, 4, NULL));
    assert_int_equal(record_want(&r, &to), 1);
    *to = 1;
    assert_ok(record_got(&r, 1, NULL));
    record_want(&r, &to);
    memcpy(to, rest, 4);
    assert_code(record_got(&r, 4, NULL), GAGE_E_LIMIT);
    record_cleanup(&r);
}

TEST(a_claim_costs_no_memory_before_its_bytes_arrive)
{
    struct record_in r;
    record_init(&r);
    static const uint8_t claim[] = {0x80, 0x10, 0, 0};
    uint8_t *to;
    record_want(&r, &to);
    memcpy(to, claim, 4);
    assert_ok(record_got(&r, 4, NULL));
    assert_int_equal(record_want(&r, &to), 16384);
    assert_true(r.body.cap <= 32768);
    record_cleanup(&r);
}

TEST(finishes_records_of_one_fragment)
{
    AUTO(gage_buf) buf = GAGE_BUF(RECORD_MAX + 16);
    put_u32(&buf, 0);
    put_bytes(&buf, SLICE_LITERAL("abc"));
    assert_ok(record_finish(&buf, NULL));
    assert_slice_equal(gage_buf_slice(&buf), SLICE_LITERAL("\x80\0\0\3abc"));
    buf_reset(&buf);
    put_space(&buf, RECORD_MAX + 5);
    assert_code(record_finish(&buf, NULL), GAGE_E_LIMIT);
}

TEST_MAIN(CASE(assembles_split_headers_and_several_fragments), CASE(takes_one_mebibyte_and_refuses_the_byte_past_it),
          CASE(counts_all_fragments_against_the_limit), CASE(a_claim_costs_no_memory_before_its_bytes_arrive),
          CASE(finishes_records_of_one_fragment))
