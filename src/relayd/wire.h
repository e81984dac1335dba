/* wire.h - a client's connection below HTTP: TLS, the guard, deadlines. It stands between libmicrohttpd and the socket.
 *
 * libmicrohttpd is given plain sockets and calls recv, send, sendmsg and shutdown on them; interpose.c defines those four in the
 * program, so that they come here for a descriptor that is a wire, and go to the C library for every other. (It sees epoll_wait and epoll_ctl too.) What the library
 * reads is decrypted (OpenSSL) and has passed the guard; what it writes is encrypted. wire_check_in_path proves at the start that the
 * calls do come here.
 *
 * Everything about one wire happens on the HTTP library's thread for it, but for the deadline, which the relay's clock thread looks at. */
#ifndef GAGE_RELAYD_WIRE_H
#define GAGE_RELAYD_WIRE_H

#include <sys/socket.h>
#include <sys/types.h>

#include <microhttpd.h>

#include "relayd/guard.h"
#include "relayd/peers.h"
#include "relayd/tls.h"

struct wire_limits {
    _Atomic int64_t head_ns, body_ns; /* from a connection's or request's first byte to the end of head and body */
    _Atomic int64_t idle_ns;          /* between requests */
    _Atomic int64_t payload_max;      /* told in the answer to a body that is too long */
    _Atomic uint64_t body_max;        /* the guard's */
};

struct wire {
    int fd;
    SSL *ssl; /* NULL: clear text */
    struct MHD_Connection *connection;
    struct peer *peer;
    const struct wire_limits *limits;
    struct guard guard;
    uint8_t *held; /* bytes of the next request that came with this one's end; held_n bytes from held_at */
    uint16_t held_at, held_n;
    bool refused;                /* an answer went out; what still comes is thrown away */
    bool broken;                 /* TLS failed: nothing may be written any more */
    _Atomic bool idle;           /* between requests */
    uint32_t thrown;             /* bytes thrown away */
    int64_t started_ns;          /* of the connection's or the current request's first byte */
    int64_t latest_ns;           /* of the answer that is being sent, 0: none */
    _Atomic int64_t deadline_ns; /* when the clock thread cuts it, 0: never */
};

/* Makes room for descriptors up to the limit on open files. Once, before any listener starts. */
gage_rc wire_table_new(struct gage_err *err);

/* A wire over the connection's socket (tls NULL: clear text); NULL where memory is short. It enters the table. */
struct wire *wire_new(int fd, struct tls *tls, const struct wire_limits *limits);
/* Leaves the table; the socket stays the HTTP library's. */
void wire_free(struct wire **wire);
/* The wire over the descriptor, or NULL. */
struct wire *wire_of(int fd);

/* The four calls. Results and errno are those of the system calls. */
ssize_t wire_recv(struct wire *wire, void *to, size_t n);
ssize_t wire_send(struct wire *wire, const void *from, size_t n);
ssize_t wire_sendmsg(struct wire *wire, const struct msghdr *message);
int wire_shutdown(struct wire *wire, int how);

/* How many descriptors the calling thread's last epoll_wait told of: with more than one, others wait for this thread too. */
int wire_ready(void);
/* Whether bytes of a next request may have come already, for which no event will come. */
bool wire_has_more(struct wire *wire);
/* The answer to the current request is out: the next one may come. */
void wire_next(struct wire *wire);
/* The answer must be out by then (monotonic nanoseconds), and something of it must go out within the idle time again and again. */
void wire_set_deadline(struct wire *wire, int64_t deadline_ns);
/* Shuts the sockets whose deadline has passed; returns how many were too slow, not merely idle. For the clock thread. */
size_t wire_cut_late(int64_t now_ns);

/* How many of the library's calls came through here, and how many heads were refused with each status class, for metrics. */
struct wire_counts {
    _Atomic uint64_t calls, refused, handshakes, handshakes_failed, late;
};
extern struct wire_counts wire_counts;

/* The C library's own calls. */
ssize_t system_recv(int fd, void *to, size_t n, int flags);
ssize_t system_send(int fd, const void *from, size_t n, int flags);
ssize_t system_sendmsg(int fd, const struct msghdr *message, int flags);
int system_shutdown(int fd, int how);

#endif
