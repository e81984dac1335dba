/* X25519 (RFC 7748) by OpenSSL, through its provider's own functions (provider-keymgmt(7), provider-keyexch(7)), looked up once. EVP
 * finds them by name again for each key and each context: a third of an agreement's time on top, for keys that are used once. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include "base/crypto.h"

struct functions {
    EVP_KEYEXCH *exchange; /* holds on to the provider */
    void *provider;
    OSSL_FUNC_keymgmt_new_fn *key_new;
    OSSL_FUNC_keymgmt_import_fn *key_import;
    OSSL_FUNC_keymgmt_free_fn *key_free;
    OSSL_FUNC_keyexch_newctx_fn *newctx;
    OSSL_FUNC_keyexch_init_fn *init;
    OSSL_FUNC_keyexch_set_peer_fn *set_peer;
    OSSL_FUNC_keyexch_derive_fn *derive;
    OSSL_FUNC_keyexch_freectx_fn *freectx;
};

/* The base point, u = 9 (RFC 7748 section 4.1). */
static const uint8_t base_point[X25519_LEN] = {9};

/* ---- looking up ---- */

static const OSSL_DISPATCH *
dispatch_of(const OSSL_PROVIDER *provider, int operation)
{
    static const char name[] = "X25519"; /* the first of the names, which colons part */
    int no_cache = 0;
    const OSSL_ALGORITHM *all = OSSL_PROVIDER_query_operation(provider, operation, &no_cache);
    for (; all != NULL && all->algorithm_names != NULL; all++) {
        char after =
            strncmp(all->algorithm_names, name, sizeof name - 1) == 0 ? all->algorithm_names[sizeof name - 1] : 1;
        if (after == 0 || after == ':')
            return all->implementation;
    }
    return NULL;
}

static void
note_key(struct functions *f, const OSSL_DISPATCH *entry)
{
    switch (entry->function_id) {
    case OSSL_FUNC_KEYMGMT_NEW:
        f->key_new = OSSL_FUNC_keymgmt_new(entry);
        break;
    case OSSL_FUNC_KEYMGMT_IMPORT:
        f->key_import = OSSL_FUNC_keymgmt_import(entry);
        break;
    case OSSL_FUNC_KEYMGMT_FREE:
        f->key_free = OSSL_FUNC_keymgmt_free(entry);
        break;
    default:
        break;
    }
}

static void
note_exchange(struct functions *f, const OSSL_DISPATCH *entry)
{
    switch (entry->function_id) {
    case OSSL_FUNC_KEYEXCH_NEWCTX:
        f->newctx = OSSL_FUNC_keyexch_newctx(entry);
        break;
    case OSSL_FUNC_KEYEXCH_INIT:
        f->init = OSSL_FUNC_keyexch_init(entry);
        break;
    case OSSL_FUNC_KEYEXCH_SET_PEER:
        f->set_peer = OSSL_FUNC_keyexch_set_peer(entry);
        break;
    case OSSL_FUNC_KEYEXCH_DERIVE:
        f->derive = OSSL_FUNC_keyexch_derive(entry);
        break;
    case OSSL_FUNC_KEYEXCH_FREECTX:
        f->freectx = OSSL_FUNC_keyexch_freectx(entry);
        break;
    default:
        break;
    }
}

static bool
look_up(struct functions *f)
{
    f->exchange = EVP_KEYEXCH_fetch(NULL, "X25519", NULL);
    if (f->exchange == NULL)
        return false;
    const OSSL_PROVIDER *provider = EVP_KEYEXCH_get0_provider(f->exchange);
    const OSSL_DISPATCH *key = dispatch_of(provider, OSSL_OP_KEYMGMT);
    const OSSL_DISPATCH *exchange = dispatch_of(provider, OSSL_OP_KEYEXCH);
    for (; key != NULL && key->function_id != 0; key++)
        note_key(f, key);
    for (; exchange != NULL && exchange->function_id != 0; exchange++)
        note_exchange(f, exchange);
    f->provider = OSSL_PROVIDER_get0_provider_ctx(provider);
    return f->key_new != NULL && f->key_import != NULL && f->key_free != NULL && f->newctx != NULL && f->init != NULL &&
           f->set_peer != NULL && f->derive != NULL && f->freectx != NULL;
}

/* NULL where memory is short or OpenSSL has no X25519; the next call tries again. */
static const struct functions *
functions(void)
{
    static struct functions *_Atomic found;
    struct functions *f = atomic_load_explicit(&found, memory_order_acquire), *none = NULL;
    if (f != NULL)
        return f;
    f = calloc(1, sizeof *f);
    if (f != NULL && look_up(f) && atomic_compare_exchange_strong(&found, &none, f))
        return f;
    if (f != NULL)
        EVP_KEYEXCH_free(f->exchange);
    free(f);
    return none; /* another thread's, if it was faster */
}

/* ---- keys and agreements ---- */

/* A key of the provider's; private_key NULL: a public one alone. */
static void *
new_key(const struct functions *f, const uint8_t public_key[X25519_LEN], const gage_secret *private_key)
{
    uint8_t half[X25519_LEN];
    memcpy(half, public_key, sizeof half);
    const OSSL_PARAM own = private_key == NULL
                               ? OSSL_PARAM_construct_end()
                               : OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY,
                                                                   (void *)(uintptr_t)private_key->b, private_key->n);
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, half, sizeof half), own,
                                 OSSL_PARAM_construct_end()};
    int selection = private_key == NULL ? OSSL_KEYMGMT_SELECT_PUBLIC_KEY : OSSL_KEYMGMT_SELECT_KEYPAIR;
    void *key = f->key_new(f->provider);
    if (key == NULL || f->key_import(key, selection, params) == 1)
        return key;
    f->key_free(key);
    return NULL;
}

void
x25519_close(struct x25519 *open)
{
    if (open->exchange != NULL)
        functions()->freectx(open->exchange);
    open->exchange = NULL;
}

gage_rc
x25519_open(struct x25519 *open, const gage_secret *private_key)
{
    const struct functions *f = functions();
    open->exchange = NULL;
    if (f == NULL)
        return gage_rc_of(GAGE_E_INTERNAL);
    /* The public half is a stand-in: an agreement does not look at it, and OpenSSL's way of computing the right one is slower than an
     * agreement with the base point, which gives the same. */
    void *key = new_key(f, base_point, private_key);
    void *exchange = key != NULL ? f->newctx(f->provider) : NULL;
    bool good = exchange != NULL && f->init(exchange, key, NULL) == 1;
    if (key != NULL)
        f->key_free(key); /* the context holds on to it */
    if (!good && exchange != NULL)
        f->freectx(exchange);
    open->exchange = good ? exchange : NULL;
    return gage_rc_of(good ? GAGE_OK : GAGE_E_INTERNAL);
}

gage_rc
x25519_with(struct x25519 *open, const uint8_t peer[X25519_LEN], gage_secret *shared)
{
    static const uint8_t zeros[X25519_LEN];
    const struct functions *f = functions();
    size_t n = 0;
    shared->n = 0;
    void *theirs = new_key(f, peer, NULL);
    bool set = theirs != NULL && f->set_peer(open->exchange, theirs) == 1;
    if (theirs != NULL)
        f->key_free(theirs);
    if (!set)
        return gage_rc_of(GAGE_E_INTERNAL);
    if (f->derive(open->exchange, shared->b, &n, sizeof shared->b) != 1 || n != X25519_LEN ||
        CRYPTO_memcmp(shared->b, zeros, sizeof zeros) == 0)
        return gage_rc_of(GAGE_E_AUTH);
    shared->n = X25519_LEN;
    return GAGE_DONE;
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
    TRY(x25519_with(open, base_point, &point));
    memcpy(public_key, point.b, X25519_LEN);
    return GAGE_DONE;
}

gage_rc
x25519_generate(const struct gage_rng *rng, gage_secret *private_key, uint8_t public_key[X25519_LEN])
{
    AUTO(x25519_t) open = {NULL};
    return x25519_make(rng, private_key, public_key, &open);
}
