/* crypto.h - the cryptography gage uses, all of it OpenSSL's: SHA-256, HMAC, HKDF, AES-GCM, X25519, random bytes.
 * Failures other than a wrong tag mean that OpenSSL or memory failed (GAGE_E_INTERNAL). Thread-safe: the only shared
 * state is the set of fetched algorithms, made once. */
#ifndef GAGE_BASE_CRYPTO_H
#define GAGE_BASE_CRYPTO_H

#include <gage/random.h>

#include <openssl/evp.h>

#include "base/secret.h"

#define SHA256_LEN 32
#define GCM_IV_LEN 12
#define GCM_TAG_LEN 16
#define X25519_LEN 32

/* For a program that fetches algorithms by name alone, as all of this header does, before its first use: leaves out OpenSSL's older tables of
 * every cipher and digest, its sentences for errors, and tidying up at exit, which cost half of its start. Providers are chosen by OpenSSL's
 * configuration as ever. Not for a library: it holds for the process. */
void crypto_start_lean(void);

/* ---- randomness, passed as an argument so that cores can be replayed ---- */

/* struct gage_rng: <gage/random.h>. */
/* The system's: OpenSSL's RAND_priv_bytes, which reseeds in a fork's child. */
extern const struct gage_rng gage_system_rng;
gage_rc rng_fill(const struct gage_rng *rng, void *out, size_t n);

/* ---- hashes ---- */

/* SHA-256 over the parts in order. */
gage_rc sha256_parts(const gage_slice *parts, size_t count, uint8_t out[SHA256_LEN]);
gage_rc sha256_of(gage_slice bytes, uint8_t out[SHA256_LEN]);
/* The same piece by piece. A zeroed one is valid for cleanup; finish leaves it so. */
struct sha256 {
    EVP_MD_CTX *ctx;
};
gage_rc sha256_start(struct sha256 *hash);
gage_rc sha256_add(struct sha256 *hash, gage_slice bytes);
gage_rc sha256_finish(struct sha256 *hash, uint8_t out[SHA256_LEN]);
void sha256_cleanup(struct sha256 *hash);
/* HMAC-SHA-256 (RFC 2104) over the parts in order. */
gage_rc hmac_sha256_parts(gage_slice key, const gage_slice *parts, size_t count, uint8_t out[SHA256_LEN]);
/* The same under a key that is used often: setting it once is what makes short messages fast. The key's thread-safe users may
 * be many; zeroed or cleaned up it is empty. */
struct hmac_key {
    EVP_MAC_CTX *ctx;
    struct hmac_spares *spares; /* contexts with the key set that no thread uses at the moment */
};
gage_rc hmac_key_init(struct hmac_key *key, gage_slice bytes);
void hmac_key_cleanup(struct hmac_key *key); /* wipes */
gage_rc hmac_key_parts(const struct hmac_key *key, const gage_slice *parts, size_t count, uint8_t out[SHA256_LEN]);
/* HKDF-SHA-256 (RFC 5869). Extract: an empty salt is 32 zero bytes. Expand: info is the parts in order, n <= 8160. */
gage_rc hkdf_extract(gage_slice salt, gage_slice ikm, gage_secret *prk);
gage_rc hkdf_expand(gage_slice prk, const gage_slice *info, size_t count, uint8_t *out, size_t n);
/* The same in a workspace that is set up once: most of a single call's cost is the set-up. One thread at a time. */
struct hkdf {
    EVP_MAC_CTX *ctx;
};
gage_rc hkdf_init(struct hkdf *hkdf);
void hkdf_cleanup(struct hkdf *hkdf); /* wipes the last key; a zeroed one is fine */
gage_rc hkdf_extract_in(struct hkdf *hkdf, gage_slice salt, gage_slice ikm, gage_secret *prk);
gage_rc hkdf_expand_in(struct hkdf *hkdf, gage_slice prk, const gage_slice *info, size_t count, uint8_t *out, size_t n);
gage_rc hkdf_expand_secret(gage_slice prk, gage_slice info, size_t n, gage_secret *out);

/* ---- AES-GCM (NIST SP 800-38D), 96-bit IV, 128-bit tag; key of 16 or 32 bytes ---- */

/* A keyed cipher that is used for many messages: setting the key once is what makes short messages fast. */
struct gcm {
    EVP_CIPHER_CTX *ctx;
};
gage_rc gcm_init(struct gcm *gcm, gage_slice key, bool encrypt);
/* Another key of the same length, for an initialised one: cheaper than a new one. */
gage_rc gcm_rekey(struct gcm *gcm, gage_slice key, bool encrypt);
void gcm_cleanup(struct gcm *gcm); /* wipes the key schedule; NULL contents are fine */
/* In place is allowed (out == text.p). out has text.n bytes. */
gage_rc gcm_seal(struct gcm *gcm, const uint8_t iv[GCM_IV_LEN], gage_slice aad, gage_slice text, uint8_t *out,
                 uint8_t tag[GCM_TAG_LEN]);
/* GAGE_E_AUTH on a wrong tag; then out is wiped. */
gage_rc gcm_open(struct gcm *gcm, const uint8_t iv[GCM_IV_LEN], gage_slice aad, gage_slice text, uint8_t *out,
                 const uint8_t tag[GCM_TAG_LEN]);
/* The same in steps, for messages in pieces: begin, all of the aad, all of the text (which may be none), end. gcm_text in place is
 * allowed. After gcm_end_open failed (GAGE_E_AUTH) the caller must wipe what gcm_text put out. */
gage_rc gcm_begin(struct gcm *gcm, const uint8_t iv[GCM_IV_LEN]);
gage_rc gcm_aad(struct gcm *gcm, gage_slice aad);
gage_rc gcm_text(struct gcm *gcm, gage_slice text, uint8_t *out);
gage_rc gcm_end_seal(struct gcm *gcm, uint8_t tag[GCM_TAG_LEN]);
gage_rc gcm_end_open(struct gcm *gcm, const uint8_t tag[GCM_TAG_LEN]);
/* One message under one key: out receives ciphertext || tag (seal) or plaintext (open). */
gage_rc gcm_seal_once(gage_slice key, const uint8_t iv[GCM_IV_LEN], gage_slice aad, gage_slice text, gage_buf *out);
gage_rc gcm_open_once(gage_slice key, const uint8_t iv[GCM_IV_LEN], gage_slice aad, gage_slice sealed, gage_buf *out);

/* ---- X25519 (RFC 7748) ---- */

/* One's own private key, opened for several agreements: next to the curve itself, opening is what costs most. */
struct x25519 {
    void *exchange; /* a context of OpenSSL's provider; NULL: not open */
};
gage_rc x25519_open(struct x25519 *open, const gage_secret *private_key);
void x25519_close(struct x25519 *open); /* wipes the key; one that is not open is fine */
typedef struct x25519 x25519_t;
GAGE_AUTO_DEFINE(x25519_t, x25519_close)
/* The agreement with a peer's public key. GAGE_E_AUTH where the result is all zero (a low-order key; RFC 7748 section 6.1). */
gage_rc x25519_with(struct x25519 *open, const uint8_t peer[X25519_LEN], gage_secret *shared);
/* A private key from the random source, its public half, and the key opened. */
gage_rc x25519_make(const struct gage_rng *rng, gage_secret *private_key, uint8_t public_key[X25519_LEN],
                    struct x25519 *open);

/* For keys used once: a private key from the random source and its public half; an agreement (GAGE_E_AUTH as above). */
gage_rc x25519_generate(const struct gage_rng *rng, gage_secret *private_key, uint8_t public_key[X25519_LEN]);
gage_rc x25519_shared(const gage_secret *private_key, const uint8_t peer[X25519_LEN], gage_secret *shared);
#endif
