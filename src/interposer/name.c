#include "interposer/name.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gssapi/gssapi_krb5.h>

#include "rpc/value.h"

/* ---- making and releasing ---- */

static bool
make(const struct mech *mech, struct name **out, struct outcome *o)
{
    struct name *name = calloc(1, sizeof *name);
    if (name == NULL)
        return outcome_no_memory(o);
    pthread_mutex_init(&name->lock, NULL);
    name->mech = mech;
    *out = name;
    return outcome_ok(o);
}

void
name_free(struct name *name)
{
    if (name == NULL)
        return;
    seam_release_name(&name->local);
    xdr_free(GSSX_XDR(gssx_name), &name->wire);
    xdr_free(GSSX_XDR(gssx_name), &name->canonical);
    pthread_mutex_destroy(&name->lock);
    free(name);
}

static bool
is_type(gss_const_OID type, gss_const_OID known)
{
    return type != GSS_C_NO_OID && slice_equal(oid_slice(type), oid_slice(known));
}

/* The bytes that exported names begin with, simple and composite (RFC 2743 section 3.2; RFC 6680 section 7). */
static bool
is_exported(gage_slice bytes)
{
    return bytes.n > 2 && bytes.p[0] == 4 && (bytes.p[1] == 1 || bytes.p[1] == 2);
}

/* A name of this type is the address of a krb5_principal, which the caller may free afterwards. */
static bool
import_pointer(const struct mech *mech, gss_const_buffer_t bytes, struct name **out, struct outcome *o)
{
    AUTO(gss_name_t) given = GSS_C_NO_NAME, local = GSS_C_NO_NAME;
    gss_buffer_desc address = *bytes;
    OM_uint32 minor, major = gss_import_name(&minor, &address, (gss_OID)(uintptr_t)gss_nt_krb5_principal, &given);
    if (!GSS_ERROR(major))
        major = gss_canonicalize_name(&minor, given, mech_special(mech), &local);
    return outcome_local(o, major, minor) && name_from_local(mech, &local, out, o);
}

bool
name_import(const struct mech *mech, gss_const_buffer_t bytes, gss_const_OID type, struct name **out, struct outcome *o)
{
    gage_slice text = seam_slice(bytes);
    struct name *name;
    if (is_type(type, gss_nt_krb5_principal) && text.n == sizeof(void *))
        return import_pointer(mech, bytes, out, o);
    if (!make(mech, &name, o))
        return false;
    bool exported = is_type(type, GSS_C_NT_EXPORT_NAME), composite = is_type(type, GSS_C_NT_COMPOSITE_EXPORT);
    octet_string *form = &name->wire.display_name;
    if ((exported || composite) && is_exported(text))
        form = text.p[1] == 1 ? &name->wire.exported_name : &name->wire.exported_composite_name;
    if (!gssx_put(form, text) ||
        (form == &name->wire.display_name && !gssx_put(&name->wire.name_type, oid_slice(type)))) {
        name_free(name);
        return outcome_no_memory(o);
    }
    *out = name;
    return true;
}

bool
name_from_wire(const struct mech *mech, const gssx_name *wire, struct name **out, struct outcome *o)
{
    struct name *name;
    if (!make(mech, &name, o))
        return false;
    name->by_daemon = true;
    if (!gssx_name_copy(&name->wire, wire)) {
        name_free(name);
        return outcome_no_memory(o);
    }
    *out = name;
    return true;
}

bool
name_from_local(const struct mech *mech, gss_name_t *local, struct name **out, struct outcome *o)
{
    if (!make(mech, out, o)) {
        seam_release_name(local);
        return false;
    }
    (*out)->local = *local;
    *local = GSS_C_NO_NAME;
    return true;
}

bool
name_copy(struct name *from, struct name **out, struct outcome *o)
{
    struct name *name;
    OM_uint32 minor, major = GSS_S_COMPLETE;
    if (!make(from->mech, &name, o))
        return false;
    pthread_mutex_lock(&from->lock);
    name->by_daemon = from->by_daemon;
    bool good = gssx_name_copy(&name->wire, &from->wire) && gssx_name_copy(&name->canonical, &from->canonical);
    if (good && from->local != GSS_C_NO_NAME)
        major = gss_duplicate_name(&minor, from->local, &name->local);
    pthread_mutex_unlock(&from->lock);
    if (!good)
        outcome_no_memory(o);
    else
        good = outcome_local(o, major, minor);
    if (!good) {
        name_free(name);
        return false;
    }
    *out = name;
    return true;
}

/* ---- name types ---- */

gss_OID
name_type_known(gage_slice type)
{
    const gss_OID known[] = {GSS_C_NT_HOSTBASED_SERVICE, GSS_C_NT_USER_NAME,          GSS_C_NT_MACHINE_UID_NAME,
                             GSS_C_NT_STRING_UID_NAME,   GSS_C_NT_ANONYMOUS,          GSS_C_NT_EXPORT_NAME,
                             GSS_C_NT_COMPOSITE_EXPORT,  GSS_C_NT_HOSTBASED_SERVICE_X};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (slice_equal(type, oid_slice(known[i])))
            return known[i];
    return (gss_OID)(uintptr_t)GSS_KRB5_NT_PRINCIPAL_NAME;
}

/* ---- the local form ---- */

static bool
import_whole(const octet_string *form, gss_OID type, gss_name_t *out)
{
    gss_buffer_desc bytes = seam_buffer(form);
    OM_uint32 minor;
    return exported_name_is_whole(gssx_slice(form)) && !GSS_ERROR(gss_import_name(&minor, &bytes, type, out));
}

/* The richest form that there is: the composite one has the attributes. */
static bool
import_locally(const struct mech *mech, const gssx_name *from, gss_name_t *out, struct outcome *o)
{
    AUTO(gss_name_t) name = GSS_C_NO_NAME;
    OM_uint32 minor, major;
    gss_OID_desc type = {from->name_type.octet_string_len, from->name_type.octet_string_val};
    gss_buffer_desc shown = seam_buffer(&from->display_name);
    if (import_whole(&from->exported_composite_name, GSS_C_NT_COMPOSITE_EXPORT, out) ||
        import_whole(&from->exported_name, GSS_C_NT_EXPORT_NAME, out))
        return outcome_ok(o);
    major = gss_import_name(&minor, &shown, type.length > 0 ? &type : GSS_C_NO_OID, &name);
    if (!GSS_ERROR(major))
        major = gss_canonicalize_name(&minor, name, mech_special(mech), out);
    return outcome_local(o, major, minor);
}

bool
name_local(struct name *name, gss_name_t *out, struct outcome *o)
{
    bool good = outcome_ok(o);
    pthread_mutex_lock(&name->lock);
    if (name->local == GSS_C_NO_NAME)
        good = import_locally(name->mech, &name->wire, &name->local, o);
    *out = name->local;
    pthread_mutex_unlock(&name->lock);
    return good;
}

/* ---- the daemon's form ---- */

static bool
has_wire(const gssx_name *wire)
{
    return wire->display_name.octet_string_len > 0 || wire->exported_name.octet_string_len > 0 ||
           wire->exported_composite_name.octet_string_len > 0;
}

bool
name_wire(struct name *name, gssx_name *room, gssx_name **out, struct outcome *o)
{
    OM_uint32 minor, major;
    gss_buffer_desc shown = GSS_C_EMPTY_BUFFER;
    gss_OID type = GSS_C_NO_OID;
    if (has_wire(&name->wire) || name->local == GSS_C_NO_NAME) {
        *out = &name->wire;
        return outcome_ok(o);
    }
    major = gss_display_name(&minor, name->local, &shown, &type);
    if (GSS_ERROR(major))
        return outcome_local(o, major, minor);
    bool good = gssx_put(&room->display_name, seam_slice(&shown)) && gssx_put(&room->name_type, oid_slice(type));
    gss_release_buffer(&minor, &shown);
    *out = room;
    return good ? outcome_ok(o) : outcome_no_memory(o);
}

static bool
ask_for_canonical(struct name *name, struct outcome *o)
{
    union gssx_arg arg = {0};
    AUTO(answer) a = {0};
    gssx_name *input = &arg.import_and_canon_name.input_name, room = {0}, *wire;
    if (!name_wire(name, &room, &wire, o))
        return false;
    if (wire->exported_composite_name.octet_string_len >
        0) /* alone: the display form would be preferred, and has no attributes */
        input->exported_composite_name = wire->exported_composite_name;
    else
        *input = *wire;
    arg.import_and_canon_name.mech = seam_view_slice(oid_slice(&name->mech->oid));
    bool good = remote_call(PROC_IMPORT_AND_CANON_NAME, &arg, &a, o) && outcome_good(o);
    xdr_free(GSSX_XDR(gssx_name), &room);
    if (!good)
        return false;
    gssx_name *given = a.res.import_and_canon_name.output_name;
    if (given == NULL || !has_wire(given))
        return outcome_fail(o, GSS_S_BAD_NAME, EBADMSG, "the proxy daemon made no name of this one");
    name->canonical = *given;
    memset(given, 0, sizeof *given);
    return true;
}

bool
name_canonical(struct name *name, bool attributes, const gssx_name **out, struct outcome *o)
{
    bool good = outcome_ok(o);
    if (name->by_daemon && (!attributes || name->wire.name_attributes.gssx_name_attrs_len > 0)) {
        *out = &name->wire;
        return good;
    }
    pthread_mutex_lock(&name->lock);
    if (!has_wire(&name->canonical))
        good = ask_for_canonical(name, o);
    *out = &name->canonical;
    pthread_mutex_unlock(&name->lock);
    return good;
}
