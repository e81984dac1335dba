/* gssi_message.c - the exported calls on messages: by the real mechanism on the context that the daemon exported, or by the daemon where it
 * keeps the keys. */
#include <errno.h>
#include <string.h>

#include "interposer/context.h"
#include "interposer/exports.h"

/* ---- by the daemon ---- */

/* A call of the daemon's on its context, of which it gives the next state. The caller holds the lock. */
static bool
ask(struct context *context, uint32_t procedure, union gssx_arg *arg, struct answer *a, gssx_ctx **successor,
    struct outcome *o)
{
    if (!remote_call(procedure, arg, a, o))
        return false;
    if (*successor != NULL && (*successor)->state.octet_string_len > 0) {
        octet_string used = context->wire.state;
        context->wire.state = (*successor)->state;
        (*successor)->state = used;
    }
    return outcome_good(o);
}

static bool
get_mic_remote(struct context *context, gss_qop_t qop, gss_buffer_t message, gss_buffer_t token, struct outcome *o)
{
    union gssx_arg arg = {0};
    AUTO(answer) a = {0};
    arg.get_mic.context_handle = context->wire;
    arg.get_mic.qop_req = qop;
    arg.get_mic.message_buffer = seam_view(message);
    if (!ask(context, PROC_GET_MIC, &arg, &a, &a.res.get_mic.context_handle, o))
        return false;
    seam_move(&a.res.get_mic.token_buffer, token);
    return true;
}

static bool
verify_remote(struct context *context, gss_buffer_t message, gss_buffer_t token, gss_qop_t *qop, struct outcome *o)
{
    union gssx_arg arg = {0};
    AUTO(answer) a = {0};
    arg.verify_mic.context_handle = context->wire;
    arg.verify_mic.message_buffer = seam_view(message);
    arg.verify_mic.token_buffer = seam_view(token);
    if (!ask(context, PROC_VERIFY, &arg, &a, &a.res.verify_mic.context_handle, o))
        return false;
    if (qop != NULL)
        *qop = a.res.verify_mic.qop_state != NULL ? (gss_qop_t)*a.res.verify_mic.qop_state : 0;
    return true;
}

static bool
wrap_remote(struct context *context, int conf, gss_qop_t qop, gss_buffer_t message, int *state, gss_buffer_t token,
            struct outcome *o)
{
    union gssx_arg arg = {0};
    AUTO(answer) a = {0};
    gssx_buffer in = seam_view(message);
    arg.wrap.context_handle = context->wire;
    arg.wrap.conf_req = conf != 0;
    arg.wrap.qop_state = qop;
    arg.wrap.message_buffer.message_buffer_len = 1;
    arg.wrap.message_buffer.message_buffer_val = &in;
    if (!ask(context, PROC_WRAP, &arg, &a, &a.res.wrap.context_handle, o))
        return false;
    if (a.res.wrap.token_buffer.token_buffer_len != 1)
        return outcome_fail(o, GSS_S_FAILURE, EBADMSG, "the proxy daemon did not wrap the message");
    if (state != NULL)
        *state = a.res.wrap.conf_state != NULL && *a.res.wrap.conf_state != 0;
    seam_move(&a.res.wrap.token_buffer.token_buffer_val[0], token);
    return true;
}

static bool
unwrap_remote(struct context *context, gss_buffer_t token, gss_buffer_t message, int *state, gss_qop_t *qop,
              struct outcome *o)
{
    union gssx_arg arg = {0};
    AUTO(answer) a = {0};
    gssx_buffer in = seam_view(token);
    arg.unwrap.context_handle = context->wire;
    arg.unwrap.token_buffer.token_buffer_len = 1;
    arg.unwrap.token_buffer.token_buffer_val = &in;
    if (!ask(context, PROC_UNWRAP, &arg, &a, &a.res.unwrap.context_handle, o))
        return false;
    if (a.res.unwrap.message_buffer.message_buffer_len != 1)
        return outcome_fail(o, GSS_S_FAILURE, EBADMSG, "the proxy daemon did not unwrap the message");
    if (state != NULL)
        *state = a.res.unwrap.conf_state != NULL && *a.res.unwrap.conf_state != 0;
    if (qop != NULL)
        *qop = a.res.unwrap.qop_state != NULL ? (gss_qop_t)*a.res.unwrap.qop_state : 0;
    seam_move(&a.res.unwrap.message_buffer.message_buffer_val[0], message);
    return true;
}

static bool
limit_remote(struct context *context, int conf, gss_qop_t qop, OM_uint32 output, OM_uint32 *input, struct outcome *o)
{
    union gssx_arg arg = {0};
    AUTO(answer) a = {0};
    arg.wrap_size_limit.context_handle = context->wire;
    arg.wrap_size_limit.conf_req = conf != 0;
    arg.wrap_size_limit.qop_state = qop;
    arg.wrap_size_limit.req_output_size = output;
    if (!remote_call(PROC_WRAP_SIZE_LIMIT, &arg, &a, o) || !outcome_good(o))
        return false;
    *input = (OM_uint32)a.res.wrap_size_limit.max_input_size;
    return true;
}

/* Whether messages go to the daemon; then the lock is held until `leave`, for each message uses up the state before it. */
static bool
enter_kept(struct context *context)
{
    pthread_mutex_lock(&context->lock);
    if (context_is_kept(context))
        return true;
    pthread_mutex_unlock(&context->lock);
    return false;
}

static OM_uint32
leave(struct context *context, OM_uint32 *minor, const struct outcome *o)
{
    pthread_mutex_unlock(&context->lock);
    return outcome_end(minor, o);
}

/* ---- exported ---- */

INTERPOSER_EXPORT OM_uint32
gssi_get_mic(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t qop, gss_buffer_t message, gss_buffer_t token)
{
    struct outcome o;
    struct context *context = context_of(handle);
    gss_ctx_id_t local;
    OM_uint32 m, major;
    seam_clear(token);
    if (enter_kept(context)) {
        get_mic_remote(context, qop, message, token, &o);
        return leave(context, minor, &o);
    }
    if (context_local(context, &local, &o)) {
        major = gss_get_mic(&m, local, qop, message, token);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_verify_mic(OM_uint32 *minor, gss_ctx_id_t handle, gss_buffer_t message, gss_buffer_t token, gss_qop_t *qop)
{
    struct outcome o;
    struct context *context = context_of(handle);
    gss_ctx_id_t local;
    OM_uint32 m, major;
    if (enter_kept(context)) {
        verify_remote(context, message, token, qop, &o);
        return leave(context, minor, &o);
    }
    if (context_local(context, &local, &o)) {
        major = gss_verify_mic(&m, local, message, token, qop);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_wrap(OM_uint32 *minor, gss_ctx_id_t handle, int conf, gss_qop_t qop, gss_buffer_t message, int *state,
          gss_buffer_t token)
{
    struct outcome o;
    struct context *context = context_of(handle);
    gss_ctx_id_t local;
    OM_uint32 m, major;
    seam_clear(token);
    if (enter_kept(context)) {
        wrap_remote(context, conf, qop, message, state, token, &o);
        return leave(context, minor, &o);
    }
    if (context_local(context, &local, &o)) {
        major = gss_wrap(&m, local, conf, qop, message, state, token);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_unwrap(OM_uint32 *minor, gss_ctx_id_t handle, gss_buffer_t token, gss_buffer_t message, int *state, gss_qop_t *qop)
{
    struct outcome o;
    struct context *context = context_of(handle);
    gss_ctx_id_t local;
    OM_uint32 m, major;
    seam_clear(message);
    if (enter_kept(context)) {
        unwrap_remote(context, token, message, state, qop, &o);
        return leave(context, minor, &o);
    }
    if (context_local(context, &local, &o)) {
        major = gss_unwrap(&m, local, token, message, state, qop);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_wrap_size_limit(OM_uint32 *minor, gss_ctx_id_t handle, int conf, gss_qop_t qop, OM_uint32 output, OM_uint32 *input)
{
    struct outcome o;
    struct context *context = context_of(handle);
    gss_ctx_id_t local;
    OM_uint32 m, major;
    if (enter_kept(context)) {
        limit_remote(context, conf, qop, output, input, &o);
        return leave(context, minor, &o);
    }
    if (context_local(context, &local, &o)) {
        major = gss_wrap_size_limit(&m, local, conf, qop, output, input);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}
