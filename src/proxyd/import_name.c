/* Names that clients write, before the GSS library sees them. MIT's krb5 mechanism trusts whoever imports a name: one of its types is the
 * address of a structure in this process, a uid of the machine is read whole however short it is, and that an exported name ends where it
 * says is asserted: a byte more, and the process ends. */
#include <errno.h>

#include "proxyd/conv.h"
#include "proxyd/mech.h"

/* gss_nt_krb5_principal, { 1.2.840.113554.1.2.2.2 }: a krb5_principal, that is a pointer. */
static const gss_OID_desc pointer_type = {10, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x02"};

bool
name_import(gage_slice bytes, gage_slice type, gss_name_t *name, struct gss_status *s)
{
    gss_OID_desc oid = {(OM_uint32)type.n, (void *)(uintptr_t)type.p};
    gss_buffer_desc text = {bytes.n, (void *)(uintptr_t)bytes.p};
    if (mech_equal(&oid, &pointer_type))
        return status_fail(s, GSS_S_BAD_NAMETYPE, EINVAL, "a name of this type means something in one process only");
    if (mech_equal(&oid, GSS_C_NT_MACHINE_UID_NAME) && bytes.n != sizeof(uid_t))
        return status_fail(s, GSS_S_BAD_NAME, EINVAL, "the machine's form of a uid has four bytes");
    if ((mech_equal(&oid, GSS_C_NT_EXPORT_NAME) || mech_equal(&oid, GSS_C_NT_COMPOSITE_EXPORT)) &&
        !exported_name_is_whole(bytes))
        return status_fail(s, GSS_S_BAD_NAME, EINVAL, "the exported name does not have the length that it says");
    OM_uint32 minor, major = gss_import_name(&minor, &text, type.n > 0 ? &oid : GSS_C_NO_OID, name);
    return status_set(s, major, minor, GSS_C_NO_OID);
}
