/* gss_message.c - the exported per-message calls on whole buffers. */
#include <stdlib.h>

#include "otc/seam.h"

/* Room for a token of n message bytes, which the caller's gss_release_buffer frees; NULL where it cannot be had. */
static uint8_t *
room(uint64_t n, size_t overhead)
{
    if (n > SIZE_MAX - overhead)
        return NULL;
    return malloc((size_t)n + overhead);
}

static gage_rc
protect(struct otc_context *context, enum otc_type type, const struct otc_span *span, uint8_t *token,
        struct gage_err *err)
{
    const struct otc_message message = {.span = span, .span_count = 1};
    struct otc_env env = otc_env_now();
    pthread_mutex_lock(&context->lock);
    gage_rc rc = otc_protect(context, &env, type, &message, token, err);
    pthread_mutex_unlock(&context->lock);
    return rc;
}

OTC_EXPORT OM_uint32
gss_wrap(OM_uint32 *minor, gss_ctx_id_t handle, int conf_req, gss_qop_t qop, gss_buffer_t input, int *conf_state,
         gss_buffer_t output)
{
    struct otc_context *context = otc_context_of(handle);
    struct gage_err err = {0};
    bool ok = true;
    gage_slice text = otc_take(input, &ok);
    otc_clear(output);
    if (context == NULL)
        return otc_end(minor, OTC_S_NO_CONTEXT);
    if (!ok || output == NULL)
        return otc_end(minor, OTC_S_BAD_ARGUMENT);
    if (qop != GSS_C_QOP_DEFAULT)
        return otc_end(minor, OTC_S_BAD_QOP);
    if (text.n > OTC_MESSAGE_MAX)
        return otc_end(minor, OTC_S_TOO_LONG);
    uint8_t *token = room(text.n, OTC_TOKEN_LEN);
    if (token == NULL)
        return otc_end(minor, OTC_S_NOMEM);
    const struct otc_span span = {text.p, token + OTC_TOKEN_LEN, text.n};
    gage_rc rc = protect(context, conf_req ? OTC_SEALED : OTC_CLEAR, &span, token, &err);
    if (!gage_ok(rc)) {
        free(token);
        return otc_result(minor, rc, &err);
    }
    *output = (gss_buffer_desc){text.n + OTC_TOKEN_LEN, token};
    if (conf_state != NULL)
        *conf_state = conf_req ? 1 : 0;
    return otc_end(minor, OTC_S_OK);
}

static gage_rc
unwrap_body(struct otc_context *context, const struct otc_header *header, gage_slice body, uint8_t *text,
            OM_uint32 *supplementary, struct gage_err *err)
{
    const struct otc_span span = {body.p, text, body.n};
    const struct otc_message message = {.span = &span, .span_count = 1};
    struct otc_env env = otc_env_now();
    pthread_mutex_lock(&context->lock);
    gage_rc rc = otc_unprotect(context, &env, header, &message, supplementary, err);
    pthread_mutex_unlock(&context->lock);
    return rc;
}

static const enum otc_type wrap_types[] = {OTC_SEALED, OTC_CLEAR};

static gage_rc
wrap_header(struct otc_context *context, gage_slice token, struct otc_header *header, struct gage_err *err)
{
    pthread_mutex_lock(&context->lock);
    gage_rc rc = otc_require_complete(context, err);
    if (gage_ok(rc))
        rc = otc_read_header(&context->receive, token, wrap_types, 2, header, err);
    pthread_mutex_unlock(&context->lock);
    return rc;
}

OTC_EXPORT OM_uint32
gss_unwrap(OM_uint32 *minor, gss_ctx_id_t handle, gss_buffer_t input, gss_buffer_t output, int *conf_state,
           gss_qop_t *qop_state)
{
    struct otc_context *context = otc_context_of(handle);
    struct gage_err err = {0};
    struct otc_header header;
    OM_uint32 supplementary = 0;
    bool ok = true;
    gage_slice token = otc_take(input, &ok);
    otc_clear(output);
    if (context == NULL)
        return otc_end(minor, OTC_S_NO_CONTEXT);
    if (!ok || output == NULL)
        return otc_end(minor, OTC_S_BAD_ARGUMENT);
    gage_rc rc = wrap_header(context, token, &header, &err);
    if (!gage_ok(rc))
        return otc_result(minor, rc, &err);
    gage_slice body = {token.p + OTC_TOKEN_LEN, token.n - OTC_TOKEN_LEN};
    uint8_t *text = malloc(body.n > 0 ? body.n : 1);
    if (text == NULL)
        return otc_end(minor, OTC_S_NOMEM);
    rc = unwrap_body(context, &header, body, text, &supplementary, &err);
    if (!gage_ok(rc) || body.n == 0)
        free(text);
    else
        *output = (gss_buffer_desc){body.n, text};
    if (gage_ok(rc) && conf_state != NULL)
        *conf_state = header.type == OTC_SEALED ? 1 : 0;
    if (gage_ok(rc) && qop_state != NULL)
        *qop_state = GSS_C_QOP_DEFAULT;
    return otc_result(minor, rc, &err) | supplementary;
}

OTC_EXPORT OM_uint32
gss_get_mic(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t qop, gss_buffer_t input, gss_buffer_t output)
{
    struct otc_context *context = otc_context_of(handle);
    struct gage_err err = {0};
    bool ok = true;
    gage_slice text = otc_take(input, &ok);
    otc_clear(output);
    if (context == NULL)
        return otc_end(minor, OTC_S_NO_CONTEXT);
    if (!ok || output == NULL)
        return otc_end(minor, OTC_S_BAD_ARGUMENT);
    if (qop != GSS_C_QOP_DEFAULT)
        return otc_end(minor, OTC_S_BAD_QOP);
    uint8_t *token = malloc(OTC_TOKEN_LEN);
    if (token == NULL)
        return otc_end(minor, OTC_S_NOMEM);
    const struct otc_span span = {text.p, NULL, text.n};
    gage_rc rc = protect(context, OTC_MIC, &span, token, &err);
    if (gage_ok(rc))
        *output = (gss_buffer_desc){OTC_TOKEN_LEN, token};
    else
        free(token);
    return otc_result(minor, rc, &err);
}

OTC_EXPORT OM_uint32
gss_verify_mic(OM_uint32 *minor, gss_ctx_id_t handle, gss_buffer_t message_buffer, gss_buffer_t token_buffer,
               gss_qop_t *qop_state)
{
    struct otc_context *context = otc_context_of(handle);
    struct gage_err err = {0};
    OM_uint32 supplementary = 0;
    bool ok = true;
    gage_slice text = otc_take(message_buffer, &ok), token = otc_take(token_buffer, &ok);
    if (context == NULL)
        return otc_end(minor, OTC_S_NO_CONTEXT);
    if (!ok)
        return otc_end(minor, OTC_S_BAD_ARGUMENT);
    const struct otc_span span = {text.p, NULL, text.n};
    const struct otc_message message = {.span = &span, .span_count = 1};
    struct otc_env env = otc_env_now();
    pthread_mutex_lock(&context->lock);
    gage_rc rc = otc_verify_mic(context, &env, token, &message, &supplementary, &err);
    pthread_mutex_unlock(&context->lock);
    if (gage_ok(rc) && qop_state != NULL)
        *qop_state = GSS_C_QOP_DEFAULT;
    return otc_result(minor, rc, &err) | supplementary;
}

OTC_EXPORT OM_uint32
gss_wrap_size_limit(OM_uint32 *minor, gss_ctx_id_t handle, int conf_req, gss_qop_t qop, OM_uint32 output_size,
                    OM_uint32 *max_input)
{
    struct otc_context *context = otc_context_of(handle);
    (void)conf_req;
    if (context == NULL || max_input == NULL)
        return otc_end(minor, context == NULL ? OTC_S_NO_CONTEXT : OTC_S_BAD_ARGUMENT);
    if (qop != GSS_C_QOP_DEFAULT)
        return otc_end(minor, OTC_S_BAD_QOP);
    struct gage_err err = {0};
    pthread_mutex_lock(&context->lock);
    gage_rc rc = otc_require_complete(context, &err);
    pthread_mutex_unlock(&context->lock);
    if (gage_ok(rc))
        *max_input = output_size > OTC_TOKEN_LEN ? output_size - OTC_TOKEN_LEN : 0;
    return otc_result(minor, rc, &err);
}
