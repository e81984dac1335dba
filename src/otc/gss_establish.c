/* gss_establish.c - the exported calls that make a context: init and accept. */
#include <string.h>

#include "otc/frame.h"
#include "otc/seam.h"
#include "otc/used.h"

static OM_uint32
ret_flags_of(const struct otc_context *context)
{
    OM_uint32 flags = context->flags;
    if (context->state == OTC_COMPLETE)
        flags |= GSS_C_PROT_READY_FLAG;
    return context->bound ? flags | GSS_C_CHANNEL_BOUND_FLAG : flags;
}

static void
report(const struct otc_context *context, int64_t now, gss_OID *mech, OM_uint32 *ret_flags, OM_uint32 *time_rec)
{
    if (mech != NULL)
        *mech = otc_oid_handle(&otc_mech_oid);
    if (ret_flags != NULL)
        *ret_flags = ret_flags_of(context);
    if (time_rec != NULL)
        *time_rec = otc_context_left(context, now);
}

/* What the first call of either side, or a later one, works on. */
struct call {
    struct otc_env env;
    struct gage_err err;
    gage_buf output;
    struct otc_context *context;
    gage_slice input;
};

static void
begin(struct call *call, gss_ctx_id_t *handle, const gss_buffer_desc *input, bool *ok)
{
    call->env = otc_env_now();
    call->output = GAGE_BUF(OTC_TOKEN1_MAX);
    call->context = otc_context_of(*handle);
    call->input = otc_take(input, ok);
}

/* ---- initiator ---- */

/* A wildcard fits any peer; a principal must be the acceptor of this credential. */
static gage_rc
check_target(const struct otc_context *context, gss_name_t target, struct gage_err *err)
{
    const struct otc_name *name = otc_name_of(target);
    if (name == NULL)
        return target == GSS_C_NO_NAME ? GAGE_DONE : otc_fail(err, OTC_S_BAD_NAME);
    if (!name->principal)
        return GAGE_DONE;
    bool fits = !name->initiator && memcmp(name->credential.id, context->credential.id, UUID_LEN) == 0;
    return fits ? GAGE_DONE : otc_fail(err, OTC_S_BAD_NAME);
}

static gage_rc
first_init(struct call *call, gss_cred_id_t cred_handle, gss_name_t target, OM_uint32 flags, OM_uint32 time_req,
           gss_channel_bindings_t bindings)
{
    const struct otc_cred *cred = otc_cred_of(cred_handle);
    struct otc_ask ask = {.flags = flags, .lifetime = time_req};
    AUTO(otc_drawn) drawn = {.left = 0};
    if (cred == NULL)
        return otc_fail(&call->err, OTC_S_NO_SECRET);
    if (call->input.n > 0)
        return otc_fail(&call->err, OTC_S_WRONG_STATE);
    TRY(otc_bindings_of(bindings, &ask.bindings, &call->err));
    const struct otc_env env = {otc_draw_once(&drawn), call->env.now, call->env.generation};
    TRY(otc_initiate(cred, &ask, &env, &call->output, &call->context, &call->err));
    gage_rc rc = check_target(call->context, target, &call->err);
    if (!gage_ok(rc)) {
        otc_context_free(call->context);
        call->context = NULL;
        buf_reset(&call->output);
    }
    return rc;
}

static gage_rc
next_init(struct call *call)
{
    if (call->context->state == OTC_WAIT_TOKEN2)
        return otc_answer(call->context, call->input, &call->env, &call->output, &call->err);
    return otc_fail(&call->err, call->context->initiator ? OTC_S_COMPLETE_ALREADY : OTC_S_WRONG_STATE);
}

OTC_EXPORT OM_uint32
gss_init_sec_context(OM_uint32 *minor, gss_cred_id_t cred, gss_ctx_id_t *handle, gss_name_t target, gss_OID mech,
                     OM_uint32 flags, OM_uint32 time_req, gss_channel_bindings_t bindings, gss_buffer_t input,
                     gss_OID *actual_mech, gss_buffer_t output, OM_uint32 *ret_flags, OM_uint32 *time_rec)
{
    struct call call = {0};
    bool ok = true;
    (void)mech;
    otc_clear(output);
    if (handle == NULL || output == NULL)
        return otc_end(minor, OTC_S_BAD_ARGUMENT);
    begin(&call, handle, input, &ok);
    if (!ok || (*handle != GSS_C_NO_CONTEXT && call.context == NULL))
        return otc_end(minor, ok ? OTC_S_NO_CONTEXT : OTC_S_BAD_ARGUMENT);
    bool first = call.context == NULL;
    if (!first)
        pthread_mutex_lock(&call.context->lock);
    gage_rc rc = first ? first_init(&call, cred, target, flags, time_req, bindings) : next_init(&call);
    bool complete = gage_ok(rc) && call.context->state == OTC_COMPLETE;
    if (gage_ok(rc))
        report(call.context, call.env.now, actual_mech, ret_flags, time_rec);
    if (!first)
        pthread_mutex_unlock(&call.context->lock);
    else if (gage_ok(rc))
        *handle = (gss_ctx_id_t)(void *)call.context;
    otc_give(&call.output, output);
    OM_uint32 major = otc_result(minor, rc, &call.err);
    return gage_ok(rc) && !complete ? GSS_S_CONTINUE_NEEDED : major;
}

/* ---- acceptor ---- */

/* doc/otc.md section 10: the credential until its end, a link's secret for ever. */
static gage_rc
claim_in_store(void *arg, const struct otc_credential *credential, const struct otc_psk *psk, int64_t now,
               struct gage_err *err)
{
    const gage_slice id[] = {SLICE_LITERAL("gage/otc/1 used"), SLICE_OF(credential->id)};
    const gage_slice used = SLICE_LITERAL("used");
    struct otc_used_entry entries[2] = {{0}};
    uint64_t end = credential->not_after;
    entries[0].expires = end == 0 || end > UINT64_MAX - 300 ? 0 : end + 300;
    TRY(sha256_parts(id, 2, entries[0].key));
    TRY(hkdf_expand(secret_slice(&psk->key), &used, 1, entries[1].key, SHA256_LEN));
    return otc_used_claim(arg, entries, psk->side == OTC_SIDE_LINK ? 2 : 1, now, err);
}

static gage_rc
first_accept(struct call *call, gss_cred_id_t cred_handle, gss_channel_bindings_t given)
{
    const struct otc_cred *cred = otc_cred_of(cred_handle);
    struct otc_bindings bindings;
    if (cred == NULL)
        return otc_fail(&call->err, OTC_S_NO_SECRET);
    const struct otc_authority authority = {claim_in_store, cred->used};
    TRY(otc_bindings_of(given, &bindings, &call->err));
    return otc_accept(cred, &bindings, call->input, cred->used != NULL ? &authority : NULL, &call->env, &call->output,
                      &call->context, &call->err);
}

/* The name is made first: once the token is taken nothing may fail any more. */
static gage_rc
next_accept(struct call *call, gss_name_t *source)
{
    gss_name_t name = GSS_C_NO_NAME;
    if (call->context->state != OTC_WAIT_TOKEN3)
        return otc_fail(&call->err, call->context->initiator ? OTC_S_WRONG_STATE : OTC_S_COMPLETE_ALREADY);
    if (source != NULL)
        TRY(otc_give_party(&call->context->credential, true, true, &name));
    gage_rc rc = otc_confirm(call->context, call->input, &call->env, &call->err);
    if (gage_ok(rc) && source != NULL)
        *source = name;
    else
        otc_name_free(otc_name_of(name));
    return rc;
}

OTC_EXPORT OM_uint32
gss_accept_sec_context(OM_uint32 *minor, gss_ctx_id_t *handle, gss_cred_id_t cred, gss_buffer_t input,
                       gss_channel_bindings_t bindings, gss_name_t *source, gss_OID *mech, gss_buffer_t output,
                       OM_uint32 *ret_flags, OM_uint32 *time_rec, gss_cred_id_t *delegated)
{
    struct call call = {0};
    bool ok = true;
    otc_clear(output);
    if (source != NULL)
        *source = GSS_C_NO_NAME;
    if (delegated != NULL)
        *delegated = GSS_C_NO_CREDENTIAL;
    if (handle == NULL || output == NULL)
        return otc_end(minor, OTC_S_BAD_ARGUMENT);
    begin(&call, handle, input, &ok);
    if (!ok || (*handle != GSS_C_NO_CONTEXT && call.context == NULL))
        return otc_end(minor, ok ? OTC_S_NO_CONTEXT : OTC_S_BAD_ARGUMENT);
    bool first = call.context == NULL;
    if (!first)
        pthread_mutex_lock(&call.context->lock);
    gage_rc rc = first ? first_accept(&call, cred, bindings) : next_accept(&call, source);
    bool complete = gage_ok(rc) && call.context->state == OTC_COMPLETE;
    if (gage_ok(rc))
        report(call.context, call.env.now, mech, ret_flags, time_rec);
    if (!first)
        pthread_mutex_unlock(&call.context->lock);
    else if (gage_ok(rc))
        *handle = (gss_ctx_id_t)(void *)call.context;
    otc_give(&call.output, output);
    OM_uint32 major = otc_result(minor, rc, &call.err);
    return gage_ok(rc) && !complete ? GSS_S_CONTINUE_NEEDED : major;
}
