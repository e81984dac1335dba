#include "base/crypto.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

/* Fetching an algorithm by name costs more than most uses of it, so each is fetched once per process. */
struct algorithms {
    EVP_MD *sha256;
    EVP_MAC *hmac;
    EVP_CIPHER *gcm128, *gcm256;
};

static void
free_algorithms(struct algorithms *all)
{
    EVP_MD_free(all->sha256);
    EVP_MAC_free(all->hmac);
    EVP_CIPHER_free(all->gcm128);
    EVP_CIPHER_free(all->gcm256);
    free(all);
}

static struct algorithms *
fetch_all(void)
{
    struct algorithms *all = calloc(1, sizeof *all);
    if (all == NULL)
        return NULL;
    all->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    all->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    all->gcm128 = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    all->gcm256 = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (all->sha256 != NULL && all->hmac != NULL && all->gcm128 != NULL && all->gcm256 != NULL)
        return all;
    free_algorithms(all);
    return NULL;
}

/* Without memory for them: a set of none, whose every use fails, and the next call tries again. */
static const struct algorithms *
algorithms(void)
{
    static const struct algorithms nothing;
    static struct algorithms *_Atomic fetched;
    struct algorithms *all = atomic_load_explicit(&fetched, memory_order_acquire), *none = NULL;
    if (all != NULL)
        return all;
    all = fetch_all();
    if (all == NULL)
        return &nothing;
    if (atomic_compare_exchange_strong(&fetched, &none, all))
        return all;
    free_algorithms(all); /* another thread was faster */
    return none;
}

static gage_rc
done_if(bool worked)
{
    return worked ? GAGE_DONE : gage_rc_of(GAGE_E_INTERNAL);
}

/* ---- randomness ---- */

static gage_rc
system_fill(void *context, uint8_t *out, size_t n)
{
    (void)context;
    return done_if(RAND_priv_bytes_ex(NULL, out, n, 0) == 1);
}

const struct gage_rng gage_system_rng = {.fill = system_fill};

gage_rc
rng_fill(const struct gage_rng *rng, void *out, size_t n)
{
    return rng->fill(rng->context, out, n);
}

/* ---- hashes ---- */

static void
free_md(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

static void
free_mac(EVP_MAC_CTX **ctx)
{
    EVP_MAC_CTX_free(*ctx);
}

#define SCOPED(destroy) __attribute__((cleanup(destroy)))

gage_rc
sha256_parts(const gage_slice *parts, size_t count, uint8_t out[SHA256_LEN])
{
    SCOPED(free_md) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && EVP_DigestInit_ex2(ctx, algorithms()->sha256, NULL) == 1;
    for (size_t i = 0; good && i < count; i++)
        good = EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1;
    return done_if(good && EVP_DigestFinal_ex(ctx, out, NULL) == 1);
}

gage_rc
sha256_of(gage_slice bytes, uint8_t out[SHA256_LEN])
{
    return sha256_parts(&bytes, 1, out);
}

gage_rc
sha256_start(struct sha256 *hash)
{
    hash->ctx = EVP_MD_CTX_new();
    return done_if(hash->ctx != NULL && EVP_DigestInit_ex2(hash->ctx, algorithms()->sha256, NULL) == 1);
}

gage_rc
sha256_add(struct sha256 *hash, gage_slice bytes)
{
    return done_if(EVP_DigestUpdate(hash->ctx, bytes.p, bytes.n) == 1);
}

gage_rc
sha256_finish(struct sha256 *hash, uint8_t out[SHA256_LEN])
{
    bool good = EVP_DigestFinal_ex(hash->ctx, out, NULL) == 1;
    sha256_cleanup(hash);
    return done_if(good);
}

void
sha256_cleanup(struct sha256 *hash)
{
    EVP_MD_CTX_free(hash->ctx);
    hash->ctx = NULL;
}

static EVP_MAC_CTX *
new_hmac(gage_slice key)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *hmac = algorithms()->hmac;
    EVP_MAC_CTX *ctx = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
    static const uint8_t empty = 0;
    const uint8_t *p = key.n > 0 ? key.p : &empty; /* a NULL key would mean "keep the last one" */
    if (ctx != NULL && EVP_MAC_init(ctx, p, key.n, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

/* Restarts with the same key, adds the parts, and finishes. */
static bool
hmac_run(EVP_MAC_CTX *ctx, const gage_slice *parts, size_t count, uint8_t out[SHA256_LEN])
{
    size_t n = 0;
    bool good = true;
    for (size_t i = 0; good && i < count; i++)
        good = parts[i].n == 0 || EVP_MAC_update(ctx, parts[i].p, parts[i].n) == 1;
    return good && EVP_MAC_final(ctx, out, &n, SHA256_LEN) == 1 && n == SHA256_LEN;
}

gage_rc
hmac_sha256_parts(gage_slice key, const gage_slice *parts, size_t count, uint8_t out[SHA256_LEN])
{
    SCOPED(free_mac) EVP_MAC_CTX *ctx = new_hmac(key);
    return done_if(ctx != NULL && hmac_run(ctx, parts, count, out));
}

/* Copying a context costs more than the MAC of a short message: a few copies are kept, each in one thread's hands at a time. */
#define SPARES 8
struct hmac_spares {
    EVP_MAC_CTX *_Atomic slot[SPARES];
};

gage_rc
hmac_key_init(struct hmac_key *key, gage_slice bytes)
{
    *key = (struct hmac_key){.ctx = new_hmac(bytes), .spares = calloc(1, sizeof *key->spares)};
    if (key->ctx == NULL || key->spares == NULL)
        hmac_key_cleanup(key);
    return done_if(key->ctx != NULL);
}

void
hmac_key_cleanup(struct hmac_key *key)
{
    for (size_t i = 0; key->spares != NULL && i < SPARES; i++)
        EVP_MAC_CTX_free(key->spares->slot[i]);
    free(key->spares);
    EVP_MAC_CTX_free(key->ctx);
    *key = (struct hmac_key){0};
}

/* A context of the caller's own, ready for a message; NULL where memory is short. */
static EVP_MAC_CTX *
take_spare(const struct hmac_key *key)
{
    for (size_t i = 0; i < SPARES; i++) {
        EVP_MAC_CTX *ctx = atomic_exchange(&key->spares->slot[i], NULL);
        if (ctx != NULL && EVP_MAC_init(ctx, NULL, 0, NULL) == 1)
            return ctx;
        EVP_MAC_CTX_free(ctx);
    }
    return EVP_MAC_CTX_dup(key->ctx);
}

static void
keep_spare(const struct hmac_key *key, EVP_MAC_CTX *ctx)
{
    for (size_t i = 0; ctx != NULL && i < SPARES; i++) {
        EVP_MAC_CTX *none = NULL;
        if (atomic_compare_exchange_strong(&key->spares->slot[i], &none, ctx))
            return;
    }
    EVP_MAC_CTX_free(ctx);
}

gage_rc
hmac_key_parts(const struct hmac_key *key, const gage_slice *parts, size_t count, uint8_t out[SHA256_LEN])
{
    EVP_MAC_CTX *ctx = key->ctx != NULL ? take_spare(key) : NULL;
    bool good = ctx != NULL && hmac_run(ctx, parts, count, out);
    if (ctx != NULL)
        keep_spare(key, ctx);
    return done_if(good);
}

/* Making a workspace costs more than two HMACs: a few are kept under a key of zeros, each in one call's hands at a time. */
static const uint8_t no_key[SHA256_LEN];
static EVP_MAC_CTX *_Atomic workspace[SPARES];

gage_rc
hkdf_init(struct hkdf *hkdf)
{
    hkdf->ctx = NULL;
    for (size_t i = 0; hkdf->ctx == NULL && i < SPARES; i++)
        hkdf->ctx = atomic_exchange(&workspace[i], NULL);
    if (hkdf->ctx == NULL)
        hkdf->ctx = new_hmac(SLICE_OF(no_key));
    return done_if(hkdf->ctx != NULL);
}

void
hkdf_cleanup(struct hkdf *hkdf)
{
    EVP_MAC_CTX *ctx = hkdf->ctx;
    bool clean = ctx != NULL && EVP_MAC_init(ctx, no_key, sizeof no_key, NULL) == 1;
    hkdf->ctx = NULL;
    for (size_t i = 0; clean && i < SPARES; i++) {
        EVP_MAC_CTX *none = NULL;
        if (atomic_compare_exchange_strong(&workspace[i], &none, ctx))
            return;
    }
    EVP_MAC_CTX_free(ctx);
}

gage_rc
hkdf_extract_in(struct hkdf *hkdf, gage_slice salt, gage_slice ikm, gage_secret *prk)
{
    gage_slice key = salt.n > 0 ? salt : SLICE_OF(no_key);
    bool good = EVP_MAC_init(hkdf->ctx, key.p, key.n, NULL) == 1 && hmac_run(hkdf->ctx, &ikm, 1, prk->b);
    prk->n = good ? SHA256_LEN : 0;
    return done_if(good);
}

#define EXPAND_PARTS_MAX 8

gage_rc
hkdf_expand_in(struct hkdf *hkdf, gage_slice prk, const gage_slice *info, size_t count, uint8_t *out, size_t n)
{
    if (n > 255 * SHA256_LEN || count > EXPAND_PARTS_MAX || prk.n == 0)
        return gage_rc_of(GAGE_E_LIMIT);
    uint8_t block[SHA256_LEN];
    gage_slice parts[EXPAND_PARTS_MAX + 2];
    bool good = true;
    for (size_t done = 0, i = 1; good && done < n; done += SHA256_LEN, i++) {
        uint8_t counter = (uint8_t)i;
        parts[0] = i > 1 ? SLICE_OF(block) : SLICE_NONE;
        for (size_t k = 0; k < count; k++)
            parts[k + 1] = info[k];
        parts[count + 1] = gage_slice_of(&counter, 1);
        good = EVP_MAC_init(hkdf->ctx, i == 1 ? prk.p : NULL, i == 1 ? prk.n : 0, NULL) == 1 &&
               hmac_run(hkdf->ctx, parts, count + 2, block);
        if (good)
            memcpy(out + done, block, n - done < SHA256_LEN ? n - done : SHA256_LEN);
    }
    gage_wipe(block, sizeof block);
    return done_if(good);
}

gage_rc
hkdf_extract(gage_slice salt, gage_slice ikm, gage_secret *prk)
{
    struct hkdf hkdf;
    TRY(hkdf_init(&hkdf));
    gage_rc rc = hkdf_extract_in(&hkdf, salt, ikm, prk);
    hkdf_cleanup(&hkdf);
    return rc;
}

gage_rc
hkdf_expand(gage_slice prk, const gage_slice *info, size_t count, uint8_t *out, size_t n)
{
    struct hkdf hkdf;
    TRY(hkdf_init(&hkdf));
    gage_rc rc = hkdf_expand_in(&hkdf, prk, info, count, out, n);
    hkdf_cleanup(&hkdf);
    return rc;
}

gage_rc
hkdf_expand_secret(gage_slice prk, gage_slice info, size_t n, gage_secret *out)
{
    if (n > sizeof out->b)
        return gage_rc_of(GAGE_E_LIMIT);
    TRY(hkdf_expand(prk, &info, 1, out->b, n));
    out->n = n;
    return GAGE_DONE;
}

/* ---- AES-GCM ---- */

gage_rc
gcm_init(struct gcm *gcm, gage_slice key, bool encrypt)
{
    gcm->ctx = NULL;
    if (key.n != 16 && key.n != 32)
        return gage_rc_of(GAGE_E_LIMIT);
    EVP_CIPHER *cipher = key.n == 16 ? algorithms()->gcm128 : algorithms()->gcm256;
    gcm->ctx = EVP_CIPHER_CTX_new();
    if (gcm->ctx != NULL && EVP_CipherInit_ex2(gcm->ctx, cipher, key.p, NULL, encrypt ? 1 : 0, NULL) == 1)
        return GAGE_DONE;
    gcm_cleanup(gcm);
    return gage_rc_of(GAGE_E_INTERNAL);
}

gage_rc
gcm_rekey(struct gcm *gcm, gage_slice key, bool encrypt)
{
    if (key.n != (size_t)EVP_CIPHER_CTX_get_key_length(gcm->ctx))
        return gage_rc_of(GAGE_E_LIMIT);
    return done_if(EVP_CipherInit_ex2(gcm->ctx, NULL, key.p, NULL, encrypt ? 1 : 0, NULL) == 1);
}

void
gcm_cleanup(struct gcm *gcm)
{
    EVP_CIPHER_CTX_free(gcm->ctx);
    gcm->ctx = NULL;
}

/* Feeds any length in pieces that an int can count. */
static bool
gcm_update(EVP_CIPHER_CTX *ctx, uint8_t *out, gage_slice in)
{
    const size_t piece = (size_t)1 << 30;
    int done;
    while (in.n > 0) {
        size_t n = in.n < piece ? in.n : piece;
        if (EVP_CipherUpdate(ctx, out, &done, in.p, (int)n) != 1)
            return false;
        in = gage_slice_of(in.p + n, in.n - n);
        out = out == NULL ? NULL : out + n;
    }
    return true;
}

gage_rc
gcm_begin(struct gcm *gcm, const uint8_t iv[GCM_IV_LEN])
{
    return done_if(EVP_CipherInit_ex2(gcm->ctx, NULL, NULL, iv, -1, NULL) == 1);
}

gage_rc
gcm_aad(struct gcm *gcm, gage_slice aad)
{
    return done_if(gcm_update(gcm->ctx, NULL, aad));
}

gage_rc
gcm_text(struct gcm *gcm, gage_slice text, uint8_t *out)
{
    return done_if(gcm_update(gcm->ctx, out, text));
}

gage_rc
gcm_end_seal(struct gcm *gcm, uint8_t tag[GCM_TAG_LEN])
{
    uint8_t nothing[GCM_TAG_LEN];
    int n;
    return done_if(EVP_CipherFinal_ex(gcm->ctx, nothing, &n) == 1 &&
                   EVP_CIPHER_CTX_ctrl(gcm->ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_LEN, tag) == 1);
}

gage_rc
gcm_end_open(struct gcm *gcm, const uint8_t tag[GCM_TAG_LEN])
{
    uint8_t nothing[GCM_TAG_LEN], expected[GCM_TAG_LEN];
    int n;
    memcpy(expected, tag, sizeof expected); /* OpenSSL wants it writable */
    bool good = EVP_CIPHER_CTX_ctrl(gcm->ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_LEN, expected) == 1 &&
                EVP_CipherFinal_ex(gcm->ctx, nothing, &n) == 1;
    return good ? GAGE_DONE : gage_rc_of(GAGE_E_AUTH);
}

gage_rc
gcm_seal(struct gcm *gcm, const uint8_t iv[GCM_IV_LEN], gage_slice aad, gage_slice text, uint8_t *out,
         uint8_t tag[GCM_TAG_LEN])
{
    TRY(gcm_begin(gcm, iv));
    TRY(gcm_aad(gcm, aad));
    TRY(gcm_text(gcm, text, out));
    return gcm_end_seal(gcm, tag);
}

static gage_rc
open_steps(struct gcm *gcm, const uint8_t *iv, gage_slice aad, gage_slice text, uint8_t *out, const uint8_t *tag)
{
    TRY(gcm_begin(gcm, iv));
    TRY(gcm_aad(gcm, aad));
    TRY(gcm_text(gcm, text, out));
    return gcm_end_open(gcm, tag);
}

gage_rc
gcm_open(struct gcm *gcm, const uint8_t iv[GCM_IV_LEN], gage_slice aad, gage_slice text, uint8_t *out,
         const uint8_t tag[GCM_TAG_LEN])
{
    if (gage_ok(open_steps(gcm, iv, aad, text, out, tag)))
        return GAGE_DONE;
    if (text.n > 0)
        gage_wipe(out, text.n);
    return gage_rc_of(GAGE_E_AUTH);
}

gage_rc
gcm_seal_once(gage_slice key, const uint8_t iv[GCM_IV_LEN], gage_slice aad, gage_slice text, gage_buf *out)
{
    if (text.n > SIZE_MAX - GCM_TAG_LEN)
        return gage_rc_of(GAGE_E_LIMIT);
    uint8_t *to = put_space(out, text.n + GCM_TAG_LEN);
    if (to == NULL)
        return buf_check(out, NULL);
    struct gcm gcm;
    gage_rc rc = gcm_init(&gcm, key, true);
    if (gage_ok(rc))
        rc = gcm_seal(&gcm, iv, aad, text, to, to + text.n);
    gcm_cleanup(&gcm);
    if (!gage_ok(rc))
        out->n -= text.n + GCM_TAG_LEN;
    return rc;
}

gage_rc
gcm_open_once(gage_slice key, const uint8_t iv[GCM_IV_LEN], gage_slice aad, gage_slice sealed, gage_buf *out)
{
    if (sealed.n < GCM_TAG_LEN)
        return gage_rc_of(GAGE_E_AUTH);
    gage_slice text = {sealed.p, sealed.n - GCM_TAG_LEN};
    size_t before = out->n;
    uint8_t empty;
    uint8_t *to = text.n > 0 ? put_space(out, text.n) : &empty;
    if (to == NULL)
        return buf_check(out, NULL);
    struct gcm gcm;
    gage_rc rc = gcm_init(&gcm, key, false);
    if (gage_ok(rc))
        rc = gcm_open(&gcm, iv, aad, text, to, text.p + text.n);
    gcm_cleanup(&gcm);
    if (!gage_ok(rc))
        out->n = before;
    return rc;
}
