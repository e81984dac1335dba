/* carrier.h - how Carol proves to Bob that a seal was to come by her (doc/seal.md, section 4). */
#ifndef GAGE_SEAL_CARRIER_H
#define GAGE_SEAL_CARRIER_H

#include "seal/inner.h"
#include "seal/keys.h"

#define CARRIER_PROOF_LEN (12 + 2 * SHA256_LEN)
#define CARRIER_CONTEXT_MAX 1024
#define CARRIER_GRANT_MAX (14 + SHA256_LEN + CARRIER_KEY_LEN + 2 + SEAL_NAME_MAX)

/* What the sealer gives the carrier, in a seal of the carrier's own. The key is secret. `recipient` is the exported name of whom the other
 * seal is for; borrowed from what was read. */
struct carrier_grant {
    uint8_t seal[SHA256_LEN]; /* SHA-256 of the other seal's header */
    gage_secret key;
    gage_slice recipient;
};
void grant_put(gage_buf *buf, const struct carrier_grant *grant);
/* GAGE_E_FORMAT where the message is not a grant. */
gage_rc grant_get(gage_slice message, struct carrier_grant *grant, struct gage_err *err);

/* The name by which grants and proofs call a seal. */
gage_rc seal_digest(const uint8_t header[SEAL_HEADER_LEN], uint8_t digest[SHA256_LEN]);

/* The proof for one occasion. `context` (at most CARRIER_CONTEXT_MAX bytes) is what the recipient and the carrier share there: PRF output of
 * their GSS context, or a challenge; empty makes a proof that whoever gets hold of it can repeat. */
gage_rc proof_make(const uint8_t seal[SHA256_LEN], gage_slice key, gage_slice context,
                   uint8_t proof[CARRIER_PROOF_LEN]);
/* GAGE_E_FORMAT: not a proof; GAGE_E_MISMATCH: of another seal; GAGE_E_AUTH: made with another key or for another occasion. */
gage_rc proof_check(const uint8_t seal[SHA256_LEN], gage_slice key, gage_slice context, gage_slice proof,
                    struct gage_err *err);

#endif
