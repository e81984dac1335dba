/* save.c - the exported form of a context, half-open or complete (doc/otc.md section 11). */
#include <string.h>

#include "otc/context.h"
#include "otc/status.h"

#define VERSION 1
#define SUITE 1

static void
put_body(gage_buf *buf, const struct otc_context *context)
{
    switch (context->state) {
    case OTC_WAIT_TOKEN2:
        put_bytes(buf, SLICE_OF(context->noise.h));
        put_bytes(buf, secret_slice(&context->noise.ck));
        put_bytes(buf, secret_slice(&context->e));
        break;
    case OTC_WAIT_TOKEN3:
        put_bytes(buf, SLICE_OF(context->noise.h));
        put_bytes(buf, secret_slice(&context->prk));
        break;
    case OTC_COMPLETE:
        put_bytes(buf, secret_slice(&context->prk));
        put_u64(buf, context->expires);
        put_u64(buf, context->send.seq);
        put_u64(buf, context->receive.window.next);
        put_bytes(buf, SLICE_OF(context->receive.window.seen));
        put_u8(buf, context->ended ? 1 : 0);
        put_u64(buf, context->final);
        break;
    }
}

void
put_otc_context(gage_buf *buf, const struct otc_context *context)
{
    put_u8(buf, VERSION);
    put_u8(buf, (uint8_t)context->state);
    put_u8(buf, context->initiator ? 0 : 1);
    put_u8(buf, SUITE);
    put_otc_credential(buf, &context->credential);
    put_u32(buf, context->flags);
    put_otc_bindings(buf, &context->bindings);
    put_u8(buf, context->bound ? 1 : 0);
    put_u32(buf, context->lifetime);
    put_body(buf, context);
}

static bool
get_bool(struct reader *r)
{
    uint8_t v = get_u8(r);
    r->bad |= v > 1;
    return v == 1;
}

static gage_rc
get_complete(struct reader *r, struct otc_context *context)
{
    TRY(secret_set(&context->prk, get_bytes(r, SHA256_LEN)));
    context->expires = get_u64(r);
    context->send.seq = get_u64(r);
    context->receive.window.next = get_u64(r);
    get_copy(r, context->receive.window.seen, sizeof context->receive.window.seen);
    context->ended = get_bool(r);
    context->final = get_u64(r);
    return GAGE_DONE;
}

static gage_rc
get_body(struct reader *r, struct otc_context *context)
{
    if (context->state == OTC_COMPLETE)
        return get_complete(r, context);
    get_copy(r, context->noise.h, sizeof context->noise.h);
    if (context->state == OTC_WAIT_TOKEN3)
        return secret_set(&context->prk, get_bytes(r, SHA256_LEN));
    TRY(secret_set(&context->noise.ck, get_bytes(r, SHA256_LEN)));
    return secret_set(&context->e, get_bytes(r, X25519_LEN));
}

static bool
fits(const struct otc_context *context)
{
    uint32_t allowed = OTC_FLAGS_ALWAYS | OTC_FLAGS_OPTIONAL;
    bool role = context->state == OTC_COMPLETE || context->initiator == (context->state == OTC_WAIT_TOKEN2);
    return role && (context->flags & OTC_FLAGS_ALWAYS) == OTC_FLAGS_ALWAYS && (context->flags & ~allowed) == 0 &&
           context->lifetime > 0;
}

static gage_rc
get_context(struct reader *r, struct otc_context *context)
{
    uint8_t version = get_u8(r), state = get_u8(r);
    context->initiator = !get_bool(r);
    uint8_t suite = get_u8(r);
    if (r->bad || version != VERSION || suite != SUITE || state < OTC_WAIT_TOKEN2 || state > OTC_COMPLETE)
        return gage_rc_of(GAGE_E_FORMAT);
    context->state = (enum otc_state)state;
    TRY(get_otc_credential(r, &context->credential));
    context->flags = get_u32(r);
    get_otc_bindings(r, &context->bindings);
    context->bound = get_bool(r);
    context->lifetime = get_u32(r);
    TRY(get_body(r, context));
    TRY(read_end(r, NULL, "the exported context"));
    if (!fits(context))
        return gage_rc_of(GAGE_E_FORMAT);
    otc_schedule(context);
    return GAGE_DONE;
}

gage_rc
otc_context_import(gage_slice token, struct otc_context **out, struct gage_err *err)
{
    struct reader r = read_from(token);
    struct otc_context *context = otc_context_new();
    gage_rc rc = context == NULL ? gage_rc_of(GAGE_E_NOMEM) : get_context(&r, context);
    if (gage_ok(rc)) {
        *out = context;
        return rc;
    }
    otc_context_free(context);
    return rc.code == GAGE_E_FORMAT || rc.code == GAGE_E_LIMIT ? otc_fail(err, OTC_S_BAD_IMPORT) : rc;
}
