#include "cli/seal/meet.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cli/terminal.h"
#include "cli/tunnel/address.h"

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

/* ---- bytes ---- */

static gage_rc
wait_for(const struct meet *meet, short what, struct gage_err *err)
{
    struct pollfd ready = {.fd = meet->fd, .events = what};
    int64_t left = (meet->deadline_ns - clock_monotonic_ns()) / 1000000;
    left = left > INT_MAX ? INT_MAX : left; /* what poll takes: longer waits come here again */
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

/* What the stream itself has to say: line, tokens, confirmation, an error text. */
static gage_rc
flush(const struct meet *meet, struct gage_err *err)
{
    gage_slice out;
    while ((out = gage_stream_output(meet->stream)).n > 0) {
        TRY(send_all(meet, out, err));
        gage_stream_sent(meet->stream, out.n);
    }
    return GAGE_DONE;
}

/* Gives the stream what has come, and lets it work, until it wants more. Data for us gathers in meet->data. */
static gage_rc
advance(struct meet *meet, struct gage_err *err)
{
    struct gage_stream_step step = {.used = 0};
    gage_stream_work *work;
    do {
        TRY(gage_stream_receive(meet->stream, meet->in.p, meet->in.n, clock_monotonic_ns(), &step, err));
        put_bytes(&meet->data, step.data);
        buf_drop(&meet->in, step.used);
        work = gage_stream_work_due(meet->stream);
        if (work != NULL) {
            gage_stream_work_run(work);
            TRY(gage_stream_work_done(meet->stream, clock_monotonic_ns(), err));
        }
        TRY(flush(meet, err));
    } while (step.used > 0 || work != NULL);
    return buf_check(&meet->data, err);
}

static gage_rc
read_more(struct meet *meet, struct gage_err *err)
{
    uint8_t bytes[4096];
    ssize_t n = recv(meet->fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return wait_for(meet, POLLIN, err);
    REQUIRE(n > 0, err, GAGE_E_CLOSED, "the peer closed the connection: it refused, or another program answers there");
    put_bytes(&meet->in, gage_slice_of(bytes, (size_t)n));
    gage_wipe(bytes, sizeof bytes);
    TRY(buf_check(&meet->in, err));
    return advance(meet, err);
}

/* ---- the stream ---- */

static gage_rc
open_stream(struct meet *meet, const struct gage_stream_config *config, struct gage_err *err)
{
    TRY(gage_stream_new(config, clock_monotonic_ns(), &meet->stream, err));
    TRY(flush(meet, err));
    TRY(advance(meet, err));
    while (gage_stream_phase(meet->stream) != GAGE_STREAM_PROTECTED)
        TRY(read_more(meet, err));
    return GAGE_DONE;
}

gage_rc
meet_protect(struct meet *meet, const struct gage_stream_config *config, struct gage_err *err)
{
    gage_rc rc = open_stream(meet, config, err);
    if (!gage_ok(rc) && meet->stream != NULL)
        (void)gage_ok(flush(meet, NULL)); /* our regrets, as far as they go */
    return rc;
}

void
meet_free(struct meet *meet)
{
    gage_stream_free(&meet->stream);
    gage_buf_free(&meet->in);
    gage_buf_free(&meet->data);
    gage_close_fd(&meet->fd);
}

/* ---- frames ---- */

gage_rc
meet_send(const struct meet *meet, gage_slice frame, struct gage_err *err)
{
    uint8_t sealed[GAGE_STREAM_FRAME_MAX];
    size_t n = 0;
    AUTO(gage_buf) plain = GAGE_BUF(4 + MEET_FRAME_MAX);
    put_vec32(&plain, frame);
    TRY(buf_check(&plain, err));
    TRY(gage_stream_seal(meet->stream, gage_buf_slice(&plain), sealed, &n, err));
    return send_all(meet, gage_slice_of(sealed, n), err);
}

gage_rc
meet_receive(struct meet *meet, gage_buf *frame, struct gage_err *err)
{
    for (;;) {
        struct reader r = read_from(gage_buf_slice(&meet->data));
        uint32_t n = get_u32(&r);
        REQUIRE(!read_ok(&r) || (n > 0 && n <= MEET_FRAME_MAX), err, GAGE_E_FORMAT,
                "what answers there is not gage pair");
        gage_slice bytes = get_bytes(&r, n);
        if (read_ok(&r)) {
            buf_reset(frame);
            put_bytes(frame, bytes);
            buf_drop(&meet->data, 4 + n);
            return buf_check(frame, err);
        }
        TRY(read_more(meet, err));
    }
}
