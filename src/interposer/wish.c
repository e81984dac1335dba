/* wish.c - how a credential is got: from the real mechanism, or from the daemon. */
#include <errno.h>
#include <string.h>

#include "interposer/cache.h"
#include "interposer/cred.h"

/* ---- from the real mechanism ---- */

static OM_uint32
acquire_by_kind(const struct wish *w, gss_name_t name, gss_OID_set mechs, gss_cred_id_t *out, OM_uint32 *minor)
{
    gss_buffer_desc password = {w->password != NULL ? w->password->length : 0,
                                w->password != NULL ? w->password->value : NULL};
    if (w->impersonate)
        return gss_acquire_cred_impersonate_name(minor,
                                                 w->impersonator != NULL ? w->impersonator->local : GSS_C_NO_CREDENTIAL,
                                                 name, w->time, mechs, w->usage, out, NULL, NULL);
    if (w->password != NULL)
        return gss_acquire_cred_with_password(minor, name, &password, w->time, mechs, w->usage, out, NULL, NULL);
    return gss_acquire_cred_from(minor, name, w->time, mechs, w->usage, w->store, out, NULL, NULL);
}

bool
wish_local(void *wish, struct outcome *o)
{
    struct wish *w = wish;
    gss_name_t name = GSS_C_NO_NAME;
    AUTO(gss_cred_id_t) cred = GSS_C_NO_CREDENTIAL;
    gss_OID_set_desc mechs = {1, mech_special(w->mech)};
    OM_uint32 minor, major;
    if (w->name != NULL && !name_local(w->name, &name, o))
        return false;
    if (w->usage != GSS_C_ACCEPT && w->password == NULL && !w->impersonate &&
        cache_keeps_only(cache_of_store(w->store)))
        return outcome_fail(
            o, GSS_S_NO_CRED, ENOENT,
            "the ticket cache keeps a credential of the proxy daemon and no ticket; get one with kinit");
    major = acquire_by_kind(w, name, &mechs, &cred, &minor);
    return outcome_local(o, major, minor) && cred_from_local(w->mech, &cred, &w->made, o);
}

bool
default_local_cred(const struct mech *mech, gss_cred_usage_t usage, gss_cred_id_t *out, struct outcome *o)
{
    gss_OID_set_desc mechs = {1, mech_special(mech)};
    OM_uint32 minor, major;
    major = gss_acquire_cred(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs, usage, out, NULL, NULL);
    return outcome_local(o, major, minor);
}

/* ---- from the daemon ---- */

/* What the wish's or the default ticket cache keeps of an earlier credential of the daemon's, for who wants to be the same again. */
static void
find_kept(const struct wish *w, gssx_cred *kept)
{
    if (w->usage == GSS_C_ACCEPT || w->impersonate || !cache_find(cache_of_store(w->store), kept))
        return;
    gssx_name *name = w->name != NULL ? &w->name->wire : NULL;
    if (name != NULL && !slice_equal(gssx_slice(&name->display_name), gssx_slice(&kept->desired_name.display_name)))
        wire_cred_free(kept);
}

static void
fill(const struct wish *w, gssx_name *name, gssx_OID *mech, gssx_arg_acquire_cred *arg)
{
    *mech = seam_view_slice(oid_slice(&w->mech->oid));
    arg->desired_name = name;
    arg->desired_mechs = (gssx_OID_set){1, mech};
    arg->cred_usage = usage_to_wire(w->usage);
    arg->time_req = w->time;
    arg->initiator_time_req = w->usage != GSS_C_ACCEPT ? w->time : 0;
    arg->acceptor_time_req = w->usage != GSS_C_INITIATE ? w->time : 0;
}

bool
wish_remote(void *wish, struct outcome *o)
{
    struct wish *w = wish;
    union gssx_arg arg = {0};
    AUTO(answer) a = {0};
    gssx_name room = {0}, *name = NULL;
    gssx_cred kept = {0};
    gssx_OID mech;
    gssx_option how = {.option = seam_view_slice(gage_slice_of("acquire_type", sizeof "acquire_type")),
                       .value = seam_view_slice(gage_slice_of("impersonate_name", sizeof "impersonate_name"))};
    if (w->password != NULL)
        return outcome_fail(o, GSS_S_UNAVAILABLE, ENOTSUP, "the proxy daemon takes no passwords");
    if (w->impersonate && (w->impersonator == NULL || !w->impersonator->remote))
        return outcome_fail(o, GSS_S_NO_CRED, EINVAL, "the proxy daemon impersonates by a credential of its own only");
    if (w->name != NULL && !name_wire(w->name, &room, &name, o))
        return false;
    fill(w, name, &mech, &arg.acquire_cred);
    find_kept(w, &kept);
    if (kept.cred_handle_reference.octet_string_len > 0)
        arg.acquire_cred.input_cred_handle = &kept;
    if (w->impersonate) {
        arg.acquire_cred.input_cred_handle = cred_lend(w->impersonator);
        arg.acquire_cred.options = (gssx_options){1, &how};
    }
    bool good = remote_call(PROC_ACQUIRE_CRED, &arg, &a, o) && outcome_good(o);
    if (w->impersonate)
        cred_return(w->impersonator);
    wire_cred_free(&kept);
    xdr_free(GSSX_XDR(gssx_name), &room);
    if (!good)
        return false;
    gssx_cred *given = a.res.acquire_cred.output_cred_handle;
    if (given == NULL)
        return outcome_fail(o, GSS_S_NO_CRED, EBADMSG, "the proxy daemon gave no credential");
    return cred_from_wire(w->mech, given, &w->made, o);
}
