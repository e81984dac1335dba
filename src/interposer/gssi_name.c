/* gssi_name.c - the exported calls on names. The local library does what it can; the daemon does what it cannot (a realm that is not in the
 * local configuration), or everything under REMOTE_ONLY. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "interposer/exports.h"
#include "interposer/name.h"
#include "rpc/value.h"

INTERPOSER_EXPORT OM_uint32
gssi_import_name_by_mech(OM_uint32 *minor, gss_OID mech, gss_buffer_t bytes, gss_OID type, gss_name_t *out)
{
    struct outcome o;
    struct name *name = NULL;
    const struct mech *own = mech_find(mech);
    *out = GSS_C_NO_NAME;
    if (own == NULL)
        outcome_fail(&o, GSS_S_BAD_MECH, EINVAL, "not a mechanism of the proxy's");
    else if (name_import(own, bytes, type, &name, &o))
        *out = name_handle(name);
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_import_name(OM_uint32 *minor, gss_buffer_t bytes, gss_OID type, gss_name_t *out)
{
    return gssi_import_name_by_mech(minor, GSS_C_NO_OID, bytes, type, out);
}

INTERPOSER_EXPORT OM_uint32
gssi_duplicate_name(OM_uint32 *minor, const gss_name_t from, gss_name_t *out)
{
    struct outcome o;
    struct name *copy = NULL;
    *out = GSS_C_NO_NAME;
    if (name_copy(name_of(from), &copy, &o))
        *out = name_handle(copy);
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_release_name(OM_uint32 *minor, gss_name_t *handle)
{
    name_free(name_of(*handle));
    *handle = GSS_C_NO_NAME;
    *minor = 0;
    return GSS_S_COMPLETE;
}

/* ---- comparing ---- */

struct comparison {
    struct name *a, *b;
    int *equal;
};

static bool
compare_local(void *call, struct outcome *o)
{
    struct comparison *c = call;
    gss_name_t a, b;
    OM_uint32 minor, major;
    if (!name_local(c->a, &a, o) || !name_local(c->b, &b, o))
        return false;
    major = gss_compare_name(&minor, a, b, c->equal);
    return outcome_local(o, major, minor);
}

static bool
compare_remote(void *call, struct outcome *o)
{
    struct comparison *c = call;
    const gssx_name *a, *b;
    if (!name_canonical(c->a, false, &a, o) || !name_canonical(c->b, false, &b, o))
        return false;
    *c->equal = a->exported_name.octet_string_len > 0
                    ? slice_equal(gssx_slice(&a->exported_name), gssx_slice(&b->exported_name))
                    : slice_equal(gssx_slice(&a->display_name), gssx_slice(&b->display_name)) &&
                          slice_equal(gssx_slice(&a->name_type), gssx_slice(&b->name_type));
    return true;
}

static const struct ways comparing = {{compare_local, compare_remote}};

INTERPOSER_EXPORT OM_uint32
gssi_compare_name(OM_uint32 *minor, gss_name_t a, gss_name_t b, int *equal)
{
    struct comparison c = {name_of(a), name_of(b), equal};
    *equal = 0;
    return seam_run(sides_local_first(), &comparing, &c, minor);
}

/* ---- showing and exporting ---- */

struct showing {
    struct name *name;
    gss_OID as; /* the type to display as, or none */
    bool composite;
    gss_buffer_t out;
    gss_OID *type;
};

static bool
display_local(void *call, struct outcome *o)
{
    struct showing *s = call;
    gss_name_t local;
    OM_uint32 minor, major;
    if (!name_local(s->name, &local, o))
        return false;
    major = s->as != GSS_C_NO_OID ? gss_display_name_ext(&minor, local, s->as, s->out)
                                  : gss_display_name(&minor, local, s->out, s->type);
    /* The library's own object for the type: the one that came is the name's. */
    if (!GSS_ERROR(major) && s->as == GSS_C_NO_OID && s->type != NULL)
        *s->type = name_type_known(oid_slice(*s->type));
    return outcome_local(o, major, minor);
}

static bool
display_remote(void *call, struct outcome *o)
{
    struct showing *s = call;
    const gssx_name *forms;
    if (s->as != GSS_C_NO_OID)
        return outcome_fail(o, GSS_S_UNAVAILABLE, ENOTSUP, "the proxy daemon displays a name as what it is only");
    if (!name_canonical(s->name, false, &forms, o))
        return false;
    if (s->type != NULL)
        *s->type = name_type_known(gssx_slice(&forms->name_type));
    return seam_give(gssx_slice(&forms->display_name), s->out) || outcome_no_memory(o);
}

static const struct ways displaying = {{display_local, display_remote}};

INTERPOSER_EXPORT OM_uint32
gssi_display_name(OM_uint32 *minor, gss_name_t handle, gss_buffer_t out, gss_OID *type)
{
    struct showing s = {.name = name_of(handle), .out = out, .type = type};
    struct outcome o;
    seam_clear(out);
    if (!s.name->by_daemon)
        return seam_run(sides_local_first(), &displaying, &s, minor);
    display_remote(&s, &o);
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_display_name_ext(OM_uint32 *minor, gss_name_t handle, gss_OID as, gss_buffer_t out)
{
    struct showing s = {.name = name_of(handle), .as = as, .out = out};
    seam_clear(out);
    return seam_run(sides_local_first(), &displaying, &s, minor);
}

static bool
export_local(void *call, struct outcome *o)
{
    struct showing *s = call;
    gss_name_t local;
    OM_uint32 minor, major;
    if (!name_local(s->name, &local, o))
        return false;
    major = s->composite ? gss_export_name_composite(&minor, local, s->out) : gss_export_name(&minor, local, s->out);
    return outcome_local(o, major, minor);
}

static bool
export_remote(void *call, struct outcome *o)
{
    struct showing *s = call;
    const gssx_name *forms;
    if (!name_canonical(s->name, false, &forms, o))
        return false;
    const octet_string *form = s->composite ? &forms->exported_composite_name : &forms->exported_name;
    if (form->octet_string_len == 0)
        return outcome_fail(o, GSS_S_UNAVAILABLE, ENOENT, "the proxy daemon gave this form of the name not");
    return seam_give(gssx_slice(form), s->out) || outcome_no_memory(o);
}

static const struct ways exporting = {{export_local, export_remote}};

static OM_uint32
export_form(OM_uint32 *minor, gss_name_t handle, bool composite, gss_buffer_t out)
{
    struct showing s = {.name = name_of(handle), .composite = composite, .out = out};
    struct outcome o;
    seam_clear(out);
    if (s.name->by_daemon && export_remote(&s, &o))
        return outcome_end(minor, &o);
    return seam_run(sides_local_first(), &exporting, &s, minor);
}

INTERPOSER_EXPORT OM_uint32
gssi_export_name(OM_uint32 *minor, const gss_name_t handle, gss_buffer_t out)
{
    return export_form(minor, handle, false, out);
}

INTERPOSER_EXPORT OM_uint32
gssi_export_name_composite(OM_uint32 *minor, gss_name_t handle, gss_buffer_t out)
{
    return export_form(minor, handle, true, out);
}

/* ---- accounts ---- */

static bool
localname_local(void *call, struct outcome *o)
{
    struct showing *s = call;
    gss_name_t local;
    OM_uint32 minor, major;
    if (!name_local(s->name, &local, o))
        return false;
    major = gss_localname(&minor, local, mech_special(s->name->mech), s->out);
    return outcome_local(o, major, minor);
}

static bool
localname_remote(void *call, struct outcome *o)
{
    struct showing *s = call;
    union gssx_arg arg = {0};
    AUTO(answer) a = {0};
    gssx_name room = {0}, *wire;
    gssx_option wanted = {.option = seam_view_slice(gage_slice_of("localname", sizeof "localname"))};
    if (!name_wire(s->name, &room, &wire, o))
        return false;
    arg.import_and_canon_name.input_name = *wire;
    arg.import_and_canon_name.mech = seam_view_slice(oid_slice(&s->name->mech->oid));
    arg.import_and_canon_name.options = (gssx_options){1, &wanted};
    bool good = remote_call(PROC_IMPORT_AND_CANON_NAME, &arg, &a, o) && outcome_good(o);
    xdr_free(GSSX_XDR(gssx_name), &room);
    if (!good)
        return false;
    const gssx_buffer *account = option_find(&a.res.import_and_canon_name.options, "localname");
    if (account == NULL)
        return outcome_fail(o, GSS_S_UNAVAILABLE, ENOENT, "the proxy daemon knows no local account of this name");
    return seam_give(gssx_slice(account), s->out) || outcome_no_memory(o);
}

static const struct ways naming_accounts = {{localname_local, localname_remote}};

INTERPOSER_EXPORT OM_uint32
gssi_localname(OM_uint32 *minor, const gss_name_t handle, gss_const_OID mech, gss_buffer_t out)
{
    struct showing s = {.name = name_of(handle), .out = out};
    (void)mech;
    seam_clear(out);
    return seam_run(sides_asked(), &naming_accounts, &s, minor);
}

/* Whether the account is the name's: auth_to_local and ~/.k5login are this machine's, so nobody else is asked. */
INTERPOSER_EXPORT OM_uint32
gssi_authorize_localname(OM_uint32 *minor, const gss_name_t handle, gss_const_buffer_t user, gss_const_OID type)
{
    struct outcome o;
    gss_name_t local;
    AUTO(gss_name_t) account = GSS_C_NO_NAME;
    gss_buffer_desc bytes = {user->length, user->value};
    OM_uint32 m, major;
    if (!name_local(name_of(handle), &local, &o))
        return outcome_end(minor, &o);
    major = gss_import_name(&m, &bytes, (gss_OID)(uintptr_t)type, &account);
    if (!GSS_ERROR(major))
        major = gss_authorize_localname(&m, local, account);
    outcome_local(&o, major, m);
    return outcome_end(minor, &o);
}
