#include "otc/oid.h"

#include <stdlib.h>
#include <string.h>

const uint8_t otc_der_oid[OTC_DER_OID_LEN] = {0x06, 0x21, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x14, 0x01, 0xbe, 0x40, 0x93,
                                              0x7a, 0x81, 0xbe, 0x78, 0x82, 0xac, 0x2b, 0x87, 0x49, 0x81, 0x96, 0x47,
                                              0x82, 0xe2, 0x6f, 0x83, 0xce, 0xa2, 0x07, 0x82, 0xb5, 0x91, 0x37};
static const uint8_t principal_oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x14, 0x01, 0xbe, 0x40, 0x93, 0x7a, 0x81,
                                        0xbe, 0x78, 0x82, 0xac, 0x2b, 0x87, 0x49, 0x81, 0x96, 0x47, 0x82, 0xe2,
                                        0x6f, 0x83, 0xce, 0xa2, 0x07, 0x82, 0xb5, 0x91, 0x37, 0x01};

#define BYTES(b) ((void *)(uintptr_t)(b))
const gss_OID_desc otc_mech_oid = {OTC_DER_OID_LEN - 2, BYTES(otc_der_oid + 2)};
const gss_OID_desc otc_nt_principal = {sizeof principal_oid, BYTES(principal_oid)};
const gss_OID_desc otc_nt_user = {10, BYTES("\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x01")};
const gss_OID_desc otc_nt_hostbased = {10, BYTES("\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04")};
const gss_OID_desc otc_nt_export = {6, BYTES("\x2b\x06\x01\x05\x06\x04")};
const gss_OID_desc otc_nt_composite = {6, BYTES("\x2b\x06\x01\x05\x06\x06")};
const gss_OID_desc otc_nt_anonymous = {6, BYTES("\x2b\x06\x01\x05\x06\x03")};

bool
otc_oid_equal(const gss_OID_desc *a, const gss_OID_desc *b)
{
    return slice_equal(otc_oid_slice(a), otc_oid_slice(b));
}

gage_slice
otc_oid_slice(const gss_OID_desc *oid)
{
    return oid == NULL ? SLICE_NONE : gage_slice_of(oid->elements, oid->length);
}

static bool
copy_oid(const gss_OID_desc *from, gss_OID_desc *to)
{
    to->elements = malloc(from->length);
    if (to->elements == NULL)
        return false;
    memcpy(to->elements, from->elements, from->length);
    to->length = from->length;
    return true;
}

void
otc_oid_set_free(gss_OID_set *handle)
{
    gss_OID_set set = *handle;
    *handle = NULL;
    for (size_t i = 0; set != NULL && i < set->count; i++)
        free(set->elements[i].elements);
    if (set != NULL)
        free(set->elements);
    free(set);
}

bool
otc_oid_set(const gss_OID_desc *const *oids, size_t count, gss_OID_set *set)
{
    *set = NULL;
    gss_OID_set made = calloc(1, sizeof *made);
    if (made == NULL)
        return false;
    made->elements = calloc(count > 0 ? count : 1, sizeof *made->elements);
    bool good = made->elements != NULL;
    for (size_t i = 0; good && i < count; i++) {
        good = copy_oid(oids[i], &made->elements[i]);
        made->count += good ? 1 : 0;
    }
    if (!good) {
        otc_oid_set_free(&made);
        return false;
    }
    *set = made;
    return true;
}

gss_OID
otc_oid_handle(const gss_OID_desc *oid)
{
    return (gss_OID)(uintptr_t)oid;
}
