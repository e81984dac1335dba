/* gssi_attribute.c - the exported calls on a name's attributes (RFC 6680). The local library reads them from the composite form that the
 * daemon gave; where it cannot, the daemon does. */
#include <errno.h>

#include "interposer/exports.h"
#include "interposer/name.h"
#include "rpc/value.h"

struct inquiry {
    struct name *name;
    gss_buffer_t attribute;
    gss_buffer_set_t *attributes;
    int *authenticated, *complete, *more;
    gss_buffer_t value, shown;
};

static bool
list_local(void *call, struct outcome *o)
{
    struct inquiry *q = call;
    gss_name_t local;
    OM_uint32 minor, major;
    if (!name_local(q->name, &local, o))
        return false;
    major = gss_inquire_name(&minor, local, NULL, NULL, q->attributes);
    return outcome_local(o, major, minor);
}

static bool
listed(gss_buffer_set_t set, gage_slice attribute)
{
    for (size_t i = 0; set != GSS_C_NO_BUFFER_SET && i < set->count; i++)
        if (slice_equal(seam_slice(&set->elements[i]), attribute))
            return true;
    return false;
}

static bool
list_remote(void *call, struct outcome *o)
{
    struct inquiry *q = call;
    const gssx_name *forms;
    OM_uint32 minor, major = GSS_S_COMPLETE;
    if (!name_canonical(q->name, true, &forms, o))
        return false;
    for (u_int i = 0; i < forms->name_attributes.gssx_name_attrs_len && !GSS_ERROR(major); i++) {
        gss_buffer_desc key = seam_buffer(&forms->name_attributes.gssx_name_attrs_val[i].attr);
        if (!listed(*q->attributes, seam_slice(&key)))
            major = gss_add_buffer_set_member(&minor, &key, q->attributes);
    }
    return !GSS_ERROR(major) || outcome_no_memory(o);
}

static const struct ways listing = {{list_local, list_remote}};

INTERPOSER_EXPORT OM_uint32
gssi_inquire_name(OM_uint32 *minor, gss_name_t handle, int *is_mn, gss_OID *mech, gss_buffer_set_t *attributes)
{
    struct inquiry q = {.name = name_of(handle), .attributes = attributes};
    if (is_mn != NULL)
        *is_mn = 1;
    if (mech != NULL)
        *mech = mech_public(q.name->mech);
    *minor = 0;
    if (attributes == NULL)
        return GSS_S_COMPLETE;
    *attributes = GSS_C_NO_BUFFER_SET;
    return seam_run(sides_local_first(), &listing, &q, minor);
}

static bool
get_local(void *call, struct outcome *o)
{
    struct inquiry *q = call;
    gss_name_t local;
    OM_uint32 minor, major;
    if (!name_local(q->name, &local, o))
        return false;
    major =
        gss_get_name_attribute(&minor, local, q->attribute, q->authenticated, q->complete, q->value, q->shown, q->more);
    return outcome_local(o, major, minor);
}

/* The values of one attribute are elements of their own; *more is -1 for the first, then the place where to look on. */
static bool
get_remote(void *call, struct outcome *o)
{
    struct inquiry *q = call;
    const gssx_name *forms;
    const gssx_name_attr *found = NULL;
    u_int from = *q->more > 0 ? (u_int)*q->more : 0;
    if (!name_canonical(q->name, true, &forms, o))
        return false;
    *q->more = 0;
    for (u_int i = from; i < forms->name_attributes.gssx_name_attrs_len; i++) {
        const gssx_name_attr *a = &forms->name_attributes.gssx_name_attrs_val[i];
        if (!slice_equal(gssx_slice(&a->attr), seam_slice(q->attribute)))
            continue;
        if (found != NULL) {
            *q->more = (int)i;
            break;
        }
        found = a;
    }
    if (found == NULL)
        return outcome_fail(o, GSS_S_UNAVAILABLE, ENOENT, "the name has no such attribute");
    const gssx_buffer *vouched = option_find(&found->extensions, "authenticated");
    if (q->authenticated != NULL)
        *q->authenticated = vouched != NULL && option_is(vouched, "yes");
    if (q->complete != NULL)
        *q->complete = 1;
    return seam_give(gssx_slice(&found->value), q->value) || outcome_no_memory(o);
}

static const struct ways getting = {{get_local, get_remote}};

INTERPOSER_EXPORT OM_uint32
gssi_get_name_attribute(OM_uint32 *minor, gss_name_t handle, gss_buffer_t attribute, int *authenticated, int *complete,
                        gss_buffer_t value, gss_buffer_t shown, int *more)
{
    struct inquiry q = {.name = name_of(handle),
                        .attribute = attribute,
                        .authenticated = authenticated,
                        .complete = complete,
                        .more = more,
                        .value = value,
                        .shown = shown};
    seam_clear(value);
    seam_clear(shown);
    return seam_run(sides_local_first(), &getting, &q, minor);
}

/* What is set on a name stays in this process: it goes to no daemon. */
INTERPOSER_EXPORT OM_uint32
gssi_set_name_attribute(OM_uint32 *minor, gss_name_t handle, int complete, gss_buffer_t attribute, gss_buffer_t value)
{
    struct outcome o;
    gss_name_t local;
    OM_uint32 m, major;
    if (name_local(name_of(handle), &local, &o)) {
        major = gss_set_name_attribute(&m, local, complete, attribute, value);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_delete_name_attribute(OM_uint32 *minor, gss_name_t handle, gss_buffer_t attribute)
{
    struct outcome o;
    gss_name_t local;
    OM_uint32 m, major;
    if (name_local(name_of(handle), &local, &o)) {
        major = gss_delete_name_attribute(&m, local, attribute);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_map_name_to_any(OM_uint32 *minor, gss_name_t handle, int authenticated, gss_buffer_t type, gss_any_t *out)
{
    struct outcome o;
    gss_name_t local;
    OM_uint32 m, major;
    if (name_local(name_of(handle), &local, &o)) {
        major = gss_map_name_to_any(&m, local, authenticated, type, out);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_release_any_name_mapping(OM_uint32 *minor, gss_name_t handle, gss_buffer_t type, gss_any_t *input)
{
    struct outcome o;
    gss_name_t local;
    OM_uint32 m, major;
    if (name_local(name_of(handle), &local, &o)) {
        major = gss_release_any_name_mapping(&m, local, type, input);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}
