/* opener.h - opening one seal, of any length, in constant memory, and what it proves (doc/seal.md, section 3). */
#ifndef GAGE_SEAL_OPENER_H
#define GAGE_SEAL_OPENER_H

#include "seal/carrier.h"
#include "seal/chunks.h"
#include "seal/pairing.h"

#define SEAL_AHEAD_MAX 300 /* seconds a seal may be dated after our clock */

/* What the recipient demands. Borrowed while the seal is opened. Zeroed: nothing besides what every seal proves. */
struct open_policy {
    unsigned keep;   /* weeks back from which seals are still opened */
    int64_t max_age; /* seconds; 0: any */
    bool check_name; /* the carrier must be the party with this exported name (mechanisms with global names only) */
    gage_slice deliverer;
    bool check_proof; /* the carrier must have made this proof, for this occasion */
    gage_slice proof, occasion;
    bool check_any; /* one of the two must be */
};

/* What an opened seal proves: valid once opener_put has taken its first chunk, borrowed until cleanup. */
struct open_result {
    struct seal_inner inner;
    bool carrier_checked; /* a name or proof was demanded and fitted */
};

/* One seal, one object, one thread at a time. */
struct opener {
    struct chunk_reader chunks;
    uint8_t header[SEAL_HEADER_LEN], digest[SHA256_LEN];
    struct open_policy policy;
    int64_t now;
    uint32_t week;              /* of the key that fits */
    gage_buf inner, self, peer; /* copies */
    bool inner_known;
    struct open_result result;
};

/* Takes the seal's first SEAL_HEADER_LEN bytes and finds, among the pairings whose hint matched, the one whose commitment does: exactly one, in
 * constant time, before anything is decrypted. *which is its index. GAGE_E_NOT_OURS: none: not for us, or its key was erased;
 * GAGE_E_CRAFTED: two or more; GAGE_E_PAIRING_OVER: the pairing's time is over. Needs opener_cleanup whatever the result. */
gage_rc opener_begin(struct opener *opener, const uint8_t header[SEAL_HEADER_LEN],
                     const struct pairing *const *candidates, size_t count, const struct open_policy *policy,
                     int64_t now, size_t *which, struct gage_err *err);
/* Takes the bytes after the header in any pieces, and appends what of the message has verified. The policy is checked before the first byte
 * comes out: GAGE_E_EXPIRED (too old), GAGE_E_FUTURE (dated ahead of our clock), GAGE_E_CARRIER (wrong carrier), GAGE_E_AUTH (damaged;
 * nothing that came out before may be trusted). */
gage_rc opener_put(struct opener *opener, gage_slice sealed, gage_buf *out, struct gage_err *err);
/* It is later by now: the age is checked anew where it is known. */
gage_rc opener_now(struct opener *opener, int64_t now, struct gage_err *err);
/* The end: only now is the whole message verified. */
gage_rc opener_end(struct opener *opener, gage_buf *out, struct gage_err *err);
void opener_cleanup(struct opener *opener);

#endif
