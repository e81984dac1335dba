/* mech.h - which mechanisms are stood in for, the OIDs by which the real ones are reached, and what the environment asks for.
 *
 * The GSS library gives an interposer a mechanism's own OID and takes, for the real mechanism, the interposer's OID followed by the
 * mechanism's (MIT krb5, "GSSAPI mechanism interface", Interposer modules). Written once, when the library loads the plugin. */
#ifndef GAGE_INTERPOSER_MECH_H
#define GAGE_INTERPOSER_MECH_H

#include <gssapi/gssapi_ext.h>

#include "base/bytes.h"

struct mech {
    gss_OID_desc oid;     /* as applications know it */
    gss_OID_desc special; /* the real mechanism behind it */
};

/* The mechanism of this OID, one of ours; none given is Kerberos, as the library gives none for a name that it made from ours. NULL where
 * it is not one of ours. Static, as long as the process lives. */
const struct mech *mech_find(gss_const_OID oid);
const struct mech *mech_find_bytes(gage_slice oid);
/* The first that is in the set; none given is Kerberos. */
const struct mech *mech_find_in(gss_const_OID_set set);
/* The n-th, or NULL past the last. */
const struct mech *mech_at(size_t n);
/* For calls of the library, which take a pointer to what they do not change. */
gss_OID mech_public(const struct mech *mech);
gss_OID mech_special(const struct mech *mech);

/* Whether the OID object is one that this plugin gives out. */
bool mech_owns(gss_const_OID oid);

static inline gage_slice
oid_slice(gss_const_OID oid)
{
    return oid == GSS_C_NO_OID ? SLICE_NONE : gage_slice_of(oid->elements, oid->length);
}

/* ---- the environment, as it was when the plugin was loaded ---- */

enum side { SIDE_LOCAL, SIDE_REMOTE };
/* Who is asked, in this order. */
struct sides {
    const char *behavior; /* the value of GSSPROXY_BEHAVIOR */
    size_t count;
    enum side side[2];
};
const struct sides *sides_asked(void);
/* The same, but the local library first wherever it is asked at all: for what needs no key, or names files of this process. */
const struct sides *sides_local_first(void);

#endif
