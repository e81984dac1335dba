/* gssi_context.c - the exported calls on a context as a whole. */
#include <errno.h>

#include "interposer/context.h"
#include "interposer/exports.h"
#include "rpc/record.h"

INTERPOSER_EXPORT OM_uint32
gssi_delete_sec_context(OM_uint32 *minor, gss_ctx_id_t *handle, gss_buffer_t output)
{
    seam_clear(output);
    context_free(context_of(*handle));
    *handle = GSS_C_NO_CONTEXT;
    *minor = 0;
    return GSS_S_COMPLETE;
}

/* What the daemon said stands for its contexts, whether they were imported or not. */
static bool
is_told(const struct context *context)
{
    return context->remote;
}

INTERPOSER_EXPORT OM_uint32
gssi_context_time(OM_uint32 *minor, gss_ctx_id_t handle, OM_uint32 *time_rec)
{
    struct outcome o;
    struct context *context = context_of(handle);
    gss_ctx_id_t local;
    OM_uint32 m, major;
    outcome_ok(&o);
    if (is_told(context)) {
        *time_rec = context_left(context);
        if (!context->complete)
            outcome_fail(&o, GSS_S_NO_CONTEXT, EINVAL, "the context is not established yet");
        else if (*time_rec == 0)
            outcome_fail(&o, GSS_S_CONTEXT_EXPIRED, ETIME, "the context's lifetime is over; make a new one");
    } else if (context_local(context, &local, &o)) {
        major = gss_context_time(&m, local, time_rec);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

/* ---- inquiring ---- */

struct about {
    gss_name_t *source, *target;
    OM_uint32 *lifetime, *flags;
    int *locally_initiated, *open;
};

static bool
give_name(const struct context *context, const gssx_name *wire, gss_name_t *to, struct outcome *o)
{
    struct name *name = NULL;
    if (to == NULL || wire->display_name.octet_string_len == 0)
        return true;
    if (!name_from_wire(context->mech, wire, &name, o))
        return false;
    *to = name_handle(name);
    return true;
}

static bool
tell_remote(struct context *context, const struct about *about, struct outcome *o)
{
    outcome_ok(o);
    if (!give_name(context, &context->wire.src_name, about->source, o) ||
        !give_name(context, &context->wire.targ_name, about->target, o))
        return false;
    if (about->lifetime != NULL)
        *about->lifetime = context_left(context);
    if (about->flags != NULL)
        *about->flags = context_flags(context);
    if (about->locally_initiated != NULL)
        *about->locally_initiated = context->wire.locally_initiated != 0;
    if (about->open != NULL)
        *about->open = context->complete;
    return true;
}

static bool
take_name(const struct context *context, gss_name_t *local, gss_name_t *to, struct outcome *o)
{
    struct name *name = NULL;
    if (to == NULL || *local == GSS_C_NO_NAME)
        return true;
    if (!name_from_local(context->mech, local, &name, o))
        return false;
    *to = name_handle(name);
    return true;
}

static bool
tell_local(struct context *context, const struct about *about, struct outcome *o)
{
    AUTO(gss_name_t) source = GSS_C_NO_NAME, target = GSS_C_NO_NAME;
    OM_uint32 minor, major;
    if (context->local == GSS_C_NO_CONTEXT)
        return outcome_fail(o, GSS_S_NO_CONTEXT, EINVAL, "the context is not established yet");
    major = gss_inquire_context(&minor, context->local, about->source != NULL ? &source : NULL,
                                about->target != NULL ? &target : NULL, about->lifetime, NULL, about->flags,
                                about->locally_initiated, about->open);
    return outcome_local(o, major, minor) && take_name(context, &source, about->source, o) &&
           take_name(context, &target, about->target, o);
}

INTERPOSER_EXPORT OM_uint32
gssi_inquire_context(OM_uint32 *minor, gss_ctx_id_t handle, gss_name_t *source, gss_name_t *target, OM_uint32 *lifetime,
                     gss_OID *mech, OM_uint32 *flags, int *locally_initiated, int *open)
{
    struct outcome o;
    struct context *context = context_of(handle);
    struct about about = {source, target, lifetime, flags, locally_initiated, open};
    OM_uint32 m;
    if (source != NULL)
        *source = GSS_C_NO_NAME;
    if (target != NULL)
        *target = GSS_C_NO_NAME;
    if (mech != NULL)
        *mech = mech_public(context->mech);
    if (is_told(context) ? tell_remote(context, &about, &o) : tell_local(context, &about, &o))
        return outcome_end(minor, &o);
    if (source != NULL && *source != GSS_C_NO_NAME)
        gssi_release_name(&m, source);
    return outcome_end(minor, &o);
}

/* ---- export, import: always in the real mechanism's form, which a process without this plugin takes too ---- */

INTERPOSER_EXPORT OM_uint32
gssi_export_sec_context(OM_uint32 *minor, gss_ctx_id_t *handle, gss_buffer_t token)
{
    struct outcome o;
    struct context *context = context_of(*handle);
    AUTO(owned_buffer) exported = GSS_C_EMPTY_BUFFER;
    gss_ctx_id_t local;
    gage_slice oid, inner;
    OM_uint32 m, major;
    seam_clear(token);
    if (!context_local(context, &local, &o))
        return outcome_end(minor, &o);
    major = gss_export_sec_context(&m, &context->local, &exported);
    if (!outcome_local(&o, major, m))
        return outcome_end(minor, &o);
    if (!token_of(seam_slice(&exported), &oid, &inner))
        outcome_fail(&o, GSS_S_FAILURE, EBADMSG, "the local library exported a context in an unknown form");
    else if (!seam_give(inner, token))
        outcome_no_memory(&o);
    context_free(context); /* exporting ended it */
    *handle = GSS_C_NO_CONTEXT;
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_import_sec_context_by_mech(OM_uint32 *minor, gss_OID mech, gss_buffer_t token, gss_ctx_id_t *out)
{
    struct outcome o;
    struct context *context = NULL;
    const struct mech *own = mech_find(mech);
    AUTO(gage_buf) bytes = GAGE_BUF(RECORD_MAX);
    OM_uint32 m, major;
    *out = GSS_C_NO_CONTEXT;
    if (own == NULL || !token_for(own, seam_slice(token), &bytes)) {
        outcome_fail(&o, own == NULL ? GSS_S_BAD_MECH : GSS_S_FAILURE, EINVAL,
                     "not a context of a mechanism of the proxy's");
        return outcome_end(minor, &o);
    }
    if (!context_new(own, &context, &o))
        return outcome_end(minor, &o);
    gss_buffer_desc buffer = {bytes.n, bytes.p};
    major = gss_import_sec_context(&m, &buffer, &context->local);
    if (outcome_local(&o, major, m)) {
        context->complete = true;
        *out = context_handle(context);
    } else {
        context_free(context);
    }
    return outcome_end(minor, &o);
}

/* ---- by object identifier ---- */

INTERPOSER_EXPORT OM_uint32
gssi_inquire_sec_context_by_oid(OM_uint32 *minor, const gss_ctx_id_t handle, const gss_OID object,
                                gss_buffer_set_t *data)
{
    struct outcome o;
    gss_ctx_id_t local;
    OM_uint32 m, major;
    *data = GSS_C_NO_BUFFER_SET;
    if (context_local(context_of(handle), &local, &o)) {
        major = gss_inquire_sec_context_by_oid(&m, local, object, data);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_set_sec_context_option(OM_uint32 *minor, gss_ctx_id_t *handle, const gss_OID object, const gss_buffer_t value)
{
    struct outcome o;
    gss_ctx_id_t local;
    OM_uint32 m, major;
    if (*handle == GSS_C_NO_CONTEXT) {
        outcome_fail(&o, GSS_S_UNAVAILABLE, ENOTSUP, "there is no context to set the option of");
    } else if (context_local(context_of(*handle), &local, &o)) {
        major = gss_set_sec_context_option(&m, &context_of(*handle)->local, object, value);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_process_context_token(OM_uint32 *minor, const gss_ctx_id_t handle, const gss_buffer_t token)
{
    struct outcome o;
    gss_ctx_id_t local;
    OM_uint32 m, major;
    if (context_local(context_of(handle), &local, &o)) {
        major = gss_process_context_token(&m, local, token);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_complete_auth_token(OM_uint32 *minor, const gss_ctx_id_t handle, gss_buffer_t token)
{
    struct outcome o;
    gss_ctx_id_t local;
    OM_uint32 m, major;
    if (context_local(context_of(handle), &local, &o)) {
        major = gss_complete_auth_token(&m, local, token);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_pseudo_random(OM_uint32 *minor, gss_ctx_id_t handle, int key, const gss_buffer_t input, ssize_t n,
                   gss_buffer_t output)
{
    struct outcome o;
    gss_ctx_id_t local;
    OM_uint32 m, major;
    seam_clear(output);
    if (context_local(context_of(handle), &local, &o)) {
        major = gss_pseudo_random(&m, local, key, input, n, output);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}
