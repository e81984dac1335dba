#include "cli/tunnel/stdio.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"

#define COPY_BYTES 65536

struct stdio {
    int fd; /* the threads' end */
    pthread_t reader, writer;
    int failed; /* errno of standard output */
};

static struct stdio only; /* a process has one standard input */

static ssize_t
read_some(int fd, uint8_t *bytes)
{
    ssize_t n;
    do
        n = read(fd, bytes, COPY_BYTES);
    while (n < 0 && errno == EINTR);
    return n;
}

static void *
from_input(void *context)
{
    static uint8_t bytes[COPY_BYTES];
    struct stdio *s = context;
    ssize_t n;
    while ((n = read_some(STDIN_FILENO, bytes)) > 0)
        if (!gage_ok(file_write_fd(s->fd, "the connection", gage_slice_of(bytes, (size_t)n), NULL)))
            break;
    shutdown(s->fd, SHUT_WR);
    return NULL;
}

static void *
to_output(void *context)
{
    static uint8_t bytes[COPY_BYTES];
    struct stdio *s = context;
    struct gage_err err = {.sys = 0};
    ssize_t n;
    while ((n = read_some(s->fd, bytes)) > 0 && s->failed == 0)
        if (!gage_ok(file_write_fd(STDOUT_FILENO, "standard output", gage_slice_of(bytes, (size_t)n), &err))) {
            s->failed = err.sys != 0 ? err.sys : EIO;
            shutdown(s->fd, SHUT_RDWR); /* the loop hears that nobody listens */
        }
    close(STDOUT_FILENO); /* a reader of ours sees its end of file when the peer's comes, not when we end */
    return NULL;
}

gage_rc
stdio_open(int *fd, struct stdio **out, struct gage_err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "no socket for standard input and output");
    only.fd = pair[1];
    *fd = pair[0];
    REQUIRE(pthread_create(&only.writer, NULL, to_output, &only) == 0 &&
                pthread_create(&only.reader, NULL, from_input, &only) == 0,
            err, GAGE_E_NOMEM, "no threads for standard input and output");
    pthread_detach(only.reader); /* it may sit in read(2) for ever: nobody waits for it */
    *out = &only;
    return GAGE_DONE;
}

gage_rc
stdio_finish(struct stdio *s, struct gage_err *err)
{
    pthread_join(s->writer, NULL);
    if (s->failed != 0)
        return gage_fail_sys(err, GAGE_E_IO, s->failed, "standard output cannot be written");
    return GAGE_DONE;
}
