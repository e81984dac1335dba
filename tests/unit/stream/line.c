#include "unit/test.h"

#include "stream/frame.h"
#include "stream/line.h"

static struct gage_err err;

static void
finds(const char *text, enum line_found expected, uint32_t number, size_t used)
{
    enum line_found found;
    struct line line = {.n = 0};
    assert_ok(line_find(slice_str(text), &found, &line, &err));
    if (found != expected)
        fail_msg("\"%s\": %d, not %d", text, (int)found, (int)expected);
    assert_int_equal(line.number, number);
    assert_int_equal(line.n, used);
}

static void
breaks(const char *text)
{
    enum line_found found;
    struct line line;
    assert_code(line_find(slice_str(text), &found, &line, &err), GAGE_E_FORMAT);
}

TEST(takes_lines_of_the_grammar)
{
    finds("STARTGSS 0\n", LINE_WHOLE, 0, 11);
    finds("STARTGSS 4294967295\r\n", LINE_WHOLE, 4294967295u, 21);
    finds("STARTGSS 1073741824\nSTARTGSS 1\n", LINE_WHOLE, 1073741824u, 20);
    finds("STARTGSS 10\n\x00\x00\x00\x01", LINE_WHOLE, 10, 12);
}

TEST(waits_at_every_beginning_of_a_line)
{
    const char *whole = "STARTGSS 4294967295\r\n";
    char part[32];
    for (size_t n = 0; n < strlen(whole); n++) {
        memcpy(part, whole, n);
        part[n] = '\0';
        finds(part, LINE_UNDECIDED, 0, 0);
    }
}

TEST(knows_a_plain_peer_by_its_first_differing_byte)
{
    finds("A", LINE_NOT, 0, 0);
    finds("AMQP", LINE_NOT, 0, 0);
    finds("STARTTLS\r\n", LINE_NOT, 0, 0);
    finds("STARTGSS\t1\n", LINE_NOT, 0, 0);
    finds("startgss 1\n", LINE_NOT, 0, 0);
}

TEST(refuses_what_breaks_the_grammar)
{
    const char *bad[] = {"STARTGSS +1\n",
                         "STARTGSS -1\n",
                         "STARTGSS 01\n",
                         "STARTGSS \n",
                         "STARTGSS  1\n",
                         "STARTGSS 1 \n",
                         "STARTGSS 4294967296\n",
                         "STARTGSS 42949672950\n",
                         "STARTGSS 00\n",
                         "STARTGSS 1\r\r\n",
                         "STARTGSS 1\rx",
                         "STARTGSS 0x1\n",
                         "STARTGSS 99999999999999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        breaks(bad[i]);
}

TEST(draws_numbers_within_the_roles_range_and_never_the_peers)
{
    struct line line;
    uint32_t other = 5;
    for (int i = 0; i < 2000; i++) {
        assert_ok(line_make(GAGE_STREAM_INITIATOR, &other, &gage_system_rng, &line));
        assert_true(line.number < 1073741824u && line.number != other);
        assert_ok(line_make(GAGE_STREAM_ACCEPTOR, NULL, &gage_system_rng, &line));
        assert_true(line.number >= 3221225472u);
        assert_ok(line_make(GAGE_STREAM_ANY_ROLE, NULL, &gage_system_rng, &line));
        assert_true(line.number >= 1073741824u && line.number < 3221225472u);
        finds(line.text, LINE_WHOLE, line.number, line.n);
    }
}

static gage_rc
same_number_first(void *context, uint8_t *out, size_t n)
{
    memset(out, *(int *)context == 0 ? 7 : 8, n);
    ++*(int *)context;
    return GAGE_DONE;
}

TEST(draws_again_where_the_number_is_the_peers)
{
    int calls = 0;
    struct gage_rng rng = {same_number_first, &calls};
    struct line line;
    uint32_t other = 0x07070707;
    assert_ok(line_make(GAGE_STREAM_INITIATOR, &other, &rng, &line));
    assert_int_equal(line.number, 0x08080808);
    assert_int_equal(calls, 2);
}

TEST(numbers_decide_the_roles_alike_on_both_sides)
{
    const struct {
        uint32_t one, two;
        enum gage_code code;
    } rows[] = {
        {1, 2, GAGE_E_STATE},
        {1073741823, 1073741824, GAGE_OK},
        {1073741824, 3221225471, GAGE_OK},
        {3221225471, 3221225472, GAGE_OK},
        {3221225472, 4294967295, GAGE_E_STATE},
        {0, 4294967295, GAGE_OK},
        {9, 9, GAGE_E_REFUSED},
        {4294967295, 4294967295, GAGE_E_REFUSED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool one = false, two = true;
        assert_code(line_roles(rows[i].one, rows[i].two, &one, &err), rows[i].code);
        assert_code(line_roles(rows[i].two, rows[i].one, &two, &err), rows[i].code);
        if (rows[i].code == GAGE_OK)
            assert_true(one && !two);
    }
}

TEST(frame_headers_hold_each_types_limits)
{
    const struct {
        uint8_t header[4];
        enum gage_code code;
    } rows[] = {
        {{0, 0, 0, 0}, GAGE_E_LIMIT},  {{0, 0, 0, 1}, GAGE_OK},
        {{0, 2, 0, 0}, GAGE_OK},       {{0, 2, 0, 1}, GAGE_E_LIMIT},
        {{1, 0, 0, 0}, GAGE_E_LIMIT},  {{1, 1, 4, 0}, GAGE_OK},
        {{1, 1, 4, 1}, GAGE_E_LIMIT},  {{2, 0, 0, 15}, GAGE_E_LIMIT},
        {{2, 0, 0, 16}, GAGE_OK},      {{2, 1, 0, 16}, GAGE_OK},
        {{2, 1, 0, 17}, GAGE_E_LIMIT}, {{3, 0, 0, 0}, GAGE_E_LIMIT},
        {{3, 0, 0, 255}, GAGE_OK},     {{3, 0, 1, 0}, GAGE_E_LIMIT},
        {{4, 0, 0, 1}, GAGE_E_FORMAT}, {{255, 255, 255, 255}, GAGE_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct frame frame;
        uint8_t again[4];
        assert_code(frame_get(rows[i].header, &frame, &err), rows[i].code);
        if (rows[i].code != GAGE_OK)
            continue;
        frame_put(again, frame.type, frame.length);
        assert_memory_equal(again, rows[i].header, 4);
    }
}

TEST_MAIN(CASE(takes_lines_of_the_grammar), CASE(waits_at_every_beginning_of_a_line),
          CASE(knows_a_plain_peer_by_its_first_differing_byte), CASE(refuses_what_breaks_the_grammar),
          CASE(draws_numbers_within_the_roles_range_and_never_the_peers),
          CASE(draws_again_where_the_number_is_the_peers), CASE(numbers_decide_the_roles_alike_on_both_sides),
          CASE(frame_headers_hold_each_types_limits))
