/* gss_context.c - the exported calls on a context as a whole: delete, inquire, export, import, PRF. */
#include <stdlib.h>

#include "otc/seam.h"

OTC_EXPORT OM_uint32
gss_delete_sec_context(OM_uint32 *minor, gss_ctx_id_t *handle, gss_buffer_t output)
{
    struct otc_context *context = handle != NULL ? otc_context_of(*handle) : NULL;
    AUTO(gage_buf) token = GAGE_BUF(OTC_TOKEN_LEN);
    otc_clear(output);
    if (context == NULL)
        return otc_end(minor, OTC_S_OK);
    if (output != NULL && context->state == OTC_COMPLETE && !context->ended) {
        struct otc_env env = otc_env_now();
        uint8_t bytes[OTC_TOKEN_LEN];
        if (gage_ok(otc_make_delete(context, &env, bytes, NULL)))
            put_bytes(&token, SLICE_OF(bytes));
        if (gage_ok(buf_check(&token, NULL)))
            otc_give(&token, output);
    }
    otc_context_free(context);
    *handle = GSS_C_NO_CONTEXT;
    return otc_end(minor, OTC_S_OK);
}

OTC_EXPORT OM_uint32
gss_process_context_token(OM_uint32 *minor, gss_ctx_id_t handle, gss_buffer_t token)
{
    struct otc_context *context = otc_context_of(handle);
    struct gage_err err = {0};
    bool ok = true;
    gage_slice bytes = otc_take(token, &ok);
    if (context == NULL || !ok)
        return otc_end(minor, ok ? OTC_S_NO_CONTEXT : OTC_S_BAD_ARGUMENT);
    pthread_mutex_lock(&context->lock);
    gage_rc rc = otc_require_complete(context, &err);
    if (gage_ok(rc))
        rc = otc_read_delete(context, bytes, &err);
    pthread_mutex_unlock(&context->lock);
    return otc_result(minor, rc, &err);
}

OTC_EXPORT OM_uint32
gss_context_time(OM_uint32 *minor, gss_ctx_id_t handle, OM_uint32 *time_rec)
{
    struct otc_context *context = otc_context_of(handle);
    if (context == NULL || time_rec == NULL)
        return otc_end(minor, context == NULL ? OTC_S_NO_CONTEXT : OTC_S_BAD_ARGUMENT);
    pthread_mutex_lock(&context->lock);
    bool complete = context->state == OTC_COMPLETE;
    *time_rec = otc_context_left(context, otc_env_now().now);
    pthread_mutex_unlock(&context->lock);
    if (!complete)
        return otc_end(minor, OTC_S_NO_CONTEXT);
    return otc_end(minor, *time_rec > 0 ? OTC_S_OK : OTC_S_CONTEXT_EXPIRED);
}

static gage_rc
give_names(const struct otc_context *context, gss_name_t *source, gss_name_t *target)
{
    if (source != NULL)
        TRY(otc_give_party(&context->credential, true, true, source));
    if (target == NULL)
        return GAGE_DONE;
    gage_rc rc = otc_give_party(&context->credential, false, true, target);
    if (!gage_ok(rc) && source != NULL) {
        otc_name_free(otc_name_of(*source));
        *source = GSS_C_NO_NAME;
    }
    return rc;
}

static OM_uint32
context_flags(const struct otc_context *context)
{
    OM_uint32 flags = context->flags | (context->bound ? GSS_C_CHANNEL_BOUND_FLAG : 0u);
    return context->state == OTC_COMPLETE ? flags | GSS_C_PROT_READY_FLAG : flags;
}

/* Answers for half-open contexts too: what token 1 said can be looked at before anything is released. */
OTC_EXPORT OM_uint32
gss_inquire_context(OM_uint32 *minor, gss_ctx_id_t handle, gss_name_t *source, gss_name_t *target, OM_uint32 *lifetime,
                    gss_OID *mech, OM_uint32 *flags, int *locally_initiated, int *open)
{
    struct otc_context *context = otc_context_of(handle);
    if (source != NULL)
        *source = GSS_C_NO_NAME;
    if (target != NULL)
        *target = GSS_C_NO_NAME;
    if (context == NULL)
        return otc_end(minor, OTC_S_NO_CONTEXT);
    pthread_mutex_lock(&context->lock);
    gage_rc rc = give_names(context, source, target);
    if (lifetime != NULL)
        *lifetime = otc_context_left(context, otc_env_now().now);
    if (mech != NULL)
        *mech = otc_oid_handle(&otc_mech_oid);
    if (flags != NULL)
        *flags = context_flags(context);
    if (locally_initiated != NULL)
        *locally_initiated = context->initiator ? 1 : 0;
    if (open != NULL)
        *open = context->state == OTC_COMPLETE && !context->ended ? 1 : 0;
    pthread_mutex_unlock(&context->lock);
    return otc_result(minor, rc, NULL);
}

/* ---- export, import ---- */

OTC_EXPORT OM_uint32
gss_export_sec_context(OM_uint32 *minor, gss_ctx_id_t *handle, gss_buffer_t token)
{
    struct otc_context *context = handle != NULL ? otc_context_of(*handle) : NULL;
    AUTO(gage_buf) buf = GAGE_BUF(OTC_CONTEXT_MAX);
    otc_clear(token);
    if (context == NULL || token == NULL)
        return otc_end(minor, context == NULL ? OTC_S_NO_CONTEXT : OTC_S_BAD_ARGUMENT);
    pthread_mutex_lock(&context->lock);
    put_otc_context(&buf, context);
    gage_rc rc = buf_check(&buf, NULL);
    pthread_mutex_unlock(&context->lock);
    if (!gage_ok(rc))
        return otc_result(minor, rc, NULL);
    otc_give(&buf, token);
    otc_context_free(context);
    *handle = GSS_C_NO_CONTEXT;
    return otc_end(minor, OTC_S_OK);
}

OTC_EXPORT OM_uint32
gss_import_sec_context(OM_uint32 *minor, gss_buffer_t token, gss_ctx_id_t *handle)
{
    struct otc_context *context = NULL;
    struct gage_err err = {0};
    bool ok = true;
    gage_slice bytes = otc_take(token, &ok);
    if (handle == NULL)
        return otc_end(minor, OTC_S_BAD_ARGUMENT);
    *handle = GSS_C_NO_CONTEXT;
    if (!ok)
        return otc_end(minor, OTC_S_BAD_IMPORT);
    gage_rc rc = otc_context_import(bytes, &context, &err);
    *handle = (gss_ctx_id_t)(void *)context;
    return otc_result(minor, rc, &err);
}

/* ---- PRF ---- */

OTC_EXPORT OM_uint32
gss_pseudo_random(OM_uint32 *minor, gss_ctx_id_t handle, int prf_key, const gss_buffer_t prf_in, ssize_t n,
                  gss_buffer_t prf_out)
{
    struct otc_context *context = otc_context_of(handle);
    AUTO(gage_buf) out = GAGE_BUF(OTC_PRF_MAX);
    struct gage_err err = {0};
    bool ok = true;
    gage_slice input = otc_take(prf_in, &ok);
    otc_clear(prf_out);
    if (context == NULL)
        return otc_end(minor, OTC_S_NO_CONTEXT);
    if (!ok || prf_out == NULL || n < 0)
        return otc_end(minor, OTC_S_BAD_ARGUMENT);
    if (prf_key != GSS_C_PRF_KEY_FULL)
        return otc_end(minor, OTC_S_NOT_AVAILABLE);
    pthread_mutex_lock(&context->lock);
    gage_rc rc = otc_prf(context, input, (size_t)n, &out, &err);
    pthread_mutex_unlock(&context->lock);
    if (gage_ok(rc))
        otc_give(&out, prf_out);
    return otc_result(minor, rc, &err);
}
