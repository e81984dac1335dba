/* gss_mech.c - the exported calls on the mechanism itself: attributes, name types, SASL name, status texts. */
#include <stdlib.h>
#include <string.h>

#include "otc/seam.h"

static OM_uint32
give_text(OM_uint32 *minor, const char *text, gss_buffer_t output)
{
    size_t n = strlen(text);
    if (output == NULL)
        return otc_end(minor, OTC_S_OK);
    char *copy = malloc(n + 1);
    if (copy == NULL)
        return otc_end(minor, OTC_S_NOMEM);
    memcpy(copy, text, n + 1);
    *output = (gss_buffer_desc){n, copy};
    return otc_end(minor, OTC_S_OK);
}

/* The GSS library answers for majors itself; here is what a minor of this mechanism means. */
OTC_EXPORT OM_uint32
gss_display_status(OM_uint32 *minor, OM_uint32 value, int type, gss_OID mech, OM_uint32 *message_context,
                   gss_buffer_t text)
{
    OM_uint32 number = value - OTC_MINOR_BASE;
    (void)mech;
    otc_clear(text);
    if (message_context != NULL)
        *message_context = 0;
    if (text == NULL || type != GSS_C_MECH_CODE)
        return otc_end(minor, text == NULL ? OTC_S_BAD_ARGUMENT : OTC_S_BAD_STATUS);
    if (value == 0)
        return give_text(minor, otc_status_text(OTC_S_OK), text);
    if (value < OTC_MINOR_BASE || number > OTC_S_LAST)
        return otc_end(minor, OTC_S_BAD_STATUS);
    return give_text(minor, otc_status_text((enum otc_status)number), text);
}

OTC_EXPORT OM_uint32
gss_indicate_mechs(OM_uint32 *minor, gss_OID_set *mechs)
{
    const gss_OID_desc *const own[] = {&otc_mech_oid};
    if (mechs == NULL)
        return otc_end(minor, OTC_S_BAD_ARGUMENT);
    return otc_end(minor, otc_oid_set(own, 1, mechs) ? OTC_S_OK : OTC_S_NOMEM);
}

OTC_EXPORT OM_uint32
gss_inquire_names_for_mech(OM_uint32 *minor, gss_OID mech, gss_OID_set *types)
{
    const gss_OID_desc *const known[] = {&otc_nt_user, &otc_nt_hostbased, &otc_nt_export, &otc_nt_principal};
    (void)mech;
    if (types == NULL)
        return otc_end(minor, OTC_S_BAD_ARGUMENT);
    return otc_end(minor, otc_oid_set(known, 4, types) ? OTC_S_OK : OTC_S_NOMEM);
}

/* RFC 5587's attributes are 1.3.6.1.5.5.13.N. */
#define MA(n)                                                                                                          \
    {                                                                                                                  \
        7, (void *)(uintptr_t)("\x2b\x06\x01\x05\x05\x0d" n)                                                           \
    }
static const gss_OID_desc mech_attributes[] = {
    MA("\x01"), /* MECH_CONCRETE */
    MA("\x08"), /* NOT_DFLT_MECH: chosen knowingly, never by default */
    MA("\x09"), /* ITOK_FRAMED */
    MA("\x0a"), /* AUTH_INIT */
    MA("\x0b"), /* AUTH_TARG */
    MA("\x11"), /* INTEG_PROT */
    MA("\x12"), /* CONF_PROT */
    MA("\x13"), /* MIC */
    MA("\x14"), /* WRAP */
    MA("\x16"), /* REPLAY_DET */
    MA("\x17"), /* OOS_DET */
    MA("\x18"), /* CBINDINGS */
    MA("\x19"), /* PFS: between contexts */
    MA("\x1b"), /* CTX_TRANS */
};
#define OWN_ATTRIBUTES (sizeof mech_attributes / sizeof mech_attributes[0])
/* What the mechanism knows of and does not have. */
static const gss_OID_desc other_attributes[] = {
    MA("\x02"), MA("\x03"), MA("\x04"), MA("\x05"), MA("\x06"), MA("\x07"), MA("\x0c"),
    MA("\x0d"), MA("\x0e"), MA("\x0f"), MA("\x10"), MA("\x15"), MA("\x1a"),
};
#define OTHER_ATTRIBUTES (sizeof other_attributes / sizeof other_attributes[0])

OTC_EXPORT OM_uint32
gss_inquire_attrs_for_mech(OM_uint32 *minor, gss_const_OID mech, gss_OID_set *own, gss_OID_set *known)
{
    const gss_OID_desc *list[OWN_ATTRIBUTES + OTHER_ATTRIBUTES];
    (void)mech;
    for (size_t i = 0; i < OWN_ATTRIBUTES; i++)
        list[i] = &mech_attributes[i];
    for (size_t i = 0; i < OTHER_ATTRIBUTES; i++)
        list[OWN_ATTRIBUTES + i] = &other_attributes[i];
    if (own != NULL && !otc_oid_set(list, OWN_ATTRIBUTES, own))
        return otc_end(minor, OTC_S_NOMEM);
    if (known == NULL || otc_oid_set(list, OWN_ATTRIBUTES + OTHER_ATTRIBUTES, known))
        return otc_end(minor, OTC_S_OK);
    if (own != NULL)
        otc_oid_set_free(own);
    return otc_end(minor, OTC_S_NOMEM);
}

/* RFC 5801 section 3.1: "GS2-" and the first 55 bits of SHA-1(DER(OID)) in base32. A test computes it. */
#define SASL_NAME "GS2-RJ2IVJICXO3"

OTC_EXPORT OM_uint32
gss_inquire_saslname_for_mech(OM_uint32 *minor, const gss_OID mech, gss_buffer_t sasl_name, gss_buffer_t mech_name,
                              gss_buffer_t description)
{
    otc_clear(sasl_name);
    otc_clear(mech_name);
    otc_clear(description);
    if (mech != GSS_C_NO_OID && !otc_oid_equal(mech, &otc_mech_oid))
        return otc_end(minor, OTC_S_BAD_MECH);
    OM_uint32 major = give_text(minor, SASL_NAME, sasl_name);
    if (major == GSS_S_COMPLETE)
        major = give_text(minor, "otc", mech_name);
    if (major == GSS_S_COMPLETE)
        major = give_text(minor, "one-time credential: both parties hold one link, file or code", description);
    return major;
}

OTC_EXPORT OM_uint32
gss_inquire_mech_for_saslname(OM_uint32 *minor, const gss_buffer_t sasl_name, gss_OID *mech)
{
    bool ok = true;
    gage_slice name = otc_take(sasl_name, &ok);
    if (!ok || !slice_equal(name, SLICE_LITERAL(SASL_NAME)))
        return otc_end(minor, OTC_S_BAD_MECH);
    if (mech != NULL)
        *mech = otc_oid_handle(&otc_mech_oid);
    return otc_end(minor, OTC_S_OK);
}

/* A handle of ours needs no release; any other is somebody else's. */
OTC_EXPORT OM_uint32
gss_internal_release_oid(OM_uint32 *minor, gss_OID *oid)
{
    const gss_OID_desc *const own[] = {&otc_mech_oid, &otc_nt_principal, &otc_nt_user, &otc_nt_hostbased,
                                       &otc_nt_export};
    if (minor != NULL)
        *minor = 0;
    for (size_t i = 0; oid != NULL && i < sizeof own / sizeof own[0]; i++) {
        if (*oid == own[i]) {
            *oid = GSS_C_NO_OID;
            return GSS_S_COMPLETE;
        }
    }
    return GSS_S_CONTINUE_NEEDED;
}
