/* meet.h - two processes of `gage pair` on one connection, protected by STARTGSS (doc/seal.md, section 8). */
#ifndef GAGE_CLI_SEAL_MEET_H
#define GAGE_CLI_SEAL_MEET_H

#include <gage/stream.h>

#include "base/file.h"

#define MEET_FRAME_MAX 4096
#define MEET_IN_MAX (2 * GAGE_STREAM_FRAME_MAX)

/* A connection on which frames are sent and received until a deadline (of the monotonic clock). */
struct meet {
    int fd;
    int64_t deadline_ns;
    gage_stream *stream;
    gage_buf in, data; /* what came and is not taken: of the stream, and of what it protects */
};
#define MEET_CLOSED ((struct meet){.fd = -1, .in = GAGE_BUF(MEET_IN_MAX), .data = GAGE_BUF(MEET_IN_MAX)})
void meet_free(struct meet *meet);
typedef struct meet meet_t;
GAGE_AUTO_DEFINE(meet_t, meet_free)

/* "HOST:PORT" or "unix:PATH": the connection, made, or the first one accepted there. *peer_host (of 256) is HOST when connecting. */
gage_rc meet_connect(const char *address, char host[256], int *fd, struct gage_err *err);
gage_rc meet_accept(const char *address, int *fd, struct gage_err *err);

/* Protects the connection. The configuration is borrowed for the meeting's life. Failures are those of gage_stream_receive, and GAGE_E_TIMEOUT. */
gage_rc meet_protect(struct meet *meet, const struct gage_stream_config *config, struct gage_err *err);

/* One frame of the protected connection: a length of 4 bytes, and that many bytes, 1 to MEET_FRAME_MAX. GAGE_E_TIMEOUT, GAGE_E_CLOSED, GAGE_E_FORMAT. */
gage_rc meet_send(const struct meet *meet, gage_slice frame, struct gage_err *err);
gage_rc meet_receive(struct meet *meet, gage_buf *frame, struct gage_err *err);

#endif
