/* Names that clients write, before the GSS library sees them. MIT's krb5 mechanism trusts whoever imports a name: one of its types is the
 * address of a structure in this process, a uid of the machine is read whole however short it is, and that an exported name ends where it
 * says is asserted: a byte more, and the process ends. */
#include <errno.h>

#include "proxyd/conv.h"
#include "proxyd/mech.h"

enum { EXPORTED = 0x0401, COMPOSITE = 0x0402, OID_TAG = 0x06 };

/* gss_nt_krb5_principal, { 1.2.840.113554.1.2.2.2 }: a krb5_principal, that is a pointer. */
static const gss_OID_desc pointer_type = {10, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x02"};

/* RFC 2743 section 3.2, and for krb5's composite form the attributes after it (RFC 6680 leaves them to the mechanism). */
static bool
ends_where_it_says(gage_slice name)
{
    struct reader r = read_from(name);
    uint16_t id = get_u16(&r);
    struct reader framed = read_from(get_vec16(&r));
    uint8_t tag = get_u8(&framed);
    gage_slice oid = get_vec8(&framed);
    get_vec32(&r);
    if (tag != OID_TAG || !gage_ok(read_end(&framed, NULL, "mechanism")))
        return false;
    if (id == COMPOSITE && !slice_equal(oid, oid_slice(&mech_oid_krb5)))
        return read_ok(&r);
    if (id == COMPOSITE)
        get_vec32(&r);
    return (id == COMPOSITE || id == EXPORTED) && gage_ok(read_end(&r, NULL, "name"));
}

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
        !ends_where_it_says(bytes))
        return status_fail(s, GSS_S_BAD_NAME, EINVAL, "the exported name does not have the length that it says");
    OM_uint32 minor, major = gss_import_name(&minor, &text, type.n > 0 ? &oid : GSS_C_NO_OID, name);
    return status_set(s, major, minor, GSS_C_NO_OID);
}
