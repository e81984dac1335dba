/* keys.h - a pairing's keys in one direction, and the keys of one seal (doc/seal.md, sections 1 and 2). */
#ifndef GAGE_SEAL_KEYS_H
#define GAGE_SEAL_KEYS_H

#include "base/crypto.h"
#include "seal/hint.h"

#define SEAL_KEY_LEN 32
#define WEEK_SECONDS 604800
#define SEAL_HEADER_LEN (1 + SEAL_NONCE_LEN + HINT_LEN + SHA256_LEN)
/* A key is never stepped further than this in one call (about 19 years): a broken clock must not spin. */
#define WEEKS_MAX 1000

/* The key of one direction as of a week. Stepping forward is easy, back impossible: that is the forward secrecy there is. */
struct week_key {
    uint32_t week;
    gage_secret key;
};

uint32_t week_of(int64_t now);
/* Steps the key to a later week, wiping the older; an earlier week changes nothing. GAGE_E_LIMIT beyond WEEKS_MAX. */
gage_rc week_key_step(struct week_key *key, uint32_t week);
/* The key of a week not before key->week, without stepping; GAGE_E_EXPIRED where it is before (erased). */
gage_rc week_key_at(const struct week_key *key, uint32_t week, gage_secret *out);

/* What one seal uses, from the week's key and the seal's nonce. */
struct seal_keys {
    uint8_t commitment[SHA256_LEN];
    gage_secret chunks;
};
gage_rc seal_keys_of(const gage_secret *week_key, const uint8_t nonce[SEAL_NONCE_LEN], struct seal_keys *keys);
/* The same in two steps, for who tries several weeks: what a commitment is made of, and the rest once it is the right one. */
gage_rc seal_commitment_of(struct hkdf *hkdf, const gage_secret *week_key, const uint8_t nonce[SEAL_NONCE_LEN],
                           gage_secret *k, uint8_t commitment[SHA256_LEN]);
gage_rc seal_chunk_key_of(struct hkdf *hkdf, const gage_secret *k, gage_secret *chunks);
void seal_keys_wipe(struct seal_keys *keys);
typedef struct seal_keys seal_keys_t;
GAGE_AUTO_DEFINE(seal_keys_t, seal_keys_wipe)

/* The clear header of a seal. */
struct seal_header {
    uint8_t nonce[SEAL_NONCE_LEN], hint[HINT_LEN], commitment[SHA256_LEN];
};
void seal_header_put(const struct seal_header *header, uint8_t bytes[SEAL_HEADER_LEN]);
/* GAGE_E_FORMAT (too short), GAGE_E_UNSUPPORTED (another version). `bytes` may be longer than the header. */
gage_rc seal_header_get(gage_slice bytes, struct seal_header *header, struct gage_err *err);

#endif
