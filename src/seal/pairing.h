/* pairing.h - what two parties who met once keep of it: names, keys in both directions, and until when (doc/seal.md, section 1). */
#ifndef GAGE_SEAL_PAIRING_H
#define GAGE_SEAL_PAIRING_H

#include "handshake/agreement.h"
#include "seal/inner.h"
#include "seal/keys.h"

#define PAIRING_ID_LEN 16
#define PAIRING_VALIDITY_DEFAULT (90 * INT64_C(86400))
#define PAIRING_VALIDITY_MAX (3650 * INT64_C(86400))
#define PAIRING_KEEP_DEFAULT 4
#define PAIRING_KEEP_MAX 52
#define PAIRING_RECORD_MAX (2 * (2 + SEAL_NAME_MAX) + 256)

/* One side's view. The names are exported names; `self` is ours, `peer` theirs. Secret: wiped by pairing_cleanup. A zeroed one is empty. */
struct pairing {
    uint8_t id[PAIRING_ID_LEN]; /* the same on both sides, known to nobody else */
    gage_buf self, peer;
    int64_t made, until; /* seconds since 1970-01-01T00:00:00Z; not usable from `until` on */
    struct week_key sending, receiving;
    uint8_t hint_send[HINT_KEY_LEN], hint_receive[HINT_KEY_LEN];
};

void pairing_cleanup(struct pairing *pairing);
typedef struct pairing pairing_t;
GAGE_AUTO_DEFINE(pairing_t, pairing_cleanup)

/* Copies a party's exported name into *to. GAGE_E_LIMIT: empty or too long. */
gage_rc pairing_set_name(gage_buf *to, gage_slice name, struct gage_err *err);

/* H: both exported names, the initiator's first; so keys belong to these two parties in these roles. GAGE_E_LIMIT: a name too long. */
gage_rc pairing_names(gage_slice initiator, gage_slice acceptor, uint8_t hash[SHA256_LEN]);

/* The offer of the key agreement that makes a pairing: our week, how long we want it to last (1 second to PAIRING_VALIDITY_MAX), and H as we
 * see the names. */
#define PAIRING_LABEL "gage-pair-1"
#define PAIRING_LABEL_CARRIED "gage-pair-1 carried"
#define PAIRING_OFFER_LEN (13 + SHA256_LEN)
void pairing_offer(int64_t now, int64_t validity, const uint8_t names[SHA256_LEN], uint8_t offer[PAIRING_OFFER_LEN]);

/* The pairing from a finished agreement. `initiator`: our role in the context; `self`, `peer`: exported names; `validity`: as offered.
 * GAGE_E_FORMAT: the peer's offer is malformed; GAGE_E_MISMATCH: the clocks differ by more than a week, or the
 * two sides see different names. */
gage_rc pairing_make(const struct agreement *agreement, bool initiator, gage_slice self, gage_slice peer, int64_t now,
                     int64_t validity, struct pairing *out, struct gage_err *err);

/* Steps both directions to where they should stand now: the sending key to this week, the receiving key to `keep` weeks back. Returns
 * whether anything changed (and so must be stored) in *changed. */
gage_rc pairing_step(struct pairing *pairing, int64_t now, unsigned keep, bool *changed);

/* The record a keyring stores: secret bytes of at most PAIRING_RECORD_MAX. GAGE_E_FORMAT where a record is not whole. */
void pairing_put(gage_buf *buf, const struct pairing *pairing);
gage_rc pairing_get(gage_slice record, struct pairing *out, struct gage_err *err);

#endif
