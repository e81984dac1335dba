/* INDICATE_MECHS: what the installed mechanisms are and can do. Their set does not change while the daemon runs. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proxyd/mech.h"
#include "proxyd/procs.h"

static const char *const extensions[] = {
    "exported_context_type", "exported_creds_type", "linux_lucid_v1", "linux_creds_v1",
    "acquire_type",          "sync_modified_creds", "localname",      "krb5_set_allowed_enctype_values",
    "krb5_set_no_ci_flags"};

static bool
describe_mech(gss_OID mech, gssx_mech_info *to, gss_OID_set *all_attrs)
{
    AUTO(gss_OID_set) names = GSS_C_NO_OID_SET, attrs = GSS_C_NO_OID_SET, known = GSS_C_NO_OID_SET;
    AUTO(gss_owned_buffer) sasl = GSS_C_EMPTY_BUFFER, name = GSS_C_EMPTY_BUFFER, description = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    if (GSS_ERROR(gss_inquire_names_for_mech(&minor, mech, &names)) ||
        GSS_ERROR(gss_inquire_attrs_for_mech(&minor, mech, &attrs, &known)))
        return false;
    (void)gss_inquire_saslname_for_mech(&minor, mech, &sasl, &name, &description);
    for (size_t i = 0; known != GSS_C_NO_OID_SET && i < known->count; i++)
        (void)gss_add_oid_set_member(&minor, &known->elements[i], all_attrs);
    for (size_t i = 0; attrs != GSS_C_NO_OID_SET && i < attrs->count; i++)
        (void)gss_add_oid_set_member(&minor, &attrs->elements[i], all_attrs);
    return gssx_put(&to->mech, oid_slice(mech)) && gssx_put_oid_set(&to->name_types, names) &&
           gssx_put_oid_set(&to->mech_attrs, attrs) && gssx_put_oid_set(&to->known_mech_attrs, known) &&
           gssx_put(&to->saslname_sasl_mech_name, gss_slice(&sasl)) &&
           gssx_put(&to->saslname_mech_name, gss_slice(&name)) &&
           gssx_put(&to->saslname_mech_desc, gss_slice(&description));
}

static void
describe_attr(gss_OID attr, gssx_mech_attr *to)
{
    AUTO(gss_owned_buffer) name = GSS_C_EMPTY_BUFFER, brief = GSS_C_EMPTY_BUFFER, full = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    (void)gss_display_mech_attr(&minor, attr, &name, &brief, &full);
    (void)gssx_put(&to->attr, oid_slice(attr));
    (void)gssx_put(&to->name, gss_slice(&name));
    (void)gssx_put(&to->short_desc, gss_slice(&brief));
    (void)gssx_put(&to->long_desc, gss_slice(&full));
}

static void
put_mechs(gss_OID_set mechs, gss_OID_set *attrs, gssx_res_indicate_mechs *res)
{
    res->mechs.mechs_val = calloc(mechs->count, sizeof *res->mechs.mechs_val);
    for (size_t i = 0; res->mechs.mechs_val != NULL && i < mechs->count && res->mechs.mechs_len < GSSX_MECHS_MAX; i++) {
        gssx_mech_info *to = &res->mechs.mechs_val[res->mechs.mechs_len];
        if (describe_mech(&mechs->elements[i], to, attrs)) {
            res->mechs.mechs_len++;
        } else { /* a plugin that cannot describe itself is left out */
            xdr_free(GSSX_XDR(gssx_mech_info), to);
            memset(to, 0, sizeof *to);
        }
    }
}

static void
put_attrs(gss_OID_set attrs, gssx_res_indicate_mechs *res)
{
    size_t count = attrs->count < GSSX_ATTRS_MAX ? attrs->count : GSSX_ATTRS_MAX;
    res->mech_attr_descs.mech_attr_descs_val = calloc(count, sizeof *res->mech_attr_descs.mech_attr_descs_val);
    if (res->mech_attr_descs.mech_attr_descs_val == NULL)
        return;
    res->mech_attr_descs.mech_attr_descs_len = (u_int)count;
    for (size_t i = 0; i < count; i++)
        describe_attr(&attrs->elements[i], &res->mech_attr_descs.mech_attr_descs_val[i]);
}

static void
put_extensions(gssx_res_indicate_mechs *res)
{
    size_t count = sizeof extensions / sizeof extensions[0];
    res->supported_extensions.supported_extensions_val = calloc(count, sizeof(gssx_buffer));
    if (res->supported_extensions.supported_extensions_val == NULL)
        return;
    res->supported_extensions.supported_extensions_len = (u_int)count;
    for (size_t i = 0; i < count; i++)
        (void)gssx_put(&res->supported_extensions.supported_extensions_val[i],
                       gage_slice_of(extensions[i], strlen(extensions[i]) + 1));
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static gage_buf answer = {.max = 1 << 20}; /* the encoded result, made once */
static struct gss_status failure;

static void
make_answer(void)
{
    AUTO(gss_OID_set) mechs = GSS_C_NO_OID_SET, attrs = GSS_C_NO_OID_SET;
    gssx_res_indicate_mechs res = {0};
    OM_uint32 minor, major = gss_indicate_mechs(&minor, &mechs);
    if (!status_set(&failure, major, minor, GSS_C_NO_OID))
        return;
    major = gss_create_empty_oid_set(&minor, &attrs);
    if (!status_set(&failure, major, minor, GSS_C_NO_OID))
        return;
    put_mechs(mechs, &attrs, &res);
    put_attrs(attrs, &res);
    put_extensions(&res);
    if (!gage_ok(gssx_encode(GSSX_XDR(gssx_res_indicate_mechs), &res, &answer)))
        status_fail(&failure, GSS_S_FAILURE, ENOMEM, "the mechanisms could not be described");
    xdr_free(GSSX_XDR(gssx_res_indicate_mechs), &res);
}

bool
proc_indicate_mechs(struct call *call, gssx_arg_indicate_mechs *arg, gssx_res_indicate_mechs *res)
{
    pthread_once(&once, make_answer);
    if (!gss_good(&failure)) {
        call->status = failure;
        return false;
    }
    return gage_ok(gssx_decode(GSSX_XDR(gssx_res_indicate_mechs), gage_buf_slice(&answer), res)) ||
           PROC_NO_MEMORY(call);
}
