#include "interposer/context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "rpc/record.h"

bool
context_new(const struct mech *mech, struct context **out, struct outcome *o)
{
    struct context *context = calloc(1, sizeof *context);
    if (context == NULL)
        return outcome_no_memory(o);
    pthread_mutex_init(&context->lock, NULL);
    context->mech = mech;
    *out = context;
    return outcome_ok(o);
}

static void
wipe_bytes(octet_string *s)
{
    if (s->octet_string_len > 0)
        gage_wipe(s->octet_string_val, s->octet_string_len);
    free(s->octet_string_val);
    *s = (octet_string){0};
}

static void
wire_free(gssx_ctx *wire)
{
    wipe_bytes(&wire->exported_context_token);
    xdr_free(GSSX_XDR(gssx_ctx), wire);
    memset(wire, 0, sizeof *wire);
}

static void
release_remote(const gssx_ctx *wire)
{
    union gssx_arg arg = {0};
    AUTO(answer) a = {0};
    struct outcome o;
    arg.release_handle.cred_handle.handle_type = GSSX_C_HANDLE_SEC_CTX;
    arg.release_handle.cred_handle.gssx_handle_u.sec_ctx_info = *wire;
    remote_call(PROC_RELEASE_HANDLE, &arg, &a, &o);
}

void
context_free(struct context *context)
{
    OM_uint32 minor;
    if (context == NULL)
        return;
    if (context->remote && context->wire.needs_release)
        release_remote(&context->wire);
    if (context->local != GSS_C_NO_CONTEXT)
        gss_delete_sec_context(&minor, &context->local, GSS_C_NO_BUFFER);
    wire_free(&context->wire);
    wire_cred_free(&context->kept);
    pthread_mutex_destroy(&context->lock);
    free(context);
}

void
context_take(struct context *context, gssx_ctx *from)
{
    wire_free(&context->wire);
    context->wire = *from;
    memset(from, 0, sizeof *from);
    context->remote = true;
    context->told = clock_monotonic_ns();
}

OM_uint32
context_left(const struct context *context)
{
    return seconds_left(context->wire.lifetime, context->told);
}

bool
context_is_kept(const struct context *context)
{
    return context->remote && context->complete && context->local == GSS_C_NO_CONTEXT &&
           context->wire.exported_context_token.octet_string_len == 0;
}

OM_uint32
context_flags(const struct context *context)
{
    OM_uint32 flags = (OM_uint32)context->wire.ctx_flags;
    if (!context->complete)
        flags &= ~(OM_uint32)GSS_C_PROT_READY_FLAG;
    return context_is_kept(context) ? flags & ~(OM_uint32)GSS_C_TRANS_FLAG : flags;
}

/* ---- the real mechanism's ---- */

bool
token_for(const struct mech *mech, gage_slice token, gage_buf *out)
{
    put_vec32(out, oid_slice(&mech->special));
    put_bytes(out, token);
    return gage_ok(buf_check(out, NULL));
}

bool
token_of(gage_slice exported, gage_slice *oid, gage_slice *token)
{
    struct reader r = read_from(exported);
    *oid = get_vec32(&r);
    *token = get_rest(&r);
    return read_ok(&r);
}

static bool
import_exported(struct context *context, struct outcome *o)
{
    AUTO(gage_buf) bytes = GAGE_BUF(RECORD_MAX);
    gage_slice oid, token;
    if (!token_of(gssx_slice(&context->wire.exported_context_token), &oid, &token) || mech_find_bytes(oid) == NULL)
        return outcome_fail(o, GSS_S_DEFECTIVE_TOKEN, EBADMSG,
                            "the proxy daemon's context is not one of this mechanism");
    if (!token_for(mech_find_bytes(oid), token, &bytes))
        return outcome_no_memory(o);
    gss_buffer_desc buffer = {bytes.n, bytes.p};
    OM_uint32 minor, major = gss_import_sec_context(&minor, &buffer, &context->local);
    if (GSS_ERROR(major))
        return outcome_local(o, major, minor);
    wipe_bytes(&context->wire.exported_context_token);
    return outcome_ok(o);
}

bool
context_local(struct context *context, gss_ctx_id_t *out, struct outcome *o)
{
    bool good = outcome_ok(o);
    pthread_mutex_lock(&context->lock);
    if (context->local == GSS_C_NO_CONTEXT && context->wire.exported_context_token.octet_string_len > 0 &&
        context->complete)
        good = import_exported(context, o);
    else if (context->local == GSS_C_NO_CONTEXT)
        good = context->complete
                   ? outcome_fail(
                         o, GSS_S_UNAVAILABLE, ENOTSUP,
                         "the proxy daemon keeps this context's keys (keep_keys): only wrap, unwrap, MIC and their "
                         "size can be asked of it")
                   : outcome_fail(o, GSS_S_NO_CONTEXT, EINVAL, "the context is not established yet");
    *out = context->local;
    pthread_mutex_unlock(&context->lock);
    return good;
}
