/* The pool and what a call makes of it, against a server whose every step a test decides. */
#include "unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "interposer/outcome.h"
#include "interposer/pool.h"
#include "interposer/remote.h"
#include "rpc/record.h"

#define INDICATE_MECHS 1
#define ACCEPT 9

/* What the server does with a connection's n-th request. */
enum act { ANSWER, HANG_UP, HANG_UP_UNREAD, WRONG_XID, TWO_RECORDS, TOO_LONG, GARBAGE, FRAGMENTS, STOP };

#define CONNECTIONS_MAX 16
struct server {
    char path[64];
    int listener;
    const enum act *acts; /* one a request up to STOP, over all connections; NULL: every one is answered */
    size_t done, connections;
    pthread_t thread, of[CONNECTIONS_MAX];
};
struct connection {
    struct server *server;
    int fd;
};

static enum act
act_now(struct server *s)
{
    return s->acts != NULL ? s->acts[__atomic_load_n(&s->done, __ATOMIC_SEQ_CST)] : ANSWER;
}

static void
one_done(struct server *s)
{
    __atomic_add_fetch(&s->done, 1, __ATOMIC_SEQ_CST);
}

static bool
read_exactly(int fd, uint8_t *to, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = read(fd, to + got, n - got);
        if (r <= 0)
            return false;
        got += (size_t)r;
    }
    return true;
}

static void
write_all(int fd, gage_slice bytes)
{
    assert_int_equal(write(fd, bytes.p, bytes.n), (ssize_t)bytes.n);
}

/* An accepted reply of nothing but a status: major 0, minor 0x2a, no texts. */
static void
put_reply(gage_buf *to, uint32_t xid)
{
    put_u32(to, 0);
    rpc_put_reply(to, xid, ANSWER_SUCCESS);
    for (int i = 0; i < 8; i++) /* major, minor, mechanism, texts, server context, options: hyper or length, all 0 */
        put_u32(to, i == 4 ? 0x2a : 0);
    put_u32(to, 0);
    for (int i = 0; i < 4; i++) /* empty sets, or pointers that are none */
        put_u32(to, 0);
    assert_ok(record_finish(to, NULL));
}

static void
put_reply_again(gage_buf *reply)
{
    buf_reserve(reply, reply->n); /* so that it is not moved while it is copied */
    put_bytes(reply, gage_buf_slice(reply));
}

static void
reply_as(int fd, enum act act, uint32_t xid)
{
    AUTO(gage_buf) reply = GAGE_BUF(4096);
    static const uint8_t too_long[] = {0x80, 0x10, 0, 1};
    put_reply(&reply, act == WRONG_XID ? xid + 1 : xid);
    if (act == TOO_LONG) {
        write_all(fd, SLICE_OF(too_long));
    } else if (act == GARBAGE) {
        write_all(fd, SLICE_LITERAL("\x80\0\0\x08gibberis"));
    } else if (act == FRAGMENTS) {
        for (size_t i = RECORD_HEADER_LEN; i < reply.n; i++) {
            uint8_t one[] = {i + 1 == reply.n ? 0x80 : 0, 0, 0, 1, reply.p[i]};
            write_all(fd, SLICE_OF(one));
        }
    } else {
        if (act == TWO_RECORDS)
            put_reply_again(&reply);
        write_all(fd, gage_buf_slice(&reply));
    }
}

static void
serve(struct server *s, int fd)
{
    uint8_t header[8], body[8192];
    for (enum act act; (act = act_now(s)) != STOP;) {
        if (act == HANG_UP_UNREAD) { /* once there is something that is left unread */
            if (recv(fd, header, 1, MSG_PEEK) == 1)
                one_done(s);
            return;
        }
        if (!read_exactly(fd, header, sizeof header))
            return;
        struct reader r = read_from(SLICE_OF(header));
        size_t n = (get_u32(&r) & 0x7fffffffu) - 4;
        uint32_t xid = get_u32(&r);
        if (n > sizeof body || !read_exactly(fd, body, n))
            return;
        one_done(s);
        if (act == HANG_UP)
            return;
        reply_as(fd, act, xid);
    }
    while (read(fd, header, sizeof header) > 0)
        continue;
}

static void *
run_connection(void *argument)
{
    struct connection *c = argument;
    serve(c->server, c->fd);
    close(c->fd);
    free(c);
    return NULL;
}

static void *
run(void *argument)
{
    struct server *s = argument;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0 && s->connections < CONNECTIONS_MAX; s->connections++) {
        struct connection *c = malloc(sizeof *c);
        *c = (struct connection){s, fd};
        pthread_create(&s->of[s->connections], NULL, run_connection, c);
    }
    for (size_t i = 0; i < s->connections; i++)
        pthread_join(s->of[i], NULL);
    return NULL;
}

static void
start(struct server *s, const enum act *acts)
{
    static int number;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *s = (struct server){.acts = acts};
    snprintf(s->path, sizeof s->path, "/tmp/gage-pool-%d-%d", (int)getpid(), ++number);
    memcpy(address.sun_path, s->path, sizeof s->path);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(s->listener, 8), 0);
    setenv("GSSPROXY_SOCKET", s->path, 1);
    pthread_create(&s->thread, NULL, run, s);
}

/* Ends the connections that the pool keeps, as a fork's child does, and the server. */
static void
finish(struct server *s)
{
    pool_before_fork();
    pool_after_fork(true);
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
    unlink(s->path);
}

static bool
call(uint32_t procedure, struct outcome *o)
{
    union gssx_arg arg = {0};
    AUTO(answer) a = {0};
    return remote_call(procedure, &arg, &a, o);
}

TEST(one_connection_serves_call_after_call)
{
    static const enum act acts[] = {ANSWER, ANSWER, FRAGMENTS, ANSWER, STOP};
    struct server s;
    struct outcome o;
    start(&s, acts);
    for (int i = 0; i < 4; i++) {
        assert_true(call(INDICATE_MECHS, &o));
        assert_int_equal(o.major, GSS_S_COMPLETE);
        assert_int_equal(o.minor, 0x2a);
    }
    finish(&s);
    assert_int_equal(s.connections, 1);
}

TEST(an_unread_call_is_repeated_whatever_it_is)
{
    static const enum act acts[] = {ANSWER, HANG_UP_UNREAD, ANSWER, STOP};
    struct server s;
    struct outcome o;
    start(&s, acts);
    assert_true(call(INDICATE_MECHS, &o));
    assert_true(call(ACCEPT, &o));
    finish(&s);
    assert_int_equal(s.connections, 2);
}

TEST(a_read_call_is_repeated_only_where_that_does_no_harm)
{
    static const enum act harmless[] = {HANG_UP, ANSWER, STOP}, harmful[] = {HANG_UP, ANSWER, STOP};
    struct server s;
    struct outcome o;
    start(&s, harmless);
    assert_true(call(INDICATE_MECHS, &o));
    finish(&s);
    start(&s, harmful);
    assert_false(call(ACCEPT, &o));
    assert_true(o.unreachable);
    finish(&s);
    assert_int_equal(s.done, 1);
}

TEST(is_repeated_once_and_no_more)
{
    static const enum act acts[] = {HANG_UP, HANG_UP, ANSWER, STOP};
    struct server s;
    struct outcome o;
    start(&s, acts);
    assert_false(call(INDICATE_MECHS, &o));
    finish(&s);
    assert_int_equal(s.done, 2);
}

TEST(a_reply_that_is_none_ends_the_connection_and_the_next_call_has_another)
{
    static const enum act lies[] = {WRONG_XID, TWO_RECORDS, TOO_LONG, GARBAGE};
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        enum act acts[] = {lies[i], ANSWER, STOP};
        struct server s;
        struct outcome o;
        start(&s, acts);
        assert_false(call(INDICATE_MECHS, &o));
        assert_int_equal(o.major, GSS_S_FAILURE);
        assert_non_null(strstr(o.text, s.path));
        assert_true(call(INDICATE_MECHS, &o));
        finish(&s);
    }
}

TEST(nobody_there_is_told_with_the_path)
{
    struct outcome o;
    setenv("GSSPROXY_SOCKET", "/nonexistent/socket", 1);
    assert_false(call(INDICATE_MECHS, &o));
    assert_true(o.unreachable);
    assert_int_equal(o.minor, ENOENT);
    assert_non_null(strstr(o.text, "/nonexistent/socket"));
    unsetenv("GSSPROXY_SOCKET");
    assert_string_equal(pool_path(), POOL_PATH_DEFAULT);
}

static void *
call_twenty_times(void *argument)
{
    struct outcome o;
    size_t *good = argument;
    for (int i = 0; i < 20; i++)
        *good += call(INDICATE_MECHS, &o);
    return NULL;
}

TEST(more_threads_than_connections_take_turns)
{
    enum { THREADS = 12 };
    pthread_t threads[THREADS];
    size_t good[THREADS] = {0};
    struct server s;
    start(&s, NULL);
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, call_twenty_times, &good[i]);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(good[i], 20);
    }
    finish(&s);
    assert_in_range(s.connections, 1, POOL_MAX);
}

TEST(a_number_is_told_to_its_thread_first_and_forgotten_when_it_means_something_else)
{
    struct outcome o;
    OM_uint32 minor;
    char text[OUTCOME_TEXT_MAX];
    outcome_fail(&o, GSS_S_FAILURE, 4711, "first %s", "text");
    assert_int_equal(outcome_end(&minor, &o), GSS_S_FAILURE);
    assert_int_equal(minor, 4711);
    assert_true(outcome_text(4711, text));
    assert_string_equal(text, "first text");
    outcome_fail(&o, GSS_S_FAILURE, 4711, "second text");
    outcome_end(&minor, &o);
    assert_true(outcome_text(4711, text));
    assert_string_equal(text, "second text");
    outcome_local(&o, GSS_S_FAILURE, 4711);
    outcome_end(&minor, &o);
    assert_false(outcome_text(4711, text));
    assert_false(outcome_text(4712, text));
    for (int i = 1; i <= 100; i++) { /* more than are remembered: the latest stay */
        outcome_fail(&o, GSS_S_FAILURE, i, "text %d", i);
        outcome_end(&minor, &o);
    }
    assert_true(outcome_text(100, text));
    assert_string_equal(text, "text 100");
    assert_false(outcome_text(1, text));
}

TEST(what_a_daemon_says_is_one_line_with_an_end_and_a_number)
{
    char said[2000];
    struct outcome o;
    memset(said, 'x', sizeof said);
    memcpy(said, "a\x1b[2J\nb", 7);
    gssx_status status = {.major_status = GSS_S_FAILURE, .minor_status_string = {sizeof said, said}};
    assert_false(outcome_remote(&o, &status));
    assert_memory_equal(o.text, "a [2J bxxx", 10);
    assert_int_equal(strlen(o.text), OUTCOME_TEXT_MAX - 1);
    assert_int_not_equal(o.minor, 0);
    status = (gssx_status){.major_status = GSS_S_NO_CRED, .minor_status = 5};
    assert_false(outcome_remote(&o, &status));
    assert_false(o.told);
    assert_int_equal(o.minor, 5);
}

TEST(of_two_failures_the_daemons_is_told_unless_it_was_not_reached)
{
    struct outcome local, remote, absent, o;
    outcome_local(&local, GSS_S_FAILURE, 1);
    outcome_fail(&remote, GSS_S_NO_CRED, 2, "the daemon's");
    outcome_fail(&absent, GSS_S_FAILURE, 3, "nobody there");
    absent.unreachable = true;
    const struct {
        const struct outcome *first, *second;
        OM_uint32 told;
    } rows[] = {{&local, &remote, 2}, {&remote, &local, 2}, {&local, &absent, 1}, {&absent, &local, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        o = *rows[i].first;
        outcome_choose(&o, rows[i].second);
        assert_int_equal(o.minor, rows[i].told);
    }
}

TEST_MAIN(CASE(one_connection_serves_call_after_call), CASE(an_unread_call_is_repeated_whatever_it_is),
          CASE(a_read_call_is_repeated_only_where_that_does_no_harm), CASE(is_repeated_once_and_no_more),
          CASE(a_reply_that_is_none_ends_the_connection_and_the_next_call_has_another),
          CASE(nobody_there_is_told_with_the_path), CASE(more_threads_than_connections_take_turns),
          CASE(a_number_is_told_to_its_thread_first_and_forgotten_when_it_means_something_else),
          CASE(what_a_daemon_says_is_one_line_with_an_end_and_a_number),
          CASE(of_two_failures_the_daemons_is_told_unless_it_was_not_reached))
