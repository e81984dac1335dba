/* gss_cred.c - the exported calls on credentials. */
#include "otc/cred.h"

#include <string.h>

#include "otc/seam.h"

static OM_uint32
acquire(OM_uint32 *minor, const struct otc_cred_request *request, gss_cred_id_t *output, gss_OID_set *actual_mechs,
        OM_uint32 *time_rec)
{
    struct otc_env env = otc_env_now();
    struct gage_err err = {0};
    struct otc_cred *cred = NULL;
    if (actual_mechs != NULL)
        *actual_mechs = GSS_C_NO_OID_SET;
    if (output == NULL)
        return otc_end(minor, OTC_S_BAD_ARGUMENT);
    *output = GSS_C_NO_CREDENTIAL;
    gage_rc rc = otc_cred_make(request, env.rng, env.now, &cred, &err);
    if (!gage_ok(rc))
        return otc_result(minor, rc, &err);
    const gss_OID_desc *const mechs[] = {&otc_mech_oid};
    if (actual_mechs != NULL && !otc_oid_set(mechs, 1, actual_mechs)) {
        otc_cred_free(cred);
        return otc_end(minor, OTC_S_NOMEM);
    }
    if (time_rec != NULL)
        *time_rec = otc_cred_left(cred, env.now);
    *output = (gss_cred_id_t)(void *)cred;
    return otc_end(minor, OTC_S_OK);
}

OTC_EXPORT OM_uint32
gss_acquire_cred_from(OM_uint32 *minor, gss_name_t desired_name, OM_uint32 time_req, gss_OID_set desired_mechs,
                      gss_cred_usage_t usage, gss_const_key_value_set_t store, gss_cred_id_t *output,
                      gss_OID_set *actual_mechs, OM_uint32 *time_rec)
{
    struct otc_cred_request request = {.usage = usage, .time_req = time_req};
    (void)desired_name;
    (void)desired_mechs;
    if (store != NULL) {
        request.store = store->elements;
        request.store_count = store->count;
    }
    return acquire(minor, &request, output, actual_mechs, time_rec);
}

/* There is no default credential: without a store this is NO_CRED. */
OTC_EXPORT OM_uint32
gss_acquire_cred(OM_uint32 *minor, gss_name_t desired_name, OM_uint32 time_req, gss_OID_set desired_mechs,
                 gss_cred_usage_t usage, gss_cred_id_t *output, gss_OID_set *actual_mechs, OM_uint32 *time_rec)
{
    const struct otc_cred_request request = {.usage = usage, .time_req = time_req};
    (void)desired_name;
    (void)desired_mechs;
    return acquire(minor, &request, output, actual_mechs, time_rec);
}

OTC_EXPORT OM_uint32
gssspi_acquire_cred_with_password(OM_uint32 *minor, const gss_name_t desired_name, const gss_buffer_t password,
                                  OM_uint32 time_req, const gss_OID_set desired_mechs, gss_cred_usage_t usage,
                                  gss_cred_id_t *output, gss_OID_set *actual_mechs, OM_uint32 *time_rec)
{
    bool ok = true;
    struct otc_cred_request request = {.usage = usage, .time_req = time_req, .password = otc_take(password, &ok)};
    (void)desired_name;
    (void)desired_mechs;
    if (!ok || request.password.p == NULL)
        return otc_end(minor, OTC_S_NO_SECRET);
    return acquire(minor, &request, output, actual_mechs, time_rec);
}

OTC_EXPORT OM_uint32
gss_release_cred(OM_uint32 *minor, gss_cred_id_t *handle)
{
    if (handle != NULL) {
        otc_cred_free(otc_cred_of(*handle));
        *handle = GSS_C_NO_CREDENTIAL;
    }
    return otc_end(minor, OTC_S_OK);
}

/* A link's creator has a principal; everything else learns its own with each context. */
static gage_rc
give_cred_name(const struct otc_cred *cred, gss_name_t *out)
{
    struct otc_name *name = NULL;
    if (cred->fixed)
        return otc_give_party(&cred->credential, true, false, out);
    TRY(otc_name_wildcard(SLICE_NONE, SLICE_LITERAL("one-time-credential"), &name, NULL));
    *out = (gss_name_t)(void *)name;
    return GAGE_DONE;
}

static gss_cred_usage_t
usage_of(const struct otc_cred *cred)
{
    if (cred->usage == (OTC_USE_INITIATE | OTC_USE_ACCEPT))
        return GSS_C_BOTH;
    return cred->usage == OTC_USE_INITIATE ? GSS_C_INITIATE : GSS_C_ACCEPT;
}

static OM_uint32
inquire(OM_uint32 *minor, gss_cred_id_t handle, gss_name_t *name, OM_uint32 *lifetime, gss_cred_usage_t *usage)
{
    const struct otc_cred *cred = otc_cred_of(handle);
    if (name != NULL)
        *name = GSS_C_NO_NAME;
    if (cred == NULL)
        return otc_end(minor, OTC_S_NO_SECRET);
    if (name != NULL && !gage_ok(give_cred_name(cred, name)))
        return otc_end(minor, OTC_S_NOMEM);
    *lifetime = otc_cred_left(cred, otc_env_now().now);
    *usage = usage_of(cred);
    return otc_end(minor, OTC_S_OK);
}

OTC_EXPORT OM_uint32
gss_inquire_cred(OM_uint32 *minor, gss_cred_id_t handle, gss_name_t *name, OM_uint32 *lifetime, gss_cred_usage_t *usage,
                 gss_OID_set *mechanisms)
{
    const gss_OID_desc *const mechs[] = {&otc_mech_oid};
    OM_uint32 left = 0;
    gss_cred_usage_t use = GSS_C_BOTH;
    if (mechanisms != NULL)
        *mechanisms = GSS_C_NO_OID_SET;
    OM_uint32 major = inquire(minor, handle, name, &left, &use);
    if (major != GSS_S_COMPLETE)
        return major;
    if (mechanisms != NULL && !otc_oid_set(mechs, 1, mechanisms)) {
        if (name != NULL) {
            otc_name_free(otc_name_of(*name));
            *name = GSS_C_NO_NAME;
        }
        return otc_end(minor, OTC_S_NOMEM);
    }
    if (lifetime != NULL)
        *lifetime = left;
    if (usage != NULL)
        *usage = use;
    return major;
}

OTC_EXPORT OM_uint32
gss_inquire_cred_by_mech(OM_uint32 *minor, gss_cred_id_t handle, gss_OID mech, gss_name_t *name,
                         OM_uint32 *initiator_lifetime, OM_uint32 *acceptor_lifetime, gss_cred_usage_t *usage)
{
    OM_uint32 lifetime = 0;
    gss_cred_usage_t use = GSS_C_BOTH;
    (void)mech;
    OM_uint32 major = inquire(minor, handle, name, &lifetime, &use);
    if (major != GSS_S_COMPLETE)
        return major;
    if (initiator_lifetime != NULL)
        *initiator_lifetime = use == GSS_C_ACCEPT ? 0 : lifetime;
    if (acceptor_lifetime != NULL)
        *acceptor_lifetime = use == GSS_C_INITIATE ? 0 : lifetime;
    if (usage != NULL)
        *usage = use;
    return major;
}

OTC_EXPORT OM_uint32
gss_export_cred(OM_uint32 *minor, gss_cred_id_t handle, gss_buffer_t token)
{
    const struct otc_cred *cred = otc_cred_of(handle);
    AUTO(gage_buf) buf = GAGE_BUF(16384);
    otc_clear(token);
    if (cred == NULL || token == NULL)
        return otc_end(minor, cred == NULL ? OTC_S_NO_SECRET : OTC_S_BAD_ARGUMENT);
    put_otc_cred(&buf, cred);
    gage_rc rc = buf_check(&buf, NULL);
    if (gage_ok(rc))
        otc_give(&buf, token);
    return otc_result(minor, rc, NULL);
}

OTC_EXPORT OM_uint32
gss_import_cred(OM_uint32 *minor, gss_buffer_t token, gss_cred_id_t *output)
{
    bool ok = true;
    gage_slice bytes = otc_take(token, &ok);
    struct otc_cred *cred = NULL;
    struct gage_err err = {0};
    if (output == NULL)
        return otc_end(minor, OTC_S_BAD_ARGUMENT);
    *output = GSS_C_NO_CREDENTIAL;
    if (!ok)
        return otc_end(minor, OTC_S_BAD_IMPORT_CRED);
    gage_rc rc = otc_cred_import(bytes, &cred, &err);
    *output = (gss_cred_id_t)(void *)cred;
    return otc_result(minor, rc, &err);
}

/* ---- storing: for a mechanism without these the GSS library would answer "stored" ---- */

OTC_EXPORT OM_uint32
gss_store_cred(OM_uint32 *minor, const gss_cred_id_t cred, gss_cred_usage_t usage, const gss_OID mech,
               OM_uint32 overwrite, OM_uint32 make_default, gss_OID_set *elements_stored,
               gss_cred_usage_t *usage_stored)
{
    (void)cred, (void)usage, (void)mech, (void)overwrite, (void)make_default, (void)usage_stored;
    if (elements_stored != NULL)
        *elements_stored = GSS_C_NO_OID_SET;
    return otc_end(minor, OTC_S_NOT_AVAILABLE);
}

OTC_EXPORT OM_uint32
gss_store_cred_into(OM_uint32 *minor, gss_cred_id_t cred, gss_cred_usage_t usage, gss_OID mech, OM_uint32 overwrite,
                    OM_uint32 make_default, gss_const_key_value_set_t store, gss_OID_set *elements_stored,
                    gss_cred_usage_t *usage_stored)
{
    (void)cred, (void)usage, (void)mech, (void)overwrite, (void)make_default, (void)store, (void)usage_stored;
    if (elements_stored != NULL)
        *elements_stored = GSS_C_NO_OID_SET;
    return otc_end(minor, OTC_S_NOT_AVAILABLE);
}
