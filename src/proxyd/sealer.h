/* sealer.h - XAES-256-GCM (C2SP): one key seals any number of messages, each under a random salt of 24 bytes, from whose first half the
 * message's own AES-256 key is derived, and whose second half is its IV. What a message needs is set up once and kept: a sealer is in one
 * thread's hands at a time. */
#ifndef GAGE_PROXYD_SEALER_H
#define GAGE_PROXYD_SEALER_H

#include "base/crypto.h"

#define SEALER_KEY_LEN 32
#define SEALER_SALT_LEN 24

struct sealer;

/* NULL where memory is short. */
struct sealer *sealer_new(void);
/* Wipes every key; NULL contents are fine. */
void sealer_free(struct sealer **sealer);

/* Sets the key, named `id` by the caller. */
gage_rc sealer_set(struct sealer *sealer, uint32_t id, const uint8_t key[SEALER_KEY_LEN]);
/* Whether the key named so is set. */
bool sealer_has(const struct sealer *sealer, uint32_t id);

/* Appends ciphertext and tag. */
gage_rc sealer_seal(struct sealer *sealer, const uint8_t salt[SEALER_SALT_LEN], gage_slice aad, gage_slice text,
                    gage_buf *out);
/* Appends the text; GAGE_E_AUTH where it is not intact or not for this key, salt and associated data. */
gage_rc sealer_open(struct sealer *sealer, const uint8_t salt[SEALER_SALT_LEN], gage_slice aad, gage_slice sealed,
                    gage_buf *out);

#endif
