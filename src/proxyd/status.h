/* status.h - a GSS failure carried whole: codes, mechanism and texts, captured in the thread in which it happened (Kerberos keeps the
 * long text of an error per thread), so that the client and the log get it. */
#ifndef GAGE_PROXYD_STATUS_H
#define GAGE_PROXYD_STATUS_H

#include <gssapi/gssapi.h>

#include "rpc/proc.h"

#define STATUS_TEXT_MAX 400

struct gss_status {
    OM_uint32 major, minor;
    gss_OID_desc mech; /* elements in mech_bytes */
    uint8_t mech_bytes[64];
    char major_text[128], minor_text[STATUS_TEXT_MAX];
};

static inline bool
gss_good(const struct gss_status *s)
{
    return !GSS_ERROR(s->major);
}

/* Forgets, too, which texts libkrb5 made for what came before (krb_text.h). */
void status_clear(struct gss_status *s);
/* Captures what a GSS call just returned; texts are fetched for failures only, and are those of this failure: what the library kept of an
 * earlier one, perhaps another client's, is not told. Ends the minor text of a known Kerberos trouble with what to do about it. Returns
 * gss_good. */
bool status_set(struct gss_status *s, OM_uint32 major, OM_uint32 minor, gss_const_OID mech);
/* Puts whom it is about, and a colon, before the minor text. */
void status_about(struct gss_status *s, const char *who);
/* Appends to the minor text, in brackets. */
void status_append(struct gss_status *s, const char *text);
/* A failure of our own with its sentence; the minor status is an errno value. Returns false. */
bool status_fail(struct gss_status *s, OM_uint32 major, int minor, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Writes it into a result. A zeroed *out is expected; false where memory was short. */
bool status_to_gssx(const struct gss_status *s, gssx_status *out);
/* What to do about a Kerberos error text, or NULL. Static. */
const char *status_advice(const char *minor_text);

#endif
