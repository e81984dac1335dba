/* gss_name.c - the exported calls on names and their attributes. */
#include <stdlib.h>
#include <string.h>

#include "otc/seam.h"

OTC_EXPORT OM_uint32
gss_import_name(OM_uint32 *minor, gss_buffer_t input, gss_OID type, gss_name_t *output)
{
    struct otc_name *name = NULL;
    struct gage_err err = {0};
    bool ok = true;
    gage_slice text = otc_take(input, &ok);
    if (output == NULL)
        return otc_end(minor, OTC_S_BAD_ARGUMENT);
    *output = GSS_C_NO_NAME;
    if (!ok)
        return otc_end(minor, OTC_S_BAD_NAME);
    gage_rc rc;
    if (otc_oid_equal(type, &otc_nt_export))
        rc = otc_name_from_exported(text, &name, &err);
    else if (otc_oid_equal(type, &otc_nt_principal))
        rc = otc_name_from_text(text, &name, &err);
    else if (otc_oid_equal(type, &otc_nt_composite) || otc_oid_equal(type, &otc_nt_anonymous))
        rc = otc_fail(&err, OTC_S_NAME_TYPE);
    else
        rc = otc_name_wildcard(otc_oid_slice(type), text, &name, &err);
    *output = (gss_name_t)(void *)name;
    return otc_result(minor, rc, &err);
}

OTC_EXPORT OM_uint32
gss_release_name(OM_uint32 *minor, gss_name_t *handle)
{
    if (handle != NULL) {
        otc_name_free(otc_name_of(*handle));
        *handle = GSS_C_NO_NAME;
    }
    return otc_end(minor, OTC_S_OK);
}

OTC_EXPORT OM_uint32
gss_duplicate_name(OM_uint32 *minor, const gss_name_t handle, gss_name_t *output)
{
    const struct otc_name *name = otc_name_of(handle);
    struct otc_name *copy = NULL;
    if (output == NULL || name == NULL)
        return otc_end(minor, output == NULL ? OTC_S_BAD_ARGUMENT : OTC_S_BAD_NAME);
    gage_rc rc = otc_name_copy(name, &copy);
    *output = (gss_name_t)(void *)copy;
    return otc_result(minor, rc, NULL);
}

OTC_EXPORT OM_uint32
gss_compare_name(OM_uint32 *minor, gss_name_t a_handle, gss_name_t b_handle, int *equal)
{
    const struct otc_name *a = otc_name_of(a_handle), *b = otc_name_of(b_handle);
    if (equal == NULL)
        return otc_end(minor, OTC_S_BAD_ARGUMENT);
    *equal = 0;
    if (a == NULL || b == NULL)
        return otc_end(minor, OTC_S_BAD_NAME);
    *equal = otc_name_equal(a, b) ? 1 : 0;
    return otc_end(minor, OTC_S_OK);
}

/* The type a wildcard was imported under, as a handle of this mechanism's where it is one that the mechanism knows. */
static gss_OID
display_type(const struct otc_name *name)
{
    gage_slice type = {name->type, name->type_len};
    if (name->principal)
        return otc_oid_handle(&otc_nt_principal);
    if (slice_equal(type, otc_oid_slice(&otc_nt_hostbased)))
        return otc_oid_handle(&otc_nt_hostbased);
    return otc_oid_handle(&otc_nt_user);
}

OTC_EXPORT OM_uint32
gss_display_name(OM_uint32 *minor, gss_name_t handle, gss_buffer_t output, gss_OID *type)
{
    const struct otc_name *name = otc_name_of(handle);
    AUTO(gage_buf) text = GAGE_BUF(OTC_WILDCARD_MAX);
    otc_clear(output);
    if (name == NULL || output == NULL)
        return otc_end(minor, name == NULL ? OTC_S_BAD_NAME : OTC_S_BAD_ARGUMENT);
    put_otc_name(&text, name);
    gage_rc rc = buf_check(&text, NULL);
    if (!gage_ok(rc))
        return otc_result(minor, rc, NULL);
    otc_give(&text, output);
    if (type != NULL)
        *type = display_type(name);
    return otc_end(minor, OTC_S_OK);
}

OTC_EXPORT OM_uint32
gss_export_name(OM_uint32 *minor, const gss_name_t handle, gss_buffer_t output)
{
    const struct otc_name *name = otc_name_of(handle);
    AUTO(gage_buf) token = GAGE_BUF(256);
    struct gage_err err = {0};
    otc_clear(output);
    if (name == NULL || output == NULL)
        return otc_end(minor, name == NULL ? OTC_S_BAD_NAME : OTC_S_BAD_ARGUMENT);
    gage_rc rc = put_otc_exported_name(&token, name, &err);
    if (gage_ok(rc))
        otc_give(&token, output);
    return otc_result(minor, rc, &err);
}

/* ---- authorisation: holding a link makes nobody a user of this machine ---- */

OTC_EXPORT OM_uint32
gss_localname(OM_uint32 *minor, const gss_name_t handle, gss_const_OID mech, gss_buffer_t output)
{
    (void)handle;
    (void)mech;
    otc_clear(output);
    return otc_end(minor, OTC_S_NOT_AVAILABLE);
}

/* UNAUTHORIZED, not UNAVAILABLE: at the latter the GSS library goes on to compare names. */
OTC_EXPORT OM_uint32
gssspi_authorize_localname(OM_uint32 *minor, const gss_name_t handle, gss_const_buffer_t user, gss_const_OID type)
{
    (void)handle;
    (void)user;
    (void)type;
    if (minor != NULL)
        *minor = 0;
    return GSS_S_UNAUTHORIZED;
}

/* ---- attributes (RFC 6680) ---- */

static bool
add_attribute_name(gss_buffer_set_t set, const char *name)
{
    size_t n = strlen(name);
    char *copy = malloc(n);
    if (copy == NULL)
        return false;
    memcpy(copy, name, n);
    set->elements[set->count++] = (gss_buffer_desc){n, copy};
    return true;
}

static gss_buffer_set_t
new_buffer_set(size_t room)
{
    gss_buffer_set_t set = calloc(1, sizeof *set);
    if (set == NULL)
        return NULL;
    set->elements = calloc(room, sizeof *set->elements);
    if (set->elements == NULL) {
        free(set);
        return NULL;
    }
    return set;
}

static void
free_buffer_set(gss_buffer_set_t set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->elements[i].value);
    free(set->elements);
    free(set);
}

static gage_rc
list_attributes(const struct otc_name *name, gss_buffer_set_t *out)
{
    gss_buffer_set_t set = new_buffer_set(OTC_ATTRIBUTES);
    if (set == NULL)
        return gage_rc_of(GAGE_E_NOMEM);
    for (size_t i = 0; i < OTC_ATTRIBUTES; i++) {
        AUTO(gage_buf) value = GAGE_BUF(OTC_TITLE_MAX);
        bool authenticated;
        if (otc_attribute(name, i, &value, &authenticated) && !add_attribute_name(set, otc_attribute_name(i))) {
            free_buffer_set(set);
            return gage_rc_of(GAGE_E_NOMEM);
        }
    }
    *out = set;
    return GAGE_DONE;
}

OTC_EXPORT OM_uint32
gss_inquire_name(OM_uint32 *minor, gss_name_t handle, int *is_mn, gss_OID *mech, gss_buffer_set_t *attributes)
{
    const struct otc_name *name = otc_name_of(handle);
    if (attributes != NULL)
        *attributes = GSS_C_NO_BUFFER_SET;
    if (name == NULL)
        return otc_end(minor, OTC_S_BAD_NAME);
    if (is_mn != NULL)
        *is_mn = name->principal ? 1 : 0;
    if (mech != NULL)
        *mech = otc_oid_handle(&otc_mech_oid);
    gage_rc rc = attributes != NULL && name->principal ? list_attributes(name, attributes) : GAGE_DONE;
    return otc_result(minor, rc, NULL);
}

static size_t
attribute_index(gage_slice wanted)
{
    size_t i = 0;
    while (i < OTC_ATTRIBUTES && !slice_equal(wanted, slice_str(otc_attribute_name(i))))
        i++;
    return i;
}

OTC_EXPORT OM_uint32
gss_get_name_attribute(OM_uint32 *minor, gss_name_t handle, gss_buffer_t attribute, int *authenticated, int *complete,
                       gss_buffer_t value, gss_buffer_t display_value, int *more)
{
    const struct otc_name *name = otc_name_of(handle);
    AUTO(gage_buf) found = GAGE_BUF(OTC_TITLE_MAX);
    AUTO(gage_buf) shown = GAGE_BUF(OTC_TITLE_MAX);
    bool ok = true, vouched = false;
    gage_slice wanted = otc_take(attribute, &ok);
    otc_clear(value);
    otc_clear(display_value);
    if (more != NULL)
        *more = 0;
    if (name == NULL || !ok)
        return otc_end(minor, name == NULL ? OTC_S_BAD_NAME : OTC_S_BAD_ARGUMENT);
    if (!otc_attribute(name, attribute_index(wanted), &found, &vouched))
        return otc_end(minor, OTC_S_NOT_AVAILABLE);
    put_bytes(&shown, gage_buf_slice(&found));
    gage_rc rc = buf_check(&found, NULL);
    if (gage_ok(rc))
        rc = buf_check(&shown, NULL);
    if (!gage_ok(rc))
        return otc_result(minor, rc, NULL);
    otc_give(&found, value);
    otc_give(&shown, display_value);
    if (authenticated != NULL)
        *authenticated = vouched ? 1 : 0;
    if (complete != NULL)
        *complete = 1;
    return otc_end(minor, OTC_S_OK);
}
