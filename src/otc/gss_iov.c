/* gss_iov.c - the exported per-message calls on buffers in place. */
#include <stdlib.h>

#include "otc/layout.h"
#include "otc/seam.h"

/* ---- wrap ---- */

static gage_rc
wrap(struct otc_context *context, bool conf, gss_iov_buffer_desc *iov, int count, struct otc_layout *layout,
     struct gage_err *err)
{
    TRY(otc_layout_read(layout, iov, count, false, err));
    if (layout->stream != NULL || layout->mic != NULL || layout->unfilled)
        return otc_fail(err, OTC_S_BAD_IOV);
    TRY(otc_layout_room(layout->header, err));
    otc_layout_no_trailer(iov, count);
    struct otc_env env = otc_env_now();
    pthread_mutex_lock(&context->lock);
    gage_rc rc =
        otc_protect(context, &env, conf ? OTC_SEALED : OTC_CLEAR, &layout->message, layout->header->buffer.value, err);
    pthread_mutex_unlock(&context->lock);
    return rc;
}

OTC_EXPORT OM_uint32
gss_wrap_iov(OM_uint32 *minor, gss_ctx_id_t handle, int conf_req, gss_qop_t qop, int *conf_state,
             gss_iov_buffer_desc *iov, int count)
{
    struct otc_context *context = otc_context_of(handle);
    struct otc_layout layout = {0};
    struct gage_err err = {0};
    if (context == NULL)
        return otc_end(minor, OTC_S_NO_CONTEXT);
    if (qop != GSS_C_QOP_DEFAULT)
        return otc_end(minor, OTC_S_BAD_QOP);
    gage_rc rc = wrap(context, conf_req != 0, iov, count, &layout, &err);
    otc_layout_cleanup(&layout);
    if (gage_ok(rc) && conf_state != NULL)
        *conf_state = conf_req ? 1 : 0;
    return otc_result(minor, rc, &err);
}

static void
set_lengths(gss_iov_buffer_desc *iov, int count, OM_uint32 type)
{
    for (int i = 0; i < count; i++) {
        if (GSS_IOV_BUFFER_TYPE(iov[i].type) == type)
            iov[i].buffer.length = OTC_TOKEN_LEN;
    }
    otc_layout_no_trailer(iov, count);
}

static OM_uint32
lengths(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t qop, gss_iov_buffer_desc *iov, int count, OM_uint32 type)
{
    struct otc_context *context = otc_context_of(handle);
    struct gage_err err = {0};
    if (context == NULL)
        return otc_end(minor, OTC_S_NO_CONTEXT);
    if (qop != GSS_C_QOP_DEFAULT)
        return otc_end(minor, OTC_S_BAD_QOP);
    if (count < 0 || (count > 0 && iov == NULL))
        return otc_end(minor, OTC_S_BAD_IOV);
    pthread_mutex_lock(&context->lock);
    gage_rc rc = otc_require_complete(context, &err);
    pthread_mutex_unlock(&context->lock);
    if (gage_ok(rc))
        set_lengths(iov, count, type);
    return otc_result(minor, rc, &err);
}

OTC_EXPORT OM_uint32
gss_wrap_iov_length(OM_uint32 *minor, gss_ctx_id_t handle, int conf_req, gss_qop_t qop, int *conf_state,
                    gss_iov_buffer_desc *iov, int count)
{
    OM_uint32 major = lengths(minor, handle, qop, iov, count, GSS_IOV_BUFFER_TYPE_HEADER);
    if (major == GSS_S_COMPLETE && conf_state != NULL)
        *conf_state = conf_req ? 1 : 0;
    return major;
}

/* ---- unwrap ---- */

static const enum otc_type wrap_types[] = {OTC_SEALED, OTC_CLEAR};

/* A STREAM is a whole token: its body becomes the one span, read in the stream and put out there or in a new buffer. */
static gage_rc
open_stream(struct otc_layout *layout, gage_slice *token, struct otc_span *body, struct gage_err *err)
{
    *token = gage_slice_of(layout->stream->buffer.value, layout->stream->buffer.length);
    if (layout->header != NULL || layout->data_count != 1)
        return otc_fail(err, OTC_S_BAD_IOV);
    if (token->n < OTC_TOKEN_LEN)
        return GAGE_DONE; /* the header's reader says it */
    uint8_t *in = (uint8_t *)layout->stream->buffer.value + OTC_TOKEN_LEN;
    size_t n = token->n - OTC_TOKEN_LEN;
    bool allocate = (layout->data->type & GSS_IOV_BUFFER_FLAG_ALLOCATE) != 0;
    uint8_t *out = allocate ? malloc(n > 0 ? n : 1) : in;
    if (out == NULL)
        return gage_rc_of(GAGE_E_NOMEM);
    *body = (struct otc_span){in, out, n};
    return GAGE_DONE;
}

static gage_rc
open_token(struct otc_context *context, gage_slice token, const struct otc_message *message, bool *conf,
           OM_uint32 *supplementary, struct gage_err *err)
{
    struct otc_env env = otc_env_now();
    struct otc_header header;
    TRY(otc_require_complete(context, err));
    TRY(otc_read_header(&context->receive, token, wrap_types, 2, &header, err));
    *conf = header.type == OTC_SEALED;
    return otc_unprotect(context, &env, &header, message, supplementary, err);
}

static gage_rc
unwrap_stream(struct otc_context *context, struct otc_layout *layout, bool *conf, OM_uint32 *supplementary,
              struct gage_err *err)
{
    gage_slice token;
    struct otc_span body = {0};
    TRY(open_stream(layout, &token, &body, err));
    struct otc_message message = layout->message;
    message.span = &body;
    message.span_count = 1;
    gage_rc rc = open_token(context, token, &message, conf, supplementary, err);
    bool allocated = body.out != NULL && body.out != body.in;
    if (!gage_ok(rc)) {
        if (allocated)
            free(body.out);
        layout->data->buffer = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
        return rc;
    }
    layout->data->buffer = (gss_buffer_desc){body.n, body.out};
    if (allocated)
        layout->data->type |= GSS_IOV_BUFFER_FLAG_ALLOCATED;
    return rc;
}

static gage_rc
unwrap_in_place(struct otc_context *context, struct otc_layout *layout, bool *conf, OM_uint32 *supplementary,
                struct gage_err *err)
{
    if (layout->header == NULL || layout->unfilled)
        return otc_fail(err, OTC_S_BAD_IOV);
    bool ok = true;
    gage_slice token = otc_take(&layout->header->buffer, &ok);
    if (!ok || token.n > OTC_TOKEN_LEN)
        return otc_fail(err, OTC_S_BAD_IOV);
    return open_token(context, token, &layout->message, conf, supplementary, err);
}

OTC_EXPORT OM_uint32
gss_unwrap_iov(OM_uint32 *minor, gss_ctx_id_t handle, int *conf_state, gss_qop_t *qop_state, gss_iov_buffer_desc *iov,
               int count)
{
    struct otc_context *context = otc_context_of(handle);
    struct otc_layout layout = {0};
    struct gage_err err = {0};
    OM_uint32 supplementary = 0;
    bool conf = false;
    if (context == NULL)
        return otc_end(minor, OTC_S_NO_CONTEXT);
    gage_rc rc = otc_layout_read(&layout, iov, count, false, &err);
    pthread_mutex_lock(&context->lock);
    if (gage_ok(rc) && layout.stream != NULL)
        rc = unwrap_stream(context, &layout, &conf, &supplementary, &err);
    else if (gage_ok(rc))
        rc = unwrap_in_place(context, &layout, &conf, &supplementary, &err);
    pthread_mutex_unlock(&context->lock);
    if (!gage_ok(rc))
        otc_layout_wipe(&layout);
    otc_layout_cleanup(&layout);
    if (gage_ok(rc) && conf_state != NULL)
        *conf_state = conf ? 1 : 0;
    if (gage_ok(rc) && qop_state != NULL)
        *qop_state = GSS_C_QOP_DEFAULT;
    return otc_result(minor, rc, &err) | supplementary;
}

/* ---- MIC ---- */

static gage_rc
get_mic(struct otc_context *context, gss_iov_buffer_desc *iov, int count, struct otc_layout *layout,
        struct gage_err *err)
{
    TRY(otc_layout_read(layout, iov, count, true, err));
    if (layout->unfilled)
        return otc_fail(err, OTC_S_BAD_IOV);
    TRY(otc_layout_room(layout->mic, err));
    struct otc_env env = otc_env_now();
    pthread_mutex_lock(&context->lock);
    gage_rc rc = otc_protect(context, &env, OTC_MIC, &layout->message, layout->mic->buffer.value, err);
    pthread_mutex_unlock(&context->lock);
    return rc;
}

OTC_EXPORT OM_uint32
gss_get_mic_iov(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t qop, gss_iov_buffer_desc *iov, int count)
{
    struct otc_context *context = otc_context_of(handle);
    struct otc_layout layout = {0};
    struct gage_err err = {0};
    if (context == NULL)
        return otc_end(minor, OTC_S_NO_CONTEXT);
    if (qop != GSS_C_QOP_DEFAULT)
        return otc_end(minor, OTC_S_BAD_QOP);
    gage_rc rc = get_mic(context, iov, count, &layout, &err);
    otc_layout_cleanup(&layout);
    return otc_result(minor, rc, &err);
}

OTC_EXPORT OM_uint32
gss_get_mic_iov_length(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t qop, gss_iov_buffer_desc *iov, int count)
{
    return lengths(minor, handle, qop, iov, count, GSS_IOV_BUFFER_TYPE_MIC_TOKEN);
}

static gage_rc
verify_mic(struct otc_context *context, gss_iov_buffer_desc *iov, int count, struct otc_layout *layout,
           OM_uint32 *supplementary, struct gage_err *err)
{
    bool ok = true;
    TRY(otc_layout_read(layout, iov, count, true, err));
    gage_slice token = layout->mic != NULL ? otc_take(&layout->mic->buffer, &ok) : SLICE_NONE;
    if (layout->mic == NULL || layout->unfilled || !ok)
        return otc_fail(err, OTC_S_BAD_IOV);
    struct otc_env env = otc_env_now();
    pthread_mutex_lock(&context->lock);
    gage_rc rc = otc_verify_mic(context, &env, token, &layout->message, supplementary, err);
    pthread_mutex_unlock(&context->lock);
    return rc;
}

OTC_EXPORT OM_uint32
gss_verify_mic_iov(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t *qop_state, gss_iov_buffer_desc *iov, int count)
{
    struct otc_context *context = otc_context_of(handle);
    struct otc_layout layout = {0};
    struct gage_err err = {0};
    OM_uint32 supplementary = 0;
    if (context == NULL)
        return otc_end(minor, OTC_S_NO_CONTEXT);
    gage_rc rc = verify_mic(context, iov, count, &layout, &supplementary, &err);
    otc_layout_cleanup(&layout);
    if (gage_ok(rc) && qop_state != NULL)
        *qop_state = GSS_C_QOP_DEFAULT;
    return otc_result(minor, rc, &err) | supplementary;
}
