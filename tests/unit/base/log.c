#include "unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

static const struct log_event happened = {"happened", LOG_LEVEL_NOTICE, "Something happened."};
static const struct log_event whispered = {"whispered", LOG_LEVEL_DEBUG, "Hardly anything."};

static void
assert_line(const char *expected, const struct log_field *fields, size_t count)
{
    AUTO(gage_buf) line = GAGE_BUF(1056);
    log_format(&happened, fields, count, &line);
    assert_slice_equal(gage_buf_slice(&line), slice_str(expected));
}

TEST(a_line_is_event_and_quoted_values)
{
    struct gage_err err = {.code = GAGE_E_IO, .text = "cannot \"do\" it"};
    const struct log_field fields[] = {F_INT("n", -5), F_TEXT("path", "/a b"), F_ERR(&err)};
    assert_line("event=happened n=-5 path=\"/a b\" error=GAGE_E_IO reason=\"cannot \\\"do\\\" it\"\n", fields, 3);
    assert_line("event=happened\n", NULL, 0);
}

TEST(a_value_cannot_forge_a_line)
{
    const struct log_field fields[] = {F_TEXT("t", "x\nevent=forged \x1b[1m\xff")};
    assert_line("event=happened t=\"x?event=forged ?[1m?\"\n", fields, 1);
}

TEST(a_line_too_long_is_cut_and_still_ends)
{
    char text[600];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const struct log_field fields[] = {F_TEXT("a", text), F_TEXT("b", text), F_TEXT("c", text)};
    AUTO(gage_buf) line = GAGE_BUF(700);
    log_format(&happened, fields, 3, &line);
    assert_true(line.n <= 700);
    assert_int_equal(line.p[line.n - 1], '\n');
}

/* What the calls write on standard error. */
static size_t
lines_written(const struct log_event *event, int times)
{
    char path[] = "/tmp/gage-test-log-XXXXXX", text[65536];
    int file = mkstemp(path), saved = dup(STDERR_FILENO);
    assert_true(file >= 0 && saved >= 0);
    unlink(path);
    dup2(file, STDERR_FILENO);
    for (int i = 0; i < times; i++)
        LOG(event, F_INT("i", i));
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t n = pread(file, text, sizeof text, 0);
    close(file);
    size_t lines = 0;
    for (ssize_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    return lines;
}

TEST(a_flood_of_one_event_is_cut_and_others_still_speak)
{
    static const struct log_event flood = {"flood", LOG_LEVEL_ERROR, "Too many."};
    size_t lines = lines_written(&flood, 10000);
    assert_true(lines >= 20 && lines <= 200); /* 20 a second, and the loop takes far less than ten */
    assert_int_equal(lines_written(&happened, 3), 3);
}

TEST(a_level_above_the_threshold_is_silent)
{
    assert_int_equal(lines_written(&whispered, 3), 0);
    log_set_level(LOG_LEVEL_DEBUG);
    assert_int_equal(lines_written(&whispered, 3), 3);
    log_set_level(LOG_LEVEL_INFO);
}

TEST_MAIN(CASE(a_line_is_event_and_quoted_values), CASE(a_value_cannot_forge_a_line),
          CASE(a_line_too_long_is_cut_and_still_ends), CASE(a_flood_of_one_event_is_cut_and_others_still_speak),
          CASE(a_level_above_the_threshold_is_silent))
