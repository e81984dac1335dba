/* envelope.h - what lies in the mailbox: base64(IV || ciphertext || tag) under the link secret (C5; doc/transfer.md, "Envelope"). */
#ifndef GAGE_TRANSFER_ENVELOPE_H
#define GAGE_TRANSFER_ENVELOPE_H

#include "base/encode.h"

#define ENVELOPE_OVERHEAD (GCM_IV_LEN + GCM_TAG_LEN)
#define ENVELOPE_MAX (12u << 20) /* bytes before base64 */

/* The payload's type for a secret of this length: "AEAD_AES_256_GCM" (32), "AEAD_AES_128_GCM" (16); NULL for others. */
const char *envelope_type(size_t secret_length);

/* Appends IV || ciphertext || tag with a random IV and no associated data. */
gage_rc envelope_seal(const gage_secret *secret, const struct gage_rng *rng, gage_slice text, gage_buf *out,
                      struct gage_err *err);
/* Appends the plaintext; GAGE_E_AUTH if the tag is wrong or the envelope too short. */
gage_rc envelope_open(const gage_secret *secret, gage_slice envelope, gage_buf *out, struct gage_err *err);

#endif
