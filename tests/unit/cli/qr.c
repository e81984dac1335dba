#include "unit/test.h"

#include "cli/qr.h"
#include "cli/terminal.h"
#include "unit/cli/folder.h"

TEST(a_code_on_the_terminal_is_square_with_its_quiet_zone)
{
    AUTO(gage_buf) out = GAGE_BUF(65536);
    assert_ok(qr_terminal(SLICE_LITERAL("HELLO"), false, &out, NULL));
    put_u8(&out, '\0');
    size_t lines = 0, columns = 0;
    for (const char *p = (const char *)out.p; *p != '\0'; p++) {
        lines += *p == '\n';
        columns += lines == 0 && (*p & 0xc0) != 0x80 ? 1 : 0;
    }
    assert_int_equal(columns, 21 + 8); /* version 1 has 21 modules */
    assert_int_equal(lines, (21 + 8 + 1) / 2);
    assert_null(strchr((const char *)out.p, '\033'));
}

TEST(refuses_more_than_a_code_holds)
{
    AUTO(gage_buf) out = GAGE_BUF(65536);
    char text[4000];
    memset(text, 'x', sizeof text);
    assert_code(qr_terminal(gage_slice_of(text, sizeof text), false, &out, NULL), GAGE_E_LIMIT);
}

TEST(never_writes_its_picture_over_a_file)
{
    char folder[PATH_MAX];
    folder_enter(folder);
    assert_ok(qr_png(SLICE_LITERAL("HELLO"), "a.png", NULL));
    assert_code(qr_png(SLICE_LITERAL("HELLO"), "a.png", NULL), GAGE_E_EXISTS);
    folder_leave(folder);
}

TEST(durations_read_like_speech)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {{-5, "0 s"}, {0, "0 s"}, {59, "59 s"}, {60, "1 min 0 s"}, {7322, "2 h 2 min"}, {172800, "2 days 0 h"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[32];
        duration_text(rows[i].seconds, text);
        assert_string_equal(text, rows[i].text);
    }
}

TEST_MAIN(CASE(a_code_on_the_terminal_is_square_with_its_quiet_zone), CASE(refuses_more_than_a_code_holds),
          CASE(never_writes_its_picture_over_a_file), CASE(durations_read_like_speech))
