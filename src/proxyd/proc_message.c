/* GET_MIC, VERIFY, WRAP, UNWRAP, WRAP_SIZE_LIMIT: per-message calls for clients that keep no keys. Each takes a context's state and gives
 * its successor, also where the message itself was refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxyd/procs.h"

static bool
open_message_context(struct call *call, const gssx_ctx *handle, struct live_context *live)
{
    return context_open(call, gssx_slice(&handle->state), live);
}

/* Ends the call: the context goes back to the client. A failure of the message stays the call's status. */
static bool
close_message_context(struct call *call, const gssx_ctx *handle, struct live_context *live, bool good, gssx_ctx **out)
{
    struct gss_status outcome = call->status;
    gssx_ctx *to = calloc(1, sizeof *to);
    *out = to;
    if (to == NULL) {
        context_drop(call, live);
        return PROC_NO_MEMORY(call);
    }
    bool told = gssx_put(&to->mech, gssx_slice(&handle->mech)) && gssx_name_copy(&to->src_name, &handle->src_name) &&
                gssx_name_copy(&to->targ_name, &handle->targ_name);
    OM_uint32 minor, lifetime = 0;
    to->lifetime = GSS_ERROR(gss_context_time(&minor, live->ctx, &lifetime)) ? 0 : lifetime;
    to->ctx_flags = handle->ctx_flags;
    to->locally_initiated = handle->locally_initiated;
    to->open = handle->open;
    if (!context_close(call, live, false, to) || !told)
        return false;
    call->status = outcome;
    call->status.mech.elements = call->status.mech_bytes;
    return good;
}

/* The status of a per-message call: supplementary bits (old, duplicate, gap, unsequenced) go to the client as they are. */
static bool
message_status(struct call *call, OM_uint32 major, OM_uint32 minor)
{
    return status_set(&call->status, major, minor, GSS_C_NO_OID);
}

static bool
put_qop(struct call *call, gss_qop_t qop, gssx_qop **out)
{
    *out = malloc(sizeof **out);
    if (*out == NULL)
        return PROC_NO_MEMORY(call);
    **out = qop;
    return true;
}

static bool
put_conf(struct call *call, int conf, bool_t **out)
{
    *out = malloc(sizeof **out);
    if (*out == NULL)
        return PROC_NO_MEMORY(call);
    **out = conf != 0;
    return true;
}

bool
proc_get_mic(struct call *call, gssx_arg_get_mic *arg, gssx_res_get_mic *res)
{
    struct live_context live = {0};
    AUTO(gss_owned_buffer) mic = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc message = gss_buffer_of(&arg->message_buffer);
    OM_uint32 minor;
    if (!open_message_context(call, &arg->context_handle, &live))
        return false;
    OM_uint32 major = gss_get_mic(&minor, live.ctx, (gss_qop_t)arg->qop_req, &message, &mic);
    bool good = message_status(call, major, minor) && put_qop(call, (gss_qop_t)arg->qop_req, &res->qop_state) &&
                (gssx_put(&res->token_buffer, gss_slice(&mic)) || PROC_NO_MEMORY(call));
    return close_message_context(call, &arg->context_handle, &live, good, &res->context_handle);
}

bool
proc_verify_mic(struct call *call, gssx_arg_verify_mic *arg, gssx_res_verify_mic *res)
{
    struct live_context live = {0};
    gss_buffer_desc message = gss_buffer_of(&arg->message_buffer), mic = gss_buffer_of(&arg->token_buffer);
    gss_qop_t qop = 0;
    OM_uint32 minor;
    if (!open_message_context(call, &arg->context_handle, &live))
        return false;
    OM_uint32 major = gss_verify_mic(&minor, live.ctx, &message, &mic, &qop);
    bool good = message_status(call, major, minor) && put_qop(call, qop, &res->qop_state);
    return close_message_context(call, &arg->context_handle, &live, good, &res->context_handle);
}

static bool
wrap_one(struct call *call, gss_ctx_id_t ctx, const gssx_arg_wrap *arg, const gssx_buffer *message, int *conf,
         gssx_buffer *to)
{
    AUTO(gss_owned_buffer) token = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc in = gss_buffer_of(message);
    OM_uint32 minor, major = gss_wrap(&minor, ctx, arg->conf_req, (gss_qop_t)arg->qop_state, &in, conf, &token);
    return message_status(call, major, minor) && (gssx_put(to, gss_slice(&token)) || PROC_NO_MEMORY(call));
}

bool
proc_wrap(struct call *call, gssx_arg_wrap *arg, gssx_res_wrap *res)
{
    static const gssx_buffer empty;
    struct live_context live = {0};
    u_int count = arg->message_buffer.message_buffer_len;
    const gssx_buffer *messages = count > 0 ? arg->message_buffer.message_buffer_val : &empty;
    int conf = 0;
    count = count > 0 ? count : 1; /* no buffer means one empty message, as the reference has it */
    if (!open_message_context(call, &arg->context_handle, &live))
        return false;
    res->token_buffer.token_buffer_val = calloc(count, sizeof(gssx_buffer));
    bool good = res->token_buffer.token_buffer_val != NULL || PROC_NO_MEMORY(call);
    for (u_int i = 0; good && i < count; i++) {
        res->token_buffer.token_buffer_len = i + 1;
        good = wrap_one(call, live.ctx, arg, &messages[i], &conf, &res->token_buffer.token_buffer_val[i]);
    }
    good = good && put_conf(call, conf, &res->conf_state) && put_qop(call, (gss_qop_t)arg->qop_state, &res->qop_state);
    return close_message_context(call, &arg->context_handle, &live, good, &res->context_handle);
}

static bool
unwrap_one(struct call *call, gss_ctx_id_t ctx, const gssx_buffer *token, int *conf, gss_qop_t *qop, gssx_buffer *to)
{
    AUTO(gss_owned_buffer) message = GSS_C_EMPTY_BUFFER;
    gss_buffer_desc in = gss_buffer_of(token);
    OM_uint32 minor, major = gss_unwrap(&minor, ctx, &in, &message, conf, qop);
    bool good = message_status(call, major, minor) && (gssx_put(to, gss_slice(&message)) || PROC_NO_MEMORY(call));
    if (message.length > 0)
        gage_wipe(message.value, message.length);
    return good;
}

/* Messages of an array that is refused half-way are wiped: all or none. */
static void
drop_messages(gssx_res_unwrap *res)
{
    for (u_int i = 0; i < res->message_buffer.message_buffer_len; i++) {
        gssx_buffer *b = &res->message_buffer.message_buffer_val[i];
        if (b->octet_string_len > 0)
            gage_wipe(b->octet_string_val, b->octet_string_len);
        free(b->octet_string_val);
    }
    free(res->message_buffer.message_buffer_val);
    memset(&res->message_buffer, 0, sizeof res->message_buffer);
}

bool
proc_unwrap(struct call *call, gssx_arg_unwrap *arg, gssx_res_unwrap *res)
{
    struct live_context live = {0};
    u_int count = arg->token_buffer.token_buffer_len;
    int conf = 0;
    gss_qop_t qop = 0;
    if (count == 0)
        return status_fail(&call->status, GSS_S_DEFECTIVE_TOKEN, EINVAL, "there is no token to unwrap");
    if (!open_message_context(call, &arg->context_handle, &live))
        return false;
    res->message_buffer.message_buffer_val = calloc(count, sizeof(gssx_buffer));
    bool good = res->message_buffer.message_buffer_val != NULL || PROC_NO_MEMORY(call);
    for (u_int i = 0; good && i < count; i++) {
        res->message_buffer.message_buffer_len = i + 1;
        good = unwrap_one(call, live.ctx, &arg->token_buffer.token_buffer_val[i], &conf, &qop,
                          &res->message_buffer.message_buffer_val[i]);
    }
    if (!good)
        drop_messages(res);
    good = good && put_conf(call, conf, &res->conf_state) && put_qop(call, qop, &res->qop_state);
    return close_message_context(call, &arg->context_handle, &live, good, &res->context_handle);
}

/* Its result has no context to give back, so the state stays good: the serial is not spent. */
bool
proc_wrap_size_limit(struct call *call, gssx_arg_wrap_size_limit *arg, gssx_res_wrap_size_limit *res)
{
    struct live_context live = {0};
    OM_uint32 minor, limit = 0;
    if (!context_look(call, gssx_slice(&arg->context_handle.state), &live))
        return false;
    OM_uint32 asked = arg->req_output_size > UINT32_MAX ? UINT32_MAX : (OM_uint32)arg->req_output_size;
    OM_uint32 major = gss_wrap_size_limit(&minor, live.ctx, arg->conf_req, (gss_qop_t)arg->qop_state, asked, &limit);
    res->max_input_size = limit;
    bool good = message_status(call, major, minor);
    context_look_end(call, &live);
    return good;
}
