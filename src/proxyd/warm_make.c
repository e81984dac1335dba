/* What makes two calls mean the same, and acquiring a credential to keep. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxyd/warm_entry.h"

#define KEYTAB_REFRESH 5     /* seconds after which a keytab file that changed just now may be read into memory */
#define ENDLESS_REFRESH 3600 /* seconds after which even a credential without an end is acquired anew */

void
warm_entry_free(struct warm_entry *e)
{
    OM_uint32 minor;
    while (e->idle_count > 0)
        gss_release_cred(&minor, &e->idle[--e->idle_count]);
    if (e->ccache[0] != '\0')
        memory_ccache_destroy(e->ccache);
    keytab_drop(&e->keytab);
    xdr_free(GSSX_XDR(gssx_cred), &e->described);
    gage_buf_free(&e->handle);
    gage_buf_free(&e->copy);
    free(e);
}

/* ---- what two calls have to share ---- */

/* False where something behind the credential cannot be watched: then it is not kept. */
bool
warm_digest(struct warm_pool *pool, struct call *call, const struct cred_spec *spec, const struct cred_store *store,
            uint8_t digest[SHA256_LEN])
{
    AUTO(gage_buf) key = GAGE_BUF(65536);
    bool watched = true;
    buf_reserve(&key, 1024);
    put_vec16(&key, slice_str(call->service->name));
    put_u64(&key, call->conf->generation);
    put_u32(&key, call->peer->uid);
    spec_encode(spec, &key);
    for (size_t i = 0; i < store->count; i++) {
        const char *row = store->rows[i].key, *value = store->text[i], *path = store_path(value);
        put_vec16(&key, slice_str(row));
        put_vec16(&key, slice_str(value));
        const struct users_file *file = &store->file[i];
        put_u8(&key, (uint8_t)file->place);
        if (path != NULL && file->place != PLACE_EMPTY)
            put_identity(&key, file->fd, path, file->place == PLACE_OURS && strcmp(row, "ccache") == 0);
        else if (path == NULL && strcmp(row, "ccache") == 0)
            watched = false;
    }
    if (store_find(store, "keytab") == NULL && store_path(pool->default_keytab) != NULL)
        put_identity(&key, -1, store_path(pool->default_keytab), false);
    if (store->count == 0 && spec->usage != GSS_C_ACCEPT) /* the daemon's own default cache */
        watched = false;
    return watched && gage_ok(buf_check(&key, NULL)) && gage_ok(sha256_of(gage_buf_slice(&key), digest));
}

/* ---- making ---- */

static int64_t
end_of(const gssx_cred *described, int64_t now)
{
    uint64_t least = UINT32_MAX;
    for (u_int i = 0; i < described->elements.elements_len; i++) {
        const gssx_cred_element *e = &described->elements.elements_val[i];
        if (e->cred_usage != GSSX_C_ACCEPT && e->initiator_time_rec < least)
            least = e->initiator_time_rec;
    }
    return least == UINT32_MAX ? 0 : now + (int64_t)least;
}

/* A credential got by impersonation is copied from this rather than asked of the KDC again. */
static bool
keep_copy(struct call *call, gss_cred_id_t cred, gage_buf *copy)
{
    AUTO(gss_owned_buffer) token = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, major = gss_export_cred(&minor, cred, &token);
    if (GSS_ERROR(major))
        return status_set(&call->status, major, minor, GSS_C_NO_OID);
    put_bytes(copy, gss_slice(&token));
    gage_wipe(token.value, token.length);
    return !copy->bad || status_fail(&call->status, GSS_S_FAILURE, E2BIG, "the credential is too large to keep");
}

/* Acquires it once more with the keytab's copy: what is wrong with the file was told with its name. */
static void
move_to_memory(struct call *call, const struct cred_spec *spec, struct cred_store *store, struct warm_entry *e,
               gss_cred_id_t *cred)
{
    const char *keytab = store_find(store, "keytab");
    OM_uint32 minor;
    gss_cred_id_t again = GSS_C_NO_CREDENTIAL;
    if (spec->usage == GSS_C_INITIATE || spec->impersonate || keytab == NULL)
        return;
    e->keytab = keytab_keep(keytab, call->now);
    if (e->keytab == NULL)
        return;
    if (!store_set(call, store, "keytab", keytab_name(e->keytab)) || !spec_acquire(call, spec, store, &again)) {
        keytab_drop(&e->keytab);
        status_clear(&call->status);
        return;
    }
    gss_release_cred(&minor, cred);
    *cred = again;
}

/* Acquires and describes; the first credential becomes idle. */
bool
warm_make(struct call *call, const struct cred_spec *spec, struct cred_store *store, struct warm_entry *e)
{
    AUTO(gss_cred_id_t) cred = GSS_C_NO_CREDENTIAL;
    if (!store_keep_apart(call, spec, store, e->ccache) || !spec_acquire(call, spec, store, &cred))
        return false;
    move_to_memory(call, spec, store, e, &cred);
    if (!cred_describe(cred, &e->described, &call->status))
        return false;
    if (spec->impersonate && !keep_copy(call, cred, &e->copy))
        return false;
    e->generation = call->conf->generation;
    e->made = call->now;
    e->expires = end_of(&e->described, call->now);
    e->renew_at = e->expires == 0 ? call->now + ENDLESS_REFRESH : call->now + (e->expires - call->now) * 2 / 3;
    if (spec->usage == GSS_C_ACCEPT && e->keytab == NULL && store_find(store, "keytab") != NULL)
        e->renew_at = call->now + KEYTAB_REFRESH;
    if (e->expires != 0 && e->expires - call->now < call->service->min_lifetime)
        return status_fail(&call->status, GSS_S_CREDENTIALS_EXPIRED, ETIME,
                           "the credential lives for %lld seconds only, and min_lifetime is %lld: get a new ticket",
                           (long long)(e->expires - call->now), (long long)call->service->min_lifetime);
    e->idle[e->idle_count++] = cred;
    cred = GSS_C_NO_CREDENTIAL;
    return true;
}

struct warm_entry *
warm_entry_new(const uint8_t digest[SHA256_LEN])
{
    struct warm_entry *e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->refs = 1;
    e->handle = GAGE_BUF(SPEC_BYTES_MAX + 512);
    e->copy = GAGE_BUF(VAULT_PAYLOAD_MAX);
    if (digest != NULL)
        memcpy(e->digest, digest, SHA256_LEN);
    return e;
}

/* Another credential like the entry's. */
bool
warm_clone(struct call *call, const struct cred_spec *spec, struct cred_store *store, const struct warm_entry *e,
           gss_cred_id_t *cred)
{
    if (e->copy.n > 0) {
        gss_buffer_desc token = {e->copy.n, e->copy.p};
        OM_uint32 minor, major = gss_import_cred(&minor, &token, cred);
        return status_set(&call->status, major, minor, GSS_C_NO_OID);
    }
    if ((e->ccache[0] != '\0' && !store_set(call, store, "ccache", e->ccache)) ||
        (e->keytab != NULL && !store_set(call, store, "keytab", keytab_name(e->keytab))))
        return false;
    return spec_acquire(call, spec, store, cred);
}
