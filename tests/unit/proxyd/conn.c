/* Connections: what one event reads. */
#include "unit/test.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxyd/server.h"

/* A server without services; gives the client's end of a connection to it. */
static int
connect_to(struct server *s)
{
    static struct conf conf;
    static struct epoch epoch = {.refs = 1, .conf = &conf};
    int pair[2];
    *s = (struct server){
        .epoch = &epoch, .slot_count = 256, .conn_limit = 16, .limit_requests = 16, .limit_bytes = RECORD_MAX};
    conf.settings.max_connections_per_uid = 16;
    pthread_mutex_init(&s->lock, NULL);
    s->slots = calloc((size_t)s->slot_count, sizeof(struct conn *));
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    const int room = 212992; /* what an ordinary user may ask for; the kernel doubles it */
    assert_int_equal(setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
    conn_new(s, pair[0], "socket");
    assert_non_null(s->conns);
    return pair[1];
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
    int client = connect_to(&s), sent = 0, before;
    for (ssize_t n; (n = send(client, zeros, sizeof zeros, MSG_DONTWAIT)) > 0;)
        sent += (int)n;
    for (int events = 0; (before = waiting(&s)) > 0; events++) {
        assert_null(conn_event(&s, s.conns->key, EPOLLIN));
        assert_true(waiting(&s) < before);
        assert_true(events > 0 || waiting(&s) > 0);
    }
    assert_true(sent > 0 && s.conns->claimed == 0 && s.conns->account->bytes == 0);
    conn_kill(s.conns);
    assert_null(s.conns);
    close(client);
    close(s.epoll);
    free(s.slots);
}

TEST_MAIN(CASE(empty_fragments_without_end_do_not_keep_the_thread_that_reads_them))
