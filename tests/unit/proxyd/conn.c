/* Connections: what one event reads, the share of a uid, who waits for it, and who is let go while its call takes long. */
#include "unit/test.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxyd/server.h"

#define CONNS 150

static struct gate *gate;
static char any[] = "any", path[] = "socket";

/* A server of one service, for everybody. */
static void
serve(struct server *s)
{
    static struct service service = {.name = any,
                                     .socket = path,
                                     .allow_any_uid = true,
                                     .max_connections = 1024,
                                     .max_requests = 16,
                                     .max_blocked = 8,
                                     .max_queued = 64,
                                     .call_deadline = 600};
    static struct conf conf = {.services = &service, .service_count = 1, .settings.max_connections_per_uid = 1024};
    static struct epoch epoch = {.refs = 1, .conf = &conf, .gates = &gate};
    if (gate == NULL)
        gate = gate_new(any);
    *s = (struct server){
        .epoch = &epoch, .slot_count = 1024, .conn_limit = 1024, .limit_requests = 1024, .limit_bytes = RECORD_MAX};
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->watch_lock, NULL);
    s->slots = calloc((size_t)s->slot_count, sizeof(struct conn *));
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
}

/* One more connection, the first of s->conns; gives the client's end. */
static int
connect_to(struct server *s)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    const int room = 212992; /* what an ordinary user may ask for; the kernel doubles it */
    assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
    conn_new(s, pair[0], path);
    assert_true(s->conns != NULL && s->conns->fd == pair[0]);
    return pair[1];
}

static void
end(struct server *s)
{
    while (s->conns != NULL) {
        assert_true(!s->conns->stalled || s->conns->account->stalled != NULL);
        conn_kill(s->conns);
    }
    assert_null(s->accounts);
    assert_null(s->watched);
    close(s->epoll);
    free(s->slots);
}

/* A call of another program: executing it is answering that there is none. */
static void
ask(int client)
{
    static const uint8_t record[] = {0x80, 0, 0, 40, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0,
                                     0,    1, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    assert_int_equal(send(client, record, sizeof record, 0), sizeof record);
}

/* Handles what events there are; puts the requests that come into `requests`; how many events there were. */
static int
handle_events(struct server *s, struct request **requests, size_t *count)
{
    struct epoll_event events[CONNS];
    int n = epoll_wait(s->epoll, events, CONNS, 0);
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        struct request *r = conn_event(s, events[i].data.u64, events[i].events);
        if (r != NULL)
            requests[(*count)++] = r;
    }
    return n;
}

static int
waiting(const struct server *s)
{
    int n = -1;
    assert_int_equal(ioctl(s->conns->fd, FIONREAD, &n), 0);
    return n;
}

TEST(empty_fragments_without_end_do_not_keep_the_thread_that_reads_them)
{
    static const uint8_t zeros[4096];
    struct server s;
    serve(&s);
    int client = connect_to(&s), sent = 0, before;
    for (ssize_t n; (n = send(client, zeros, sizeof zeros, MSG_DONTWAIT)) > 0;)
        sent += (int)n;
    for (int events = 0; (before = waiting(&s)) > 0; events++) {
        assert_null(conn_event(&s, s.conns->key, EPOLLIN));
        assert_true(waiting(&s) < before);
        assert_true(events > 0 || waiting(&s) > 0);
    }
    assert_true(sent > 0 && s.conns->claimed == 0 && s.conns->account->bytes == 0);
    assert_int_equal(s.conns->account->requests, 0);
    end(&s);
    close(client);
}

/* Were all of them looked at for each answer, it would be 11,000 events. */
TEST(connections_that_wait_for_their_share_are_woken_one_for_one)
{
    struct server s;
    int clients[CONNS];
    struct request *requests[CONNS];
    size_t count = 0, done = 0;
    int events = 0;
    serve(&s);
    s.limit_requests = 1;
    for (int i = 0; i < CONNS; i++) {
        clients[i] = connect_to(&s);
        ask(clients[i]);
    }
    for (int n = 1; n > 0;) {
        n = handle_events(&s, requests, &count);
        events += n;
        assert_true(count - done <= 1);
        while (done < count)
            request_run(requests[done++]);
    }
    assert_int_equal(done, CONNS);
    assert_in_range(events, CONNS, 3 * CONNS);
    for (int i = 0; i < CONNS; i++) {
        char reply[64];
        assert_int_equal(recv(clients[i], reply, sizeof reply, MSG_DONTWAIT), 28);
        close(clients[i]);
    }
    end(&s);
}

TEST(those_who_wait_without_a_word_do_not_keep_the_one_that_has_something_to_say)
{
    struct server s;
    int clients[50];
    struct request *requests[CONNS];
    size_t count = 0;
    serve(&s);
    s.limit_requests = 1;
    for (int i = 0; i < 50; i++)
        clients[i] = connect_to(&s);
    struct conn *c = s.conns;
    ask(clients[49]);
    assert_int_equal(handle_events(&s, requests, &count), 1);
    assert_int_equal(count, 1);
    while ((c = c->next) != NULL)
        assert_null(conn_event(&s, c->key, EPOLLIN)); /* each is on the list now */
    ask(clients[0]);                                  /* the last of it */
    assert_int_equal(handle_events(&s, requests, &count), 0);
    request_run(requests[0]);
    assert_int_equal(handle_events(&s, requests, &count), 1);
    assert_int_equal(count, 2);
    request_run(requests[1]);
    for (int i = 0; i < 50; i++)
        close(clients[i]);
    end(&s);
}

TEST(one_that_dies_hands_its_turn_on)
{
    struct server s;
    struct request *requests[CONNS];
    size_t count = 0;
    serve(&s);
    s.limit_requests = 1;
    int clients[] = {connect_to(&s), connect_to(&s), connect_to(&s)};
    for (int i = 0; i < 3; i++)
        ask(clients[i]);
    handle_events(&s, requests, &count);
    assert_int_equal(count, 1);
    request_run(requests[0]);
    assert_int_equal(recv(clients[0], (char[64]){0}, 64, MSG_DONTWAIT) > 0, 1); /* it came first; the second is woken */
    conn_kill(s.conns->next);
    handle_events(&s, requests, &count);
    assert_int_equal(count, 2);
    request_run(requests[1]);
    assert_int_equal(recv(clients[2], (char[64]){0}, 64, MSG_DONTWAIT) > 0, 1);
    for (int i = 0; i < 3; i++)
        close(clients[i]);
    end(&s);
}

/* ---- several threads ---- */

struct racer {
    struct server *s;
    pthread_barrier_t *start;
    uint64_t key;
    struct request *request;
};

static void *
race(void *context)
{
    struct racer *r = context;
    pthread_barrier_wait(r->start);
    r->request = conn_event(r->s, r->key, EPOLLIN);
    return NULL;
}

/* The events of the first `n` connections, all at once. */
static void
race_all(struct server *s, struct racer *racers, unsigned n)
{
    pthread_t threads[8];
    pthread_barrier_t start;
    struct conn *c = s->conns;
    pthread_barrier_init(&start, NULL, n);
    for (unsigned i = 0; i < n; i++, c = c->next) {
        racers[i] = (struct racer){s, &start, c->key, NULL};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
}

TEST(threads_that_read_at_once_do_not_pass_the_requests_of_a_uid)
{
    struct server s;
    int clients[4];
    struct racer racers[4];
    serve(&s);
    s.limit_requests = 1;
    for (int i = 0; i < 4; i++)
        clients[i] = connect_to(&s);
    for (int round = 0; round < 1000; round++) {
        struct request *requests[CONNS];
        size_t count = 0, done = 0;
        for (int i = 0; i < 4; i++)
            ask(clients[i]);
        race_all(&s, racers, 4);
        for (int i = 0; i < 4; i++)
            if (racers[i].request != NULL)
                requests[count++] = racers[i].request;
        assert_true(count <= 1);
        do {
            while (done < count)
                request_run(requests[done++]);
        } while (handle_events(&s, requests, &count) > 0);
        assert_int_equal(done, 4); /* nobody was forgotten */
        assert_int_equal(s.conns->account->requests, 0);
        assert_int_equal(s.conns->account->bytes, 0);
        for (int i = 0; i < 4; i++)
            assert_int_equal(recv(clients[i], (char[64]){0}, 64, MSG_DONTWAIT), 28);
    }
    for (int i = 0; i < 4; i++)
        close(clients[i]);
    end(&s);
}

TEST(threads_that_read_at_once_pass_the_bytes_of_a_uid_by_less_than_a_record)
{
    static const uint8_t begun[] = {0x80, 0x0f, 0x42, 0x40, 1, 2, 3}; /* of 1,000,000 bytes */
    for (int round = 0; round < 500; round++) {
        struct server s;
        int clients[4];
        struct racer racers[4];
        serve(&s);
        for (int i = 0; i < 4; i++) {
            clients[i] = connect_to(&s);
            assert_int_equal(send(clients[i], begun, sizeof begun, 0), sizeof begun);
        }
        race_all(&s, racers, 4);
        assert_in_range(s.conns->account->bytes, 1000000, 2 * RECORD_MAX - 1);
        assert_int_equal(s.conns->account->requests, s.conns->account->bytes / 1000000);
        for (int i = 0; i < 4; i++)
            close(clients[i]);
        end(&s);
    }
}

/* ---- long calls ---- */

TEST(every_connection_whose_call_takes_long_is_let_go_at_the_next_look)
{
    struct server s;
    int clients[CONNS];
    struct request *requests[CONNS];
    size_t count = 0;
    serve(&s);
    for (int i = 0; i < CONNS; i++) {
        clients[i] = connect_to(&s);
        ask(clients[i]);
    }
    handle_events(&s, requests, &count);
    assert_int_equal(count, CONNS);
    for (int i = 0; i < CONNS; i++) {
        assert_true(requests[i]->conn->held);
        requests[i]->arrived_us -= 1000000;
    }
    requests_expire(&s);
    for (int i = 0; i < CONNS; i++)
        assert_false(requests[i]->conn->held);
    for (int i = 0; i < CONNS; i++)
        request_run(requests[i]);
    for (int i = 0; i < CONNS; i++)
        close(clients[i]);
    end(&s);
}

TEST_MAIN(CASE(empty_fragments_without_end_do_not_keep_the_thread_that_reads_them),
          CASE(connections_that_wait_for_their_share_are_woken_one_for_one),
          CASE(those_who_wait_without_a_word_do_not_keep_the_one_that_has_something_to_say),
          CASE(one_that_dies_hands_its_turn_on), CASE(threads_that_read_at_once_do_not_pass_the_requests_of_a_uid),
          CASE(threads_that_read_at_once_pass_the_bytes_of_a_uid_by_less_than_a_record),
          CASE(every_connection_whose_call_takes_long_is_let_go_at_the_next_look))
