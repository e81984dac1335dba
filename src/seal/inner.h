/* inner.h - what a seal says inside: who, for whom, by whom, when, which (doc/seal.md, section 2.1). */
#ifndef GAGE_SEAL_INNER_H
#define GAGE_SEAL_INNER_H

#include "base/crypto.h"

#define SEAL_ID_LEN 16
#define SEAL_NAME_MAX 2048 /* bytes of an exported name (RFC 2743 section 3.2) */
#define CARRIER_KEY_LEN 32
#define SEAL_INNER_MAX (1 + SEAL_ID_LEN + 8 + 3 * (2 + SEAL_NAME_MAX) + 1)

enum carrier_kind {
    CARRIER_ANY = 0,  /* anybody may carry it */
    CARRIER_NAME = 1, /* the party with an exported name */
    CARRIER_KEY = 2   /* who proves to hold a key */
};

/* Slices are borrowed: when put, from the caller; when got, from what was read. */
struct seal_inner {
    uint8_t id[SEAL_ID_LEN];
    int64_t time; /* seconds since 1970-01-01T00:00:00Z, by the sealer's clock */
    gage_slice originator, recipient;
    enum carrier_kind carrier;
    gage_slice carrier_name;
    uint8_t carrier_key[CARRIER_KEY_LEN]; /* secret */
};

void inner_put(gage_buf *buf, const struct seal_inner *inner);
/* Reads it off the beginning of `bytes`; *taken is how many bytes it has. GAGE_E_FORMAT where it is not whole or not of the documented
 * form. */
gage_rc inner_get(gage_slice bytes, struct seal_inner *inner, size_t *taken, struct gage_err *err);

#endif
