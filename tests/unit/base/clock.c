#include "unit/test.h"

#include "base/clock.h"

TEST(parses_what_it_formats)
{
    static const int64_t times[] = {0, 951782400, 1709164800, 1795000000, 253402300799};
    char text[RFC3339_LEN + 1];
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        int64_t back = -1;
        rfc3339_format(times[i], text);
        assert_ok(rfc3339_parse(text, strlen(text), &back));
        assert_int_equal(back, times[i]);
    }
    rfc3339_format(1709164800, text);
    assert_string_equal(text, "2024-02-29T00:00:00Z");
}

TEST(refuses_other_forms_and_dates_that_do_not_exist)
{
    static const char *const bad[] = {
        "2026-02-29T00:00:00Z",      "2026-13-01T00:00:00Z", "2026-01-01T00:00:60Z",   "2026-01-01t00:00:00z",
        "2026-01-01T00:00:00+00:00", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00.5Z", "",
        "+026-01-01T00:00:00Z"};
    int64_t seconds;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_code(rfc3339_parse(bad[i], strlen(bad[i]), &seconds), GAGE_E_FORMAT);
}

TEST(parses_durations_with_one_unit)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {{"0", 0}, {"90", 90}, {"10s", 10}, {"5m", 300}, {"24h", 86400}, {"2d", 172800}, {"1w", 604800}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t seconds = -1;
        assert_ok(duration_parse(rows[i].text, &seconds));
        assert_int_equal(seconds, rows[i].seconds);
    }
}

TEST(refuses_other_durations)
{
    static const char *const bad[] = {"", "h", "-1h", "1h30m", "1 h", "1y", "12345678901", "1hh"};
    int64_t seconds;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_code(duration_parse(bad[i], &seconds), GAGE_E_FORMAT);
}

TEST_MAIN(CASE(parses_what_it_formats), CASE(refuses_other_forms_and_dates_that_do_not_exist),
          CASE(parses_durations_with_one_unit), CASE(refuses_other_durations))
