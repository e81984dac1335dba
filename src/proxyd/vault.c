#include "proxyd/vault.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "proxyd/nonce.h"

#define FORMAT 2
#define KEY_LEN SEALER_KEY_LEN
#define KEYS 2
#define FILE_MAGIC "gage-handles-1\n"
#define FILE_NAME "gage-handles.key"
#define HEADER_MIN (1 + 1 + 4 + 8 + VAULT_SALT_LEN + 1)

struct vault_key {
    uint32_t id;
    int64_t made;
    gage_secret secret;
};

/* A client sends the same credential handle with each call: the last ones that opened are kept with what was in them, and a handle is one
 * of them only if every byte of it and of its associated data is the same. */
#define KEPT 64
#define KEPT_PAYLOAD_MAX 512
struct kept {
    gage_buf sealed; /* associated data and ciphertext; empty: none */
    gage_buf payload;
};

#define SEALERS 8
struct vault {
    pthread_rwlock_t lock;
    pthread_mutex_t kept_lock;
    struct kept kept[KEPT];
    struct sealer *sealers[SEALERS]; /* each in one thread's hands at a time */
    char *path;                      /* NULL: keys live in memory only */
    struct vault_key keys[KEYS];     /* newest first */
    size_t count;
};

static gage_rc
make_key(struct vault *v, int64_t now)
{
    struct vault_key fresh = {.made = now, .secret.n = KEY_LEN};
    TRY(rng_fill(&gage_system_rng, &fresh.id, sizeof fresh.id));
    TRY(rng_fill(&gage_system_rng, fresh.secret.b, KEY_LEN));
    v->keys[1] = v->keys[0];
    v->keys[0] = fresh;
    v->count = v->count < KEYS ? v->count + 1 : KEYS;
    secret_wipe(&fresh.secret);
    return GAGE_DONE;
}

static gage_rc
write_keys(const struct vault *v, struct gage_err *err)
{
    AUTO(gage_buf) file = GAGE_BUF(1024);
    if (v->path == NULL)
        return GAGE_DONE;
    put_bytes(&file, SLICE_LITERAL(FILE_MAGIC));
    put_u8(&file, (uint8_t)v->count);
    for (size_t i = 0; i < v->count; i++) {
        put_u32(&file, v->keys[i].id);
        put_u64(&file, (uint64_t)v->keys[i].made);
        put_bytes(&file, secret_slice(&v->keys[i].secret));
    }
    TRY(buf_check(&file, err));
    return file_replace(v->path, gage_buf_slice(&file), 0600, err);
}

static gage_rc
read_keys(struct vault *v, struct gage_err *err)
{
    AUTO(gage_buf) file = GAGE_BUF(1024);
    TRY(file_read(v->path, &file, err));
    struct reader r = read_from(gage_buf_slice(&file));
    gage_slice magic = get_bytes(&r, sizeof FILE_MAGIC - 1);
    size_t count = get_u8(&r);
    REQUIRE(slice_equal(magic, SLICE_LITERAL(FILE_MAGIC)) && count >= 1 && count <= KEYS, err, GAGE_E_FORMAT,
            "%s is not a file of handle keys: remove it, clients then acquire anew", v->path);
    struct vault_key keys[KEYS] = {0};
    for (size_t i = 0; i < count; i++) {
        keys[i].id = get_u32(&r);
        keys[i].made = (int64_t)get_u64(&r);
        get_copy(&r, keys[i].secret.b, KEY_LEN);
        keys[i].secret.n = KEY_LEN;
    }
    gage_rc rc = read_end(&r, err, v->path);
    if (gage_ok(rc)) {
        memcpy(v->keys, keys, sizeof keys);
        v->count = count;
    }
    gage_wipe(keys, sizeof keys);
    return rc;
}

static gage_rc
refresh(struct vault *v, int64_t now, struct gage_err *err)
{
    if (v->path != NULL) {
        gage_rc rc = read_keys(v, err);
        if (!gage_ok(rc) && rc.code != GAGE_E_NOT_FOUND)
            return rc;
    }
    if (v->count > 0 && now - v->keys[0].made < VAULT_KEY_DAYS * (int64_t)86400)
        return GAGE_DONE;
    TRY(make_key(v, now));
    return write_keys(v, err);
}

static void
forget_kept(struct vault *v)
{
    pthread_mutex_lock(&v->kept_lock);
    for (size_t i = 0; i < KEPT; i++) {
        gage_buf_free(&v->kept[i].sealed);
        gage_buf_free(&v->kept[i].payload);
    }
    pthread_mutex_unlock(&v->kept_lock);
}

/* With the lock held for writing: none is in use. */
static void
forget_sealers(struct vault *v)
{
    for (size_t i = 0; i < SEALERS; i++)
        sealer_free(&v->sealers[i]);
}

gage_rc
vault_rotate(struct vault *v, int64_t now, struct gage_err *err)
{
    AUTO(gage_fd) lock = -1;
    char path[4096];
    if (v->path != NULL) {
        snprintf(path, sizeof path, "%s.lock", v->path);
        TRY(file_lock(path, &lock, err));
    }
    pthread_rwlock_wrlock(&v->lock);
    gage_rc rc = refresh(v, now, err);
    forget_kept(v); /* a key may have ended */
    forget_sealers(v);
    pthread_rwlock_unlock(&v->lock);
    return rc;
}

gage_rc
vault_open(const char *folder, int64_t now, struct vault **out, struct gage_err *err)
{
    struct vault *v = calloc(1, sizeof *v);
    REQUIRE(v != NULL, err, GAGE_E_NOMEM, "out of memory");
    pthread_rwlock_init(&v->lock, NULL);
    pthread_mutex_init(&v->kept_lock, NULL);
    for (size_t i = 0; i < KEPT; i++)
        v->kept[i] = (struct kept){GAGE_BUF(2048), GAGE_BUF(KEPT_PAYLOAD_MAX)};
    gage_rc rc = GAGE_DONE;
    if (folder != NULL) {
        if (mkdir(folder, 0755) == 0) /* the default socket may stand in it; the keys have a mode of their own */
            (void)!chmod(folder, 0755);
        rc = folder_make(folder, 0755, err);
        if (gage_ok(rc) && asprintf(&v->path, "%s/%s", folder, FILE_NAME) < 0)
            rc = gage_fail(err, GAGE_E_NOMEM, "out of memory");
    }
    if (gage_ok(rc))
        rc = vault_rotate(v, now, err);
    if (!gage_ok(rc)) {
        vault_close(&v);
        return rc;
    }
    *out = v;
    return GAGE_DONE;
}

void
vault_close(struct vault **vault)
{
    struct vault *v = *vault;
    *vault = NULL;
    if (v == NULL)
        return;
    forget_kept(v);
    forget_sealers(v);
    pthread_rwlock_destroy(&v->lock);
    pthread_mutex_destroy(&v->kept_lock);
    free(v->path);
    gage_wipe(v, sizeof *v);
    free(v);
}

/* A sealer of the caller's own under this key: a kept one where one is free. NULL where memory is short. With the lock held. */
static struct sealer *
take_sealer(struct vault *v, const struct vault_key *key)
{
    struct sealer *sealer = NULL;
    for (size_t i = 0; i < SEALERS && sealer == NULL; i++)
        sealer = __atomic_exchange_n(&v->sealers[i], NULL, __ATOMIC_ACQ_REL);
    if (sealer == NULL)
        sealer = sealer_new();
    if (sealer != NULL && !sealer_has(sealer, key->id) && !gage_ok(sealer_set(sealer, key->id, key->secret.b)))
        sealer_free(&sealer);
    return sealer;
}

/* Keeps it, or frees it where enough are kept. With the lock held. */
static void
give_sealer(struct vault *v, struct sealer *sealer)
{
    for (size_t i = 0; i < SEALERS; i++) {
        struct sealer *none = NULL;
        if (__atomic_compare_exchange_n(&v->sealers[i], &none, sealer, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            return;
    }
    sealer_free(&sealer);
}

/* Associated data: the clear header, then whom it is for. */
static void
put_context(gage_buf *aad, gage_slice header, const struct handle_scope *scope)
{
    const struct service *s = scope->service;
    put_vec16(aad, header);
    put_vec16(aad, slice_str(s->name));
    put_bytes(aad, SLICE_OF(s->policy));
    put_u8(aad, s->user_bound);
    put_u32(aad, s->user_bound ? scope->uid : 0);
}

/* The clear header and the message. With the lock held. */
static gage_rc
seal(struct vault *v, enum handle_kind kind, const struct handle_scope *scope, gage_slice mech, int64_t expires,
     gage_slice payload, gage_buf *out)
{
    AUTO(gage_buf) aad = GAGE_BUF(2048);
    uint8_t salt[VAULT_SALT_LEN];
    size_t start = out->n;
    TRY(nonce_fill(salt, sizeof salt));
    buf_reserve(&aad, 256);
    buf_reserve(out, HEADER_MIN + mech.n + payload.n + GCM_TAG_LEN);
    put_u8(out, FORMAT);
    put_u8(out, (uint8_t)kind);
    put_u32(out, v->keys[0].id);
    put_u64(out, (uint64_t)expires);
    put_bytes(out, SLICE_OF(salt));
    put_vec8(out, mech);
    TRY(buf_check(out, NULL));
    put_context(&aad, gage_slice_of(out->p + start, out->n - start), scope);
    TRY(buf_check(&aad, NULL));
    struct sealer *sealer = take_sealer(v, &v->keys[0]);
    if (sealer == NULL)
        return gage_rc_of(GAGE_E_NOMEM);
    gage_rc rc = sealer_seal(sealer, salt, gage_buf_slice(&aad), payload, out);
    give_sealer(v, sealer);
    return rc;
}

gage_rc
vault_seal(struct vault *v, enum handle_kind kind, const struct handle_scope *scope, gage_slice mech, int64_t expires,
           gage_slice payload, gage_buf *out)
{
    if (payload.n > VAULT_PAYLOAD_MAX)
        return gage_rc_of(GAGE_E_LIMIT);
    pthread_rwlock_rdlock(&v->lock);
    gage_rc rc = seal(v, kind, scope, mech, expires, payload, out);
    pthread_rwlock_unlock(&v->lock);
    return rc;
}

static struct kept *
kept_of(struct vault *v, gage_slice salt)
{
    return &v->kept[salt.p[0] % KEPT];
}

/* Appends the payload of a handle that opened before. */
static bool
recall(struct vault *v, gage_slice salt, gage_slice aad, gage_slice sealed, gage_buf *payload)
{
    pthread_mutex_lock(&v->kept_lock);
    const struct kept *k = kept_of(v, salt);
    bool same = k->sealed.n > 0 && k->sealed.n == aad.n + sealed.n &&
                slice_equal_ct(gage_slice_of(k->sealed.p, aad.n), aad) &&
                slice_equal_ct(gage_slice_of(k->sealed.p + aad.n, sealed.n), sealed);
    if (same)
        put_bytes(payload, gage_buf_slice(&k->payload));
    pthread_mutex_unlock(&v->kept_lock);
    return same && !payload->bad;
}

static bool
has_key(const struct vault *v, uint32_t id)
{
    return v->keys[0].id == id || (v->count > 1 && v->keys[1].id == id);
}

static void
remember(struct vault *v, uint32_t id, gage_slice salt, gage_slice aad, gage_slice sealed, gage_slice payload)
{
    pthread_rwlock_rdlock(&v->lock);
    pthread_mutex_lock(&v->kept_lock);
    struct kept *k = kept_of(v, salt);
    buf_reset(&k->sealed);
    buf_reset(&k->payload);
    put_bytes(&k->sealed, aad);
    put_bytes(&k->sealed, sealed);
    put_bytes(&k->payload, payload);
    if (k->sealed.bad || k->payload.bad || !has_key(v, id)) /* the key may have ended meanwhile */
        buf_reset(&k->sealed);
    pthread_mutex_unlock(&v->kept_lock);
    pthread_rwlock_unlock(&v->lock);
}

static gage_rc
open_sealed(struct vault *v, uint32_t id, gage_slice salt, gage_slice aad, gage_slice sealed, gage_buf *payload)
{
    gage_rc rc = gage_rc_of(GAGE_E_AUTH);
    pthread_rwlock_rdlock(&v->lock);
    for (size_t i = 0; i < v->count; i++) {
        if (v->keys[i].id != id)
            continue;
        struct sealer *sealer = take_sealer(v, &v->keys[i]);
        rc = sealer != NULL ? sealer_open(sealer, salt.p, aad, sealed, payload) : gage_rc_of(GAGE_E_NOMEM);
        if (sealer != NULL)
            give_sealer(v, sealer);
        break;
    }
    pthread_rwlock_unlock(&v->lock);
    return gage_ok(rc) || rc.code == GAGE_E_NOMEM ? rc : gage_rc_of(GAGE_E_AUTH);
}

gage_rc
vault_unseal(struct vault *v, enum handle_kind kind, const struct handle_scope *scope, gage_slice handle, int64_t now,
             gage_buf *payload)
{
    AUTO(gage_buf) aad = GAGE_BUF(2048);
    struct reader r = read_from(handle);
    uint8_t format = get_u8(&r);
    uint8_t made_kind = get_u8(&r);
    uint32_t id = get_u32(&r);
    int64_t expires = (int64_t)get_u64(&r);
    gage_slice salt = get_bytes(&r, VAULT_SALT_LEN);
    get_vec8(&r);
    gage_slice sealed = get_rest(&r);
    if (!read_ok(&r) || format != FORMAT || made_kind != (uint8_t)kind)
        return gage_rc_of(GAGE_E_AUTH);
    put_context(&aad, gage_slice_of(handle.p, handle.n - sealed.n), scope);
    TRY(buf_check(&aad, NULL));
    size_t start = payload->n;
    if (kind != HANDLE_CRED || !recall(v, salt, gage_buf_slice(&aad), sealed, payload)) {
        TRY(open_sealed(v, id, salt, gage_buf_slice(&aad), sealed, payload));
        size_t n = payload->n - start;
        if (kind == HANDLE_CRED && n <= KEPT_PAYLOAD_MAX && sealed.n <= KEPT_PAYLOAD_MAX + GCM_TAG_LEN)
            remember(v, id, salt, gage_buf_slice(&aad), sealed, gage_slice_of(payload->p + start, n));
    }
    return expires != 0 && now >= expires ? gage_rc_of(GAGE_E_EXPIRED) : GAGE_DONE;
}
