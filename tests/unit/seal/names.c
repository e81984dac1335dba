/* Names as people read them. */
#include "unit/test.h"

#include <gage/seal.h>

#include "base/encode.h"

static const uint8_t krb5[] = {4, 1, 0, 11, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2};

static void
text_of(gage_slice inside, char text[GAGE_NAME_TEXT_MAX])
{
    AUTO(gage_buf) name = GAGE_BUF(GAGE_SEAL_NAME_MAX);
    put_bytes(&name, SLICE_OF(krb5));
    put_vec32(&name, inside);
    assert_false(name.bad);
    gage_name_text(gage_buf_slice(&name), text);
}

TEST(a_long_name_is_cut_between_characters)
{
    char text[GAGE_NAME_TEXT_MAX], longest[2000];
    for (size_t before = 0; before < 4; before++) {
        memset(longest, 'x', sizeof longest);
        for (size_t i = before; i + 4 < sizeof longest; i += 4)
            memcpy(longest + i, "\xf0\x9f\x94\x91", 4);
        text_of(gage_slice_of((const uint8_t *)longest, sizeof longest), text);
        assert_memory_equal(text, "krb5:", 5);
        assert_true(strlen(text) > 1000 && utf8_printable(slice_str(text)));
    }
}

TEST(what_would_move_a_cursor_is_not_shown)
{
    char text[GAGE_NAME_TEXT_MAX];
    text_of(SLICE_LITERAL("a\x1b[2J\r\n\0b\xff\xe2\x80\xae@X"), text);
    assert_string_equal(text, "krb5:a?[2J???b??@X");
    gage_name_text(SLICE_LITERAL("\x1b\n"), text);
    assert_string_equal(text, "other:1b0a");
    gage_name_text(SLICE_NONE, text);
    assert_string_equal(text, "other:");
}

TEST_MAIN(CASE(a_long_name_is_cut_between_characters), CASE(what_would_move_a_cursor_is_not_shown))
