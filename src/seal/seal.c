/* The public calls that make seals. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seal/carrier.h"
#include "seal/names.h"
#include "seal/ring.h"
#include "seal/sealer.h"

struct gage_sealer {
    struct sealer core;
    bool broken, ended;
    gage_buf begun; /* header and what came with it, until the first output */
    gage_buf recipient;
    struct gage_rng rng;
    char via[KEYRING_ALIAS_MAX + 1];
};

/* Who is to carry it: by name where that means something to the recipient, else by a key. `name` keeps the name's bytes. */
static gage_rc
choose_carrier(gage_sealer *s, gage_keyring *keyring, const struct gage_seal_options *o, int64_t now, gage_buf *name,
               struct seal_carrier *carrier, struct gage_err *err)
{
    AUTO(pairing_t) via = {.made = 0};
    *carrier = (struct seal_carrier){.kind = CARRIER_ANY};
    REQUIRE(o->via == NULL || o->via_name.n == 0, err, GAGE_E_USAGE, "a seal has one carrier");
    REQUIRE(!o->via_key || o->via != NULL, err, GAGE_E_USAGE, "a carrier key is given to a peer: name her alias");
    if (o->via != NULL) {
        REQUIRE(strlen(o->via) <= KEYRING_ALIAS_MAX, err, GAGE_E_NOT_FOUND, "there is no peer of that name");
        snprintf(s->via, sizeof s->via, "%s", o->via);
        TRY(ring_get(keyring, o->via, now, false, &via, err));
        carrier->kind = !o->via_key && name_is_global(gage_buf_slice(&via.peer)) ? CARRIER_NAME : CARRIER_KEY;
        put_bytes(name, gage_buf_slice(&via.peer));
    } else if (o->via_name.n > 0) {
        REQUIRE(name_is_global(o->via_name), err, GAGE_E_UNSUPPORTED,
                "the carrier's name means nothing by itself: name a peer you are paired with");
        carrier->kind = CARRIER_NAME;
        put_bytes(name, o->via_name);
    }
    carrier->name = gage_buf_slice(name);
    return buf_check(name, err);
}

static gage_rc
begin(gage_sealer *s, gage_keyring *keyring, const struct gage_seal_options *o, int64_t now, struct gage_err *err)
{
    struct seal_carrier carrier;
    AUTO(pairing_t) to = {.made = 0};
    AUTO(gage_buf) name = GAGE_BUF(SEAL_NAME_MAX);
    REQUIRE(o->to != NULL, err, GAGE_E_USAGE, "a seal needs a recipient");
    TRY(choose_carrier(s, keyring, o, now, &name, &carrier, err));
    TRY(ring_get(keyring, o->to, now, true, &to, err));
    put_bytes(&s->recipient, gage_buf_slice(&to.peer));
    TRY(buf_check(&s->recipient, err));
    return sealer_begin(&s->core, &to, &carrier, &s->rng, now, &s->begun, err);
}

gage_rc
gage_sealer_new(gage_keyring *keyring, const struct gage_seal_options *options, int64_t now, gage_sealer **out,
                struct gage_err *err)
{
    gage_sealer *s = calloc(1, sizeof *s);
    REQUIRE(s != NULL, err, GAGE_E_NOMEM, "out of memory");
    s->begun = GAGE_BUF(SEAL_HEADER_LEN);
    s->recipient = GAGE_BUF(SEAL_NAME_MAX);
    s->rng = options->rng != NULL ? *options->rng : gage_system_rng;
    gage_rc rc = begin(s, keyring, options, now, err);
    if (!gage_ok(rc)) {
        gage_sealer_free(&s);
        return rc;
    }
    *out = s;
    return GAGE_DONE;
}

/* After a failure the seal is broken: it must not be possible to end it as if it were whole. */
static gage_rc
settle(gage_sealer *s, gage_rc rc, struct gage_err *err)
{
    if (gage_ok(rc))
        return rc;
    s->broken = true;
    return gage_fail(err, rc.code, "the seal cannot be made: %s", gage_code_text(rc.code));
}

static void
flush_begun(gage_sealer *s, gage_buf *sealed)
{
    put_bytes(sealed, gage_buf_slice(&s->begun));
    buf_reset(&s->begun);
}

gage_rc
gage_sealer_put(gage_sealer *s, gage_slice message, gage_buf *sealed, struct gage_err *err)
{
    REQUIRE(!s->broken && !s->ended && !s->core.chunks.ended, err, GAGE_E_STATE, "the seal has ended or is broken");
    flush_begun(s, sealed);
    gage_rc rc = sealer_put(&s->core, message, sealed);
    return settle(s, gage_ok(rc) ? buf_check(sealed, NULL) : rc, err);
}

gage_rc
gage_sealer_end(gage_sealer *s, gage_buf *sealed, bool *more, struct gage_err *err)
{
    REQUIRE(!s->broken && !s->ended, err, GAGE_E_STATE, "the seal has ended or is broken");
    flush_begun(s, sealed);
    gage_rc rc = sealer_pad(&s->core, sealed, more);
    s->ended = !*more;
    return settle(s, gage_ok(rc) ? buf_check(sealed, NULL) : rc, err);
}

bool
gage_sealer_has_grant(const gage_sealer *s)
{
    return s->core.carrier_key.n > 0;
}

const uint8_t *
gage_sealer_id(const gage_sealer *s)
{
    return s->core.id;
}

gage_rc
gage_sealer_grant(gage_sealer *s, gage_keyring *keyring, int64_t now, gage_buf *grant, struct gage_err *err)
{
    struct carrier_grant content = {.recipient = gage_buf_slice(&s->recipient)};
    AUTO(gage_buf) text = GAGE_BUF(CARRIER_GRANT_MAX);
    REQUIRE(gage_sealer_has_grant(s), err, GAGE_E_STATE, "the seal holds no carrier key to grant");
    TRY(seal_digest(s->core.header, content.seal));
    TRY(secret_set(&content.key, secret_slice(&s->core.carrier_key)));
    grant_put(&text, &content);
    secret_wipe(&content.key);
    TRY(buf_check(&text, err));
    const struct gage_seal_options options = {.to = s->via, .rng = &s->rng};
    return gage_seal(keyring, &options, now, gage_buf_slice(&text), grant, NULL, err);
}

void
gage_sealer_free(gage_sealer **sealer)
{
    gage_sealer *s = *sealer;
    if (s == NULL)
        return;
    sealer_cleanup(&s->core);
    gage_buf_free(&s->begun);
    gage_buf_free(&s->recipient);
    gage_wipe(s, sizeof *s);
    free(s);
    *sealer = NULL;
}

static gage_rc
seal_whole(gage_sealer *s, gage_keyring *keyring, int64_t now, gage_slice message, gage_buf *sealed, gage_buf *grant,
           struct gage_err *err)
{
    REQUIRE(!gage_sealer_has_grant(s) || grant != NULL, err, GAGE_E_USAGE,
            "the carrier proves herself with a grant here: ask for it");
    TRY(gage_sealer_put(s, message, sealed, err));
    for (bool more = true; more;)
        TRY(gage_sealer_end(s, sealed, &more, err));
    return gage_sealer_has_grant(s) ? gage_sealer_grant(s, keyring, now, grant, err) : GAGE_DONE;
}

gage_rc
gage_seal(gage_keyring *keyring, const struct gage_seal_options *options, int64_t now, gage_slice message,
          gage_buf *sealed, gage_buf *grant, struct gage_err *err)
{
    gage_sealer *s = NULL;
    size_t before = sealed->n;
    TRY(gage_sealer_new(keyring, options, now, &s, err));
    gage_rc rc = seal_whole(s, keyring, now, message, sealed, grant, err);
    if (!gage_ok(rc))
        sealed->n = before;
    gage_sealer_free(&s);
    return rc;
}
