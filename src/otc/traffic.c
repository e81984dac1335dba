/* traffic.c - a complete context's messages: what may be sent and taken, in which order, and the end. */
#include "otc/context.h"
#include "otc/status.h"

static gage_rc
require_alive(const struct otc_context *context, int64_t now, struct gage_err *err)
{
    TRY(otc_require_complete(context, err));
    return otc_context_left(context, now) > 0 ? GAGE_DONE : otc_fail(err, OTC_S_CONTEXT_EXPIRED);
}

gage_rc
otc_protect(struct otc_context *context, const struct otc_env *env, enum otc_type type,
            const struct otc_message *message, uint8_t token[OTC_TOKEN_LEN], struct gage_err *err)
{
    TRY(require_alive(context, env->now, err));
    if (context->ended)
        return otc_fail(err, OTC_S_ENDED);
    return otc_seal(&context->send, env, type, message, token, err);
}

static OM_uint32
supplementary_of(enum otc_order order, uint32_t flags)
{
    if ((flags & OTC_FLAGS_OPTIONAL) == 0)
        return 0;
    bool sequence = (flags & GSS_C_SEQUENCE_FLAG) != 0;
    switch (order) {
    case OTC_GAP:
        return sequence ? GSS_S_GAP_TOKEN : 0;
    case OTC_UNSEQ:
        return sequence ? GSS_S_UNSEQ_TOKEN : 0;
    case OTC_DUPLICATE:
        return GSS_S_DUPLICATE_TOKEN;
    case OTC_OLD:
        return GSS_S_OLD_TOKEN;
    case OTC_IN_ORDER:
        break;
    }
    return 0;
}

gage_rc
otc_unprotect(struct otc_context *context, const struct otc_env *env, const struct otc_header *header,
              const struct otc_message *message, OM_uint32 *supplementary, struct gage_err *err)
{
    TRY(require_alive(context, env->now, err));
    if (context->ended && header->seq >= context->final)
        return otc_fail(err, OTC_S_ENDED);
    TRY(otc_open(&context->receive, header, message, err));
    *supplementary = supplementary_of(otc_window_mark(&context->receive.window, header->seq), context->flags);
    return GAGE_DONE;
}

gage_rc
otc_verify_mic(struct otc_context *context, const struct otc_env *env, gage_slice token,
               const struct otc_message *message, OM_uint32 *supplementary, struct gage_err *err)
{
    const enum otc_type type = OTC_MIC;
    struct otc_header header;
    TRY(otc_require_complete(context, err));
    TRY(otc_read_header(&context->receive, token, &type, 1, &header, err));
    if (token.n != OTC_TOKEN_LEN)
        return otc_fail(err, OTC_S_DAMAGED);
    struct gage_err inner = {0};
    gage_rc rc = otc_unprotect(context, env, &header, message, supplementary, &inner);
    if (!gage_ok(rc) && inner.gss_minor == OTC_MINOR_BASE + OTC_S_DAMAGED)
        return otc_fail(err, OTC_S_BAD_MIC);
    if (!gage_ok(rc) && err != NULL)
        *err = inner;
    return rc;
}

static const struct otc_message no_message = {0};

gage_rc
otc_read_delete(struct otc_context *context, gage_slice token, struct gage_err *err)
{
    const enum otc_type type = OTC_DELETE;
    struct otc_header header;
    TRY(otc_read_header(&context->receive, token, &type, 1, &header, err));
    if (token.n != OTC_TOKEN_LEN)
        return otc_fail(err, OTC_S_DAMAGED);
    TRY(otc_open(&context->receive, &header, &no_message, err));
    if (context->ended)
        return GAGE_DONE;
    if (header.seq < context->receive.window.next)
        return otc_fail(err, OTC_S_DAMAGED);
    context->ended = true;
    context->final = header.seq;
    return GAGE_DONE;
}

gage_rc
otc_make_delete(struct otc_context *context, const struct otc_env *env, uint8_t token[OTC_TOKEN_LEN],
                struct gage_err *err)
{
    return otc_seal(&context->send, env, OTC_DELETE, &no_message, token, err);
}
