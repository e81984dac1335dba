/* hint.h - which pairing a seal is for: SipHash-2-4 with 128-bit output over the seal's nonce (doc/seal.md, section 2).
 *
 * A recipient tries every pairing it has, so this is the one primitive written here: OpenSSL's needs a context a key. Tests compare it
 * with OpenSSL's. A hint is not authentication: the commitment is. */
#ifndef GAGE_SEAL_HINT_H
#define GAGE_SEAL_HINT_H

#include "base/bytes.h"

#define HINT_LEN 16
#define HINT_KEY_LEN 16
#define SEAL_NONCE_LEN 32

void hint_of(const uint8_t key[HINT_KEY_LEN], const uint8_t nonce[SEAL_NONCE_LEN], uint8_t hint[HINT_LEN]);

/* Searches `count` keys, laid end to end. Writes the indexes of those whose hint matches, at most `room`, and returns how many match (a
 * stranger's seal: 0; honest keyrings: 1). */
size_t hint_search(const uint8_t *keys, size_t count, const uint8_t nonce[SEAL_NONCE_LEN], const uint8_t hint[HINT_LEN],
                   size_t *found, size_t room);
#define HINT_MATCHES_MAX 8
/* The same among many keys, by several threads (at most one a processor, and four), which block every signal and have ended when it returns.
 * Among few keys, or where no thread can be had, this one searches alone. Indexes come in no order. */
size_t hint_search_threads(const uint8_t *keys, size_t count, const uint8_t nonce[SEAL_NONCE_LEN],
                           const uint8_t hint[HINT_LEN], size_t found[HINT_MATCHES_MAX]);

#endif
