/* url.h - the two kinds of URL that a transfer knows: a relay's base and a mailbox. */
#ifndef GAGE_TRANSFER_URL_H
#define GAGE_TRANSFER_URL_H

#include <gage/transfer.h>

#include "base/encode.h"

/* Fits any URL that this library takes or makes, NUL included. */
typedef char url_text[GAGE_TRANSFER_URL_MAX + 1];

/* scheme "://" host[":" port] path, all of it checked:
 *   scheme  https, or http where the host is a loopback address or name and allow_loopback_http
 *   host    RFC 3986 reg-name of [A-Za-z0-9.-], or an IPv6 address in brackets; lower-cased
 *   path    segments of [A-Za-z0-9._~-], no "." or ".." segment, no trailing slash */
struct url {
    url_text text;    /* scheme, authority, path; no query, no fragment */
    size_t authority; /* where the host begins in text, and where the path does */
    size_t path;
};

/* A relay's base URL: the path may be empty. GAGE_E_FORMAT, GAGE_E_REFUSED (http), GAGE_E_LIMIT. Error texts show
 * nothing of what was given: it may hold a secret. */
gage_rc url_parse_relay(gage_slice text, bool allow_loopback_http, struct url *out, struct gage_err *err);
/* A mailbox's URL: the path ends in /v1/m/ and a UUID, which is lower-cased. Query and fragment must be cut off already. */
gage_rc url_parse_mailbox(gage_slice text, bool allow_loopback_http, struct url *out, struct gage_err *err);
/* Scheme and authority are the same. */
bool url_same_origin(const struct url *a, const struct url *b);
/* host[:port], borrowed bytes of url->text. */
gage_slice url_authority(const struct url *url);

#endif
