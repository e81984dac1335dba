/* mech.h - mechanism OIDs: the names configuration uses for them, and the predicates the protocol's krb5 extensions need. */
#ifndef GAGE_PROXYD_MECH_H
#define GAGE_PROXYD_MECH_H

#include <gssapi/gssapi.h>

#include "base/bytes.h"
#include "proxyd/conf.h"

/* "krb5", "spnego", "otc" (any case) or a dotted OID. Appends its DER arcs to `bytes`, into which *oid then points: the buffer must have
 * room reserved. False where it is none of these. */
bool mech_parse(const char *word, gage_buf *bytes, gss_OID_desc *oid, enum mech_kind *kind);
/* Appends the short name or dotted form, for people. */
void mech_show(gss_const_OID oid, gage_buf *out);
bool mech_equal(gss_const_OID a, gss_const_OID b);
bool mech_is_krb5(gss_const_OID oid);
extern const gss_OID_desc mech_oid_krb5, mech_oid_spnego;

static inline gage_slice
oid_slice(gss_const_OID oid)
{
    return oid == GSS_C_NO_OID ? SLICE_NONE : gage_slice_of(oid->elements, oid->length);
}

#endif
