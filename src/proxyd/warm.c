#include "proxyd/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <krb5.h>

#include "proxyd/mech.h"
#include "proxyd/warm_entry.h"

#define UNUSED_SECONDS 600
#define RETRY_SECONDS 30 /* between attempts to renew one that still serves */

struct warm_pool *
warm_new(void)
{
    struct warm_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->made, NULL);
    if (krb5_init_context(&pool->context) == 0)
        (void)krb5_kt_default_name(pool->context, pool->default_keytab, sizeof pool->default_keytab);
    return pool;
}

/* With the lock held. Gives the entry to free, if nobody has it any more: that is done without the lock. */
static struct warm_entry *
unref(struct warm_entry *e)
{
    return --e->refs == 0 ? e : NULL;
}

static struct warm_entry **
bucket_of(struct warm_pool *pool, const uint8_t digest[SHA256_LEN])
{
    return &pool->buckets[digest[0]];
}

static void
link_entry(struct warm_pool *pool, struct warm_entry *e)
{
    struct warm_entry **bucket = bucket_of(pool, e->digest);
    e->next = *bucket;
    *bucket = e;
    e->linked = true;
    e->refs++;
}

/* Takes it out of the table, whose reference the caller then has to drop. */
static bool
unlink_entry(struct warm_pool *pool, struct warm_entry *e)
{
    if (!e->linked)
        return false;
    for (struct warm_entry **p = bucket_of(pool, e->digest); *p != NULL; p = &(*p)->next) {
        if (*p == e) {
            *p = e->next;
            break;
        }
    }
    e->linked = false;
    return true;
}

static struct warm_entry *
find_entry(struct warm_pool *pool, const uint8_t digest[SHA256_LEN])
{
    struct warm_entry *e = *bucket_of(pool, digest);
    while (e != NULL && memcmp(e->digest, digest, SHA256_LEN) != 0)
        e = e->next;
    return e;
}

/* ---- taking ---- */

/* With the lock held: an idle credential, or none. */
static gss_cred_id_t
pop(struct warm_entry *e, int64_t now)
{
    e->last_used = now;
    return e->idle_count > 0 ? e->idle[--e->idle_count] : GSS_C_NO_CREDENTIAL;
}

/* Makes an entry for the table; others wait for it meanwhile. Called and returns with the lock held. */
static bool
make_shared(struct warm_pool *pool, struct call *call, const struct cred_spec *spec, struct cred_store *store,
            struct warm_entry *e)
{
    pthread_mutex_unlock(&pool->lock);
    bool good = warm_make(call, spec, store, e);
    /* Acquiring may have made the ticket cache that the key speaks of. */
    uint8_t digest[SHA256_LEN];
    AUTO(cred_store) again = {0};
    bool keep = good && store_expand(call, spec, &again) && warm_digest(pool, call, spec, &again, digest) &&
                (e->keytab == NULL || keytab_current(e->keytab));
    pthread_mutex_lock(&pool->lock);
    e->state = good ? READY : FAILED;
    if (!good)
        e->failure = call->status;
    if (unlink_entry(pool, e))
        e->refs--;
    if (keep && find_entry(pool, digest) == NULL) {
        memcpy(e->digest, digest, sizeof digest);
        link_entry(pool, e);
    }
    pthread_cond_broadcast(&pool->made);
    return good;
}

/* Whether it still serves; an entry past its end leaves the table. With the lock held. */
static bool
fresh(struct warm_pool *pool, const struct call *call, struct warm_entry *e)
{
    if (e->expires == 0 ||
        e->expires - call->now >= (call->service->min_lifetime > 0 ? call->service->min_lifetime : 1))
        return true;
    if (unlink_entry(pool, e))
        e->refs--;
    return false;
}

/* Past two thirds of its life: one caller acquires a successor while the others go on with this one. With the lock held. */
static struct warm_entry *
renew(struct warm_pool *pool, struct call *call, const struct cred_spec *spec, struct cred_store *store,
      struct warm_entry *e)
{
    if (e->renewing || call->now < e->renew_at)
        return e;
    struct warm_entry *successor = warm_entry_new(e->digest);
    if (successor == NULL)
        return e;
    e->renewing = true;
    pthread_mutex_unlock(&pool->lock);
    AUTO(cred_store) own = {0};
    bool good = store_expand(call, spec, &own) && warm_make(call, spec, &own, successor);
    pthread_mutex_lock(&pool->lock);
    e->renewing = false;
    struct warm_entry *dead = NULL, *result = e;
    if (good && (successor->expires == 0 || successor->expires > e->expires) && e->linked) {
        successor->state = READY;
        unlink_entry(pool, e);
        e->refs--;
        link_entry(pool, successor);
        dead = unref(e);
        result = successor;
    } else {
        e->renew_at = call->now + RETRY_SECONDS;
        dead = unref(successor);
    }
    pthread_mutex_unlock(&pool->lock);
    if (dead != NULL)
        warm_entry_free(dead);
    if (result == e)
        status_clear(&call->status);
    pthread_mutex_lock(&pool->lock);
    return result;
}

/* The table's entry for the digest, ready to serve, with a reference for the caller; NULL with the status set. With the lock held. */
static struct warm_entry *
find_or_make(struct warm_pool *pool, struct call *call, const struct cred_spec *spec, struct cred_store *store,
             const uint8_t digest[SHA256_LEN])
{
    struct warm_entry *e = find_entry(pool, digest);
    if (e == NULL || (e->state == READY && !fresh(pool, call, e))) {
        e = warm_entry_new(digest);
        if (e == NULL) {
            status_fail(&call->status, GSS_S_FAILURE, ENOMEM, "out of memory");
            return NULL;
        }
        link_entry(pool, e);
        (void)make_shared(pool, call, spec, store, e);
    } else {
        e->refs++;
        while (e->state == MAKING)
            pthread_cond_wait(&pool->made, &pool->lock);
        if (e->state == READY)
            e = renew(pool, call, spec, store, e);
    }
    if (e->state == READY)
        return e;
    call->status = e->failure;
    call->status.mech.elements = call->status.mech_bytes;
    struct warm_entry *dead = unref(e);
    if (dead != NULL)
        warm_entry_free(dead);
    return NULL;
}

static bool
take_unwatched(struct call *call, const struct cred_spec *spec, struct cred_store *store, struct warm_use *use)
{
    struct warm_entry *e = warm_entry_new(NULL);
    if (e == NULL)
        return status_fail(&call->status, GSS_S_FAILURE, ENOMEM, "out of memory");
    if (!warm_make(call, spec, store, e)) {
        warm_entry_free(e);
        return false;
    }
    *use = (struct warm_use){e, pop(e, call->now)};
    return true;
}

bool
warm_take(struct warm_pool *pool, struct call *call, const struct cred_spec *spec, struct warm_use *use)
{
    AUTO(cred_store) store = {0};
    uint8_t digest[SHA256_LEN];
    *use = (struct warm_use){0};
    if (!store_expand(call, spec, &store))
        return false;
    if (!warm_digest(pool, call, spec, &store, digest))
        return take_unwatched(call, spec, &store, use);
    pthread_mutex_lock(&pool->lock);
    struct warm_entry *e = find_or_make(pool, call, spec, &store, digest);
    if (e != NULL)
        *use = (struct warm_use){e, pop(e, call->now)};
    pthread_mutex_unlock(&pool->lock);
    if (e == NULL)
        return false;
    if (use->cred != GSS_C_NO_CREDENTIAL)
        return status_set(&call->status, GSS_S_COMPLETE, 0, spec->mech_count == 1 ? &spec->mechs[0] : GSS_C_NO_OID);
    if (warm_clone(call, spec, &store, e, &use->cred))
        return true;
    warm_give(pool, use, false);
    return false;
}

void
warm_give(struct warm_pool *pool, struct warm_use *use, bool good)
{
    struct warm_entry *e = use->entry;
    gss_cred_id_t cred = use->cred;
    OM_uint32 minor;
    *use = (struct warm_use){0};
    if (e == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    if (good && e->linked && e->idle_count < IDLE_MAX && cred != GSS_C_NO_CREDENTIAL) {
        e->idle[e->idle_count++] = cred;
        cred = GSS_C_NO_CREDENTIAL;
    }
    struct warm_entry *dead = unref(e);
    pthread_mutex_unlock(&pool->lock);
    if (cred != GSS_C_NO_CREDENTIAL)
        gss_release_cred(&minor, &cred);
    if (dead != NULL)
        warm_entry_free(dead);
}

/* ---- describing ---- */

/* The handle is the same for every call that means the same, so one is sealed and kept. */
static bool
put_handle(struct call *call, struct warm_entry *e, const struct cred_spec *spec, octet_string *to)
{
    struct warm_pool *pool = call->engine->warm;
    AUTO(gage_buf) payload = GAGE_BUF(SPEC_BYTES_MAX), handle = GAGE_BUF(SPEC_BYTES_MAX + 512);
    struct handle_scope scope = call_scope(call);
    pthread_mutex_lock(&pool->lock);
    put_bytes(&handle, gage_buf_slice(&e->handle));
    pthread_mutex_unlock(&pool->lock);
    if (handle.n > 0)
        return gssx_put(to, gage_buf_slice(&handle));
    put_u8(&payload, 'S');
    spec_encode(spec, &payload);
    if (!gage_ok(vault_seal(call->engine->vault, HANDLE_CRED, &scope, oid_slice(&spec->mechs[0]), 0,
                            gage_buf_slice(&payload), &handle)))
        return false;
    pthread_mutex_lock(&pool->lock);
    if (e->handle.n == 0)
        put_bytes(&e->handle, gage_buf_slice(&handle));
    pthread_mutex_unlock(&pool->lock);
    return gssx_put(to, gage_buf_slice(&handle));
}

bool
warm_describe(struct call *call, struct warm_use *use, const struct cred_spec *spec, gssx_cred *to)
{
    uint64_t passed = (uint64_t)(call->now > use->entry->made ? call->now - use->entry->made : 0);
    if (!cred_copy_described(to, &use->entry->described))
        return status_fail(&call->status, GSS_S_FAILURE, ENOMEM, "out of memory");
    for (u_int i = 0; i < to->elements.elements_len; i++) {
        gssx_cred_element *e = &to->elements.elements_val[i];
        if (e->initiator_time_rec != GSS_C_INDEFINITE)
            e->initiator_time_rec -= e->initiator_time_rec > passed ? passed : e->initiator_time_rec;
    }
    return put_handle(call, use->entry, spec, &to->cred_handle_reference) ||
           status_fail(&call->status, GSS_S_FAILURE, EIO, "the credential handle could not be sealed");
}

void
warm_sweep(struct warm_pool *pool, int64_t now, uint64_t oldest_generation)
{
    struct warm_entry *dead = NULL;
    pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct warm_entry *e = pool->buckets[i], *next; e != NULL; e = next) {
            next = e->next;
            if (e->state != READY) /* its maker still writes to it */
                continue;
            bool old = e->generation < oldest_generation || now - e->last_used > UNUSED_SECONDS;
            if (!old || !unlink_entry(pool, e))
                continue;
            if (unref(e) != NULL) {
                e->next = dead;
                dead = e;
            }
        }
    }
    pthread_mutex_unlock(&pool->lock);
    while (dead != NULL) {
        struct warm_entry *e = dead;
        dead = e->next;
        warm_entry_free(e);
    }
}

void
warm_free(struct warm_pool **pool)
{
    if (*pool == NULL)
        return;
    warm_sweep(*pool, INT64_MAX, UINT64_MAX);
    if ((*pool)->context != NULL)
        krb5_free_context((*pool)->context);
    pthread_mutex_destroy(&(*pool)->lock);
    pthread_cond_destroy(&(*pool)->made);
    free(*pool);
    *pool = NULL;
}
