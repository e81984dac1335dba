/* nonce.h - random bytes that must not repeat or be guessed and are no keys: salts, identifiers, confounders. Each thread draws them from
 * gage_system_rng in blocks and wipes what it gave out; a forked process draws its own. Any thread. */
#ifndef GAGE_PROXYD_NONCE_H
#define GAGE_PROXYD_NONCE_H

#include "base/crypto.h"

gage_rc nonce_fill(void *out, size_t n);

#endif
