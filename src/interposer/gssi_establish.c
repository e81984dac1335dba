/* gssi_establish.c - the exported calls that establish contexts. The first leg decides whose the context is; one with the default credential
 * is one call of the daemon. */
#include <errno.h>
#include <string.h>

#include "interposer/acceptor.h"
#include "interposer/cache.h"
#include "interposer/context.h"
#include "interposer/exports.h"

/* One leg of either role, its arguments as the application gave them. */
struct leg {
    const struct mech *mech;
    struct context *context; /* of the legs before, or NULL */
    struct context *made;    /* what this leg began */
    struct cred *cred;       /* or NULL */
    gss_channel_bindings_t bindings;
    gss_buffer_t input, output;
    owned_buffer error_token; /* of a side that failed */
    /* initiating */
    struct name *target;
    OM_uint32 flags, time;
    /* accepting */
    gss_name_t *source;
    gss_cred_id_t *delegated;
    /* told */
    OM_uint32 *ret_flags, *time_rec;
};

static struct context *
context_of_leg(const struct leg *leg)
{
    return leg->context != NULL ? leg->context : leg->made;
}

static bool
begin(struct leg *leg, struct outcome *o)
{
    return leg->context != NULL || context_new(leg->mech, &leg->made, o);
}

/* A leg that failed leaves no context that it began; the token that says so to the peer is put aside, for another side may do better. */
static bool
end(struct leg *leg, struct outcome *o)
{
    if (outcome_good(o))
        return true;
    if (leg->output != GSS_C_NO_BUFFER && leg->output->length > 0) {
        owned_buffer_free(&leg->error_token);
        leg->error_token = *leg->output;
    }
    seam_clear(leg->output);
    context_free(leg->made);
    leg->made = NULL;
    return false;
}

static gssx_cb
bindings_view(gss_channel_bindings_t b)
{
    if (b == GSS_C_NO_CHANNEL_BINDINGS)
        return (gssx_cb){0};
    return (gssx_cb){.initiator_addrtype = b->initiator_addrtype,
                     .initiator_address = seam_view(&b->initiator_address),
                     .acceptor_addrtype = b->acceptor_addrtype,
                     .acceptor_address = seam_view(&b->acceptor_address),
                     .application_data = seam_view(&b->application_data)};
}

/* What a result says of the context and its token. */
static bool
take_result(struct leg *leg, gssx_ctx *given, gssx_buffer *token, struct outcome *o)
{
    struct context *context = context_of_leg(leg);
    if (token != NULL)
        seam_move(token, leg->output);
    if (!outcome_good(o))
        return false;
    if (given == NULL)
        return outcome_fail(o, GSS_S_FAILURE, EBADMSG, "the proxy daemon established a context and gave none");
    const struct mech *mech = given->mech.octet_string_len > 0 ? mech_find_bytes(gssx_slice(&given->mech)) : leg->mech;
    if (mech == NULL)
        return outcome_fail(o, GSS_S_BAD_MECH, EBADMSG, "the proxy daemon established a context of another mechanism");
    context->mech = mech;
    context_take(context, given);
    context->complete = o->major == GSS_S_COMPLETE;
    if (leg->ret_flags != NULL)
        *leg->ret_flags = context_flags(context);
    if (leg->time_rec != NULL)
        *leg->time_rec = context_left(context);
    return true;
}

static gssx_ctx *
wire_of(const struct context *context)
{
    return context != NULL ? (gssx_ctx *)(uintptr_t)&context->wire : NULL;
}

/* ---- initiating ---- */

static bool
init_local(void *call, struct outcome *o)
{
    struct leg *leg = call;
    gss_name_t target;
    OM_uint32 minor, major;
    if (!name_local(leg->target, &target, o) || !begin(leg, o))
        return false;
    struct context *context = context_of_leg(leg);
    major = gss_init_sec_context(&minor, leg->cred != NULL ? leg->cred->local : GSS_C_NO_CREDENTIAL, &context->local,
                                 target, mech_special(leg->mech), leg->flags, leg->time, leg->bindings, leg->input,
                                 NULL, leg->output, leg->ret_flags, leg->time_rec);
    outcome_local(o, major, minor);
    context->complete = major == GSS_S_COMPLETE;
    return end(leg, o);
}

/* Whoever stored a daemon's credential in the default cache initiates with it, in every leg. */
static gssx_cred *
cred_to_send(struct leg *leg)
{
    struct context *context = context_of_leg(leg);
    if (leg->cred != NULL)
        return cred_lend(leg->cred);
    if (leg->context == NULL)
        (void)cache_find(NULL, &context->kept);
    return context->kept.cred_handle_reference.octet_string_len > 0 ? &context->kept : NULL;
}

static bool
init_remote(void *call, struct outcome *o)
{
    struct leg *leg = call;
    union gssx_arg arg = {0};
    AUTO(answer) a = {0};
    gssx_name room = {0}, *target;
    gssx_cb bindings = bindings_view(leg->bindings);
    gssx_buffer input = seam_view(leg->input);
    gssx_option sync = {.option = seam_view_slice(gage_slice_of("sync_modified_creds", sizeof "sync_modified_creds")),
                        .value = seam_view_slice(gage_slice_of("default", sizeof "default"))};
    if (!name_wire(leg->target, &room, &target, o) || !begin(leg, o))
        return false;
    gssx_arg_init_sec_context *to = &arg.init_sec_context;
    to->context_handle = wire_of(leg->context);
    to->target_name = target;
    to->mech_type = seam_view_slice(oid_slice(&leg->mech->oid));
    to->req_flags = leg->flags;
    to->time_req = leg->time;
    to->input_cb = leg->bindings != GSS_C_NO_CHANNEL_BINDINGS ? &bindings : NULL;
    to->input_token = leg->input != GSS_C_NO_BUFFER ? &input : NULL;
    to->cred_handle = cred_to_send(leg);
    if (leg->cred != NULL)
        to->options = (gssx_options){1, &sync};
    bool answered = remote_call(PROC_INIT_SEC_CONTEXT, &arg, &a, o);
    cred_return(leg->cred);
    if (answered) {
        gssx_res_init_sec_context *res = &a.res.init_sec_context;
        cred_sync(leg->cred, &res->options);
        take_result(leg, res->context_handle, res->output_token, o);
    }
    xdr_free(GSSX_XDR(gssx_name), &room);
    return end(leg, o);
}

static const struct ways initiating = {{init_local, init_remote}};

/* A context or credential that there is has decided the side. */
static const struct sides *
sides_of_leg(const struct leg *leg)
{
    static const struct sides local = {"", 1, {SIDE_LOCAL}}, remote = {"", 1, {SIDE_REMOTE}};
    if (leg->context != NULL)
        return leg->context->remote ? &remote : &local;
    if (leg->cred != NULL)
        return leg->cred->remote ? &remote : &local;
    return sides_asked();
}

static OM_uint32
run(struct leg *leg, const struct ways *ways, gss_ctx_id_t *handle, gss_OID *actual, OM_uint32 *minor)
{
    struct outcome o;
    seam_clear(leg->output);
    if (leg->mech == NULL) {
        outcome_fail(&o, GSS_S_BAD_MECH, EINVAL, "not a mechanism of the proxy's");
        return outcome_end(minor, &o);
    }
    if (actual != NULL)
        *actual = mech_public(leg->mech);
    OM_uint32 major = seam_run(sides_of_leg(leg), ways, leg, minor);
    if (leg->made != NULL)
        *handle = context_handle(leg->made);
    if (GSS_ERROR(major) && leg->output != GSS_C_NO_BUFFER) {
        *leg->output = leg->error_token;
        leg->error_token = (owned_buffer)GSS_C_EMPTY_BUFFER;
    }
    owned_buffer_free(&leg->error_token);
    return major;
}

INTERPOSER_EXPORT OM_uint32
gssi_init_sec_context(OM_uint32 *minor, gss_cred_id_t cred, gss_ctx_id_t *handle, gss_name_t target, gss_OID mech,
                      OM_uint32 flags, OM_uint32 time, gss_channel_bindings_t bindings, gss_buffer_t input,
                      gss_OID *actual, gss_buffer_t output, OM_uint32 *ret_flags, OM_uint32 *time_rec)
{
    struct leg leg = {.context = context_of(*handle),
                      .mech = mech_find(mech),
                      .cred = cred_of(cred),
                      .bindings = bindings,
                      .input = input,
                      .output = output,
                      .target = name_of(target),
                      .flags = flags,
                      .time = time,
                      .ret_flags = ret_flags,
                      .time_rec = time_rec};
    return run(&leg, &initiating, handle, actual, minor);
}

/* ---- accepting ---- */

static bool
give_local_results(struct leg *leg, gss_name_t *source, gss_cred_id_t *delegated, struct outcome *o)
{
    struct outcome ignored;
    struct name *name = NULL;
    struct cred *cred = NULL;
    if (leg->source != NULL && *source != GSS_C_NO_NAME) {
        if (!name_from_local(leg->mech, source, &name, o))
            return false;
        *leg->source = name_handle(name);
    }
    if (leg->delegated != NULL && *delegated != GSS_C_NO_CREDENTIAL &&
        cred_from_local(leg->mech, delegated, &cred, &ignored))
        *leg->delegated = cred_handle(cred);
    return true;
}

/* The library takes an interposer's wish for the real mechanism from the credential: without one, the default is acquired. Where there is
 * one, what it says of the token is the verdict: each side knows the replays of its own only. */
static bool
accept_local(void *call, struct outcome *o)
{
    struct leg *leg = call;
    AUTO(gss_cred_id_t) own = GSS_C_NO_CREDENTIAL, delegated = GSS_C_NO_CREDENTIAL;
    AUTO(gss_name_t) source = GSS_C_NO_NAME;
    OM_uint32 minor, major;
    gss_cred_id_t use = leg->cred != NULL ? leg->cred->local : GSS_C_NO_CREDENTIAL;
    if (leg->context == NULL && use == GSS_C_NO_CREDENTIAL) {
        if (!default_local_cred(leg->mech, GSS_C_ACCEPT, &own, o))
            return false;
        use = own;
    }
    if (!begin(leg, o))
        return false;
    struct context *context = context_of_leg(leg);
    major = gss_accept_sec_context(&minor, &context->local, use, leg->input, leg->bindings,
                                   leg->source != NULL ? &source : NULL, NULL, leg->output, leg->ret_flags,
                                   leg->time_rec, leg->delegated != NULL ? &delegated : NULL);
    if (outcome_local(o, major, minor))
        give_local_results(leg, &source, &delegated, o);
    o->verdict = !outcome_good(o);
    context->complete = major == GSS_S_COMPLETE;
    return end(leg, o);
}

static bool
give_remote_results(struct leg *leg, gssx_res_accept_sec_context *res, struct outcome *o)
{
    struct outcome done;
    struct name *name = NULL;
    struct cred *cred = NULL;
    struct context *context = context_of_leg(leg);
    if (leg->source != NULL && context->complete) {
        if (!name_from_wire(context->mech, &context->wire.src_name, &name, &done)) {
            *o = done;
            return false;
        }
        *leg->source = name_handle(name);
    }
    if (leg->delegated != NULL && res->delegated_cred_handle != NULL &&
        cred_from_wire(context->mech, res->delegated_cred_handle, &cred, &done))
        *leg->delegated = cred_handle(cred);
    return true;
}

/* One call. Its results are taken where it was good. */
static bool
accept_with(struct leg *leg, gssx_cred *cred, struct outcome *o)
{
    union gssx_arg arg = {0};
    AUTO(answer) a = {0};
    gssx_cb bindings = bindings_view(leg->bindings);
    gssx_arg_accept_sec_context *to = &arg.accept_sec_context;
    if (!begin(leg, o))
        return false;
    to->context_handle = wire_of(leg->context);
    to->input_token = seam_view(leg->input);
    to->input_cb = leg->bindings != GSS_C_NO_CHANNEL_BINDINGS ? &bindings : NULL;
    to->ret_deleg_cred = leg->delegated != NULL;
    to->cred_handle = cred;
    gssx_res_accept_sec_context *res = &a.res.accept_sec_context;
    if (remote_call(PROC_ACCEPT_SEC_CONTEXT, &arg, &a, o) &&
        take_result(leg, res->context_handle, res->output_token, o))
        give_remote_results(leg, res, o);
    return end(leg, o);
}

/* Whether the daemon's failure is about the token, whatever credential there is. */
static bool
is_of_token(const struct outcome *o)
{
    OM_uint32 error = GSS_ROUTINE_ERROR(o->major);
    return error == GSS_S_DEFECTIVE_TOKEN || error == GSS_S_BAD_BINDINGS || error == GSS_S_BAD_SIG ||
           error == GSS_S_CREDENTIALS_EXPIRED;
}

/* Where the default one was refused. A daemon that has a credential has given its verdict on the token; one that has none has not. */
static bool
accept_by_acquired(struct leg *leg, struct outcome *o)
{
    struct wish w = {.mech = leg->mech, .time = GSS_C_INDEFINITE, .usage = GSS_C_ACCEPT};
    struct outcome first = *o;
    bool acquired = wish_remote(&w, o);
    bool good = acquired && accept_with(leg, &w.made->wire, o);
    if (good) {
        acceptor_remember(&w.made->wire);
    } else {
        *o = first;
        o->verdict = acquired;
    }
    cred_free(w.made);
    return good;
}

static bool
accept_by_default(struct leg *leg, struct outcome *o)
{
    gssx_cred known = {0};
    if (acceptor_known(&known)) {
        bool good = accept_with(leg, &known, o);
        wire_cred_free(&known);
        if (good || o->unreachable)
            return good;
        if (GSS_ROUTINE_ERROR(o->major) != GSS_S_DEFECTIVE_CREDENTIAL) {
            o->verdict = true;
            return false;
        }
        acceptor_forget(); /* the daemon has other keys or another configuration by now */
    }
    if (accept_with(leg, NULL, o))
        return true;
    if (o->unreachable)
        return false;
    o->verdict = is_of_token(o);
    return !o->verdict && accept_by_acquired(leg, o);
}

static bool
accept_remote(void *call, struct outcome *o)
{
    struct leg *leg = call;
    gssx_cred known = {0};
    bool good;
    if (leg->cred == NULL && leg->context == NULL)
        return accept_by_default(leg, o);
    if (leg->cred == NULL) { /* what the first leg was accepted with, if it was that */
        good = accept_with(leg, acceptor_known(&known) ? &known : NULL, o);
        wire_cred_free(&known);
        return good;
    }
    good = accept_with(leg, cred_lend(leg->cred), o);
    cred_return(leg->cred);
    return good;
}

static const struct ways accepting = {{accept_local, accept_remote}};

/* The mechanism that a first token names; one that names none of ours is a bare Kerberos token. */
static const struct mech *
mech_of_token(gss_buffer_t token)
{
    struct reader r = read_from(seam_slice(token));
    const struct mech *mech = NULL;
    if (get_u8(&r) == 0x60) {
        uint8_t length = get_u8(&r);
        get_bytes(&r, length & 0x80 ? length & 0x7f : 0);
        if (get_u8(&r) == 0x06)
            mech = mech_find_bytes(get_vec8(&r));
    }
    return mech != NULL && read_ok(&r) ? mech : mech_at(0);
}

INTERPOSER_EXPORT OM_uint32
gssi_accept_sec_context(OM_uint32 *minor, gss_ctx_id_t *handle, gss_cred_id_t cred, gss_buffer_t input,
                        gss_channel_bindings_t bindings, gss_name_t *source, gss_OID *actual, gss_buffer_t output,
                        OM_uint32 *ret_flags, OM_uint32 *time_rec, gss_cred_id_t *delegated)
{
    struct leg leg = {.context = context_of(*handle),
                      .cred = cred_of(cred),
                      .bindings = bindings,
                      .input = input,
                      .output = output,
                      .source = source,
                      .delegated = delegated,
                      .ret_flags = ret_flags,
                      .time_rec = time_rec};
    leg.mech = leg.context != NULL ? leg.context->mech : mech_of_token(input);
    if (source != NULL)
        *source = GSS_C_NO_NAME;
    if (delegated != NULL)
        *delegated = GSS_C_NO_CREDENTIAL;
    return run(&leg, &accepting, handle, actual, minor);
}
