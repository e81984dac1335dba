/* gssi_mech.c - the exported calls on the mechanisms themselves: what the real ones say, and texts of what a daemon said. */
#include <errno.h>
#include <stdio.h>

#include "interposer/exports.h"

/* Whether this thread's question to the real mechanism came back: the library takes a number that the real one never gave for ours. */
static __thread bool asked_on;

static OM_uint32
give_text(OM_uint32 *minor, const char *said, OM_uint32 *message_context, gss_buffer_t text)
{
    if (message_context != NULL)
        *message_context = 0;
    bool good = seam_give(slice_str(said), text);
    *minor = good ? 0 : ENOMEM;
    return good ? GSS_S_COMPLETE : GSS_S_FAILURE;
}

/* A status that a daemon or this plugin gave has its own text; any other is the real mechanism's. */
INTERPOSER_EXPORT OM_uint32
gssi_display_status(OM_uint32 *minor, OM_uint32 value, int type, gss_OID mech, OM_uint32 *message_context,
                    gss_buffer_t text)
{
    char said[OUTCOME_TEXT_MAX];
    (void)mech;
    seam_clear(text);
    if (type == GSS_C_MECH_CODE && outcome_text(value, said))
        return give_text(minor, said, message_context, text);
    if (asked_on) {
        snprintf(said, sizeof said,
                 "the proxy daemon's failure %u, without a text or one that is forgotten; see the daemon's log", value);
        return give_text(minor, said, message_context, text);
    }
    asked_on = true;
    OM_uint32 major = gss_display_status(minor, value, type, mech_special(mech_at(0)), message_context, text);
    asked_on = false;
    return major;
}

INTERPOSER_EXPORT OM_uint32
gssi_indicate_mechs(OM_uint32 *minor, gss_OID_set *out)
{
    OM_uint32 major = gss_create_empty_oid_set(minor, out);
    for (size_t i = 0; mech_at(i) != NULL && !GSS_ERROR(major); i++)
        major = gss_add_oid_set_member(minor, mech_public(mech_at(i)), out);
    return major;
}

static OM_uint32
not_ours(OM_uint32 *minor)
{
    struct outcome o;
    outcome_fail(&o, GSS_S_BAD_MECH, EINVAL, "not a mechanism of the proxy's");
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_inquire_names_for_mech(OM_uint32 *minor, gss_OID mech, gss_OID_set *types)
{
    const struct mech *own = mech_find(mech);
    return own != NULL ? gss_inquire_names_for_mech(minor, mech_special(own), types) : not_ours(minor);
}

INTERPOSER_EXPORT OM_uint32
gssi_inquire_attrs_for_mech(OM_uint32 *minor, gss_const_OID mech, gss_OID_set *attributes, gss_OID_set *known)
{
    const struct mech *own = mech_find(mech);
    return own != NULL ? gss_inquire_attrs_for_mech(minor, mech_special(own), attributes, known) : not_ours(minor);
}

INTERPOSER_EXPORT OM_uint32
gssi_inquire_saslname_for_mech(OM_uint32 *minor, const gss_OID mech, gss_buffer_t sasl_name, gss_buffer_t name,
                               gss_buffer_t description)
{
    const struct mech *own = mech_find(mech);
    return own != NULL ? gss_inquire_saslname_for_mech(minor, mech_special(own), sasl_name, name, description)
                       : not_ours(minor);
}

INTERPOSER_EXPORT OM_uint32
gssi_inquire_mech_for_saslname(OM_uint32 *minor, const gss_buffer_t wanted, gss_OID *out)
{
    for (size_t i = 0; mech_at(i) != NULL; i++) {
        AUTO(owned_buffer) name = GSS_C_EMPTY_BUFFER;
        if (GSS_ERROR(gss_inquire_saslname_for_mech(minor, mech_special(mech_at(i)), &name, NULL, NULL)) ||
            !slice_equal(seam_slice(&name), seam_slice(wanted)))
            continue;
        *out = mech_public(mech_at(i));
        *minor = 0;
        return GSS_S_COMPLETE;
    }
    return not_ours(minor);
}

/* A handle of ours needs no release; any other is somebody else's. */
INTERPOSER_EXPORT OM_uint32
gssi_internal_release_oid(OM_uint32 *minor, gss_OID *oid)
{
    *minor = 0;
    if (!mech_owns(*oid))
        return GSS_S_CONTINUE_NEEDED;
    *oid = GSS_C_NO_OID;
    return GSS_S_COMPLETE;
}

/* Settings of the real mechanism in this process, such as the keytab that gss_krb5_register_acceptor_identity names. */
INTERPOSER_EXPORT OM_uint32
gssi_mech_invoke(OM_uint32 *minor, const gss_OID mech, const gss_OID object, gss_buffer_t value)
{
    const struct mech *own = mech_find(mech);
    return own != NULL ? gssspi_mech_invoke(minor, mech_special(own), object, value) : not_ours(minor);
}
