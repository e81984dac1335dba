/* tunnel.h - one protected connection: the wire (a socket to the peer) and the application (a socket to a program), and the stream between.
 *
 * Lives in the loop's thread. Both directions run on their own, with half-close: the application's end of file becomes
 * the stream's authenticated end, and the peer's authenticated end the application's end of file. A direction stops reading only while
 * what it read cannot be written. What fails reaches the application as a reset, never as an end of file, where its kind of socket has one. */
#ifndef GAGE_CLI_TUNNEL_TUNNEL_H
#define GAGE_CLI_TUNNEL_TUNNEL_H

#include <sys/queue.h>

#include <gage/stream.h>

#include "cli/tunnel/address.h"
#include "cli/tunnel/workers.h"

struct event;
struct event_base;
struct tunnel;

/* What a tunnel needs of its surroundings; borrowed for its life. */
struct tunnel_host {
    struct event_base *base;
    struct workers *workers;
    const struct gage_stream_config *stream;
    int64_t connect_ns, idle_ns; /* 0: no limit */
    void *context;
    /* The stream is protected or in the clear: the host gives the application's socket (connected or connecting) with
     * tunnel_attach, now or later, or fails. Not called where there is one already. */
    gage_rc (*ready)(struct tunnel *tunnel, void *context, struct gage_err *err);
    /* Protected or in the clear, and what is worth a warning. */
    void (*opened)(struct tunnel *tunnel, void *context);
    void (*expiring)(struct tunnel *tunnel, void *context);
    /* It is over: err->code is GAGE_OK where both directions ended as they should. The tunnel is freed after. */
    void (*over)(struct tunnel *tunnel, const struct gage_err *err, void *context);
};

struct tunnel_side {
    int fd;
    struct event *readable, *writable;
    bool connecting;
    bool read_ended;       /* end of file, or the authenticated end for the wire */
    bool write_ended;      /* shut down for writing */
    bool reading, writing; /* events that are on */
    uint8_t *pending;      /* what could not be written yet */
    size_t pending_at, pending_n;
};

struct tunnel {
    LIST_ENTRY(tunnel) link; /* the host's */
    const struct tunnel_host *host;
    gage_stream *stream;
    struct tunnel_side wire, application;
    const struct address *wire_to; /* connecting: what to try */
    size_t wire_next;
    uint8_t *kept; /* from the wire: the beginning of a frame, or frames that the application has no room for yet */
    size_t kept_n, frame_n; /* ... and the length of the last whole frame */
    bool starved;           /* of what is kept the stream can take nothing: it needs more bytes, or a GSS step */
    struct event *timer;
    bool working, dead, announced, end_made;
    bool fin;                                   /* the transport ended; whether the stream did is another question */
    int64_t started, attached, timer_at, moved; /* when the last byte moved */
    uint64_t bytes_out, bytes_in;
    char peer_at[ADDRESS_TEXT_MAX];
    char source[ADDRESS_TEXT_MAX]; /* address_source of the peer */
    long child;                    /* the host's: process that serves the application's side, or 0 */
};

/* A tunnel over an accepted wire (`fd`), or one that connects to `to`. `application` may be -1: then host->ready is asked for it. Owns the
 * descriptors from here on, also on failure. */
gage_rc tunnel_new(const struct tunnel_host *host, int fd, const struct address *to, int application,
                   struct tunnel **out, struct gage_err *err);
/* The application's socket. */
gage_rc tunnel_attach(struct tunnel *tunnel, int fd, bool connecting, struct gage_err *err);
/* Ends it now as failed: host->over is called with this reason. */
void tunnel_abort(struct tunnel *tunnel, enum gage_code code, const char *why);

#endif
