/* guard.h - reads the bytes of HTTP/1.1 requests before the HTTP library does, and refuses what two readers could understand differently.
 *
 * A sans-IO core: bytes in, a verdict out; it keeps no bytes and allocates nothing. It accepts a subset of RFC 9112 in which the
 * end of a message is never in doubt:
 *   - CRLF line ends only; no bare CR, bare LF, NUL, control or non-ASCII byte in a head; no empty line before a request;
 *   - a request line of a token, one space, an origin-form target, one space, HTTP/1.1;
 *   - exactly one Host with a plausible value; no space before a colon, no folded line (obs-fold);
 *   - at most one Content-Length, of 1 to 10 digits and nothing else; or one Transfer-Encoding that is "chunked" alone; never both;
 *   - chunk sizes of 1 to 8 hexadecimal digits without extensions, each chunk ended by CRLF, no trailer fields;
 *   - no second occurrence of a field that may stand once only.
 * Where RFC 9112 allows more, the answer is 400 and the end of the connection (sections 2.2, 3, 5.1, 5.2, 6.1, 6.3, 7.1). */
#ifndef GAGE_RELAYD_GUARD_H
#define GAGE_RELAYD_GUARD_H

#include "base/bytes.h"

#define GUARD_HEAD_MAX 3072   /* bytes of request line and fields together */
#define GUARD_TARGET_MAX 1024 /* bytes of a request target */
#define GUARD_FIELDS_MAX 32
#define GUARD_NAME_MAX 32  /* of the names it knows; longer names pass unread */
#define GUARD_VALUE_MAX 32 /* of the values it reads */

/* Why a request is refused: the status that answers it and a sentence for its sender. Rows of one static table. */
struct guard_refusal {
    uint16_t status;
    const char *reason; /* the status's phrase */
    const char *detail;
};

struct guard {
    uint8_t state; /* where in the message, guard.c */
    bool complete; /* the message has ended: no byte is taken before guard_next */
    bool chunked;
    bool value_gap;  /* white space inside or after the value being read */
    uint16_t head;   /* bytes of the head so far */
    uint16_t fields; /* fields so far */
    uint16_t token;  /* bytes of the method, target, version, name or value being read */
    uint16_t seen;   /* single fields seen, a bit each */
    int8_t field;    /* the known field being read, or -1 */
    uint8_t kept;    /* bytes in text */
    char text[GUARD_NAME_MAX];
    uint64_t left;                       /* bytes left of the body or chunk */
    uint64_t body;                       /* body bytes announced so far */
    uint64_t body_max;                   /* a longer body is refused with 413 */
    const struct guard_refusal *refusal; /* set once; nothing is taken afterwards */
};

/* Ready for a connection's first request. */
void guard_init(struct guard *guard, uint64_t body_max);
/* Ready for the next request, after one that was complete. */
void guard_next(struct guard *guard);
/* Reads on and returns how many of the bytes may go to the library: all of them, or up to the end of the message (complete), or, where
 * the message is refused, none (refusal). The last byte of a head is taken only when the whole head was found good, so the library
 * never acts on a refused one. */
size_t guard_feed(struct guard *guard, gage_slice bytes);
/* Whether any byte of the current message was taken. */
bool guard_started(const struct guard *guard);
/* Whether the head of the current message was complete and good. */
bool guard_in_body(const struct guard *guard);

/* The refusal for a message that took too long, for the same answer path. */
extern const struct guard_refusal guard_too_slow;

#endif
