/* gssi_cred.c - the exported calls that get, pass on and keep credentials. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "interposer/cache.h"
#include "interposer/context.h"
#include "interposer/exports.h"
#include "rpc/record.h"

#define EXPORTED_MAGIC                                                                                                 \
    "gage-proxy-cred-1:" /* begins the token of a daemon's credential; a local one's is the mechanism's own */

/* ---- acquiring ---- */

static const struct ways wishing = {{wish_local, wish_remote}};

/* A store's rows name files of this process, and a password no daemon takes: the local library goes first there. */
static OM_uint32
fulfil(struct wish *w, gss_OID_set desired, gss_cred_id_t *out, gss_OID_set *actual, OM_uint32 *time_rec,
       OM_uint32 *minor)
{
    struct outcome o;
    static const struct sides local = {"", 1, {SIDE_LOCAL}}, remote = {"", 1, {SIDE_REMOTE}};
    const struct sides *sides = w->store != NULL ? sides_local_first() : sides_asked();
    *out = GSS_C_NO_CREDENTIAL;
    w->mech = mech_find_in(desired);
    if (w->mech == NULL) {
        outcome_fail(&o, GSS_S_BAD_MECH, EINVAL, "not a mechanism of the proxy's");
        return outcome_end(minor, &o);
    }
    if (w->password != NULL)
        sides = &local;
    if (w->impersonator != NULL)
        sides = w->impersonator->remote ? &remote : &local;
    OM_uint32 major = seam_run(sides, &wishing, w, minor), m;
    if (GSS_ERROR(major))
        return major;
    *out = cred_handle(w->made);
    if (time_rec != NULL && GSS_ERROR(gssi_inquire_cred(&m, *out, NULL, time_rec, NULL, NULL)))
        *time_rec = 0;
    if (actual != NULL) {
        gss_create_empty_oid_set(&m, actual);
        gss_add_oid_set_member(&m, mech_public(w->mech), actual);
    }
    return major;
}

INTERPOSER_EXPORT OM_uint32
gssi_acquire_cred_from(OM_uint32 *minor, gss_name_t name, OM_uint32 time, gss_OID_set mechs, gss_cred_usage_t usage,
                       gss_const_key_value_set_t store, gss_cred_id_t *out, gss_OID_set *actual, OM_uint32 *time_rec)
{
    struct wish w = {.name = name_of(name), .time = time, .usage = usage, .store = store};
    return fulfil(&w, mechs, out, actual, time_rec, minor);
}

INTERPOSER_EXPORT OM_uint32
gssi_acquire_cred(OM_uint32 *minor, gss_name_t name, OM_uint32 time, gss_OID_set mechs, gss_cred_usage_t usage,
                  gss_cred_id_t *out, gss_OID_set *actual, OM_uint32 *time_rec)
{
    return gssi_acquire_cred_from(minor, name, time, mechs, usage, NULL, out, actual, time_rec);
}

INTERPOSER_EXPORT OM_uint32
gssi_acquire_cred_with_password(OM_uint32 *minor, const gss_name_t name, const gss_buffer_t password, OM_uint32 time,
                                const gss_OID_set mechs, gss_cred_usage_t usage, gss_cred_id_t *out,
                                gss_OID_set *actual, OM_uint32 *time_rec)
{
    struct wish w = {.name = name_of(name), .time = time, .usage = usage, .password = password};
    return fulfil(&w, mechs, out, actual, time_rec, minor);
}

INTERPOSER_EXPORT OM_uint32
gssi_acquire_cred_impersonate_name(OM_uint32 *minor, const gss_cred_id_t impersonator, const gss_name_t name,
                                   OM_uint32 time, const gss_OID_set mechs, gss_cred_usage_t usage, gss_cred_id_t *out,
                                   gss_OID_set *actual, OM_uint32 *time_rec)
{
    struct wish w = {.name = name_of(name),
                     .time = time,
                     .usage = usage,
                     .impersonator = cred_of(impersonator),
                     .impersonate = true};
    return fulfil(&w, mechs, out, actual, time_rec, minor);
}

INTERPOSER_EXPORT OM_uint32
gssi_release_cred(OM_uint32 *minor, gss_cred_id_t *handle)
{
    cred_free(cred_of(*handle));
    *handle = GSS_C_NO_CREDENTIAL;
    *minor = 0;
    return GSS_S_COMPLETE;
}

/* ---- passing on ---- */

static bool
export_local(struct cred *cred, gss_buffer_t token, struct outcome *o)
{
    AUTO(owned_buffer) exported = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, major = gss_export_cred(&minor, cred->local, &exported);
    if (!outcome_local(o, major, minor))
        return false;
    struct reader r = read_from(seam_slice(&exported));
    get_vec32(&r); /* OID */
    gage_slice inner = get_vec32(&r);
    if (!read_ok(&r))
        return outcome_fail(o, GSS_S_FAILURE, EBADMSG, "the local library exported a credential in an unknown form");
    return seam_give(inner, token) || outcome_no_memory(o);
}

static bool
export_remote(struct cred *cred, gss_buffer_t token, struct outcome *o)
{
    AUTO(gage_buf) bytes = GAGE_BUF(RECORD_MAX);
    put_bytes(&bytes, SLICE_LITERAL(EXPORTED_MAGIC));
    gage_rc rc = gssx_encode(GSSX_XDR(gssx_cred), cred_lend(cred), &bytes);
    cred_return(cred);
    return (gage_ok(rc) && seam_give(gage_buf_slice(&bytes), token)) || outcome_no_memory(o);
}

INTERPOSER_EXPORT OM_uint32
gssi_export_cred(OM_uint32 *minor, gss_cred_id_t handle, gss_buffer_t token)
{
    struct outcome o;
    struct cred *cred = cred_of(handle);
    outcome_ok(&o);
    if (cred->remote)
        export_remote(cred, token, &o);
    else
        export_local(cred, token, &o);
    return outcome_end(minor, &o);
}

static bool
import_remote(const struct mech *mech, gage_slice bytes, struct cred **out, struct outcome *o)
{
    gssx_cred wire = {0};
    if (!gage_ok(gssx_decode(GSSX_XDR(gssx_cred), bytes, &wire))) {
        wire_cred_free(&wire);
        return outcome_fail(o, GSS_S_DEFECTIVE_TOKEN, EBADMSG, "the exported credential is damaged");
    }
    return cred_from_wire(mech, &wire, out, o);
}

static bool
import_local(const struct mech *mech, gage_slice token, struct cred **out, struct outcome *o)
{
    AUTO(gage_buf) bytes = GAGE_BUF(RECORD_MAX);
    AUTO(gss_cred_id_t) cred = GSS_C_NO_CREDENTIAL;
    put_vec32(&bytes, oid_slice(&mech->special));
    put_vec32(&bytes, token);
    if (!gage_ok(buf_check(&bytes, NULL)))
        return outcome_no_memory(o);
    gss_buffer_desc buffer = {bytes.n, bytes.p};
    OM_uint32 minor, major = gss_import_cred(&minor, &buffer, &cred);
    return outcome_local(o, major, minor) && cred_from_local(mech, &cred, out, o);
}

INTERPOSER_EXPORT OM_uint32
gssi_import_cred_by_mech(OM_uint32 *minor, gss_OID mech, gss_buffer_t token, gss_cred_id_t *out)
{
    struct outcome o;
    struct cred *cred = NULL;
    const struct mech *own = mech_find(mech);
    gage_slice bytes = seam_slice(token), magic = SLICE_LITERAL(EXPORTED_MAGIC);
    *out = GSS_C_NO_CREDENTIAL;
    if (own == NULL)
        outcome_fail(&o, GSS_S_BAD_MECH, EINVAL, "not a mechanism of the proxy's");
    else if (bytes.n > magic.n && slice_equal(gage_slice_of(bytes.p, magic.n), magic))
        import_remote(own, gage_slice_of(bytes.p + magic.n, bytes.n - magic.n), &cred, &o);
    else
        import_local(own, bytes, &cred, &o);
    if (cred != NULL)
        *out = cred_handle(cred);
    return outcome_end(minor, &o);
}

/* The library copies a credential by this pair of calls, without saying of which mechanism it is. */
INTERPOSER_EXPORT OM_uint32
gssi_import_cred(OM_uint32 *minor, gss_buffer_t token, gss_cred_id_t *out)
{
    return gssi_import_cred_by_mech(minor, GSS_C_NO_OID, token, out);
}

/* ---- keeping ---- */

static bool
keep_remote(struct cred *cred, gss_cred_usage_t usage, gss_const_key_value_set_t store, bool overwrite,
            struct outcome *o)
{
    struct cred_facts facts;
    gssx_cred *wire = cred_lend(cred);
    bool good;
    cred_facts(cred, &facts);
    if (usage == GSS_C_ACCEPT || facts.usage == GSS_C_ACCEPT)
        good = outcome_fail(o, GSS_S_NO_CRED, EINVAL, "only credentials that initiate can be stored in a ticket cache");
    else
        good = cache_keep(cache_of_store(store), wire, facts.name, overwrite, o);
    cred_return(cred);
    return good;
}

INTERPOSER_EXPORT OM_uint32
gssi_store_cred_into(OM_uint32 *minor, gss_cred_id_t handle, gss_cred_usage_t usage, gss_OID mech, OM_uint32 overwrite,
                     OM_uint32 make_default, gss_const_key_value_set_t store, gss_OID_set *stored,
                     gss_cred_usage_t *usage_stored)
{
    struct outcome o;
    struct cred *cred = cred_of(handle);
    OM_uint32 m, major;
    (void)mech;
    if (!cred->remote) {
        major = gss_store_cred_into(&m, cred->local, usage, mech_special(cred->mech), overwrite, make_default, store,
                                    stored, usage_stored);
        outcome_local(&o, major, m);
        return outcome_end(minor, &o);
    }
    if (keep_remote(cred, usage, store, overwrite != 0, &o)) {
        if (usage_stored != NULL)
            *usage_stored = GSS_C_INITIATE;
        if (stored != NULL && !GSS_ERROR(gss_create_empty_oid_set(&m, stored)))
            gss_add_oid_set_member(&m, mech_public(cred->mech), stored);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_store_cred(OM_uint32 *minor, const gss_cred_id_t handle, gss_cred_usage_t usage, const gss_OID mech,
                OM_uint32 overwrite, OM_uint32 make_default, gss_OID_set *stored, gss_cred_usage_t *usage_stored)
{
    return gssi_store_cred_into(minor, handle, usage, mech, overwrite, make_default, NULL, stored, usage_stored);
}
