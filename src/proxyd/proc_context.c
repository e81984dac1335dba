/* INIT_SEC_CONTEXT and ACCEPT_SEC_CONTEXT, one leg a call. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxyd/cred.h"
#include "proxyd/known.h"
#include "proxyd/krb_context.h"
#include "proxyd/linux.h"
#include "proxyd/mech.h"
#include "proxyd/procs.h"
#include "proxyd/s4u.h"

#define NO_MEMORY(call) status_fail(&(call)->status, GSS_S_FAILURE, ENOMEM, "out of memory")

static void
set_target(struct call *call, gss_name_t name)
{
    AUTO(gage_buf) shown = GAGE_BUF(sizeof call->target - 1);
    name_show(name, &shown);
    if (shown.n > 0)
        memcpy(call->target, shown.p, shown.n);
    call->target[shown.n] = '\0';
}

/* What the client asked its call context to mean. */
struct wanted_forms {
    bool lucid, linux_creds;
};

static bool
read_forms(struct call *call, const gssx_call_ctx *ctx, struct wanted_forms *forms)
{
    const gssx_buffer *context = option_find(&ctx->options, "exported_context_type");
    const gssx_buffer *creds = option_find(&ctx->options, "exported_creds_type");
    if ((context != NULL && !option_is(context, "linux_lucid_v1")) ||
        (creds != NULL && !option_is(creds, "linux_creds_v1")))
        return status_fail(&call->status, GSS_S_FAILURE, EINVAL,
                           "exported_context_type is linux_lucid_v1 and exported_creds_type linux_creds_v1, or absent");
    *forms = (struct wanted_forms){context != NULL, creds != NULL};
    if ((forms->lucid || forms->linux_creds) && !call->service->linux_credentials)
        return status_fail(&call->status, GSS_S_UNAUTHORIZED, EPERM,
                           "service %s is not the kernel's: set kernel_nfsd or linux_credentials", call->service->name);
    return true;
}

/* ---- what is told of a context ---- */

/* Where the names of a context come from: the memory of its ticket, else what accepting gave and the context itself. */
struct naming {
    bool keyed, known;
    uint8_t key[SHA256_LEN];
    gssx_name source, target; /* where known */
    gss_name_t accepted;      /* the source, borrowed; none: the context is asked */
};

static void
naming_free(struct naming *n)
{
    xdr_free(GSSX_XDR(gssx_name), &n->source);
    xdr_free(GSSX_XDR(gssx_name), &n->target);
}

static bool
put_name(struct call *call, gss_name_t name, bool lucid, gssx_name *to)
{
    if (name == GSS_C_NO_NAME)
        return true;
    if (!name_to_gssx(name, false, to, &call->status)) /* attributes: by IMPORT_AND_CANON_NAME of the composite form */
        return false;
    return !lucid || gssx_put(&to->exported_composite_name, SLICE_NONE); /* the kernel has no use for it */
}

static bool
put_names(struct call *call, struct naming *naming, gss_name_t source, gss_name_t target, bool lucid, gssx_ctx *to)
{
    if (naming->known) {
        to->src_name = naming->source;
        to->targ_name = naming->target;
        memset(&naming->source, 0, sizeof naming->source);
        memset(&naming->target, 0, sizeof naming->target);
        return true;
    }
    if (!put_name(call, source, lucid, &to->src_name) || !put_name(call, target, lucid, &to->targ_name))
        return false;
    if (naming->keyed && source != GSS_C_NO_NAME && target != GSS_C_NO_NAME)
        known_put(call->engine->known, naming->key, &to->src_name, &to->targ_name);
    return true;
}

/* Fills what gss_inquire_context says. A half-open context may know nothing yet. */
static bool
describe(struct call *call, gss_ctx_id_t ctx, bool half_open, bool lucid, struct naming *naming, gssx_ctx *to)
{
    bool ask_source = !naming->known && naming->accepted == GSS_C_NO_NAME;
    AUTO(gss_name_t) source = GSS_C_NO_NAME, target = GSS_C_NO_NAME;
    OM_uint32 minor, major, lifetime = 0, flags = 0;
    gss_OID mech = GSS_C_NO_OID;
    int local = 0, open = 0;
    major = gss_inquire_context(&minor, ctx, ask_source ? &source : NULL, naming->known ? NULL : &target, &lifetime,
                                &mech, &flags, &local, &open);
    if (GSS_ERROR(major))
        return half_open || status_set(&call->status, major, minor, GSS_C_NO_OID);
    to->lifetime = lifetime;
    to->ctx_flags = flags;
    to->locally_initiated = local != 0;
    to->open = open != 0;
    if (mech != GSS_C_NO_OID && !gssx_put(&to->mech, oid_slice(mech)))
        return NO_MEMORY(call);
    if (half_open)
        return true;
    return put_names(call, naming, ask_source ? source : naming->accepted, target, lucid, to);
}

/* Hands the context on: to the kernel's form, or to state and exported token. Consumes it in any case. */
static bool
give_context(struct call *call, struct live_context *live, bool half_open, bool lucid, gss_const_OID mech,
             bool initiator, struct naming *naming, gssx_ctx **out)
{
    gssx_ctx *to = calloc(1, sizeof *to);
    *out = to;
    if (to == NULL) {
        context_drop(call, live);
        return NO_MEMORY(call);
    }
    to->locally_initiated = initiator;
    bool good = describe(call, live->ctx, half_open, lucid, naming, to);
    if (good && to->mech.octet_string_len == 0)
        good = gssx_put(&to->mech, oid_slice(mech));
    if (!good || (lucid && !half_open)) {
        good = good && linux_lucid(call, &live->ctx, &to->exported_context_token);
        context_drop(call, live);
        return good;
    }
    return context_close(call, live, half_open, to);
}

static bool
open_context(struct call *call, const gssx_ctx *handle, struct live_context *live)
{
    if (handle == NULL) {
        context_begin(call, live);
        return true;
    }
    return context_open(call, gssx_slice(&handle->state), live);
}

static bool
check_sync(struct call *call, const gssx_options *options)
{
    const gssx_buffer *value = option_find(options, "sync_modified_creds");
    return value == NULL || option_is(value, "default") ||
           status_fail(&call->status, GSS_S_FAILURE, EINVAL, "sync_modified_creds is default, or absent");
}

/* A cred that its tickets' holder should have back, because this call added some. */
static bool
sync_wanted(const struct call *call, const gssx_options *options, const struct cred_use *use)
{
    return option_find(options, "sync_modified_creds") != NULL && call->service->allow_client_ccache_sync &&
           use->from_token;
}

static void
sync_back(struct call *call, struct cred_use *use, size_t before, gssx_options *options)
{
    AUTO(gage_buf) bytes = GAGE_BUF(1 << 20);
    struct gss_status status = call->status;
    gssx_cred cred = {0};
    if (cred_ticket_count(use->cred) != before && cred_export_to_gssx(call, use->cred, &cred) &&
        gage_ok(gssx_encode(GSSX_XDR(gssx_cred), &cred, &bytes)))
        (void)option_add(options, "sync_creds", gage_buf_slice(&bytes));
    xdr_free(GSSX_XDR(gssx_cred), &cred);
    call->status = status; /* not fatal: the client keeps what it has */
    call->status.mech.elements = call->status.mech_bytes;
}

static bool
put_token(struct call *call, const gss_buffer_desc *token, gssx_buffer **out)
{
    *out = gssx_new_bytes(gss_slice(token));
    return *out != NULL || NO_MEMORY(call);
}

/* ---- INIT_SEC_CONTEXT ---- */

/* The service's OID for what the client names; with none named, its first. */
static gss_OID
choose_mech(struct call *call, const gssx_OID *named)
{
    const struct service *s = call->service;
    for (size_t i = 0; i < s->mech_count; i++)
        if (named->octet_string_len == 0 || slice_equal(gssx_slice(named), oid_slice(&s->mechs[i])))
            return (gss_OID)(uintptr_t)&s->mechs[i];
    status_fail(&call->status, GSS_S_BAD_MECH, EACCES, "service %s does not have this mechanism in its mechs", s->name);
    return GSS_C_NO_OID;
}

static bool
initiate(struct call *call, gssx_arg_init_sec_context *arg, gss_OID mech, gss_name_t target, struct cred_use *use,
         struct live_context *live, gss_owned_buffer *token)
{
    struct gss_channel_bindings_struct bindings;
    gss_buffer_desc input = arg->input_token != NULL ? gss_buffer_of(arg->input_token) : (gss_buffer_desc){0, NULL};
    OM_uint32 flags = ((OM_uint32)arg->req_flags | call->service->enforce_flags) & ~call->service->filter_flags;
    if (arg->input_cb != NULL)
        bindings_from_gssx(arg->input_cb, &bindings);
    OM_uint32 minor, major;
    major = gss_init_sec_context(&minor, use->cred, &live->ctx, target, mech, flags, (OM_uint32)arg->time_req,
                                 arg->input_cb != NULL ? &bindings : GSS_C_NO_CHANNEL_BINDINGS, &input, NULL, token,
                                 NULL, NULL);
    return status_set(&call->status, major, minor, mech);
}

static bool
init_leg(struct call *call, gssx_arg_init_sec_context *arg, gss_OID mech, bool lucid, struct live_context *live,
         gssx_res_init_sec_context *res)
{
    AUTO(gss_name_t) target = GSS_C_NO_NAME;
    AUTO(cred_use) use = {0};
    AUTO(gss_owned_buffer) token = GSS_C_EMPTY_BUFFER;
    if (arg->target_name == NULL)
        return status_fail(&call->status, GSS_S_BAD_NAME, EINVAL, "there is no target name");
    if (!name_from_gssx(arg->target_name, &target, &call->status))
        return false;
    set_target(call, target);
    if (!cred_begin_call(call, arg->cred_handle, GSS_C_INITIATE, mech, &use) || !s4u_allowed(call, use.cred, target))
        return false;
    bool sync = sync_wanted(call, &arg->options, &use);
    size_t before = sync ? cred_ticket_count(use.cred) : 0;
    bool good = initiate(call, arg, mech, target, &use, live, &token);
    if (token.length > 0 && !put_token(call, &token, &res->output_token))
        return false;
    if (!good)
        return false;
    struct gss_status outcome = call->status;
    struct naming naming = {0};
    if (!give_context(call, live, outcome.major != GSS_S_COMPLETE, lucid, mech, true, &naming, &res->context_handle))
        return false;
    if (sync)
        sync_back(call, &use, before, &res->options);
    return status_set(&call->status, outcome.major, outcome.minor, mech);
}

bool
proc_init_sec_context(struct call *call, gssx_arg_init_sec_context *arg, gssx_res_init_sec_context *res)
{
    struct wanted_forms forms;
    struct live_context live = {0};
    gss_OID mech = choose_mech(call, &arg->mech_type);
    if (mech == GSS_C_NO_OID || !read_forms(call, &arg->call_ctx, &forms) || !check_sync(call, &arg->options) ||
        !open_context(call, arg->context_handle, &live))
        return false;
    bool good = init_leg(call, arg, mech, forms.lucid, &live, res);
    if (!good) {
        if (res->context_handle != NULL)
            xdr_free(GSSX_XDR(gssx_ctx), res->context_handle);
        free(res->context_handle);
        res->context_handle = NULL;
        context_drop(call, &live);
    }
    return good;
}

/* ---- ACCEPT_SEC_CONTEXT ---- */

/* What gss_accept_sec_context gave beside context and token. */
struct accepted {
    bool want_source;
    gss_name_t source;
    gss_OID mech;
    OM_uint32 flags;
    gss_cred_id_t delegated;
};

static void
accepted_free(struct accepted *a)
{
    OM_uint32 minor;
    gss_release_name(&minor, &a->source);
    gss_release_cred(&minor, &a->delegated);
}

/* The mechanism that a first token names (RFC 2743 3.1), where the service has it; with one mechanism that one. */
static gss_const_OID
token_mech(const struct call *call, const gss_buffer_desc *token)
{
    const struct service *s = call->service;
    const uint8_t *p = token->value;
    size_t n = token->length, at = n > 2 && p[0] == 0x60 ? 2 + (p[1] < 0x80 ? 0u : p[1] & 0x7fu) : n;
    for (size_t i = 0; i < s->mech_count && at < n && n - at > 2; i++)
        if (p[at] == 0x06 && p[at + 1] == s->mechs[i].length && n - at - 2 >= s->mechs[i].length &&
            memcmp(p + at + 2, s->mechs[i].elements, s->mechs[i].length) == 0)
            return &s->mechs[i];
    return s->mech_count == 1 ? &s->mechs[0] : GSS_C_NO_OID;
}

static bool
accept_token(struct call *call, gssx_arg_accept_sec_context *arg, struct cred_use *use, struct live_context *live,
             gss_owned_buffer *token, struct accepted *a)
{
    struct gss_channel_bindings_struct bindings;
    gss_buffer_desc input = gss_buffer_of(&arg->input_token);
    if (arg->input_cb != NULL)
        bindings_from_gssx(arg->input_cb, &bindings);
    OM_uint32 minor, major;
    krb_context_phase(KRB_CONTEXT_ACCEPTING);
    major = gss_accept_sec_context(&minor, &live->ctx, use->cred, &input,
                                   arg->input_cb != NULL ? &bindings : GSS_C_NO_CHANNEL_BINDINGS,
                                   a->want_source ? &a->source : NULL, &a->mech, token, &a->flags, NULL,
                                   arg->ret_deleg_cred ? &a->delegated : NULL);
    krb_context_phase(major == GSS_S_COMPLETE ? KRB_CONTEXT_ENDING : KRB_CONTEXT_USUAL);
    return status_set(&call->status, major, minor, a->mech != GSS_C_NO_OID ? a->mech : token_mech(call, &input));
}

/* Delegation and the kernel's user: only of an established context. */
static bool
accept_extras(struct call *call, const struct wanted_forms *forms, struct accepted *a, gssx_res_accept_sec_context *res)
{
    if (forms->linux_creds && !linux_creds(call, a->source, a->mech, &res->options))
        return false;
    if (a->delegated == GSS_C_NO_CREDENTIAL || (a->flags & GSS_C_DELEG_FLAG) == 0)
        return true;
    res->delegated_cred_handle = calloc(1, sizeof *res->delegated_cred_handle);
    if (res->delegated_cred_handle == NULL)
        return NO_MEMORY(call);
    return cred_export_to_gssx(call, a->delegated, res->delegated_cred_handle);
}

/* Finds out whether the token's ticket is one whose names are known. */
static void
begin_naming(struct call *call, const gssx_arg_accept_sec_context *arg, const struct wanted_forms *forms,
             struct naming *naming)
{
    gage_slice handle = arg->cred_handle != NULL ? gssx_slice(&arg->cred_handle->cred_handle_reference) : SLICE_NONE;
    naming->keyed = !forms->lucid && arg->context_handle == NULL &&
                    known_key(call, handle, gssx_slice(&arg->input_token), naming->key);
    naming->known = naming->keyed && known_get(call->engine->known, naming->key, &naming->source, &naming->target);
}

static bool
accept_leg(struct call *call, gssx_arg_accept_sec_context *arg, const struct wanted_forms *forms,
           struct live_context *live, gssx_res_accept_sec_context *res)
{
    AUTO(cred_use) use = {0};
    AUTO(gss_owned_buffer) token = GSS_C_EMPTY_BUFFER;
    __attribute__((cleanup(accepted_free))) struct accepted a = {0};
    __attribute__((cleanup(naming_free))) struct naming naming = {0};
    if (!cred_begin_call(call, arg->cred_handle, GSS_C_ACCEPT, GSS_C_NO_OID, &use))
        return false;
    begin_naming(call, arg, forms, &naming);
    a.want_source = !naming.known || forms->linux_creds;
    bool good = accept_token(call, arg, &use, live, &token, &a);
    if ((good || token.length > 0) && !put_token(call, &token, &res->output_token))
        return false;
    if (!good)
        return false;
    struct gss_status outcome = call->status;
    bool half_open = outcome.major != GSS_S_COMPLETE;
    if (!half_open && !accept_extras(call, forms, &a, res))
        return false;
    naming.accepted = half_open ? GSS_C_NO_NAME : a.source;
    if (!give_context(call, live, half_open, forms->lucid, a.mech, false, &naming, &res->context_handle))
        return false;
    gssx_name_text(&res->context_handle->src_name, call->target, sizeof call->target);
    return status_set(&call->status, outcome.major, outcome.minor, a.mech);
}

/* A failed leg says nothing but why (and the mechanism's error token). */
static void
forget_results(gssx_res_accept_sec_context *res)
{
    octet_string *token = res->output_token;
    res->output_token = NULL;
    xdr_free(GSSX_XDR(gssx_res_accept_sec_context), res);
    memset(res, 0, sizeof *res);
    res->output_token = token;
}

bool
proc_accept_sec_context(struct call *call, gssx_arg_accept_sec_context *arg, gssx_res_accept_sec_context *res)
{
    struct wanted_forms forms;
    struct live_context live = {0};
    if (!read_forms(call, &arg->call_ctx, &forms) || !check_sync(call, &arg->options) ||
        !open_context(call, arg->context_handle, &live))
        return false;
    bool good = accept_leg(call, arg, &forms, &live, res);
    krb_context_phase(KRB_CONTEXT_USUAL);
    if (!good) {
        forget_results(res);
        context_drop(call, &live);
    }
    return good;
}
