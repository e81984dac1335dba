#include "seal/ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

gage_rc
gage_keyring_open(const char *path, bool create, gage_keyring **out, struct gage_err *err)
{
    gage_keyring *keyring = calloc(1, sizeof *keyring);
    REQUIRE(keyring != NULL, err, GAGE_E_NOMEM, "out of memory");
    gage_rc rc = keyring_open(path, create, &keyring->ring, err);
    if (!gage_ok(rc)) {
        free(keyring);
        return rc;
    }
    pthread_mutex_init(&keyring->lock, NULL);
    *out = keyring;
    return GAGE_DONE;
}

void
gage_keyring_free(gage_keyring **keyring)
{
    if (*keyring == NULL)
        return;
    keyring_close(&(*keyring)->ring);
    pthread_mutex_destroy(&(*keyring)->lock);
    free(*keyring);
    *keyring = NULL;
}

struct keyring *
ring_take(gage_keyring *keyring, struct ring_guard *guard)
{
    pthread_mutex_lock(&keyring->lock);
    guard->keyring = keyring;
    return keyring->ring;
}

void
ring_give(struct ring_guard *guard)
{
    if (guard->keyring != NULL)
        pthread_mutex_unlock(&guard->keyring->lock);
}

gage_rc
ring_get(gage_keyring *keyring, const char *alias, int64_t now, bool use, struct pairing *out, struct gage_err *err)
{
    unsigned keep;
    RING_GUARD guard = {NULL};
    struct keyring *ring = ring_take(keyring, &guard);
    TRY(keyring_keep(ring, &keep, err));
    return keyring_get(ring, alias, now, keep, use, out, err);
}

gage_rc
gage_keyring_set_keep(gage_keyring *keyring, unsigned weeks, struct gage_err *err)
{
    RING_GUARD guard = {NULL};
    return keyring_set_keep(ring_take(keyring, &guard), weeks, err);
}

gage_rc
gage_keyring_keep(gage_keyring *keyring, unsigned *weeks, struct gage_err *err)
{
    RING_GUARD guard = {NULL};
    return keyring_keep(ring_take(keyring, &guard), weeks, err);
}

gage_rc
gage_keyring_rename(gage_keyring *keyring, const char *alias, const char *to, struct gage_err *err)
{
    RING_GUARD guard = {NULL};
    return keyring_rename(ring_take(keyring, &guard), alias, to, err);
}

gage_rc
gage_keyring_expire(gage_keyring *keyring, const char *alias, int64_t until, struct gage_err *err)
{
    RING_GUARD guard = {NULL};
    return keyring_expire(ring_take(keyring, &guard), alias, until, err);
}

gage_rc
gage_keyring_has(gage_keyring *keyring, const char *alias, bool *has, struct gage_err *err)
{
    RING_GUARD guard = {NULL};
    return keyring_has(ring_take(keyring, &guard), alias, has, err);
}

gage_rc
gage_keyring_remove(gage_keyring *keyring, const char *alias, struct gage_err *err)
{
    RING_GUARD guard = {NULL};
    return keyring_remove(ring_take(keyring, &guard), alias, err);
}

gage_rc
gage_keyring_step(gage_keyring *keyring, int64_t now, struct gage_err *err)
{
    unsigned keep;
    RING_GUARD guard = {NULL};
    struct keyring *ring = ring_take(keyring, &guard);
    TRY(keyring_keep(ring, &keep, err));
    return keyring_step_all(ring, now, keep, err);
}

/* ---- listing ---- */

struct walk {
    bool (*row)(void *context, const struct gage_peer *peer);
    void *context;
};

static bool
show_row(void *context, const struct keyring_row *row)
{
    const struct walk *walk = context;
    const struct gage_peer peer = {.alias = row->alias,
                                   .id = row->id,
                                   .self = row->self,
                                   .peer = row->peer,
                                   .made = row->made,
                                   .until = row->until,
                                   .last_use = row->last_use};
    return walk->row(walk->context, &peer);
}

gage_rc
gage_keyring_list(gage_keyring *keyring, bool (*row)(void *context, const struct gage_peer *peer), void *context,
                  struct gage_err *err)
{
    RING_GUARD guard = {NULL};
    struct walk walk = {row, context};
    return keyring_list(ring_take(keyring, &guard), show_row, &walk, err);
}

gage_rc
gage_keyring_find(gage_keyring *keyring, gage_slice exported, int64_t now, char *alias, struct gage_err *err)
{
    RING_GUARD guard = {NULL};
    return keyring_alias_of(ring_take(keyring, &guard), exported, now, alias, err);
}
