/* The public calls that open seals. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seal/names.h"
#include "seal/opener.h"
#include "seal/ring.h"

struct gage_opener {
    struct opener core;
    gage_keyring *keyring;
    struct gage_unseal_options options;
    int64_t now;
    uint8_t header[SEAL_HEADER_LEN];
    size_t gathered; /* bytes of the header */
    bool failed, ended;
    char alias[KEYRING_ALIAS_MAX + 1];
    struct gage_seal_info info;
};

gage_rc
gage_opener_new(gage_keyring *keyring, const struct gage_unseal_options *options, int64_t now, gage_opener **out,
                struct gage_err *err)
{
    REQUIRE(!options->once || options->max_age > 0, err, GAGE_E_USAGE,
            "to open each seal once, a maximum age is needed: how long would it have to be remembered?");
    REQUIRE(options->deliverer.n == 0 || options->proof.n == 0, err, GAGE_E_USAGE,
            "a carrier is checked by name or by proof, not both");
    gage_opener *o = calloc(1, sizeof *o);
    REQUIRE(o != NULL, err, GAGE_E_NOMEM, "out of memory");
    o->keyring = keyring;
    o->options = *options;
    o->now = now;
    *out = o;
    return GAGE_DONE;
}

/* ---- the header: whose seal it is ---- */

struct candidates {
    struct pairing pairings[KEYRING_MATCHES_MAX];
    char aliases[KEYRING_MATCHES_MAX][KEYRING_ALIAS_MAX + 1];
    size_t count;
};

static void
candidates_cleanup(struct candidates *c)
{
    for (size_t i = 0; i < c->count; i++)
        pairing_cleanup(&c->pairings[i]);
    c->count = 0;
}
typedef struct candidates candidates_t;
GAGE_AUTO_DEFINE(candidates_t, candidates_cleanup)

static gage_rc
find_candidates(gage_opener *o, struct candidates *c, unsigned *keep, struct gage_err *err)
{
    struct seal_header header;
    RING_GUARD guard = {NULL};
    TRY(seal_header_get(SLICE_OF(o->header), &header, err));
    struct keyring *ring = ring_take(o->keyring, &guard);
    return keyring_match(ring, &header, o->now, keep, c->pairings, c->aliases, &c->count, err);
}

static gage_rc
check_from(const gage_opener *o, gage_slice peer, struct gage_err *err)
{
    bool other = (o->options.from != NULL && strcmp(o->options.from, o->alias) != 0) ||
                 (o->options.from_name.n > 0 && !slice_equal(o->options.from_name, peer));
    REQUIRE(!other, err, GAGE_E_ORIGINATOR, "the seal is from %s, not from whom you expect", o->alias);
    return GAGE_DONE;
}

static gage_rc
begin(gage_opener *o, struct gage_err *err)
{
    AUTO(candidates_t) c = {.count = 0};
    const struct pairing *list[KEYRING_MATCHES_MAX];
    const struct gage_unseal_options *from = &o->options;
    struct open_policy policy = {.max_age = from->max_age,
                                 .check_name = from->deliverer.n > 0,
                                 .deliverer = from->deliverer,
                                 .check_proof = from->proof.n > 0,
                                 .proof = from->proof,
                                 .occasion = from->occasion,
                                 .check_any = from->carrier_required};
    size_t which = 0;
    TRY(find_candidates(o, &c, &policy.keep, err));
    for (size_t i = 0; i < c.count; i++)
        list[i] = &c.pairings[i];
    TRY(opener_begin(&o->core, o->header, list, c.count, &policy, o->now, &which, err));
    memcpy(o->alias, c.aliases[which], sizeof o->alias);
    return check_from(o, gage_buf_slice(&list[which]->peer), err);
}

/* ---- the body ---- */

static void
publish(gage_opener *o)
{
    static const enum gage_carrier kinds[] = {
        [CARRIER_ANY] = GAGE_CARRIER_ANYBODY, [CARRIER_NAME] = GAGE_CARRIER_NAMED, [CARRIER_KEY] = GAGE_CARRIER_KEY};
    const struct seal_inner *inner = &o->core.result.inner;
    if (!o->core.inner_known || o->info.alias != NULL)
        return;
    o->info = (struct gage_seal_info){.alias = o->alias,
                                      .originator = inner->originator,
                                      .recipient = inner->recipient,
                                      .time = inner->time,
                                      .carrier = kinds[inner->carrier],
                                      .carrier_name = inner->carrier_name,
                                      .carrier_checked = o->core.result.carrier_checked,
                                      .occasion_bound = o->core.result.carrier_checked && o->options.occasion.n > 0};
    memcpy(o->info.id, inner->id, sizeof o->info.id);
}

static gage_rc
put(gage_opener *o, gage_slice sealed, gage_buf *message, struct gage_err *err)
{
    if (o->gathered < SEAL_HEADER_LEN) {
        size_t room = SEAL_HEADER_LEN - o->gathered, n = sealed.n < room ? sealed.n : room;
        if (n > 0)
            memcpy(o->header + o->gathered, sealed.p, n);
        o->gathered += n;
        if (o->gathered < SEAL_HEADER_LEN)
            return GAGE_DONE;
        TRY(begin(o, err));
        sealed = gage_slice_of(sealed.p + n, sealed.n - n);
    }
    TRY(opener_put(&o->core, sealed, message, err));
    publish(o);
    return GAGE_DONE;
}

gage_rc
gage_opener_put(gage_opener *o, gage_slice sealed, gage_buf *message, struct gage_err *err)
{
    REQUIRE(!o->failed && !o->ended, err, GAGE_E_STATE, "the seal has ended, or failed to open");
    gage_rc rc = put(o, sealed, message, err);
    o->failed = !gage_ok(rc);
    return rc;
}

gage_rc
gage_opener_now(gage_opener *o, int64_t now, struct gage_err *err)
{
    REQUIRE(!o->failed && !o->ended, err, GAGE_E_STATE, "the seal has ended, or failed to open");
    o->now = now;
    gage_rc rc = o->gathered == SEAL_HEADER_LEN ? opener_now(&o->core, now, err) : GAGE_DONE;
    o->failed = !gage_ok(rc);
    return rc;
}

static gage_rc
note(gage_opener *o, const char *temporary, const char *target, int64_t max_age, struct gage_err *err)
{
    RING_GUARD guard = {NULL};
    return once_begin(ring_take(o->keyring, &guard), o->info.id, o->info.time, max_age, o->now, temporary, target, err);
}

/* For the person who wonders which pairings are still in use. Opening does not depend on it. */
static void
note_use(gage_opener *o)
{
    AUTO(pairing_t) pairing = {.made = 0};
    gage_rc rc = ring_get(o->keyring, o->alias, o->now, true, &pairing, NULL);
    (void)rc;
}

static gage_rc
end(gage_opener *o, gage_buf *message, struct gage_err *err)
{
    size_t before = message->n;
    REQUIRE(o->gathered == SEAL_HEADER_LEN, err, GAGE_E_FORMAT,
            "this is not a seal: it is shorter than a seal's header");
    gage_rc rc = opener_end(&o->core, message, err);
    publish(o);
    if (gage_ok(rc) && o->options.once)
        rc = note(o, NULL, NULL, o->options.max_age, err);
    if (!gage_ok(rc) && message->n > before) {
        gage_wipe(message->p + before, message->n - before);
        message->n = before;
    }
    if (gage_ok(rc))
        note_use(o);
    return rc;
}

gage_rc
gage_opener_end(gage_opener *o, gage_buf *message, struct gage_err *err)
{
    REQUIRE(!o->failed && !o->ended, err, GAGE_E_STATE, "the seal has ended, or failed to open");
    o->ended = true;
    gage_rc rc = end(o, message, err);
    o->failed = !gage_ok(rc);
    return rc;
}

const struct gage_seal_info *
gage_opener_info(const gage_opener *o)
{
    return o->info.alias != NULL && !o->failed ? &o->info : NULL;
}

void
gage_opener_free(gage_opener **opener)
{
    gage_opener *o = *opener;
    if (o == NULL)
        return;
    opener_cleanup(&o->core);
    gage_wipe(o, sizeof *o);
    free(o);
    *opener = NULL;
}

gage_rc
gage_unseal(gage_keyring *keyring, const struct gage_unseal_options *options, int64_t now, gage_slice sealed,
            gage_buf *message, gage_opener **opener, struct gage_err *err)
{
    gage_opener *o = NULL;
    size_t before = message->n;
    TRY(gage_opener_new(keyring, options, now, &o, err));
    gage_rc rc = gage_opener_put(o, sealed, message, err);
    if (gage_ok(rc))
        rc = gage_opener_end(o, message, err);
    if (!gage_ok(rc) && message->n > before) {
        gage_wipe(message->p + before, message->n - before);
        message->n = before;
    }
    if (gage_ok(rc) && opener != NULL)
        *opener = o;
    else
        gage_opener_free(&o);
    return rc;
}

/* ---- once, into files ---- */

gage_rc
gage_once_begin(gage_keyring *keyring, const struct gage_seal_info *info, int64_t max_age, int64_t now,
                const char *temporary, const char *target, struct gage_err *err)
{
    RING_GUARD guard = {NULL};
    return once_begin(ring_take(keyring, &guard), info->id, info->time, max_age, now, temporary, target, err);
}

gage_rc
gage_once_end(gage_keyring *keyring, const struct gage_seal_info *info, struct gage_err *err)
{
    RING_GUARD guard = {NULL};
    return once_end(ring_take(keyring, &guard), info->id, err);
}

gage_rc
gage_once_pending(gage_keyring *keyring, bool (*finish)(void *context, const char *temporary, const char *target),
                  void *context, struct gage_err *err)
{
    RING_GUARD guard = {NULL};
    return once_pending(ring_take(keyring, &guard), finish, context, err);
}

/* ---- the carrier ---- */

gage_rc
gage_carrier_prove(gage_slice grant, gage_slice occasion, gage_buf *proof, struct gage_err *err)
{
    struct carrier_grant content = {.recipient = SLICE_NONE};
    uint8_t bytes[CARRIER_PROOF_LEN];
    TRY(grant_get(grant, &content, err));
    gage_rc rc = proof_make(content.seal, secret_slice(&content.key), occasion, bytes);
    secret_wipe(&content.key);
    REQUIRE(rc.code != GAGE_E_LIMIT, err, GAGE_E_LIMIT, "what a proof is for has at most %d bytes",
            CARRIER_CONTEXT_MAX);
    TRY(rc);
    put_bytes(proof, SLICE_OF(bytes));
    return buf_check(proof, err);
}
