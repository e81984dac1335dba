#include "unit/test.h"

#include "relayd/guard.h"

#define HOST "Host: x\r\n"

/* Feeds byte by byte; returns how many were taken before the end or the refusal. */
static size_t
feed(struct guard *g, const char *text)
{
    size_t taken = 0;
    guard_init(g, 100);
    for (const char *p = text; *p != '\0' && !g->complete && g->refusal == NULL; p++)
        taken += guard_feed(g, gage_slice_of(p, 1));
    return taken;
}

static unsigned
status_of(const char *text)
{
    struct guard g;
    feed(&g, text);
    return g.refusal != NULL ? g.refusal->status : 0;
}

TEST(finds_the_end_of_each_kind_of_message)
{
    static const char *const good[] = {
        "GET / HTTP/1.1\r\n" HOST "\r\n",
        "POST /v1/m?x=y HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\n" HOST "Content-Length:\t 0 \t\r\n\r\n",
        "PUT / HTTP/1.1\r\n" HOST "transfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n1\r\n \r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct guard g;
        assert_int_equal(feed(&g, good[i]), strlen(good[i]));
        assert_true(g.complete);
    }
}

TEST(stops_at_the_end_and_goes_on_with_the_next)
{
    static const char two[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nabGET / HTTP/1.1\r\n" HOST "\r\n";
    struct guard g;
    guard_init(&g, 100);
    size_t first = guard_feed(&g, SLICE_LITERAL(two));
    assert_true(g.complete);
    assert_int_equal(guard_feed(&g, gage_slice_of(two + first, 4)), 0);
    guard_next(&g);
    assert_int_equal(guard_feed(&g, gage_slice_of(two + first, sizeof two - 1 - first)), sizeof two - 1 - first);
    assert_true(g.complete);
}

TEST(never_gives_the_last_byte_of_a_refused_head)
{
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\nA: b\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct guard g;
        assert_true(feed(&g, bad[i]) < strlen(bad[i]));
        assert_non_null(g.refusal);
    }
}

TEST(refuses_what_can_be_read_in_two_ways)
{
    static const struct {
        const char *text;
        unsigned status;
    } rows[] = {
        {"GET / HTTP/1.1\n", 400},
        {"GET / HTTP/1.0\r\n", 505},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST HOST, 400},
        {"GET / HTTP/1.1\r\nHost: a b\r\n", 400},
        {"GET / HTTP/1.1\r\nHost:\r\n", 400},
        {"GET / HTTP/1.1\r\nA : b\r\n", 400},
        {"GET / HTTP/1.1\r\nA: b\r\n c\r\n", 400},
        {"GET / HTTP/1.1\r\nA: b\rc\r\n", 400},
        {"GET / HTTP/1.1\r\nA: b\nc\r\n", 400},
        {"PUT / HTTP/1.1\r\nContent-Length: +1\r\n", 400},
        {"PUT / HTTP/1.1\r\nContent-Length: 1, 1\r\n", 400},
        {"PUT / HTTP/1.1\r\nContent-Length: 101\r\n", 413},
        {"PUT / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n", 501},
        {"PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1;x\r\n", 400},
        {"PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n65\r\n", 413},
        {"PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n", 400},
        {"PUT / HTTP/1.1\r\nExpect: x\r\n", 417},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(status_of(rows[i].text), rows[i].status);
}

TEST(counts_a_chunked_bodys_whole_length)
{
    assert_int_equal(status_of("PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n40\r\n"
                               "0123456789012345678901234567890123456789012345678901234567890123\r\n40\r\n"),
                     413);
}

TEST_MAIN(CASE(finds_the_end_of_each_kind_of_message), CASE(stops_at_the_end_and_goes_on_with_the_next),
          CASE(never_gives_the_last_byte_of_a_refused_head), CASE(refuses_what_can_be_read_in_two_ways),
          CASE(counts_a_chunked_bodys_whole_length))
