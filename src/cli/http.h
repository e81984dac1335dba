/* http.h - the HTTP client under share and accept: requests of the mailbox API over one kept TLS connection (libcurl).
 *
 * HTTPS only (C2), TLS 1.2 or later, no redirects, no cookies, no credentials from files. The relay proves itself with a certificate
 * for its host name from the system's authorities or those in `ca_file`, or, where `pin` is set alone, by holding the pinned
 * public key, whatever its certificate says. https_proxy and no_proxy in the environment are honoured: a proxy sees host names
 * and sizes, nothing inside TLS. */
#ifndef GAGE_CLI_HTTP_H
#define GAGE_CLI_HTTP_H

#include <gage/transfer.h>

#include "base/bytes.h"

/* The largest answer that is read: the largest payload an operator may configure, in base64, with its JSON around. */
#define HTTP_BODY_MAX (24u * 1024 * 1024)

struct http_trust {
    const char *pin;     /* "sha256//BASE64" of the public key (RFC 7469's form), or NULL; ";" separates several */
    const char *ca_file; /* PEM, or NULL */
    bool certificate; /* the certificate must be good, too, although there is a pin; so also where there is a ca_file */
};

struct http_request {
    const char *method;
    const char *url; /* https, without fragment */
    const struct gage_http_header *headers;
    size_t header_count;
    gage_slice body;             /* application/json where not empty */
    unsigned wait_seconds;       /* how long the relay was asked to hold the answer; added to the time-out */
    size_t answer_max;           /* bytes of the answer's body; 0: HTTP_BODY_MAX */
    void (*sent)(void *context); /* called once when the body has left, with the context of `stop`; NULL: nobody asks */
};

#define HTTP_HEADERS_KEPT 12
/* Header fields are kept as they came, names in lower case. */
struct http_response {
    int status;
    gage_buf body;
    size_t header_count;
    char header[HTTP_HEADERS_KEPT][2][160];
};
void http_response_free(struct http_response *response);
typedef struct http_response http_response;
GAGE_AUTO_DEFINE(http_response, http_response_free)
/* The field's value, or NULL. `name` in lower case. */
const char *http_header_of(const struct http_response *response, const char *name);
/* How far this machine's clock is ahead of a Date field, in seconds; false where that is no date. */
bool http_skew(const char *date, int64_t *seconds);
/* Seconds that Retry-After asks for (delta form only), or 0; at most 3600. */
int http_retry_after(const struct http_response *response);

struct http;
/* Once a process, before any thread: libcurl's set-up with an allocator that wipes what it frees. */
gage_rc http_start(struct gage_err *err);
/* `trust` is copied. `stop`, where not NULL, is asked about once a second and after every signal whether to give up the request.
 * Free with http_close (NULL is fine). */
gage_rc http_open(const struct http_trust *trust, bool (*stop)(void *context), void *context, struct http **http,
                  struct gage_err *err);
void http_close(struct http **http);

/* One attempt. Success means that an answer came, whatever its status; *response is emptied first.
 * GAGE_E_UNAVAILABLE: no answer, and trying again may help. GAGE_E_AUTH: the relay could not prove itself. GAGE_E_LIMIT: the
 * answer is too large. GAGE_E_CANCELLED: `stop` said so. Ticks the live line while it waits. */
gage_rc http_call(struct http *http, const struct http_request *request, struct http_response *response,
                  struct gage_err *err);

/* Whether it was the connection that failed, so that nothing of the last request can have reached the relay. */
bool http_never_sent(const struct http *http);

#endif
