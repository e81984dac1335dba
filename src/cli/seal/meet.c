#include "cli/seal/meet.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "cli/terminal.h"
#include "cli/tunnel/address.h"

#define ROUNDS_MAX 16

/* ---- connections ---- */

static int
try_one(const struct address *a, size_t i, int *sys)
{
    struct pollfd ready = {.events = POLLOUT};
    socklen_t length = sizeof *sys;
    int fd = socket(a->found[i].at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *sys = errno;
        return -1;
    }
    address_tune(fd);
    ready.fd = fd;
    *sys = connect(fd, (const struct sockaddr *)&a->found[i].at, a->found[i].len) == 0 ? 0 : errno;
    if (*sys == EINPROGRESS) {
        *sys = ETIMEDOUT;
        if (poll(&ready, 1, 10000) == 1)
            getsockopt(fd, SOL_SOCKET, SO_ERROR, sys, &length);
    }
    if (*sys != 0)
        gage_close_fd(&fd);
    return fd;
}

gage_rc
meet_connect(const char *address, char host[256], int *fd, struct gage_err *err)
{
    struct address a;
    int sys = ECONNREFUSED;
    TRY(address_parse(address, false, &a, err));
    for (size_t i = 0; *fd < 0 && i < a.n; i++)
        *fd = try_one(&a, i, &sys);
    if (*fd < 0)
        return gage_fail_sys(err, GAGE_E_UNAVAILABLE, sys,
                             "cannot connect to %.150s (is gage pair --listen running there?)", address);
    memcpy(host, a.host, sizeof a.host);
    return GAGE_DONE;
}

gage_rc
meet_accept(const char *address, int *fd, struct gage_err *err)
{
    struct address a;
    AUTO(gage_fd) listener = -1;
    TRY(address_parse(address, true, &a, err));
    TRY(address_listen(&a, &listener, err));
    say("waiting for the peer at %s", address);
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    while ((*fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            return gage_fail_sys(err, GAGE_E_IO, errno, "no connection can be taken");
        poll(&ready, 1, -1);
    }
    address_tune(*fd);
    return GAGE_DONE;
}

/* ---- frames ---- */

static gage_rc
wait_for(const struct meet *meet, short what, struct gage_err *err)
{
    struct pollfd ready = {.fd = meet->fd, .events = what};
    int64_t left = (meet->deadline_ns - clock_monotonic_ns()) / 1000000;
    REQUIRE(left > 0 && poll(&ready, 1, (int)left) != 0, err, GAGE_E_TIMEOUT,
            "the peer does not answer in time: nothing was stored");
    return GAGE_DONE;
}

static gage_rc
send_all(const struct meet *meet, gage_slice bytes, struct gage_err *err)
{
    while (bytes.n > 0) {
        ssize_t n = send(meet->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            TRY(wait_for(meet, POLLOUT, err));
            continue;
        }
        if (n < 0)
            return gage_fail_sys(err, GAGE_E_CLOSED, errno, "the connection to the peer broke");
        bytes = gage_slice_of(bytes.p + n, bytes.n - (size_t)n);
    }
    return GAGE_DONE;
}

gage_rc
meet_send(const struct meet *meet, gage_slice frame, struct gage_err *err)
{
    uint8_t length[4] = {(uint8_t)(frame.n >> 24), (uint8_t)(frame.n >> 16), (uint8_t)(frame.n >> 8), (uint8_t)frame.n};
    TRY(send_all(meet, SLICE_OF(length), err));
    return send_all(meet, frame, err);
}

static gage_rc
receive_all(const struct meet *meet, uint8_t *to, size_t n, struct gage_err *err)
{
    while (n > 0) {
        ssize_t got = recv(meet->fd, to, n, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            TRY(wait_for(meet, POLLIN, err));
            continue;
        }
        REQUIRE(got > 0, err, GAGE_E_CLOSED,
                "the peer closed the connection: it refused, or another program answers there");
        to += got;
        n -= (size_t)got;
    }
    return GAGE_DONE;
}

gage_rc
meet_receive(const struct meet *meet, gage_buf *frame, struct gage_err *err)
{
    uint8_t length[4];
    TRY(receive_all(meet, length, sizeof length, err));
    size_t n = (size_t)length[0] << 24 | (size_t)length[1] << 16 | (size_t)length[2] << 8 | length[3];
    REQUIRE(n > 0 && n <= MEET_FRAME_MAX, err, GAGE_E_FORMAT, "what answers there is not gage pair");
    buf_reset(frame);
    uint8_t *to = put_space(frame, n);
    REQUIRE(to != NULL, err, GAGE_E_NOMEM, "out of memory");
    return receive_all(meet, to, n, err);
}

gage_rc
meet_context(const struct meet *meet, struct handshake *handshake, struct gage_err *err)
{
    AUTO(gage_buf) in = GAGE_BUF(MEET_FRAME_MAX);
    AUTO(gage_buf) out = GAGE_BUF(MEET_FRAME_MAX);
    bool first = handshake->initiate;
    for (int round = 0; !handshake->complete; round++) {
        REQUIRE(round < ROUNDS_MAX, err, GAGE_E_LIMIT, "the mechanism wants more than %d rounds", ROUNDS_MAX);
        if (!first)
            TRY(meet_receive(meet, &in, err));
        first = false;
        buf_reset(&out);
        TRY(handshake_step(handshake, gage_buf_slice(&in), &out, err));
        if (out.n > 0)
            TRY(meet_send(meet, gage_buf_slice(&out), err));
    }
    return GAGE_DONE;
}
