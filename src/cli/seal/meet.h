/* meet.h - two processes of `gage pair` on one connection: context, confirmations, "stored" (doc/seal.md, section 1.1). */
#ifndef GAGE_CLI_SEAL_MEET_H
#define GAGE_CLI_SEAL_MEET_H

#include "base/file.h"
#include "handshake/context.h"

#define MEET_FRAME_MAX HANDSHAKE_TOKEN_MAX

/* A connection on which frames are sent and received until a deadline (of the monotonic clock). */
struct meet {
    int fd;
    int64_t deadline_ns;
};

/* "HOST:PORT" or "unix:PATH": the connection, made, or the first one accepted there. *peer_host (of 256) is HOST when connecting. */
gage_rc meet_connect(const char *address, char host[256], int *fd, struct gage_err *err);
gage_rc meet_accept(const char *address, int *fd, struct gage_err *err);

/* One frame: a length of 4 bytes, and that many bytes, 1 to MEET_FRAME_MAX. GAGE_E_TIMEOUT, GAGE_E_CLOSED, GAGE_E_FORMAT. */
gage_rc meet_send(const struct meet *meet, gage_slice frame, struct gage_err *err);
gage_rc meet_receive(const struct meet *meet, gage_buf *frame, struct gage_err *err);
/* Establishes the context. */
gage_rc meet_context(const struct meet *meet, struct handshake *handshake, struct gage_err *err);

#endif
