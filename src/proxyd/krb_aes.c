#include "proxyd/krb_aes.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <krb5.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "proxyd/nonce.h"

#define BLOCK 16u
#define TAG 12u    /* of the HMAC's 20 bytes */
#define KEY_MAX 32 /* AES-256 */
/* What a workspace keeps: the service's keys, and those of clients' tickets that come again. A key has one of WAYS places. */
#define WAYS 4
#define KEPT 256
#define WORKSPACES 16

/* ---- libk5crypto's own ---- */

static krb5_error_code (*own_k_encrypt)(krb5_context, krb5_key, krb5_keyusage, const krb5_data *, const krb5_data *,
                                        krb5_enc_data *);
static krb5_error_code (*own_k_decrypt)(krb5_context, krb5_key, krb5_keyusage, const krb5_data *, const krb5_enc_data *,
                                        krb5_data *);
static krb5_error_code (*own_c_verify)(krb5_context, const krb5_keyblock *, krb5_keyusage, const krb5_data *,
                                       const krb5_checksum *, krb5_boolean *);
static krb5_error_code (*own_c_decrypt)(krb5_context, const krb5_keyblock *, krb5_keyusage, const krb5_data *,
                                        const krb5_enc_data *, krb5_data *);
static EVP_CIPHER *ciphers[2]; /* AES-128, AES-256, both CBC with ciphertext stealing */
static EVP_MAC *hmac;

static void
find(void *to, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(to, &found, sizeof found);
}

static void
start(void)
{
    find(&own_k_encrypt, "krb5_k_encrypt");
    find(&own_k_decrypt, "krb5_k_decrypt");
    find(&own_c_decrypt, "krb5_c_decrypt");
    find(&own_c_verify, "krb5_c_verify_checksum");
    ciphers[0] = EVP_CIPHER_fetch(NULL, "AES-128-CBC-CTS", NULL);
    ciphers[1] = EVP_CIPHER_fetch(NULL, "AES-256-CBC-CTS", NULL);
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
}

static pthread_once_t started = PTHREAD_ONCE_INIT;

/* ---- keys ---- */

/* What a pair of derived keys is for, and the last bytes of their constants (RFC 3961 sections 5.3 and 5.4). */
enum purpose { MESSAGES, CHECKSUMS };
#define PRIVACY 0xaa
#define INTEGRITY 0x55
#define CHECKSUM 0x99

/* The keys of (key, usage, purpose), set in contexts. */
struct pair {
    EVP_CIPHER_CTX *encrypt, *decrypt; /* of messages; made when first needed */
    EVP_MAC_CTX *mac;
    uint8_t base[KEY_MAX], privacy[KEY_MAX];
    size_t n; /* of base; 0: none */
    krb5_keyusage usage;
    enum purpose purpose;
    uint64_t used;
    int64_t when; /* of the last use, seconds since 1970 */
};

/* In one call's hands at a time. A key stays until another one takes its place or krb_aes_forget comes by. */
struct workspace {
    struct pair pairs[KEPT];
    uint64_t uses;
};
static struct workspace *spaces[WORKSPACES]; /* atomic */
static uint64_t count;                       /* atomic */

static void
forget(struct pair *p)
{
    EVP_CIPHER_CTX_free(p->encrypt);
    EVP_CIPHER_CTX_free(p->decrypt);
    EVP_MAC_CTX_free(p->mac);
    gage_wipe(p, sizeof *p);
}

static struct workspace *
take(void)
{
    for (size_t i = 0; i < WORKSPACES; i++) {
        struct workspace *w = __atomic_exchange_n(&spaces[i], NULL, __ATOMIC_ACQ_REL);
        if (w != NULL)
            return w;
    }
    return calloc(1, sizeof(struct workspace));
}

static void
give(struct workspace *w)
{
    for (size_t i = 0; i < WORKSPACES; i++) {
        struct workspace *none = NULL;
        if (__atomic_compare_exchange_n(&spaces[i], &none, w, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return;
    }
    for (size_t i = 0; i < KEPT; i++)
        forget(&w->pairs[i]);
    free(w);
}

void
krb_aes_forget(int64_t before)
{
    for (size_t i = 0; i < WORKSPACES; i++) {
        struct workspace *w = __atomic_exchange_n(&spaces[i], NULL, __ATOMIC_ACQ_REL);
        for (size_t k = 0; w != NULL && k < KEPT; k++) {
            if (w->pairs[k].n > 0 && w->pairs[k].when < before)
                forget(&w->pairs[k]);
        }
        if (w != NULL)
            give(w);
    }
}

size_t
krb_aes_kept(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < WORKSPACES; i++) {
        struct workspace *w = __atomic_exchange_n(&spaces[i], NULL, __ATOMIC_ACQ_REL);
        for (size_t k = 0; w != NULL && k < KEPT; k++)
            kept += w->pairs[k].n > 0;
        if (w != NULL)
            give(w);
    }
    return kept;
}

/* n-fold (RFC 3961 section 5.1) of five bytes to sixteen: sixteen copies, each turned 13 bits further to the right, added up sixteen
 * bytes at a time in ones' complement. */
static void
fold(const uint8_t in[5], uint8_t out[BLOCK])
{
    uint8_t all[80];
    uint64_t word = 0;
    for (unsigned i = 0; i < 5; i++)
        word = word << 8 | in[i];
    for (unsigned copy = 0; copy < 16; copy++) {
        for (unsigned i = 0; i < 5; i++)
            all[copy * 5 + i] = (uint8_t)(word >> (32 - 8 * i));
        word = (word >> 13 | word << 27) & 0xffffffffffu;
    }
    unsigned carry = 0;
    memset(out, 0, BLOCK);
    for (unsigned part = 0; part < 5; part++) {
        for (unsigned i = BLOCK; i-- > 0;) {
            carry += (unsigned)out[i] + all[part * BLOCK + i];
            out[i] = (uint8_t)carry;
            carry >>= 8;
        }
        for (unsigned i = BLOCK; carry > 0 && i-- > 0;) {
            carry += out[i];
            out[i] = (uint8_t)carry;
            carry >>= 8;
        }
    }
}

/* A new context of the cipher with the key set, or NULL. */
static EVP_CIPHER_CTX *
cipher_of(const uint8_t *key, size_t n, bool encrypt)
{
    char mode[] = OSSL_CIPHER_CTS_MODE_CS3;
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_CIPHER_PARAM_CTS_MODE, mode, 0),
                                 OSSL_PARAM_construct_end()};
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL || EVP_CipherInit_ex2(ctx, ciphers[n == KEY_MAX], key, NULL, encrypt ? 1 : 0, params) == 1)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

/* The whole text in one go, under an IV of zeros. */
static bool
run_cipher(EVP_CIPHER_CTX *ctx, const uint8_t *in, size_t n, uint8_t *out)
{
    static const uint8_t zero[BLOCK];
    int done = 0;
    return EVP_CipherInit_ex2(ctx, NULL, NULL, zero, -1, NULL) == 1 &&
           EVP_CipherUpdate(ctx, out, &done, in, (int)n) == 1 && done == (int)n;
}

/* DK of RFC 3961 section 5.1: the folded constant, encrypted again and again. */
static bool
derive(EVP_CIPHER_CTX *base, krb5_keyusage usage, uint8_t purpose, size_t n, uint8_t out[KEY_MAX])
{
    const uint32_t u = (uint32_t)usage;
    const uint8_t constant[5] = {(uint8_t)(u >> 24), (uint8_t)(u >> 16), (uint8_t)(u >> 8), (uint8_t)u, purpose};
    uint8_t block[BLOCK];
    fold(constant, block);
    return run_cipher(base, block, BLOCK, out) && (n == BLOCK || run_cipher(base, out, BLOCK, out + BLOCK));
}

/* Sets the keys. */
static bool
set_keys(struct pair *p, gage_slice base, krb5_keyusage usage, enum purpose purpose)
{
    char digest[] = "SHA1";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    uint8_t mac_key[KEY_MAX];
    EVP_CIPHER_CTX *deriver = cipher_of(base.p, base.n, true);
    bool good = hmac != NULL && deriver != NULL &&
                (purpose == CHECKSUMS || derive(deriver, usage, PRIVACY, base.n, p->privacy)) &&
                derive(deriver, usage, purpose == CHECKSUMS ? CHECKSUM : INTEGRITY, base.n, mac_key) &&
                (p->mac = EVP_MAC_CTX_new(hmac)) != NULL && EVP_MAC_init(p->mac, mac_key, base.n, params) == 1;
    EVP_CIPHER_CTX_free(deriver);
    gage_wipe(mac_key, sizeof mac_key);
    if (!good)
        return false;
    memcpy(p->base, base.p, base.n);
    p->n = base.n;
    p->usage = usage;
    p->purpose = purpose;
    return true;
}

/* The pair of these three: a kept one, or a new one in the place that was not used for longest. NULL where OpenSSL fails. Keys are random:
 * so is where they go. */
static struct pair *
pair_of(struct workspace *w, const krb5_keyblock *key, krb5_keyusage usage, enum purpose purpose)
{
    const gage_slice base = {key->contents, key->length};
    const size_t first = (base.p[0] + (uint32_t)usage * 37u) % (KEPT / WAYS) * WAYS;
    struct pair *oldest = &w->pairs[first];
    w->uses++;
    for (struct pair *p = oldest; p < &w->pairs[first + WAYS]; p++) {
        if (p->usage == usage && p->purpose == purpose && p->n == base.n &&
            slice_equal_ct(gage_slice_of(p->base, p->n), base)) {
            p->used = w->uses;
            p->when = clock_now();
            return p;
        }
        oldest = p->used < oldest->used ? p : oldest;
    }
    forget(oldest);
    if (!set_keys(oldest, base, usage, purpose)) {
        forget(oldest);
        return NULL;
    }
    oldest->used = w->uses;
    oldest->when = clock_now();
    return oldest;
}

/* ---- messages ---- */

static bool
is_ours(krb5_enctype type)
{
    return type == ENCTYPE_AES128_CTS_HMAC_SHA1_96 || type == ENCTYPE_AES256_CTS_HMAC_SHA1_96;
}

static bool
mac_of(struct pair *p, const uint8_t *text, size_t n, uint8_t tag[20])
{
    size_t out = 0;
    return EVP_MAC_init(p->mac, NULL, 0, NULL) == 1 && EVP_MAC_update(p->mac, text, n) == 1 &&
           EVP_MAC_final(p->mac, tag, &out, 20) == 1 && out == 20;
}

/* `sealed` is ciphertext and tag. `text` has room for the ciphertext, a block of confounder first. */
static bool
open_with(struct pair *p, const uint8_t *sealed, size_t n, uint8_t *text)
{
    uint8_t tag[20];
    if (p->decrypt == NULL)
        p->decrypt = cipher_of(p->privacy, p->n, false);
    return p->decrypt != NULL && run_cipher(p->decrypt, sealed, n, text) && mac_of(p, text, n, tag) &&
           slice_equal_ct(gage_slice_of(tag, TAG), gage_slice_of(sealed + n, TAG));
}

/* `text` begins with the confounder. */
static bool
seal_with(struct pair *p, const uint8_t *text, size_t n, uint8_t *sealed)
{
    uint8_t tag[20];
    if (p->encrypt == NULL)
        p->encrypt = cipher_of(p->privacy, p->n, true);
    bool good = p->encrypt != NULL && mac_of(p, text, n, tag) && run_cipher(p->encrypt, text, n, sealed);
    if (good)
        memcpy(sealed + n, tag, TAG);
    return good;
}

static bool
key_fits(const krb5_keyblock *key)
{
    return is_ours(key->enctype) && key->length == (key->enctype == ENCTYPE_AES256_CTS_HMAC_SHA1_96 ? 32 : 16);
}

/* Decrypts where the message is a plain and intact one; else false, and libk5crypto says what is wrong. */
static bool
decrypt(const krb5_keyblock *key, krb5_keyusage usage, const krb5_data *state, const krb5_enc_data *input,
        krb5_data *output)
{
    const size_t sealed = input->ciphertext.length;
    if (!key_fits(key) || state != NULL || sealed < BLOCK + TAG || sealed > INT32_MAX ||
        (input->enctype != ENCTYPE_UNKNOWN && input->enctype != key->enctype) || output->length < sealed - BLOCK - TAG)
        return false;
    struct workspace *w = take();
    struct pair *p = w != NULL ? pair_of(w, key, usage, MESSAGES) : NULL;
    const size_t n = sealed - TAG;
    uint8_t *text = p != NULL ? malloc(n) : NULL;
    bool good = text != NULL && open_with(p, (const uint8_t *)input->ciphertext.data, n, text);
    if (good) {
        memcpy(output->data, text + BLOCK, n - BLOCK);
        output->length = (unsigned)(n - BLOCK);
        __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    }
    if (text != NULL)
        gage_wipe(text, n);
    free(text);
    if (w != NULL)
        give(w);
    return good;
}

static bool
encrypt(const krb5_keyblock *key, krb5_keyusage usage, const krb5_data *state, const krb5_data *input,
        krb5_enc_data *output)
{
    const size_t n = BLOCK + (size_t)input->length;
    if (!key_fits(key) || state != NULL || n > INT32_MAX || output->ciphertext.length < n + TAG)
        return false;
    struct workspace *w = take();
    struct pair *p = w != NULL ? pair_of(w, key, usage, MESSAGES) : NULL;
    uint8_t *text = p != NULL ? malloc(n) : NULL;
    bool good = text != NULL && gage_ok(nonce_fill(text, BLOCK));
    if (good && input->length > 0)
        memcpy(text + BLOCK, input->data, input->length);
    good = good && seal_with(p, text, n, (uint8_t *)output->ciphertext.data);
    if (good) {
        output->magic = KV5M_ENC_DATA;
        output->enctype = key->enctype;
        output->kvno = 0;
        output->ciphertext.length = (unsigned)(n + TAG);
        __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    }
    if (text != NULL)
        gage_wipe(text, n);
    free(text);
    if (w != NULL)
        give(w);
    return good;
}

/* Whether it is the right checksum; false also where libk5crypto is to say. `key` is NULL where the checksum takes none. */
static bool
verify(const krb5_keyblock *key, krb5_keyusage usage, const krb5_data *data, const krb5_checksum *checksum)
{
    if (key == NULL)
        return false;
    const krb5_cksumtype type =
        key->enctype == ENCTYPE_AES256_CTS_HMAC_SHA1_96 ? CKSUMTYPE_HMAC_SHA1_96_AES256 : CKSUMTYPE_HMAC_SHA1_96_AES128;
    uint8_t tag[20];
    if (!key_fits(key) || checksum->checksum_type != type || checksum->length != TAG)
        return false;
    struct workspace *w = take();
    struct pair *p = w != NULL ? pair_of(w, key, usage, CHECKSUMS) : NULL;
    bool good = p != NULL && mac_of(p, (const uint8_t *)data->data, data->length, tag) &&
                slice_equal_ct(gage_slice_of(tag, TAG), gage_slice_of(checksum->contents, TAG));
    if (good)
        __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    if (w != NULL)
        give(w);
    return good;
}

/* ---- what the libraries call ---- */

#define EXPORTED __attribute__((visibility("default")))

EXPORTED krb5_error_code KRB5_CALLCONV
krb5_c_decrypt(krb5_context context, const krb5_keyblock *key, krb5_keyusage usage, const krb5_data *cipher_state,
               const krb5_enc_data *input, krb5_data *output)
{
    pthread_once(&started, start);
    return decrypt(key, usage, cipher_state, input, output)
               ? 0
               : own_c_decrypt(context, key, usage, cipher_state, input, output);
}

EXPORTED krb5_error_code KRB5_CALLCONV
krb5_c_verify_checksum(krb5_context context, const krb5_keyblock *key, krb5_keyusage usage, const krb5_data *data,
                       const krb5_checksum *checksum, krb5_boolean *valid)
{
    pthread_once(&started, start);
    if (!verify(key, usage, data, checksum))
        return own_c_verify(context, key, usage, data, checksum, valid);
    *valid = 1;
    return 0;
}

EXPORTED krb5_error_code KRB5_CALLCONV
krb5_k_decrypt(krb5_context context, krb5_key key, krb5_keyusage usage, const krb5_data *cipher_state,
               const krb5_enc_data *input, krb5_data *output)
{
    krb5_keyblock *block = NULL;
    pthread_once(&started, start);
    bool good = is_ours(krb5_k_key_enctype(context, key)) && krb5_k_key_keyblock(context, key, &block) == 0 &&
                decrypt(block, usage, cipher_state, input, output);
    krb5_free_keyblock(context, block);
    return good ? 0 : own_k_decrypt(context, key, usage, cipher_state, input, output);
}

EXPORTED krb5_error_code KRB5_CALLCONV
krb5_k_encrypt(krb5_context context, krb5_key key, krb5_keyusage usage, const krb5_data *cipher_state,
               const krb5_data *input, krb5_enc_data *output)
{
    krb5_keyblock *block = NULL;
    pthread_once(&started, start);
    bool good = is_ours(krb5_k_key_enctype(context, key)) && krb5_k_key_keyblock(context, key, &block) == 0 &&
                encrypt(block, usage, cipher_state, input, output);
    krb5_free_keyblock(context, block);
    return good ? 0 : own_k_encrypt(context, key, usage, cipher_state, input, output);
}

bool
krb_aes_begin(void)
{
    krb5_error_code (*ours)(krb5_context, krb5_key, krb5_keyusage, const krb5_data *, const krb5_enc_data *,
                            krb5_data *) = krb5_k_decrypt;
    void *called = dlsym(RTLD_DEFAULT, "krb5_k_decrypt"), *here;
    memcpy(&here, &ours, sizeof here);
    pthread_once(&started, start);
    return called == here && own_k_decrypt != NULL && own_k_decrypt != ours && ciphers[0] != NULL &&
           ciphers[1] != NULL && hmac != NULL;
}

uint64_t
krb_aes_count(void)
{
    return __atomic_load_n(&count, __ATOMIC_RELAXED);
}
