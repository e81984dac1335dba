/* initiate.c - the initiator's half of establishment: tokens 1 and 3. */
#include <string.h>

#include "otc/context.h"
#include "otc/frame.h"
#include "otc/payload.h"
#include "otc/status.h"

/* ---- token 1 ---- */

/* The credential this context will present. */
static gage_rc
mint(const struct otc_cred *cred, const struct otc_env *env, struct otc_credential *out, struct gage_err *err)
{
    TRY(otc_credential_copy(&cred->credential, out));
    if (!cred->fixed)
        TRY(uuid_make(env->rng, out->id));
    out->not_after = otc_earlier(out->not_after, cred->psk[0].not_after);
    if (cred->claim != 0)
        out->not_after = otc_earlier(out->not_after, (uint64_t)env->now + cred->claim);
    if (out->not_after != 0 && env->now > (int64_t)out->not_after)
        return otc_fail(err, OTC_S_EXPIRED);
    return GAGE_DONE;
}

static gage_rc
make_hello(const struct otc_psk *psk, struct hkdf *work, const struct gage_rng *rng, struct otc_hello *hello)
{
    hello->version = 1;
    hello->suite = 1;
    hello->side = (uint8_t)psk->side;
    TRY(rng_fill(rng, hello->salt, sizeof hello->salt));
    return otc_psk_kid(psk, work, hello->salt, hello->kid);
}

/* Noise's first message behind the header. */
static gage_rc
write_first(struct otc_context *context, const struct otc_psk *psk, const struct gage_rng *rng, gage_buf *inner)
{
    AUTO(gage_buf) payload = GAGE_BUF(OTC_OFFER_MAX);
    AUTO(otc_work) work = {0};
    struct otc_hello hello;
    uint8_t public_key[X25519_LEN];
    const struct otc_offer offer = {context->credential, context->lifetime, context->flags, context->bindings};
    put_otc_offer(&payload, &offer);
    TRY(buf_check(&payload, NULL));
    TRY(hkdf_init(&work));
    TRY(make_hello(psk, &work, rng, &hello));
    TRY(otc_noise_begin(&context->noise, &work, &hello, psk));
    TRY(x25519_make(rng, &context->e, public_key, &context->open));
    TRY(otc_noise_mix_public(&context->noise, &work, public_key, true));
    put_u8(inner, OTC_TOKEN1);
    put_otc_hello(inner, &hello);
    put_bytes(inner, SLICE_OF(public_key));
    TRY(otc_noise_seal(&context->noise, gage_buf_slice(&payload), inner));
    secret_wipe(&context->noise.k); /* the next key follows from ck */
    return buf_check(inner, NULL);
}

static gage_rc
start(struct otc_context *context, const struct otc_cred *cred, const struct otc_ask *ask, const struct otc_env *env,
      gage_buf *token, struct gage_err *err)
{
    AUTO(gage_buf) inner = GAGE_BUF(OTC_TOKEN1_MAX);
    context->initiator = true;
    context->state = OTC_WAIT_TOKEN2;
    context->flags = OTC_FLAGS_ALWAYS | (ask->flags & OTC_FLAGS_OPTIONAL);
    context->lifetime = ask->lifetime != 0 && ask->lifetime < cred->lifetime ? ask->lifetime : cred->lifetime;
    context->bindings = ask->bindings;
    TRY(mint(cred, env, &context->credential, err));
    TRY(write_first(context, &cred->psk[0], env->rng, &inner));
    put_frame(token, gage_buf_slice(&inner));
    return buf_check(token, err);
}

gage_rc
otc_initiate(const struct otc_cred *cred, const struct otc_ask *ask, const struct otc_env *env, gage_buf *token,
             struct otc_context **out, struct gage_err *err)
{
    if ((cred->usage & OTC_USE_INITIATE) == 0)
        return otc_fail(err, OTC_S_ROLE);
    struct otc_context *context = otc_context_new();
    gage_rc rc = context == NULL ? gage_rc_of(GAGE_E_NOMEM) : start(context, cred, ask, env, token, err);
    if (gage_ok(rc))
        *out = context;
    else {
        otc_context_free(context);
        buf_reset(token);
    }
    return rc;
}

/* ---- token 2, token 3 ---- */

static gage_rc
check_kind(gage_slice token, struct gage_err *err)
{
    static const uint8_t others[] = {0x60, OTC_TOKEN1, OTC_TOKEN3, OTC_SEALED, OTC_CLEAR, OTC_MIC, OTC_DELETE};
    if (token.n == 0)
        return otc_fail(err, OTC_S_TRUNCATED);
    if (memchr(others, token.p[0], sizeof others) != NULL)
        return otc_fail(err, OTC_S_WRONG_STATE);
    if (token.p[0] != OTC_TOKEN2)
        return otc_fail(err, OTC_S_FOREIGN);
    if (token.n == OTC_TOKEN2_LEN)
        return GAGE_DONE;
    return otc_fail(err, token.n < OTC_TOKEN2_LEN ? OTC_S_TRUNCATED : OTC_S_DAMAGED);
}

/* Noise's second message, on a copy of the state: a token that does not verify leaves the context as it was. */
static gage_rc
read_second(struct otc_context *context, struct hkdf *work, gage_slice token, struct otc_noise *noise,
            struct otc_reply *reply, struct gage_err *err)
{
    AUTO(gage_buf) payload = GAGE_BUF(OTC_REPLY_LEN);
    const uint8_t *e2 = token.p + 1;
    gage_slice sealed = {e2 + X25519_LEN, token.n - 1 - X25519_LEN};
    *noise = context->noise;
    TRY(otc_noise_mix_public(noise, work, e2, false));
    if (context->open.exchange == NULL) /* imported half-open */
        TRY(x25519_open(&context->open, &context->e));
    TRY(otc_noise_mix_shared(noise, work, &context->open, e2, err));
    gage_rc rc = otc_noise_open(noise, sealed, &payload);
    if (rc.code == GAGE_E_AUTH)
        return otc_fail(err, OTC_S_DAMAGED);
    TRY(rc);
    struct reader r = read_from(gage_buf_slice(&payload));
    get_otc_reply(&r, reply);
    return gage_ok(read_end(&r, NULL, "token 2")) ? GAGE_DONE : otc_fail(err, OTC_S_DAMAGED);
}

static gage_rc
check_reply(const struct otc_context *context, const struct otc_reply *reply, struct gage_err *err)
{
    static const enum otc_status refusals[] = {
        [OTC_REFUSED_EXPIRED] = OTC_S_EXPIRED,
        [OTC_REFUSED_USED] = OTC_S_USED,
        [OTC_REFUSED_BINDINGS] = OTC_S_BAD_BINDINGS,
        [OTC_REFUSED] = OTC_S_REFUSED,
    };
    bool accepted = reply->result == OTC_ACCEPTED;
    bool fits = accepted ? reply->flags == context->flags && reply->lifetime > 0 && reply->lifetime <= context->lifetime
                         : reply->flags == 0 && reply->lifetime == 0 && !reply->bindings.present;
    if (!fits)
        return otc_fail(err, OTC_S_DAMAGED);
    if (!accepted)
        return otc_fail(err, refusals[reply->result < OTC_REFUSED ? reply->result : OTC_REFUSED]);
    return GAGE_DONE;
}

/* A delete token under keys that the context will never have, instead of token 3. */
static gage_rc
refuse(const gage_secret *prk, const struct otc_env *env, gage_buf *out)
{
    const struct otc_message nothing = {0};
    uint8_t token[OTC_TOKEN_LEN];
    struct otc_sender sender = {.bases = {.prk = prk, .role = 0}};
    gage_rc rc = otc_seal(&sender, env, OTC_DELETE, &nothing, token, NULL);
    otc_sender_cleanup(&sender);
    if (gage_ok(rc))
        put_bytes(out, SLICE_OF(token));
    return rc;
}

static gage_rc
finish(struct otc_context *context, struct hkdf *work, const struct otc_noise *noise, const gage_secret *prk,
       const struct otc_reply *reply, const struct otc_env *env, gage_buf *token)
{
    uint8_t confirmation[SHA256_LEN];
    TRY(otc_confirmation(work, prk, noise->h, confirmation));
    buf_reserve(token, OTC_TOKEN3_LEN);
    put_u8(token, OTC_TOKEN3);
    put_bytes(token, SLICE_OF(confirmation));
    TRY(buf_check(token, NULL)); /* all of it or nothing */
    context->prk = *prk;
    otc_schedule(context);
    context->state = OTC_COMPLETE;
    context->bound = otc_bindings_compare(&context->bindings, &reply->bindings) == OTC_BOUND;
    context->lifetime = reply->lifetime;
    context->expires = reply->lifetime == OTC_INDEFINITE ? 0 : (uint64_t)env->now + reply->lifetime;
    otc_noise_wipe(&context->noise);
    secret_wipe(&context->e);
    x25519_close(&context->open);
    return GAGE_DONE;
}

gage_rc
otc_answer(struct otc_context *context, gage_slice token, const struct otc_env *env, gage_buf *reply_token,
           struct gage_err *err)
{
    AUTO(otc_noise) noise = {{0}};
    AUTO(gage_secret) prk = {0};
    AUTO(otc_work) work = {0};
    struct otc_reply reply;
    TRY(check_kind(token, err));
    TRY(hkdf_init(&work));
    TRY(read_second(context, &work, token, &noise, &reply, err));
    TRY(check_reply(context, &reply, err));
    TRY(otc_noise_finish(&noise, &work, &prk));
    bool late = context->credential.not_after != 0 && env->now > (int64_t)context->credential.not_after;
    bool differ = otc_bindings_compare(&context->bindings, &reply.bindings) == OTC_BINDINGS_DIFFER;
    if (late || differ) {
        TRY(refuse(&prk, env, reply_token));
        return otc_fail(err, late ? OTC_S_EXPIRED : OTC_S_BAD_BINDINGS);
    }
    return finish(context, &work, &noise, &prk, &reply, env, reply_token);
}
