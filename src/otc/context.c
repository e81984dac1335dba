#include "otc/context.h"

#include <stdlib.h>

#include "otc/status.h"

#define CONTEXT_MAGIC 0x4f544358u

struct otc_context *
otc_context_of(gss_ctx_id_t handle)
{
    struct otc_context *context = (struct otc_context *)(void *)handle;
    return context != NULL && context->magic == CONTEXT_MAGIC ? context : NULL;
}

struct otc_context *
otc_context_new(void)
{
    struct otc_context *context = calloc(1, sizeof *context);
    if (context == NULL)
        return NULL;
    if (pthread_mutex_init(&context->lock, NULL) != 0) {
        free(context);
        return NULL;
    }
    context->magic = CONTEXT_MAGIC;
    return context;
}

void
otc_context_free(struct otc_context *context)
{
    if (context == NULL)
        return;
    otc_sender_cleanup(&context->send);
    otc_receiver_cleanup(&context->receive);
    x25519_close(&context->open);
    otc_credential_free(&context->credential);
    pthread_mutex_destroy(&context->lock);
    gage_wipe(context, sizeof *context);
    free(context);
}

void
otc_schedule(struct otc_context *context)
{
    context->send.bases = (struct otc_bases){.prk = &context->prk, .role = context->initiator ? 0 : 1};
    context->receive.bases = (struct otc_bases){.prk = &context->prk, .role = context->initiator ? 1 : 0};
}

/* ---- times ---- */

uint32_t
otc_context_left(const struct otc_context *context, int64_t now)
{
    if (context->state != OTC_COMPLETE)
        return context->lifetime;
    if (context->expires == 0)
        return OTC_INDEFINITE;
    if (now < 0 || context->expires <= (uint64_t)now)
        return 0;
    uint64_t left = context->expires - (uint64_t)now;
    return left < OTC_INDEFINITE ? (uint32_t)left : OTC_INDEFINITE - 1;
}

gage_rc
otc_require_complete(const struct otc_context *context, struct gage_err *err)
{
    return context->state == OTC_COMPLETE ? GAGE_DONE : otc_fail(err, OTC_S_NO_CONTEXT);
}

gage_rc
otc_prf(const struct otc_context *context, gage_slice input, size_t n, gage_buf *out, struct gage_err *err)
{
    AUTO(gage_secret) key = {0};
    if (context->state != OTC_COMPLETE)
        return otc_fail(err, OTC_S_NOT_AVAILABLE);
    if (n > OTC_PRF_MAX)
        return otc_fail(err, OTC_S_PRF_LIMIT);
    TRY(hkdf_expand_secret(secret_slice(&context->prk), SLICE_LITERAL("prf"), 32, &key));
    uint8_t *to = put_space(out, n);
    TRY(buf_check(out, err));
    return n > 0 ? hkdf_expand(secret_slice(&key), &input, 1, to, n) : GAGE_DONE;
}
