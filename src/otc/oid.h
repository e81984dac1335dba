/* oid.h - the object identifiers the mechanism uses, by value: a plugin does not link the GSS library. */
#ifndef GAGE_OTC_OID_H
#define GAGE_OTC_OID_H

#include <gssapi/gssapi.h>

#include "base/bytes.h"

/* The mechanism (doc/otc.md section 1), and the type under which its principals display. */
extern const gss_OID_desc otc_mech_oid;
extern const gss_OID_desc otc_nt_principal;
/* RFC 2744 and RFC 6680's name types. */
extern const gss_OID_desc otc_nt_user, otc_nt_hostbased, otc_nt_export, otc_nt_composite, otc_nt_anonymous;

/* DER(OID): tag, length, value. */
#define OTC_DER_OID_LEN 35
extern const uint8_t otc_der_oid[OTC_DER_OID_LEN];

bool otc_oid_equal(const gss_OID_desc *a, const gss_OID_desc *b);
gage_slice otc_oid_slice(const gss_OID_desc *oid);

/* A set on the heap that gss_release_oid_set frees; false (and *set NULL) without memory. A row's elements are copied. */
bool otc_oid_set(const gss_OID_desc *const *oids, size_t count, gss_OID_set *set);

void otc_oid_set_free(gss_OID_set *set);

/* The GSS-API has mutable OID handles everywhere and never writes through them. */
gss_OID otc_oid_handle(const gss_OID_desc *oid);

#endif
