/* X25519 (RFC 7748) by OpenSSL. */
#include <pthread.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "base/crypto.h"

static void
free_pkey(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void
free_pkey_ctx(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

#define SCOPED(destroy) __attribute__((cleanup(destroy)))

/* The base point, u = 9 (RFC 7748 section 4.1). */
static const uint8_t base_point[X25519_LEN] = {9};

static EVP_PKEY *base_key;
static pthread_once_t base_once = PTHREAD_ONCE_INIT;

static void
make_base_key(void)
{
    base_key = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, base_point, sizeof base_point);
}

static EVP_PKEY *
base_point_key(void)
{
    pthread_once(&base_once, make_base_key);
    return base_key;
}

/* A key whose public half is a stand-in: an agreement does not look at it, and OpenSSL's way of computing the right one is slower than an
 * agreement with the base point, which gives the same. */
static EVP_PKEY *
x25519_key(const gage_secret *private_key)
{
    uint8_t stand_in[X25519_LEN];
    memcpy(stand_in, base_point, sizeof stand_in);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)(uintptr_t)private_key->b, private_key->n),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, stand_in, sizeof stand_in),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY *key = NULL;
    SCOPED(free_pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
        return NULL;
    return key;
}

void
x25519_close(struct x25519 *open)
{
    EVP_PKEY_CTX_free(open->derive);
    open->derive = NULL;
}

gage_rc
x25519_open(struct x25519 *open, const gage_secret *private_key)
{
    SCOPED(free_pkey) EVP_PKEY *key = x25519_key(private_key); /* the context holds on to it */
    open->derive = key != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
    if (open->derive != NULL && EVP_PKEY_derive_init(open->derive) == 1)
        return GAGE_DONE;
    x25519_close(open);
    return gage_rc_of(GAGE_E_INTERNAL);
}

static gage_rc
derive(struct x25519 *open, EVP_PKEY *theirs, gage_secret *shared)
{
    static const uint8_t zeros[X25519_LEN];
    size_t n = X25519_LEN;
    bool good = theirs != NULL && EVP_PKEY_derive_set_peer_ex(open->derive, theirs, 0) == 1 &&
                EVP_PKEY_derive(open->derive, shared->b, &n) == 1 && n == X25519_LEN &&
                CRYPTO_memcmp(shared->b, zeros, sizeof zeros) != 0;
    shared->n = good ? X25519_LEN : 0;
    return good ? GAGE_DONE : gage_rc_of(GAGE_E_AUTH);
}

gage_rc
x25519_with(struct x25519 *open, const uint8_t peer[X25519_LEN], gage_secret *shared)
{
    SCOPED(free_pkey) EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, peer, X25519_LEN);
    if (theirs == NULL)
        return gage_rc_of(GAGE_E_INTERNAL);
    return derive(open, theirs, shared);
}

gage_rc
x25519_shared(const gage_secret *private_key, const uint8_t peer[X25519_LEN], gage_secret *shared)
{
    AUTO(x25519_t) open = {NULL};
    TRY(x25519_open(&open, private_key));
    return x25519_with(&open, peer, shared);
}

gage_rc
x25519_make(const struct gage_rng *rng, gage_secret *private_key, uint8_t public_key[X25519_LEN], struct x25519 *open)
{
    AUTO(gage_secret) point = {.n = 0};
    TRY(rng_fill(rng, private_key->b, X25519_LEN));
    private_key->n = X25519_LEN;
    TRY(x25519_open(open, private_key));
    TRY(derive(open, base_point_key(), &point));
    memcpy(public_key, point.b, X25519_LEN);
    return GAGE_DONE;
}

gage_rc
x25519_generate(const struct gage_rng *rng, gage_secret *private_key, uint8_t public_key[X25519_LEN])
{
    AUTO(x25519_t) open = {NULL};
    return x25519_make(rng, private_key, public_key, &open);
}
