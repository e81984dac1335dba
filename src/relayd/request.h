/* request.h - one HTTP request on its way through the relay: what it asks, what it waits for, what is answered. */
#ifndef GAGE_RELAYD_REQUEST_H
#define GAGE_RELAYD_REQUEST_H

#include <jansson.h>
#include <microhttpd.h>

#include "relayd/relay.h"

#define REQUEST_ID_MAX STORE_REQUEST_ID_MAX
/* What a JSON body may have beside the payload: names, display information, token. */
#define BODY_SLACK ((int64_t)40 * 1024)
/* A body that is too long is read to its end, so that the answer arrives, if it is no more than this longer; else it is cut. */
#define BODY_OVERLONG ((int64_t)1 << 20)

enum request_phase {
    PHASE_BODY,    /* head and perhaps part of the body are here */
    PHASE_ASKED,   /* suspended: the store or a change is awaited */
    PHASE_RESUMED, /* what was awaited came */
    PHASE_READY,   /* there is an answer */
    PHASE_QUEUED   /* the HTTP library has it */
};

struct route;

/* Mailbox-Request-ID, apart from the request so that a read that waits is small. */
struct request_id {
    char text[REQUEST_ID_MAX + 1]; /* as it came, for the echo */
    uint8_t key[REQUEST_ID_MAX];   /* its canonical form, for the store */
    size_t key_n;
};

struct request {
    struct relay *relay;
    struct MHD_Connection *connection;
    struct wire *wire;
    const struct route *route; /* NULL: none fits; then `early` says what to answer */
    _Atomic int phase;  /* the store's thread ends PHASE_ASKED while the connection's own is still on its way out */
    bool suspended;     /* was, in this request */
    bool body_too_long; /* no byte more is kept */
    unsigned early;     /* status to answer with once the body is read, 0: none */
    const char *allow;  /* for 405 */
    uint32_t retry;     /* seconds, for 429 */
    gage_buf body;
    int64_t reserved; /* of relay->body_memory */

    uint8_t mailbox[UUID_LEN];
    uint8_t claim[UUID_LEN];
    struct request_id *id; /* NULL: none came */

    bool waits;         /* a read, or a write with the read that follows it, that may wait */
    bool reads_on;      /* a write that is done, and waits for what comes after it */
    bool push;          /* a write that is done: whether its notification token is of use */
    uint64_t written;   /* and the version it made */
    uint64_t after;     /* version the client has, 0: none */
    int64_t wait_until; /* monotonic nanoseconds */
    int64_t waited_for; /* seconds asked for and granted */
    struct waiter waiter;

    uint64_t known_version; /* of a wait: what the last read found */
    int64_t known_expires;

    json_t *document;        /* the body, parsed; the operation borrows from it */
    gage_buf display, token; /* what the store keeps in one piece */
    struct store_op *op;     /* while the store works on it, and until it is answered */

    struct MHD_Response *response;
    unsigned status;
};

/* ---- for the routes ---- */

/* The header's value or NULL. */
const char *request_header(const struct request *request, const char *name);
/* Runs request->op at once and the route's answer with it, or submits it and suspends the connection; then the answer runs when it is
 * done. */
void request_ask(struct request *request);
/* Runs request->op at once where this thread and the store have nothing else to do. */
bool request_now(struct request *request);
/* The operation of the request, zeroed but for mailbox, claim, request id, time. NULL where memory is short (answered). */
struct store_op *request_op(struct request *request, enum store_verb verb);
/* Lets the connection sleep until request_resume, which any thread may call, runs the route's answer. */
void request_suspend(struct request *request);
void request_resume(struct request *request);
/* Releases the operation. */
void request_drop_op(struct request *request);
/* Counts n more bytes against the relay's body memory; false (503) where there is no room. */
bool request_reserve(struct request *request, int64_t n);
/* Frees the body, its parsed form and what is counted for them: nothing of them is needed any more. */
void request_drop_body(struct request *request);

/* Answers. The buffer is moved out of; headers every answer has are added. `type` is its media type. */
void answer_body(struct request *request, unsigned status, const char *type, gage_buf *body);
/* Adds a header to the answer that was just given. */
void answer_header(struct request *request, const char *name, const char *value);
void answer_number(struct request *request, const char *name, uint64_t value);
/* application/problem+json (RFC 9457) with the sentence as its detail; status-specific headers are added. */
void answer_problem(struct request *request, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* An answer of 200, or 201 to a duplicate (A1). */
void answer_json(struct request *request, gage_buf *body);
/* Mailbox-After, and with it "Prefer: wait=N": for what the request waits, and how long, within the relay's limit. False where
 * Mailbox-After is no number. */
bool request_take_wait(struct request *request);
/* Whether this is among the preferences (RFC 7240) of the request. */
bool request_prefers(const struct request *request, const char *token);
/* A write is done: waits, as a read does, for what comes after it; read_answer goes on from there. */
void read_on(struct request *request);
/* The answer to a write that is done, without what came after it. */
void answer_written(struct request *request, unsigned status);
/* Answers for the verdicts that are failures, the same for every route; false for OK and DUPLICATE, which are the route's to answer. */
bool answer_verdict(struct request *request);
/* Retry-After and 429 where the peer has no request (or new mailbox) left. */
bool answer_rate(struct request *request, enum peer_rate rate);
/* The answer's reason phrase. */
const char *status_reason(unsigned status);

#endif
