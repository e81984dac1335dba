/* gssi_inquire.c - the exported calls that ask about credentials and set their options. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gssapi/gssapi_krb5.h>

#include "interposer/cred.h"
#include "interposer/exports.h"
#include "rpc/value.h"

struct about {
    gss_name_t *name;
    OM_uint32 *initiate, *accept;
    gss_cred_usage_t *usage;
};

static bool
tell_remote(struct cred *cred, const struct about *about, struct outcome *o)
{
    struct cred_facts facts;
    struct name *name = NULL;
    cred_lend(cred);
    cred_facts(cred, &facts);
    bool good = about->name == NULL || name_from_wire(cred->mech, facts.name, &name, o);
    cred_return(cred);
    if (!good)
        return false;
    if (about->name != NULL)
        *about->name = name_handle(name);
    if (about->initiate != NULL)
        *about->initiate = facts.initiate;
    if (about->accept != NULL)
        *about->accept = facts.accept;
    if (about->usage != NULL)
        *about->usage = facts.usage;
    return outcome_ok(o);
}

static bool
tell_local(struct cred *cred, const struct about *about, struct outcome *o)
{
    AUTO(gss_name_t) local = GSS_C_NO_NAME;
    struct name *name = NULL;
    OM_uint32 minor, major;
    major = gss_inquire_cred_by_mech(&minor, cred->local, mech_special(cred->mech), about->name != NULL ? &local : NULL,
                                     about->initiate, about->accept, about->usage);
    if (!outcome_local(o, major, minor))
        return false;
    if (about->name == NULL)
        return true;
    *about->name = GSS_C_NO_NAME;
    if (local == GSS_C_NO_NAME)
        return true;
    if (!name_from_local(cred->mech, &local, &name, o))
        return false;
    *about->name = name_handle(name);
    return true;
}

/* No credential is the default one: it is acquired as it would be used. */
static OM_uint32
tell(OM_uint32 *minor, gss_cred_id_t handle, const struct mech *mech, const struct about *about)
{
    struct outcome o;
    struct cred *cred = cred_of(handle);
    OM_uint32 m;
    gss_cred_id_t own = GSS_C_NO_CREDENTIAL;
    gss_OID_set_desc mechs = {1, mech_public(mech)};
    if (cred == NULL) {
        OM_uint32 major =
            gssi_acquire_cred(minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs, GSS_C_INITIATE, &own, NULL, NULL);
        if (GSS_ERROR(major))
            return major;
        cred = cred_of(own);
    }
    if (cred->remote)
        tell_remote(cred, about, &o);
    else
        tell_local(cred, about, &o);
    if (own != GSS_C_NO_CREDENTIAL)
        gssi_release_cred(&m, &own);
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_inquire_cred_by_mech(OM_uint32 *minor, gss_cred_id_t handle, gss_OID mech, gss_name_t *name, OM_uint32 *initiate,
                          OM_uint32 *accept, gss_cred_usage_t *usage)
{
    struct about about = {name, initiate, accept, usage};
    const struct mech *own = handle != GSS_C_NO_CREDENTIAL ? cred_of(handle)->mech : mech_find(mech);
    return tell(minor, handle, own != NULL ? own : mech_at(0), &about);
}

/* One lifetime for all: the shorter of those it has. */
INTERPOSER_EXPORT OM_uint32
gssi_inquire_cred(OM_uint32 *minor, gss_cred_id_t handle, gss_name_t *name, OM_uint32 *lifetime,
                  gss_cred_usage_t *usage, gss_OID_set *mechs)
{
    OM_uint32 initiate = 0, accept = 0, m, major;
    gss_cred_usage_t use = GSS_C_BOTH;
    struct about about = {name, &initiate, &accept, &use};
    const struct mech *mech = handle != GSS_C_NO_CREDENTIAL ? cred_of(handle)->mech : mech_at(0);
    major = tell(minor, handle, mech, &about);
    if (GSS_ERROR(major))
        return major;
    if (lifetime != NULL)
        *lifetime = use == GSS_C_INITIATE ? initiate : use == GSS_C_ACCEPT || accept < initiate ? accept : initiate;
    if (usage != NULL)
        *usage = use;
    if (mechs != NULL && !GSS_ERROR(gss_create_empty_oid_set(&m, mechs)))
        gss_add_oid_set_member(&m, mech_public(mech), mechs);
    return major;
}

INTERPOSER_EXPORT OM_uint32
gssi_inquire_cred_by_oid(OM_uint32 *minor, const gss_cred_id_t handle, const gss_OID object, gss_buffer_set_t *data)
{
    struct outcome o;
    struct cred *cred = cred_of(handle);
    OM_uint32 m, major;
    *data = GSS_C_NO_BUFFER_SET;
    if (cred == NULL || cred->remote) {
        outcome_fail(&o, GSS_S_UNAVAILABLE, ENOTSUP,
                     "the proxy daemon keeps this credential: it can be used, not looked into");
        return outcome_end(minor, &o);
    }
    major = gss_inquire_cred_by_oid(&m, cred->local, object, data);
    outcome_local(&o, major, m);
    return outcome_end(minor, &o);
}

/* ---- options ---- */

/* What gss_krb5_set_allowable_enctypes sends (its own structure, not in a public header), and the name of its option. */
struct enctypes {
    OM_uint32 count;
    krb5_enctype *list;
};
static const gss_OID_desc set_enctypes = {11, (void *)(uintptr_t) "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x04"};
#define ENCTYPES_MAX 64

static gssx_options *
options_of(struct cred *cred)
{
    return cred->wire.elements.elements_len > 0 ? &cred->wire.elements.elements_val[0].options : NULL;
}

static bool
put_option(gssx_options *options, const char *name, gage_slice value, struct outcome *o)
{
    const gssx_buffer *old = option_find(options, name);
    bool good = old != NULL ? gssx_put((gssx_buffer *)(uintptr_t)old, value) : option_add(options, name, value);
    return good ? outcome_ok(o) : outcome_no_memory(o);
}

/* The daemon applies what an element's options say whenever the credential is used. */
static bool
set_remote(struct cred *cred, gss_const_OID object, gss_const_buffer_t value, struct outcome *o)
{
    gssx_options *options = options_of(cred);
    if (options == NULL)
        return outcome_fail(o, GSS_S_UNAVAILABLE, EINVAL,
                            "the proxy daemon's credential has no element to set options of");
    if (slice_equal(oid_slice(object), oid_slice(GSS_KRB5_CRED_NO_CI_FLAGS_X)))
        return put_option(options, "krb5_set_no_ci_flags", SLICE_NONE, o);
    if (!slice_equal(oid_slice(object), oid_slice(&set_enctypes)))
        return outcome_fail(o, GSS_S_UNAVAILABLE, ENOTSUP, "the proxy daemon's credentials have no such option");
    const struct enctypes *types = value != GSS_C_NO_BUFFER && value->length == sizeof *types ? value->value : NULL;
    if (types == NULL || types->count == 0 || types->count > ENCTYPES_MAX || types->list == NULL)
        return outcome_fail(o, GSS_S_FAILURE, EINVAL, "1 to %d encryption types can be allowed", ENCTYPES_MAX);
    return put_option(options, "krb5_set_allowed_enctype_values",
                      gage_slice_of(types->list, types->count * sizeof *types->list), o);
}

INTERPOSER_EXPORT OM_uint32
gssi_set_cred_option(OM_uint32 *minor, gss_cred_id_t *handle, const gss_OID object, const gss_buffer_t value)
{
    struct outcome o;
    struct cred *cred = cred_of(*handle);
    OM_uint32 m, major;
    if (cred == NULL) {
        outcome_fail(&o, GSS_S_UNAVAILABLE, ENOTSUP, "there is no credential to set the option of");
    } else if (cred->remote) {
        cred_lend_alone(cred);
        set_remote(cred, object, value, &o);
        cred_return(cred);
    } else {
        major = gss_set_cred_option(&m, &cred->local, object, value);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}
