/* ACQUIRE_CRED, EXPORT_CRED, IMPORT_CRED. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxyd/cred.h"
#include "proxyd/mech.h"
#include "proxyd/procs.h"
#include "proxyd/s4u.h"

static bool
new_cred(struct call *call, gssx_cred **to)
{
    *to = calloc(1, sizeof **to);
    return *to != NULL || PROC_NO_MEMORY(call);
}

/* Begins using a reference and describes it to the client. */
static bool
give(struct call *call, const struct cred_ref *ref, const gssx_cred *in, gssx_cred **out)
{
    AUTO(cred_use) use = {0};
    return cred_begin(call, ref, in, &use) && new_cred(call, out) && cred_to_gssx(call, ref, &use, *out);
}

/* ---- acquire ---- */

static bool
impersonate(struct call *call, const gssx_arg_acquire_cred *arg, const struct cred_ref *in, gssx_cred **out)
{
    AUTO(cred_use) use = {0};
    AUTO(gss_name_t) user = GSS_C_NO_NAME;
    AUTO(gss_cred_id_t) cred = GSS_C_NO_CREDENTIAL;
    AUTO(cred_ref) wish = CRED_REF_EMPTY;
    if (arg->desired_name == NULL)
        return status_fail(&call->status, GSS_S_BAD_NAME, EINVAL, "impersonate_name needs the name of a user");
    if (!spec_from_wish(call, NULL, GSS_C_INITIATE, &arg->desired_mechs, &wish.spec) ||
        !name_from_gssx(arg->desired_name, &user, &call->status) || !cred_begin(call, in, arg->input_cred_handle, &use))
        return false;
    gss_OID_set_desc mechs = {wish.spec.mech_count, wish.spec.mechs};
    return s4u_impersonate(call, use.cred, user, &mechs, &cred) && new_cred(call, out) &&
           cred_export_to_gssx(call, cred, *out);
}

static bool
add_elements(struct call *call, gss_cred_id_t cred, gss_name_t name, const struct cred_spec *wish,
             struct cred_store *store, gss_cred_id_t *sum)
{
    gss_key_value_set_desc set = {(OM_uint32)store->count, store->rows};
    for (size_t i = 0; i < wish->mech_count; i++) {
        gss_OID mech = (gss_OID)(uintptr_t)&wish->mechs[i];
        OM_uint32 minor, major;
        major = i == 0 ? gss_add_cred_from(&minor, cred, name, mech, wish->usage, GSS_C_INDEFINITE, GSS_C_INDEFINITE,
                                           &set, sum, NULL, NULL, NULL)
                       : gss_add_cred_from(&minor, *sum, name, mech, wish->usage, GSS_C_INDEFINITE, GSS_C_INDEFINITE,
                                           &set, NULL, NULL, NULL, NULL);
        if (GSS_ERROR(major))
            return status_set(&call->status, major, minor, mech);
    }
    return true;
}

/* Adds elements to a credential that is not the daemon's to acquire again. */
static bool
add_to_token(struct call *call, const gssx_arg_acquire_cred *arg, const struct cred_ref *in,
             const struct cred_spec *wish, gssx_cred **out)
{
    AUTO(cred_use) use = {0}, added = {0}; /* added: the sum, with its cache */
    AUTO(cred_store) store = {0};
    AUTO(gss_name_t) name = GSS_C_NO_NAME;
    if (!cred_begin(call, in, arg->input_cred_handle, &use) || !store_expand(call, wish, &store) ||
        !store_keep_apart(call, wish, &store, added.ccache) || !store_settle(call, &store) ||
        (arg->desired_name != NULL && !name_from_gssx(arg->desired_name, &name, &call->status)))
        return false;
    return add_elements(call, use.cred, name, wish, &store, &added.own) && new_cred(call, out) &&
           cred_export_to_gssx(call, added.own, *out);
}

static bool
same_wish(const struct cred_spec *have, const struct cred_spec *want, bool named)
{
    for (size_t i = 0; i < want->mech_count; i++) {
        bool found = false;
        for (size_t j = 0; j < have->mech_count; j++)
            found = found || mech_equal(&have->mechs[j], &want->mechs[i]);
        if (!found)
            return false;
    }
    return have->uid == want->uid && have->until == want->until && have->impersonate == want->impersonate &&
           (have->usage == GSS_C_BOTH || have->usage == want->usage) &&
           (!named || (!have->default_name && slice_equal(gage_buf_slice(&have->name), gage_buf_slice(&want->name)) &&
                       slice_equal(gage_buf_slice(&have->name_type), gage_buf_slice(&want->name_type))));
}

/* Whether a credential by token still serves the wish. CRED_UNAVAIL where it is somebody else's. */
static bool
token_serves(struct call *call, const gssx_arg_acquire_cred *arg, gss_cred_id_t cred, gss_cred_usage_t usage,
             bool *serves)
{
    AUTO(gss_name_t) have = GSS_C_NO_NAME, want = GSS_C_NO_NAME;
    OM_uint32 minor, lifetime = 0;
    gss_cred_usage_t has;
    int equal = 1;
    *serves = false;
    if (GSS_ERROR(gss_inquire_cred(&minor, cred, &have, &lifetime, &has, NULL)))
        return true;
    if (arg->desired_name != NULL) {
        if (!name_from_gssx(arg->desired_name, &want, &call->status))
            return false;
        if (GSS_ERROR(gss_compare_name(&minor, have, want, &equal)) || !equal)
            return status_fail(&call->status, GSS_S_CRED_UNAVAIL, EPERM,
                               "the credential handed in is not the desired name's");
    }
    *serves = lifetime > 0 && lifetime >= call->service->min_lifetime && (has == GSS_C_BOTH || has == usage);
    return true;
}

/* The client's own bytes, while they are sealed with the newest key: it keeps them in a ticket cache, and writes that anew where they change. */
static bool
keep_handle(struct call *call, const gssx_cred *in, gssx_cred *out)
{
    gage_slice own = gssx_slice(&in->cred_handle_reference), fresh = gssx_slice(&out->cred_handle_reference);
    if (own.n < VAULT_PREFIX_LEN || fresh.n < VAULT_PREFIX_LEN || memcmp(own.p, fresh.p, VAULT_PREFIX_LEN) != 0)
        return true;
    xdr_free(GSSX_XDR(octet_string), &out->cred_handle_reference);
    memset(&out->cred_handle_reference, 0, sizeof out->cred_handle_reference);
    return gssx_put(&out->cred_handle_reference, own) || PROC_NO_MEMORY(call);
}

/* Answers with the credential handed in where it still serves; *given says so. */
static bool
reuse(struct call *call, const gssx_arg_acquire_cred *arg, const struct cred_ref *in, const struct cred_spec *wish,
      gssx_cred **out, bool *given)
{
    *given = false;
    if (in->by_spec) {
        *given = same_wish(&in->spec, wish, arg->desired_name != NULL);
        return !*given ||
               (give(call, in, arg->input_cred_handle, out) && keep_handle(call, arg->input_cred_handle, *out));
    }
    AUTO(cred_use) use = {0};
    if (!cred_begin(call, in, NULL, &use)) {
        status_clear(&call->status);
        return true;
    }
    if (!token_serves(call, arg, use.cred, wish->usage, given))
        return false;
    return !*given || (new_cred(call, out) && cred_export_to_gssx(call, use.cred, *out));
}

static bool
acquire(struct call *call, const gssx_arg_acquire_cred *arg, struct cred_ref *in, bool has_input, gssx_cred **out)
{
    AUTO(cred_ref) wish = CRED_REF_EMPTY;
    bool given = false;
    wish.by_spec = true;
    if (!spec_from_wish(call, arg->desired_name, usage_from_gssx(arg->cred_usage), &arg->desired_mechs, &wish.spec))
        return false;
    spec_bound(call, arg->time_req, &wish.spec);
    if (has_input && arg->add_cred_to_input_handle) {
        if (!in->by_spec)
            return add_to_token(call, arg, in, &wish.spec, out);
        return spec_add(call, &in->spec, &wish.spec) && give(call, in, NULL, out);
    }
    if (has_input && !reuse(call, arg, in, &wish.spec, out, &given))
        return false;
    return given || give(call, &wish, NULL, out);
}

bool
proc_acquire_cred(struct call *call, gssx_arg_acquire_cred *arg, gssx_res_acquire_cred *res)
{
    AUTO(cred_ref) in = CRED_REF_EMPTY;
    const gssx_buffer *type = option_find(&arg->options, "acquire_type");
    if (type != NULL && !option_is(type, "impersonate_name"))
        return status_fail(&call->status, GSS_S_FAILURE, EINVAL, "acquire_type is impersonate_name or absent");
    bool has_input = arg->input_cred_handle != NULL;
    bool good =
        has_input && cred_open(call, HANDLE_CRED, gssx_slice(&arg->input_cred_handle->cred_handle_reference), &in);
    if (type != NULL || arg->add_cred_to_input_handle) {
        if (!has_input)
            return status_fail(&call->status, GSS_S_NO_CRED, EINVAL, "there is no credential handle to start from");
        if (!good)
            return false;
    }
    if (arg->desired_name != NULL)
        gssx_name_text(arg->desired_name, call->target, sizeof call->target);
    status_clear(&call->status); /* a stale handle means: acquire anew */
    return type != NULL ? impersonate(call, arg, &in, &res->output_cred_handle)
                        : acquire(call, arg, &in, good, &res->output_cred_handle);
}

/* ---- export and import ---- */

bool
proc_export_cred(struct call *call, gssx_arg_export_cred *arg, gssx_res_export_cred *res)
{
    AUTO(cred_ref) ref = CRED_REF_EMPTY;
    AUTO(gage_buf) handle = GAGE_BUF(1 << 20);
    gss_cred_usage_t usage = usage_from_gssx(arg->cred_usage);
    if (!cred_open(call, HANDLE_CRED, gssx_slice(&arg->input_cred_handle.cred_handle_reference), &ref))
        return false;
    call->used_credential = true;
    if (ref.by_spec)
        call->acting_uid = ref.spec.uid;
    if (ref.by_spec && usage != GSS_C_BOTH) {
        if (ref.spec.usage != GSS_C_BOTH && ref.spec.usage != usage)
            return status_fail(&call->status, GSS_S_NO_CRED, EINVAL, "the credential is not for that usage");
        ref.spec.usage = usage;
    }
    if (!cred_seal_ref(call, HANDLE_EXPORT, &ref, &handle))
        return false;
    if (ref.by_spec && ref.spec.mech_count == 1)
        status_set(&call->status, GSS_S_COMPLETE, 0, &ref.spec.mechs[0]);
    res->usage_exported = ref.by_spec ? usage_to_gssx(ref.spec.usage) : GSSX_C_INITIATE;
    res->exported_handle = gssx_new_bytes(gage_buf_slice(&handle));
    return res->exported_handle != NULL || PROC_NO_MEMORY(call);
}

bool
proc_import_cred(struct call *call, gssx_arg_import_cred *arg, gssx_res_import_cred *res)
{
    AUTO(cred_ref) ref = CRED_REF_EMPTY;
    return cred_open(call, HANDLE_EXPORT, gssx_slice(&arg->exported_handle), &ref) &&
           give(call, &ref, NULL, &res->output_cred_handle);
}
