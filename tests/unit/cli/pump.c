#include "unit/test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "cli/seal/pump.h"

static struct pump pump;

/* Puts out each piece with a mark before it, and three pieces at the end. */
struct work {
    size_t pieces, ends;
    size_t fail_at; /* the piece that fails; 0: none */
    gage_buf expected;
};

static gage_rc
piece(void *context, gage_slice bytes, gage_buf *out, struct gage_err *err)
{
    struct work *w = context;
    w->pieces++;
    REQUIRE(w->pieces != w->fail_at, err, GAGE_E_AUTH, "piece %zu is bad", w->pieces);
    put_u64(out, w->pieces);
    put_bytes(out, bytes);
    put_u64(&w->expected, w->pieces);
    put_bytes(&w->expected, bytes);
    return buf_check(out, err);
}

static gage_rc
end(void *context, gage_buf *out, bool *more, struct gage_err *err)
{
    struct work *w = context;
    w->ends++;
    put_bytes(out, SLICE_LITERAL("end"));
    put_bytes(&w->expected, SLICE_LITERAL("end"));
    *more = w->ends < 3;
    return buf_check(out, err);
}

static int
file_of(size_t n)
{
    int fd = memfd_create("pump", 0);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = i * UINT64_C(0x9e3779b97f4a7c15);
        assert_int_equal(write(fd, &word, n - i < 8 ? n - i : 8), n - i < 8 ? n - i : 8);
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static gage_rc
run(struct work *w, size_t n, int to, struct gage_err *err)
{
    const struct pump_step step = {piece, end, w, PUMP_OUT};
    AUTO(gage_fd) from = file_of(n);
    return pump_run(&pump, from, "the file", to, "the target", &step, err);
}

#define BIG ((2 * PUMP_SLOTS + 3) * PUMP_PIECE) /* fills the queue */

TEST(keeps_the_order_at_every_size)
{
    static const size_t sizes[] = {0, 1, PUMP_PIECE - 1, PUMP_PIECE, PUMP_PIECE + 1, BIG - 5};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct work w = {.expected = GAGE_BUF(2 * BIG)};
        AUTO(gage_buf) got = GAGE_BUF(2 * BIG);
        AUTO(gage_fd) to = memfd_create("out", 0);
        assert_ok(run(&w, sizes[i], to, NULL));
        lseek(to, 0, SEEK_SET);
        assert_ok(file_read_fd(to, "out", &got, NULL));
        assert_slice_equal(gage_buf_slice(&got), gage_buf_slice(&w.expected));
        gage_buf_free(&w.expected);
    }
}

TEST(a_step_that_fails_ends_it)
{
    for (size_t at = 1; at <= 9; at++) {
        struct gage_err err = {0};
        struct work w = {.fail_at = at, .expected = GAGE_BUF(2 * BIG)};
        AUTO(gage_fd) to = memfd_create("out", 0);
        assert_code(run(&w, BIG, to, &err), GAGE_E_AUTH);
        assert_int_equal(w.pieces, at);
        assert_int_equal(w.ends, 0);
        assert_int_equal(lseek(to, 0, SEEK_END), w.expected.n); /* what went before is out, in whole */
        gage_buf_free(&w.expected);
    }
}

TEST(a_full_disk_ends_it_and_says_so)
{
    static const size_t sizes[] = {10, PUMP_PIECE, BIG};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct gage_err err = {0};
        struct work w = {.expected = GAGE_BUF(2 * BIG)};
        AUTO(gage_fd) to = open("/dev/full", O_WRONLY | O_CLOEXEC);
        assert_code(run(&w, sizes[i], to, &err), GAGE_E_IO);
        assert_non_null(strstr(err.text, "the target"));
        gage_buf_free(&w.expected);
    }
    pump_cleanup(&pump);
}

/* A pump between two pipes, in a thread. */
struct piped {
    int from, to;
    struct work work;
    gage_rc rc;
};

static void *
run_piped(void *argument)
{
    struct piped *p = argument;
    const struct pump_step step = {piece, end, &p->work, PUMP_OUT};
    p->rc = pump_run(&pump, p->from, "the file", p->to, "the target", &step, NULL);
    return NULL;
}

TEST(what_comes_from_a_pipe_goes_on_at_once)
{
    int in[2], out[2];
    static uint8_t bytes[PUMP_PIECE + 8];
    pthread_t thread;
    assert_return_code(pipe(in), 0);
    assert_true(fcntl(in[1], F_SETPIPE_SZ, 2 * PUMP_PIECE) >=
                0); /* a whole piece a read: what starts the second thread */
    assert_return_code(pipe(out), 0);
    struct piped p = {.from = in[0], .to = out[1], .work = {.expected = GAGE_BUF(BIG)}};
    assert_int_equal(pthread_create(&thread, NULL, run_piped, &p), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(write(in[1], bytes, PUMP_PIECE), PUMP_PIECE);
        for (size_t n = 0; n < PUMP_PIECE;) { /* or more, with the marks */
            struct pollfd ready = {.fd = out[0], .events = POLLIN};
            assert_int_equal(poll(&ready, 1, 30000), 1); /* a hang, otherwise */
            ssize_t got = read(out[0], bytes, sizeof bytes);
            assert_true(got > 0);
            n += (size_t)got;
        }
    }
    close(in[1]);
    pthread_join(thread, NULL); /* what is left fits the pipe */
    assert_ok(p.rc);
    gage_buf_free(&p.work.expected);
    close(in[0]);
    close(out[0]);
    close(out[1]);
}

TEST_MAIN(CASE(keeps_the_order_at_every_size), CASE(what_comes_from_a_pipe_goes_on_at_once),
          CASE(a_step_that_fails_ends_it), CASE(a_full_disk_ends_it_and_says_so))
