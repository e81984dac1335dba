#include "unit/test.h"

TEST(writes_big_endian_and_reads_it_back)
{
    static const uint8_t expected[] = {1,  2,  3, 4,   5, 6, 7,   8, 9, 10, 11, 12, 13,
                                       14, 15, 1, 'x', 0, 1, 'y', 0, 0, 0,  1,  'z'};
    AUTO(gage_buf) buf = GAGE_BUF(100);
    put_u8(&buf, 1);
    put_u16(&buf, 0x0203);
    put_u32(&buf, 0x04050607);
    put_u64(&buf, 0x08090a0b0c0d0e0f);
    put_vec8(&buf, SLICE_LITERAL("x"));
    put_vec16(&buf, SLICE_LITERAL("y"));
    put_vec32(&buf, SLICE_LITERAL("z"));
    assert_ok(buf_check(&buf, NULL));
    assert_slice_equal(gage_buf_slice(&buf), SLICE_OF(expected));

    struct reader r = read_from(gage_buf_slice(&buf));
    assert_int_equal(get_u8(&r), 1);
    assert_int_equal(get_u16(&r), 0x0203);
    assert_int_equal(get_u32(&r), 0x04050607);
    assert_int_equal(get_u64(&r), 0x08090a0b0c0d0e0f);
    assert_slice_equal(get_vec8(&r), SLICE_LITERAL("x"));
    assert_slice_equal(get_vec16(&r), SLICE_LITERAL("y"));
    assert_slice_equal(get_vec32(&r), SLICE_LITERAL("z"));
    assert_ok(read_end(&r, NULL, "message"));
}

TEST(refuses_the_byte_past_max_and_stays_refused)
{
    AUTO(gage_buf) buf = GAGE_BUF(3);
    put_u16(&buf, 7);
    put_u16(&buf, 7);
    put_u8(&buf, 7);
    assert_int_equal(buf.n, 2);
    assert_code(buf_check(&buf, NULL), GAGE_E_LIMIT);
    buf_reset(&buf);
    put_u8(&buf, 7);
    put_u16(&buf, 7);
    assert_int_equal(buf.n, 3);
    assert_ok(buf_check(&buf, NULL));
}

TEST(a_vector_too_long_for_its_prefix_is_refused)
{
    AUTO(gage_buf) buf = GAGE_BUF(70000);
    static const uint8_t big[65536];
    put_vec8(&buf, gage_slice_of(big, 256));
    assert_true(buf.bad);
    buf_reset(&buf);
    put_vec16(&buf, gage_slice_of(big, 65536));
    assert_true(buf.bad);
    buf_reset(&buf);
    put_vec16(&buf, gage_slice_of(big, 65535));
    assert_ok(buf_check(&buf, NULL));
}

TEST(every_truncation_and_every_extra_byte_is_told)
{
    static const uint8_t whole[] = {0, 5, 'h', 'e', 'l', 'l', 'o', 9, 9};
    for (size_t n = 0; n <= sizeof whole; n++) {
        struct reader r = read_from(gage_slice_of(whole, n));
        gage_slice text = get_vec16(&r);
        uint8_t last = get_u8(&r);
        if (n == 8) {
            assert_ok(read_end(&r, NULL, "message"));
            assert_int_equal(text.n, 5);
            assert_int_equal(last, 9);
        } else
            assert_code(read_end(&r, NULL, "message"), GAGE_E_FORMAT);
    }
}

TEST(a_failed_reader_gives_nothing_more)
{
    static const uint8_t bytes[] = {0xff, 1, 2, 3};
    struct reader r = read_from(SLICE_OF(bytes));
    uint8_t copy[2] = {9, 9};
    assert_int_equal(get_vec8(&r).n, 0);
    assert_int_equal(get_u8(&r), 0);
    get_copy(&r, copy, 2);
    assert_int_equal(copy[0] | copy[1], 0);
    assert_int_equal(get_rest(&r).n, 0);
    assert_false(read_ok(&r));
}

TEST(drops_from_the_front_and_moves_away)
{
    AUTO(gage_buf) buf = GAGE_BUF(10);
    put_bytes(&buf, SLICE_LITERAL("abcdef"));
    buf_drop(&buf, 4);
    assert_slice_equal(gage_buf_slice(&buf), SLICE_LITERAL("ef"));
    AUTO(gage_buf) other = buf_move(&buf);
    assert_int_equal(buf.n, 0);
    assert_null(buf.p);
    assert_slice_equal(gage_buf_slice(&other), SLICE_LITERAL("ef"));
    buf_drop(&other, 2);
    assert_int_equal(other.n, 0);
}

TEST(grows_up_to_a_large_maximum)
{
    AUTO(gage_buf) buf = GAGE_BUF(100001);
    for (uint32_t i = 0; i < 25000; i++)
        put_u32(&buf, i);
    put_u8(&buf, 1);
    assert_ok(buf_check(&buf, NULL));
    struct reader r = read_from(gage_buf_slice(&buf));
    for (uint32_t i = 0; i < 25000; i++)
        assert_int_equal(get_u32(&r), i);
    put_u8(&buf, 1);
    assert_true(buf.bad);
}

TEST(a_sentence_stays_one_line)
{
    struct gage_err err;
    gage_rc rc = gage_fail(&err, GAGE_E_FORMAT, "a\nb\033[31m%s", "c\r");
    assert_int_equal(rc.code, GAGE_E_FORMAT);
    assert_string_equal(err.text, "a b [31mc ");
}

TEST(every_code_has_a_name_a_text_and_its_own_exit_status)
{
    bool seen[64] = {false};
    for (int code = GAGE_OK; code <= GAGE_E_FORGOTTEN; code++) {
        int status = gage_exit_status((enum gage_code)code);
        assert_true(status >= 0 && status < 64 && !seen[status]);
        seen[status] = true;
        assert_int_equal(strncmp(gage_code_name((enum gage_code)code), "GAGE_", 5), 0);
        assert_true(strlen(gage_code_text((enum gage_code)code)) > 3);
    }
    assert_string_equal(gage_code_name((enum gage_code)9999), "GAGE_E_INTERNAL");
}

TEST_MAIN(CASE(writes_big_endian_and_reads_it_back), CASE(refuses_the_byte_past_max_and_stays_refused),
          CASE(a_vector_too_long_for_its_prefix_is_refused), CASE(every_truncation_and_every_extra_byte_is_told),
          CASE(a_failed_reader_gives_nothing_more), CASE(drops_from_the_front_and_moves_away),
          CASE(grows_up_to_a_large_maximum), CASE(a_sentence_stays_one_line),
          CASE(every_code_has_a_name_a_text_and_its_own_exit_status))
