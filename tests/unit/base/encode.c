#include "unit/test.h"

#include "base/encode.h"

TEST(base64_matches_rfc_4648)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        AUTO(gage_buf) text = GAGE_BUF(64);
        AUTO(gage_buf) back = GAGE_BUF(64);
        put_base64(&text, slice_str(rows[i][0]));
        assert_slice_equal(gage_buf_slice(&text), slice_str(rows[i][1]));
        assert_ok(get_base64(gage_buf_slice(&text), &back));
        assert_slice_equal(gage_buf_slice(&back), slice_str(rows[i][0]));
    }
}

TEST(base64_takes_every_alphabet_and_padding_of_a_link)
{
    static const char *const forms[] = {"+/+/+w==", "-_-_-w", "-_-_-w==", "+/+/+w%3D%3D", "-_-_-w%3d%3d", "-_-_-w="};
    static const uint8_t expected[] = {0xfb, 0xff, 0xbf, 0xfb};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        AUTO(gage_buf) out = GAGE_BUF(64);
        assert_ok(get_base64(slice_str(forms[i]), &out));
        assert_slice_equal(gage_buf_slice(&out), SLICE_OF(expected));
    }
}

TEST(base64_refuses_the_rest_and_appends_nothing)
{
    static const char *const bad[] = {"A", "AAAAA", "Zm9v!", "Zm 9v", "Zg===", "Zh==", "Zm9v\n", "Z=g="};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        AUTO(gage_buf) out = GAGE_BUF(64);
        put_u8(&out, 'x');
        assert_code(get_base64(slice_str(bad[i]), &out), GAGE_E_FORMAT);
        assert_int_equal(out.n, 1);
    }
}

TEST(base64url_has_no_padding)
{
    static const uint8_t bytes[] = {0xfb, 0xff, 0xbf, 0xfb};
    AUTO(gage_buf) out = GAGE_BUF(64);
    put_base64url(&out, SLICE_OF(bytes));
    assert_slice_equal(gage_buf_slice(&out), SLICE_LITERAL("-_-_-w"));
}

TEST(hex_goes_both_ways_and_refuses_the_rest)
{
    static const uint8_t bytes[] = {0, 0x9a, 0xff};
    AUTO(gage_buf) out = GAGE_BUF(64);
    put_hex(&out, SLICE_OF(bytes));
    assert_slice_equal(gage_buf_slice(&out), SLICE_LITERAL("009aff"));
    buf_reset(&out);
    assert_ok(get_hex(SLICE_LITERAL("009AfF"), &out));
    assert_slice_equal(gage_buf_slice(&out), SLICE_OF(bytes));
    assert_code(get_hex(SLICE_LITERAL("009"), &out), GAGE_E_FORMAT);
    assert_code(get_hex(SLICE_LITERAL("0g"), &out), GAGE_E_FORMAT);
}

TEST(a_made_uuid_is_version_4_and_reads_back)
{
    uint8_t uuid[UUID_LEN], back[UUID_LEN];
    char text[UUID_TEXT_LEN + 1];
    assert_ok(uuid_make(&gage_system_rng, uuid));
    uuid_format(uuid, text);
    assert_int_equal(text[14], '4');
    assert_non_null(strchr("89ab", text[19]));
    assert_ok(uuid_parse(slice_str(text), back));
    assert_memory_equal(uuid, back, UUID_LEN);
    assert_ok(uuid_parse(SLICE_LITERAL("6BA7B810-9DAD-11D1-80B4-00C04FD430C8"), back));
    uuid_format(back, text);
    assert_string_equal(text, "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
}

TEST(a_uuid_of_another_shape_is_refused)
{
    static const char *const bad[] = {"",
                                      "6ba7b810-9dad-11d1-80b4-00c04fd430c",
                                      "6ba7b8109-dad-11d1-80b4-00c04fd430c8",
                                      "6ba7b810-9dad-11d1-80b4-00c04fd430cg",
                                      "{6ba7b810-9dad-11d1-80b4-00c04fd430c8",
                                      "6ba7b810x9dad-11d1-80b4-00c04fd430c8",
                                      "6ba7b810-9dad-11d1-80b4-00c04fd430c8 "};
    uint8_t uuid[UUID_LEN];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_code(uuid_parse(slice_str(bad[i]), uuid), GAGE_E_FORMAT);
}

TEST(utf8_is_told_from_what_looks_like_it)
{
    static const char *const good[] = {"", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x94\x91", "\xef\xbf\xbf"};
    static const char *const bad[] = {"\x80",         "\xc0\xaf",         "\xe0\x80\xaf",
                                      "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
                                      "\xc3",         "\xe2\x82",         "a\xff"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(utf8_valid(slice_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(utf8_valid(slice_str(bad[i])));
    assert_false(utf8_valid(gage_slice_of("a\0b", 3)));
}

TEST(what_could_command_a_terminal_becomes_a_question_mark)
{
    AUTO(gage_buf) out = GAGE_BUF(64);
    put_printable(&out, SLICE_LITERAL("a\x1b[2J\xe2\x80\xae\xc2\x9b\xff\xc3\xa9\n"));
    assert_slice_equal(gage_buf_slice(&out), SLICE_LITERAL("a?[2J???\xc3\xa9?"));
    assert_true(utf8_printable(gage_buf_slice(&out)));
}

TEST_MAIN(CASE(base64_matches_rfc_4648), CASE(base64_takes_every_alphabet_and_padding_of_a_link),
          CASE(base64_refuses_the_rest_and_appends_nothing), CASE(base64url_has_no_padding),
          CASE(hex_goes_both_ways_and_refuses_the_rest), CASE(a_made_uuid_is_version_4_and_reads_back),
          CASE(a_uuid_of_another_shape_is_refused), CASE(utf8_is_told_from_what_looks_like_it),
          CASE(what_could_command_a_terminal_becomes_a_question_mark))
