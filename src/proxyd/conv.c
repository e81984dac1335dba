#include "proxyd/conv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gssapi/gssapi_krb5.h>

#include "base/encode.h"
#include "proxyd/mech.h"

#define NO_MEMORY(s) status_fail((s), GSS_S_FAILURE, ENOMEM, "out of memory")

/* ---- bytes ---- */

gss_buffer_desc
gss_buffer_of(const octet_string *from)
{
    return (gss_buffer_desc){from->octet_string_len, from->octet_string_val};
}

gss_OID_desc
gss_oid_of(const gssx_OID *from)
{
    return (gss_OID_desc){from->octet_string_len, from->octet_string_val};
}

bool
gssx_put_oid_set(gssx_OID_set *to, gss_OID_set from)
{
    if (from == GSS_C_NO_OID_SET || from->count == 0)
        return true;
    size_t count = from->count < GSSX_OIDS_MAX ? from->count : GSSX_OIDS_MAX;
    to->gssx_OID_set_val = calloc(count, sizeof *to->gssx_OID_set_val);
    if (to->gssx_OID_set_val == NULL)
        return false;
    to->gssx_OID_set_len = (u_int)count;
    for (size_t i = 0; i < count; i++)
        if (!gssx_put(&to->gssx_OID_set_val[i], oid_slice(&from->elements[i])))
            return false;
    return true;
}

/* ---- names ---- */

bool
name_set_attributes(const gssx_name_attrs *attributes, gss_name_t name, struct gss_status *s)
{
    for (u_int i = 0; i < attributes->gssx_name_attrs_len; i++) {
        const gssx_name_attr *a = &attributes->gssx_name_attrs_val[i];
        gss_buffer_desc key = gss_buffer_of(&a->attr), value = gss_buffer_of(&a->value);
        OM_uint32 minor, major = gss_set_name_attribute(&minor, name, 1, &key, &value);
        if (GSS_ERROR(major))
            return status_set(s, major, minor, GSS_C_NO_OID);
    }
    return true;
}

bool
name_from_gssx(const gssx_name *from, gss_name_t *to, struct gss_status *s)
{
    if (from->display_name.octet_string_len > 0)
        return name_import(gssx_slice(&from->display_name), gssx_slice(&from->name_type), to, s);
    if (from->exported_composite_name.octet_string_len > 0)
        return name_import(gssx_slice(&from->exported_composite_name), oid_slice(GSS_C_NT_COMPOSITE_EXPORT), to, s);
    if (from->exported_name.octet_string_len > 0)
        return name_import(gssx_slice(&from->exported_name), oid_slice(GSS_C_NT_EXPORT_NAME), to, s);
    return status_fail(s, GSS_S_BAD_NAME, EINVAL, "the name is empty: neither a display nor an exported form");
}

/* One attribute may have several values: one element of the array each. */
static bool
put_attribute(gss_name_t name, gss_buffer_t key, gssx_name_attrs *to)
{
    int more = -1;
    while (more != 0 && to->gssx_name_attrs_len < GSSX_ATTRS_MAX) {
        OM_uint32 minor;
        int authenticated = 0, complete = 0;
        AUTO(gss_owned_buffer) value = GSS_C_EMPTY_BUFFER, shown = GSS_C_EMPTY_BUFFER;
        if (GSS_ERROR(gss_get_name_attribute(&minor, name, key, &authenticated, &complete, &value, &shown, &more)))
            return true;
        gssx_name_attr *grown =
            realloc(to->gssx_name_attrs_val, (to->gssx_name_attrs_len + 1) * sizeof *to->gssx_name_attrs_val);
        if (grown == NULL)
            return false;
        to->gssx_name_attrs_val = grown;
        gssx_name_attr *a = &grown[to->gssx_name_attrs_len++];
        memset(a, 0, sizeof *a);
        if (!gssx_put(&a->attr, gss_slice(key)) || !gssx_put(&a->value, gss_slice(&value)) ||
            !option_add(&a->extensions, "authenticated", SLICE_LITERAL("yes")))
            return false;
        if (!authenticated && !gssx_put(&a->extensions.gssx_options_val[0].value, SLICE_LITERAL("no")))
            return false;
    }
    return true;
}

static bool
put_attributes(gss_name_t name, gssx_name_attrs *to)
{
    OM_uint32 minor;
    AUTO(gss_buffer_set_t) keys = GSS_C_NO_BUFFER_SET;
    /* The mechanism is not asked for: MIT's library gives a copy of its OID that the interface has no release for. */
    if (GSS_ERROR(gss_inquire_name(&minor, name, NULL, NULL, &keys)) || keys == GSS_C_NO_BUFFER_SET)
        return true;
    for (size_t i = 0; i < keys->count; i++)
        if (!put_attribute(name, &keys->elements[i], to))
            return false;
    return true;
}

bool
name_to_gssx(gss_name_t from, bool attributes, gssx_name *to, struct gss_status *s)
{
    OM_uint32 minor, major;
    gss_OID type = GSS_C_NO_OID;
    AUTO(gss_owned_buffer) shown = GSS_C_EMPTY_BUFFER, exported = GSS_C_EMPTY_BUFFER, composite = GSS_C_EMPTY_BUFFER;
    major = gss_display_name(&minor, from, &shown, &type);
    if (GSS_ERROR(major))
        return status_set(s, major, minor, GSS_C_NO_OID);
    /* A name that is not a mechanism's has neither form; that is no failure. */
    (void)gss_export_name(&minor, from, &exported);
    if (exported.length > 0)
        (void)gss_export_name_composite(&minor, from, &composite);
    if (!gssx_put(&to->display_name, gss_slice(&shown)) || !gssx_put(&to->name_type, oid_slice(type)) ||
        !gssx_put(&to->exported_name, gss_slice(&exported)) ||
        !gssx_put(&to->exported_composite_name, gss_slice(&composite)))
        return NO_MEMORY(s);
    return !attributes || put_attributes(from, &to->name_attributes) || NO_MEMORY(s);
}

void
name_show(gss_name_t name, gage_buf *out)
{
    OM_uint32 minor;
    AUTO(gss_owned_buffer) shown = GSS_C_EMPTY_BUFFER;
    if (name != GSS_C_NO_NAME && !GSS_ERROR(gss_display_name(&minor, name, &shown, NULL)))
        put_printable(out, gss_slice(&shown));
}

void
gssx_name_show(const gssx_name *name, gage_buf *out)
{
    if (name != NULL)
        put_printable(out, gssx_slice(&name->display_name));
}

void
gssx_name_text(const gssx_name *name, char *text, size_t size)
{
    AUTO(gage_buf) shown = GAGE_BUF(size - 1);
    gssx_name_show(name, &shown);
    if (shown.n > 0)
        memcpy(text, shown.p, shown.n);
    text[shown.n] = '\0';
}

/* ---- usage and bindings ---- */

gssx_cred_usage
usage_to_gssx(gss_cred_usage_t usage)
{
    return usage == GSS_C_INITIATE ? GSSX_C_INITIATE : usage == GSS_C_ACCEPT ? GSSX_C_ACCEPT : GSSX_C_BOTH;
}

gss_cred_usage_t
usage_from_gssx(gssx_cred_usage usage)
{
    return usage == GSSX_C_INITIATE ? GSS_C_INITIATE : usage == GSSX_C_ACCEPT ? GSS_C_ACCEPT : GSS_C_BOTH;
}

void
bindings_from_gssx(const gssx_cb *from, struct gss_channel_bindings_struct *to)
{
    *to = (struct gss_channel_bindings_struct){
        .initiator_addrtype = (OM_uint32)from->initiator_addrtype,
        .initiator_address = gss_buffer_of(&from->initiator_address),
        .acceptor_addrtype = (OM_uint32)from->acceptor_addrtype,
        .acceptor_address = gss_buffer_of(&from->acceptor_address),
        .application_data = gss_buffer_of(&from->application_data),
    };
}

/* ---- credentials ---- */

static bool
describe_element(gss_cred_id_t cred, gss_OID mech, gssx_cred_element *e, struct gss_status *s)
{
    OM_uint32 minor, major, initiate = 0, accept = 0;
    gss_cred_usage_t usage;
    AUTO(gss_name_t) name = GSS_C_NO_NAME;
    major = gss_inquire_cred_by_mech(&minor, cred, mech, &name, &initiate, &accept, &usage);
    /* MIT's mechglue says BAD_BINDINGS of a mechanism that lacks the call (SPNEGO): the credential as a whole stands for it. */
    if (GSS_ROUTINE_ERROR(major) == GSS_S_UNAVAILABLE || GSS_ROUTINE_ERROR(major) == GSS_S_BAD_BINDINGS) {
        major = gss_inquire_cred(&minor, cred, &name, &initiate, &usage, NULL);
        accept = initiate;
    }
    if (GSS_ERROR(major))
        return status_set(s, major, minor, mech);
    e->cred_usage = usage_to_gssx(usage);
    e->initiator_time_rec = initiate;
    e->acceptor_time_rec = accept;
    if (!gssx_put(&e->mech, oid_slice(mech)))
        return NO_MEMORY(s);
    return name == GSS_C_NO_NAME || name_to_gssx(name, false, &e->MN, s);
}

bool
cred_describe(gss_cred_id_t cred, gssx_cred *to, struct gss_status *s)
{
    OM_uint32 minor, major;
    AUTO(gss_name_t) name = GSS_C_NO_NAME;
    AUTO(gss_OID_set) mechs = GSS_C_NO_OID_SET;
    major = gss_inquire_cred(&minor, cred, &name, NULL, NULL, &mechs);
    if (GSS_ERROR(major))
        return status_set(s, major, minor, GSS_C_NO_OID);
    if (name != GSS_C_NO_NAME && !name_to_gssx(name, false, &to->desired_name, s))
        return false;
    to->elements.elements_val = calloc(mechs->count, sizeof *to->elements.elements_val);
    if (to->elements.elements_val == NULL)
        return NO_MEMORY(s);
    for (size_t i = 0; i < mechs->count && to->elements.elements_len < GSSX_ELEMENTS_MAX; i++) {
        gssx_cred_element *e = &to->elements.elements_val[to->elements.elements_len];
        if (describe_element(cred, &mechs->elements[i], e, s)) {
            to->elements.elements_len++;
        } else { /* an element that cannot be described is left out, if another can */
            xdr_free(GSSX_XDR(gssx_cred_element), e);
            memset(e, 0, sizeof *e);
        }
    }
    return to->elements.elements_len > 0;
}

bool
cred_copy_described(gssx_cred *to, const gssx_cred *from)
{
    const u_int count = from->elements.elements_len;
    to->elements.elements_val = calloc(count, sizeof *to->elements.elements_val);
    if (to->elements.elements_val == NULL || !gssx_name_copy_forms(&to->desired_name, &from->desired_name))
        return false;
    for (u_int i = 0; i < count; i++) {
        const gssx_cred_element *have = &from->elements.elements_val[i];
        gssx_cred_element *e = &to->elements.elements_val[to->elements.elements_len++];
        e->cred_usage = have->cred_usage;
        e->initiator_time_rec = have->initiator_time_rec;
        e->acceptor_time_rec = have->acceptor_time_rec;
        if (!gssx_put(&e->mech, gssx_slice(&have->mech)) || !gssx_name_copy_forms(&e->MN, &have->MN))
            return false;
    }
    return true;
}

bool
cred_has_options(const gssx_cred *from)
{
    for (u_int i = 0; i < from->elements.elements_len; i++)
        if (from->elements.elements_val[i].options.gssx_options_len > 0)
            return true;
    return false;
}

static bool
apply_enctypes(const gssx_buffer *value, gss_cred_id_t cred, struct gss_status *s)
{
    krb5_enctype types[64];
    size_t n = value->octet_string_len / sizeof types[0];
    if (n == 0 || n > 64 || value->octet_string_len % sizeof types[0] != 0)
        return status_fail(s, GSS_S_FAILURE, EINVAL, "krb5_set_allowed_enctype_values is 1 to 64 numbers of 32 bits");
    memcpy(types, value->octet_string_val, value->octet_string_len);
    OM_uint32 minor, major = gss_krb5_set_allowable_enctypes(&minor, cred, (OM_uint32)n, types);
    return status_set(s, major, minor, &mech_oid_krb5);
}

bool
cred_apply_options(const gssx_cred *from, gss_cred_id_t *cred, struct gss_status *s)
{
    for (u_int i = 0; i < from->elements.elements_len; i++) {
        const gssx_cred_element *e = &from->elements.elements_val[i];
        gss_OID_desc mech = gss_oid_of(&e->mech);
        if (!mech_is_krb5(&mech))
            continue;
        const gssx_buffer *enctypes = option_find(&e->options, "krb5_set_allowed_enctype_values");
        if (enctypes != NULL && !apply_enctypes(enctypes, *cred, s))
            return false;
        if (option_find(&e->options, "krb5_set_no_ci_flags") == NULL)
            continue;
        gss_buffer_desc empty = GSS_C_EMPTY_BUFFER;
        OM_uint32 minor, major = gss_set_cred_option(&minor, cred, GSS_KRB5_CRED_NO_CI_FLAGS_X, &empty);
        if (GSS_ERROR(major))
            return status_set(s, major, minor, &mech_oid_krb5);
    }
    return true;
}
