/* accept.c - the acceptor's half of establishment: token 2, and what token 3 must be. */
#include <string.h>

#include "otc/context.h"
#include "otc/frame.h"
#include "otc/payload.h"
#include "otc/status.h"

#define GRACE 300 /* seconds that an authority allows for its clock */

/* ---- token 1 ---- */

/* The secret that the header names; looks at all of them. */
static gage_rc
find_psk(const struct otc_cred *cred, struct hkdf *work, const struct otc_hello *hello, const struct otc_psk **out,
         struct gage_err *err)
{
    *out = NULL;
    for (size_t i = 0; i < cred->count; i++) {
        uint8_t kid[OTC_KID_LEN];
        TRY(otc_psk_kid(&cred->psk[i], work, hello->salt, kid));
        bool fits = hello->side == (uint8_t)otc_side_of_peer(cred->psk[i].side);
        if (slice_equal_ct(SLICE_OF(kid), SLICE_OF(hello->kid)) && (fits || *out == NULL))
            *out = &cred->psk[i]; /* of both files of one pair, the one whose side fits */
    }
    if (*out == NULL)
        return otc_fail(err, OTC_S_WRONG_SECRET);
    if (hello->side == (uint8_t)otc_side_of_peer((*out)->side))
        return GAGE_DONE;
    return otc_fail(err, hello->side == (uint8_t)(*out)->side ? OTC_S_EQUAL_SIDES : OTC_S_OTHER_SIDE);
}

static gage_rc
read_hello(struct reader *r, struct otc_hello *hello, struct gage_err *err)
{
    uint8_t type = get_u8(r);
    get_otc_hello(r, hello);
    if (r->bad)
        return otc_fail(err, OTC_S_TRUNCATED);
    if (type != OTC_TOKEN1)
        return otc_fail(err, OTC_S_DAMAGED);
    if (hello->version != 1 || hello->suite != 1)
        return otc_fail(err, OTC_S_UNSUPPORTED);
    return otc_side_valid(hello->side) ? GAGE_DONE : otc_fail(err, OTC_S_DAMAGED);
}

/* Noise's first message. The offer borrows from `payload`. */
static gage_rc
read_first(struct reader *r, struct hkdf *work, struct otc_noise *noise, uint8_t e1[X25519_LEN], gage_buf *payload,
           struct otc_offer *offer, struct gage_err *err)
{
    get_copy(r, e1, X25519_LEN);
    gage_slice sealed = get_rest(r);
    if (r->bad || sealed.n < GCM_TAG_LEN)
        return otc_fail(err, OTC_S_TRUNCATED);
    if (sealed.n > OTC_OFFER_MAX + GCM_TAG_LEN)
        return otc_fail(err, OTC_S_DAMAGED);
    TRY(otc_noise_mix_public(noise, work, e1, true));
    gage_rc rc = otc_noise_open(noise, sealed, payload);
    if (rc.code == GAGE_E_AUTH)
        return otc_fail(err, OTC_S_DAMAGED);
    TRY(rc);
    struct reader p = read_from(gage_buf_slice(payload));
    get_otc_offer(&p, offer);
    bool fits = gage_ok(read_end(&p, NULL, "token 1")) && offer->lifetime > 0 &&
                (offer->flags & OTC_FLAGS_ALWAYS) == OTC_FLAGS_ALWAYS &&
                (offer->flags & ~(uint32_t)(OTC_FLAGS_ALWAYS | OTC_FLAGS_OPTIONAL)) == 0;
    return fits ? GAGE_DONE : otc_fail(err, OTC_S_DAMAGED);
}

/* ---- token 2 ---- */

struct acceptance {
    const struct otc_cred *cred;
    const struct otc_bindings *bindings;
    const struct otc_authority *authority;
    const struct otc_env *env;
    const struct otc_psk *psk;
    struct otc_offer offer;
    struct otc_reply reply;
};

static bool
past(uint64_t end, int64_t now)
{
    return end != 0 && now > 0 && (uint64_t)now > end;
}

/* Whether this side wants the context; else the refusal to send. */
static gage_rc
decide(struct acceptance *a, struct gage_err *err)
{
    const struct otc_offer *offer = &a->offer;
    uint64_t own_end = otc_earlier(a->psk->not_after, a->cred->credential.not_after);
    uint64_t end = offer->what.not_after;
    a->reply.result = OTC_REFUSED_EXPIRED;
    if (past(own_end, a->env->now))
        return otc_fail(err, OTC_S_EXPIRED);
    if (a->authority != NULL && end <= UINT64_MAX - GRACE && past(end == 0 ? 0 : end + GRACE, a->env->now))
        return otc_fail(err, OTC_S_EXPIRED);
    a->reply.result = OTC_REFUSED_BINDINGS;
    if (otc_bindings_compare(a->bindings, &offer->bindings) == OTC_BINDINGS_DIFFER)
        return otc_fail(err, OTC_S_BAD_BINDINGS);
    if (a->authority != NULL) {
        gage_rc rc = a->authority->claim(a->authority->arg, &offer->what, a->psk, a->env->now, err);
        bool used = rc.code == GAGE_E_GSS && err->gss_minor == OTC_MINOR_BASE + OTC_S_USED;
        a->reply.result = used ? OTC_REFUSED_USED : OTC_REFUSED;
        TRY(rc);
    }
    a->reply.result = OTC_ACCEPTED;
    a->reply.flags = offer->flags;
    a->reply.lifetime = offer->lifetime < a->cred->lifetime ? offer->lifetime : a->cred->lifetime;
    a->reply.bindings = *a->bindings;
    return GAGE_DONE;
}

static gage_rc
write_second(struct otc_noise *noise, struct hkdf *work, const uint8_t e1[X25519_LEN], const struct otc_reply *reply,
             const struct otc_env *env, gage_buf *token, struct gage_err *err)
{
    AUTO(gage_secret) e2 = {0};
    AUTO(x25519_t) open = {NULL};
    uint8_t public_key[X25519_LEN];
    AUTO(gage_buf) payload = GAGE_BUF(OTC_REPLY_LEN);
    TRY(x25519_make(env->rng, &e2, public_key, &open));
    TRY(otc_noise_mix_public(noise, work, public_key, false));
    TRY(otc_noise_mix_shared(noise, work, &open, e1, err));
    put_otc_reply(&payload, reply);
    TRY(buf_check(&payload, err));
    put_u8(token, OTC_TOKEN2);
    put_bytes(token, SLICE_OF(public_key));
    TRY(otc_noise_seal(noise, gage_buf_slice(&payload), token));
    return buf_check(token, err);
}

static gage_rc
fill(struct otc_context *context, struct hkdf *work, const struct acceptance *a, const struct otc_noise *noise)
{
    context->state = OTC_WAIT_TOKEN3;
    context->initiator = false;
    context->flags = a->reply.flags;
    context->lifetime = a->reply.lifetime;
    context->bindings = *a->bindings;
    context->bound = otc_bindings_compare(a->bindings, &a->offer.bindings) == OTC_BOUND;
    memcpy(context->noise.h, noise->h, sizeof noise->h);
    TRY(otc_credential_copy(&a->offer.what, &context->credential));
    otc_schedule(context);
    return otc_noise_finish(noise, work, &context->prk);
}

static gage_rc
make_context(struct hkdf *work, const struct acceptance *a, const struct otc_noise *noise, struct otc_context **out)
{
    struct otc_context *context = otc_context_new();
    gage_rc rc = context == NULL ? gage_rc_of(GAGE_E_NOMEM) : fill(context, work, a, noise);
    if (gage_ok(rc))
        *out = context;
    else
        otc_context_free(context);
    return rc;
}

gage_rc
otc_accept(const struct otc_cred *cred, const struct otc_bindings *bindings, gage_slice token,
           const struct otc_authority *authority, const struct otc_env *env, gage_buf *reply, struct otc_context **out,
           struct gage_err *err)
{
    AUTO(otc_noise) noise = {{0}};
    AUTO(gage_buf) payload = GAGE_BUF(OTC_OFFER_MAX);
    AUTO(otc_work) work = {0};
    struct acceptance a = {.cred = cred, .bindings = bindings, .authority = authority, .env = env};
    struct otc_hello hello;
    uint8_t e1[X25519_LEN];
    gage_slice inner;
    if ((cred->usage & OTC_USE_ACCEPT) == 0)
        return otc_fail(err, OTC_S_ROLE);
    TRY(read_frame(token, &inner, err));
    struct reader r = read_from(inner);
    TRY(read_hello(&r, &hello, err));
    TRY(hkdf_init(&work));
    TRY(find_psk(cred, &work, &hello, &a.psk, err));
    TRY(otc_noise_begin(&noise, &work, &hello, a.psk));
    TRY(read_first(&r, &work, &noise, e1, &payload, &a.offer, err));
    gage_rc decided = decide(&a, err);
    struct gage_err second = {0};
    gage_rc written = write_second(&noise, &work, e1, &a.reply, env, reply, &second);
    if (!gage_ok(written))
        buf_reset(reply); /* half a token is none */
    TRY(decided);
    if (!gage_ok(written)) {
        *err = second;
        return written;
    }
    gage_rc made = make_context(&work, &a, &noise, out);
    if (!gage_ok(made))
        buf_reset(reply);
    return made;
}

/* ---- token 3 ---- */

static gage_rc
read_refusal(struct otc_context *context, gage_slice token, struct gage_err *err)
{
    TRY(otc_read_delete(context, token, err));
    return otc_fail(err, OTC_S_REFUSED);
}

static gage_rc
check_kind(gage_slice token, struct gage_err *err)
{
    static const uint8_t others[] = {0x60, OTC_TOKEN1, OTC_TOKEN2, OTC_SEALED, OTC_CLEAR, OTC_MIC};
    if (token.n == 0)
        return otc_fail(err, OTC_S_TRUNCATED);
    if (memchr(others, token.p[0], sizeof others) != NULL)
        return otc_fail(err, OTC_S_WRONG_STATE);
    if (token.p[0] != OTC_TOKEN3)
        return otc_fail(err, OTC_S_FOREIGN);
    if (token.n == OTC_TOKEN3_LEN)
        return GAGE_DONE;
    return otc_fail(err, token.n < OTC_TOKEN3_LEN ? OTC_S_TRUNCATED : OTC_S_DAMAGED);
}

gage_rc
otc_confirm(struct otc_context *context, gage_slice token, const struct otc_env *env, struct gage_err *err)
{
    AUTO(otc_work) work = {0};
    uint8_t expected[SHA256_LEN];
    if (context->ended)
        return otc_fail(err, OTC_S_REFUSED);
    if (token.n > 0 && token.p[0] == OTC_DELETE)
        return read_refusal(context, token, err);
    TRY(check_kind(token, err));
    TRY(hkdf_init(&work));
    TRY(otc_confirmation(&work, &context->prk, context->noise.h, expected));
    if (!slice_equal_ct(SLICE_OF(expected), gage_slice_of(token.p + 1, SHA256_LEN)))
        return otc_fail(err, OTC_S_DAMAGED);
    context->state = OTC_COMPLETE;
    context->expires = context->lifetime == OTC_INDEFINITE ? 0 : (uint64_t)env->now + context->lifetime;
    otc_noise_wipe(&context->noise);
    return GAGE_DONE;
}
