/* relay.h - the relay's HTTP API (draft-vinokurov-tigress-http) as bytes: requests made, answers read. */
#ifndef GAGE_TRANSFER_RELAY_H
#define GAGE_TRANSFER_RELAY_H

#include "transfer/invitation.h"

#define RELAY_HEADERS_MAX 8
#define RELAY_ANSWER_SMALL (64u * 1024) /* bytes of an answer without a payload */
#define RELAY_TEXT_MAX 200              /* bytes kept of a relay's own sentence */

/* A request under construction; strings that the public struct points into live here. Zeroed with body.max set is empty. */
struct relay_request {
    struct gage_http_header headers[RELAY_HEADERS_MAX];
    size_t header_count;
    char claim[UUID_TEXT_LEN + 1], id[UUID_TEXT_LEN + 1], number[3][32];
    char url[GAGE_TRANSFER_URL_MAX + 16];
    gage_buf body;
    struct gage_http_request http;
};
#define RELAY_REQUEST_EMPTY ((struct relay_request){.body = GAGE_BUF(GAGE_TRANSFER_ANSWER_MAX)})
void relay_request_reset(struct relay_request *request); /* wipes the body and the claim */

/* What CREATE says besides the payload; strings are valid already. */
struct relay_create {
    const char *base; /* the relay's base URL */
    const char *title, *description, *image;
    int64_t expires;
};

/* Each fills request->http; `claim` and `id` are 16 bytes (C1, C3). `envelope` is what base64 is made of. */
gage_rc relay_make_create(struct relay_request *request, const struct relay_create *create, const uint8_t *claim,
                          const uint8_t *id, const char *type, gage_slice envelope, struct gage_err *err);
void relay_make_preview(struct relay_request *request, const char *url);
/* version 0: the answer at once; else wait up to `wait` seconds for a newer one (A20). */
void relay_make_read(struct relay_request *request, const char *url, const uint8_t *claim, uint64_t version,
                     uint32_t wait);
/* version 0: unconditional; else If-Match (A21), and a relay of ours may wait up to `wait` seconds for what the peer writes next, and
 * answer with that. */
gage_rc relay_make_put(struct relay_request *request, const char *url, const uint8_t *claim, const uint8_t *id,
                       uint64_t version, uint32_t wait, const char *type, gage_slice envelope, struct gage_err *err);
/* `later`: the relay may answer before it has deleted. */
void relay_make_delete(struct relay_request *request, const char *url, const uint8_t *claim, const uint8_t *id,
                       bool later);

/* The header's value, "" if the answer has none. */
const char *relay_header(const struct gage_http_response *response, const char *name);
/* Mailbox-Version of the answer; 0 if it has none. */
uint64_t relay_version(const struct gage_http_response *response);
/* Retry-After in seconds (delta form), at most 3600; 0 if it has none. */
int64_t relay_retry_after(const struct gage_http_response *response);
/* C3: the answer names no request id, or the one asked for. */
bool relay_answers(const struct gage_http_response *response, const struct relay_request *request);

/* The answer to CREATE. GAGE_E_FORMAT: not one; GAGE_E_MISMATCH: it names a mailbox on another origin than the relay's.
 * `expires` stays as it was where the relay does not tell it (A8). */
gage_rc relay_read_create(gage_slice body, const struct url *relay, bool allow_loopback_http, struct url *mailbox,
                          int64_t *expires, struct gage_err *err);

/* The answer to READ. `type` is borrowed from the body; data is decoded; the title is made printable. An answer without
 * payload is how a relay says that nothing newer came: type and envelope are empty. */
struct relay_content {
    gage_slice type;
    gage_buf envelope;
    char title[GAGE_TRANSFER_TITLE_MAX + 1];
    int64_t expires;  /* 0: not told */
    uint64_t version; /* of the body's `version`, 0: not told */
};
gage_rc relay_read_content(gage_slice body, struct relay_content *out, struct gage_err *err);
/* Whether the answer to PUT brings what an answer to READ would. */
bool relay_brings_payload(gage_slice body);

/* The preview page: its OpenGraph title and description, printable, cut to size; "" where it has none. Never fails: whatever it
 * is, it is the relay's word only. */
void relay_read_preview(gage_slice html, char title[GAGE_TRANSFER_TITLE_MAX + 1],
                        char description[GAGE_TRANSFER_DESCRIPTION_MAX + 1]);

/* A refusal's own words (RFC 9457 problem details: "detail", else "title"), printable, "" if it has none. */
void relay_read_problem(gage_slice body, char text[RELAY_TEXT_MAX + 1]);
/* The longest payload in bytes that a 413 tells (header Mailbox-Payload-Limit), 0 if it does not. */
uint64_t relay_payload_limit(const struct gage_http_response *response);

/* Copies printable text, cut at a character's boundary to fit `size` with its NUL. */
void copy_printable(char *to, size_t size, gage_slice text);

#endif
