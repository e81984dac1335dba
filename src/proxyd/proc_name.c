/* IMPORT_AND_CANON_NAME: import, canonicalise, attributes, and the local account's name. */
#include <errno.h>
#include <stdlib.h>

#include "proxyd/mech.h"
#include "proxyd/procs.h"

static bool
local_name(struct call *call, gss_name_t name, gss_OID mech, gssx_options *options)
{
    AUTO(gss_owned_buffer) local = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, major = gss_localname(&minor, name, mech, &local);
    if (GSS_ERROR(major))
        return status_set(&call->status, major, minor, mech);
    return option_add(options, "localname", gss_slice(&local)) || PROC_NO_MEMORY(call);
}

bool
proc_import_and_canon_name(struct call *call, gssx_arg_import_and_canon_name *arg, gssx_res_import_and_canon_name *res)
{
    AUTO(gss_name_t) name = GSS_C_NO_NAME, canonical = GSS_C_NO_NAME;
    gss_OID_desc mech = gss_oid_of(&arg->mech);
    gss_OID use = mech.length > 0 ? &mech : GSS_C_NO_OID;
    OM_uint32 minor, major;
    if (!name_from_gssx(&arg->input_name, &name, &call->status))
        return false;
    if (option_find(&arg->options, "localname") != NULL)
        return local_name(call, name, use, &res->options);
    if (use != GSS_C_NO_OID) {
        major = gss_canonicalize_name(&minor, name, use, &canonical);
        if (GSS_ERROR(major))
            return status_set(&call->status, major, minor, use);
    }
    gss_name_t result = canonical != GSS_C_NO_NAME ? canonical : name;
    if (!name_set_attributes(&arg->input_name.name_attributes, result, &call->status) ||
        !name_set_attributes(&arg->name_attributes, result, &call->status))
        return false;
    res->output_name = calloc(1, sizeof *res->output_name);
    if (res->output_name == NULL)
        return PROC_NO_MEMORY(call);
    return name_to_gssx(result, true, res->output_name, &call->status);
}
