/* Lines for readers that are slow, stop or go. */
#include "unit/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/lines.h"

static const struct log_event lost = {"lost", LOG_LEVEL_WARNING, ""};

/* A pipe that takes a page. */
static void
small_pipe(int ends[2])
{
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, 4096) == 4096);
}

static struct lines *
begin(int fd, enum lines_kind kind, size_t room)
{
    struct lines *l = NULL;
    struct gage_err err;
    assert_ok(lines_begin(fd, kind, room, &lost, &l, &err));
    return l;
}

static bool
put(struct lines *l, int number)
{
    char line[128];
    int n = snprintf(line, sizeof line, "line %099d\n", number);
    return lines_put(l, gage_slice_of(line, (size_t)n));
}

/* Reads that many lines and gives the numbers; notes of what was lost are added to *noted. */
static void
read_lines(FILE *from, int *numbers, int count, int *noted)
{
    char line[256];
    int lines;
    for (int i = 0; i < count;) {
        assert_non_null(fgets(line, sizeof line, from));
        if (sscanf(line, "event=lost lines=%d", &lines) == 1)
            *noted += lines;
        else
            assert_int_equal(sscanf(line, "line %d\n", &numbers[i++]), 1);
    }
}

TEST(lines_come_in_order_and_whole)
{
    int ends[2], numbers[2000], noted = 0;
    small_pipe(ends);
    struct lines *l = begin(ends[1], LINES_MATTER, 1 << 20);
    for (int i = 0; i < 2000; i++)
        assert_true(put(l, i));
    FILE *from = fdopen(ends[0], "r");
    read_lines(from, numbers, 2000, &noted);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(numbers[i], i);
    assert_int_equal(noted, 0);
    assert_int_equal(lines_lost(l), 0);
    fclose(from);
}

TEST(what_nobody_takes_is_dropped_counted_and_said)
{
    int ends[2], numbers[2000], noted = 0, kept = 0, last;
    small_pipe(ends);
    struct lines *l = begin(ends[1], LINES_MAY_BE_LOST, 16384);
    for (int i = 0; i < 1000; i++)
        kept += put(l, i);
    assert_true(kept < 1000);
    assert_int_equal(lines_lost(l), 1000 - kept);
    FILE *from = fdopen(ends[0], "r");
    read_lines(from, numbers, kept, &noted);
    lines_finish(l);
    assert_true(put(l, 5000));
    read_lines(from, &last, 1, &noted);
    assert_int_equal(last, 5000);
    assert_int_equal(noted, 1000 - kept);
    fclose(from);
}

static void *
put_thousand(void *context)
{
    for (int i = 0; i < 1000; i++)
        assert_true(put(context, i));
    return NULL;
}

TEST(lines_that_matter_wait_for_a_reader_that_reads)
{
    int ends[2], noted = 0;
    static int numbers[4000];
    pthread_t threads[4];
    small_pipe(ends);
    struct lines *l = begin(ends[1], LINES_MATTER, 2000);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_thousand, l), 0);
    FILE *from = fdopen(ends[0], "r");
    read_lines(from, numbers, 4000, &noted);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(noted, 0);
    assert_int_equal(lines_lost(l), 0);
    fclose(from);
}

TEST(lines_that_matter_do_not_wait_for_a_reader_that_stopped_and_come_again_when_it_reads_again)
{
    int ends[2], numbers[2000], noted = 0, kept = 0;
    small_pipe(ends);
    struct lines *l = begin(ends[1], LINES_MATTER, 2000);
    for (int i = 0; i < 2000; i++) /* were each waited for, that would be half an hour */
        kept += put(l, i);
    assert_int_equal(lines_lost(l), 2000 - kept);
    FILE *from = fdopen(ends[0], "r");
    read_lines(from, numbers, kept, &noted);
    while (!put(l, 7000)) /* it has read, but that may not be known yet */
        continue;
    read_lines(from, numbers, 1, &noted);
    assert_int_equal(numbers[0], 7000);
    for (int i = 0; i < 500; i++) {
        assert_true(put(l, i));
        read_lines(from, numbers, 1, &noted);
        assert_int_equal(numbers[0], i);
    }
    assert_int_equal(noted, lines_lost(l));
    fclose(from);
}

TEST(what_a_reader_that_has_gone_refuses_is_counted)
{
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    small_pipe(ends);
    struct lines *l = begin(ends[1], LINES_MATTER, 1 << 20);
    close(ends[0]);
    for (int i = 0; i < 300; i++)
        assert_true(put(l, i));
    lines_finish(l);
    assert_int_equal(lines_lost(l), 300);
}

TEST(a_line_longer_than_a_write_takes_goes_whole)
{
    int ends[2];
    char *text = malloc(10001);
    assert_non_null(text);
    memset(text, 'x', 10000);
    text[9999] = '\n';
    text[10000] = '\0';
    small_pipe(ends);
    struct lines *l = begin(ends[1], LINES_MATTER, 1 << 20);
    assert_true(put(l, 1));
    assert_true(lines_put(l, gage_slice_of(text, 10000)));
    assert_true(put(l, 2));
    FILE *from = fdopen(ends[0], "r");
    char *got = malloc(20000);
    int number, noted = 0;
    read_lines(from, &number, 1, &noted);
    assert_non_null(fgets(got, 20000, from));
    assert_string_equal(got, text);
    read_lines(from, &number, 1, &noted);
    assert_int_equal(number, 2);
    fclose(from);
    free(got);
    free(text);
}

TEST_MAIN(CASE(lines_come_in_order_and_whole), CASE(what_nobody_takes_is_dropped_counted_and_said),
          CASE(lines_that_matter_wait_for_a_reader_that_reads),
          CASE(lines_that_matter_do_not_wait_for_a_reader_that_stopped_and_come_again_when_it_reads_again),
          CASE(what_a_reader_that_has_gone_refuses_is_counted), CASE(a_line_longer_than_a_write_takes_goes_whole))
