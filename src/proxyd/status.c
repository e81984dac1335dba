#include "proxyd/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "proxyd/conv.h"
#include "proxyd/mech.h"

/* Parts of MIT krb5's messages, and what their reader can do. */
static const struct {
    const char *part, *advice;
} advices[] = {
    {"Cannot contact any KDC", "check that the KDC runs and that krb5.conf and the network reach it"},
    {"Cannot find KDC", "name the realm's kdc in krb5.conf or DNS"},
    {"Clock skew too great", "set the clocks of client, server and KDC (NTP)"},
    {"nonexistent or empty", "check the service's keytab: cred_store = keytab:PATH"},
    {"Key table file", "check the service's keytab: cred_store = keytab:PATH"},
    {"No key table entry found", "add the principal's key to the keytab, or set krb5_principal"},
    {"not found in keytab", "export the service's current key to the keytab again (ktadd)"},
    {"Wrong principal in request", "the client asked for another service name than the keytab holds"},
    {"Request is a replay", "the same token came twice: a replay, or two daemons that share keys"},
    {"Decrypt integrity check failed", "the keytab's key is not the KDC's: export it again (ktadd)"},
    {"Preauthentication failed", "the client keytab's key is not the KDC's: export it again (ktadd)"},
    {"No Kerberos credentials available", "give the user a ticket (kinit) or the service a client_keytab"},
    {"No credentials cache found", "give the user a ticket (kinit) or the service a client_keytab"},
    {"Ticket expired", "get a new ticket (kinit), or let the service renew from a client_keytab"},
    {"not found in Kerberos database", "create the principal on the KDC, or correct the name"},
    {"Permission denied", "let the daemon's user read the keytab or cache"},
    {"KDC can't fulfill requested option", "allow delegation for the service on the KDC"},
    {"KDC policy rejects request", "allow delegation for the service on the KDC"},
};

const char *
status_advice(const char *minor_text)
{
    for (size_t i = 0; i < sizeof advices / sizeof advices[0]; i++)
        if (strstr(minor_text, advices[i].part) != NULL)
            return advices[i].advice;
    return NULL;
}

void
status_clear(struct gss_status *s)
{
    memset(s, 0, sizeof *s);
    s->mech.elements = s->mech_bytes;
}

static void
set_mech(struct gss_status *s, gss_const_OID mech)
{
    s->mech = (gss_OID_desc){0, s->mech_bytes};
    if (mech == GSS_C_NO_OID || mech->length > sizeof s->mech_bytes)
        return;
    memcpy(s->mech_bytes, mech->elements, mech->length);
    s->mech.length = mech->length;
}

/* All messages of a code, joined. */
static void
display(OM_uint32 code, int type, gss_OID mech, char *text, size_t size)
{
    OM_uint32 minor, more = 0;
    AUTO(gage_buf) all = GAGE_BUF(size - 1);
    do {
        gss_buffer_desc part = GSS_C_EMPTY_BUFFER;
        if (GSS_ERROR(gss_display_status(&minor, code, type, mech, &more, &part)))
            break;
        if (all.n > 0)
            put_bytes(&all, SLICE_LITERAL(", "));
        put_printable(&all, gage_slice_of(part.value, part.length));
        gss_release_buffer(&minor, &part);
    } while (more != 0);
    if (all.n > 0)
        memcpy(text, all.p, all.n);
    text[all.n] = '\0';
}

bool
status_set(struct gss_status *s, OM_uint32 major, OM_uint32 minor, gss_const_OID mech)
{
    s->major = major;
    s->minor = minor;
    set_mech(s, mech);
    s->major_text[0] = s->minor_text[0] = '\0';
    if (!GSS_ERROR(major))
        return true;
    display(major, GSS_C_GSS_CODE, GSS_C_NO_OID, s->major_text, sizeof s->major_text);
    if (minor != 0)
        display(minor, GSS_C_MECH_CODE, s->mech.length > 0 ? &s->mech : GSS_C_NO_OID, s->minor_text,
                sizeof s->minor_text);
    const char *advice = status_advice(s->minor_text);
    size_t n = strlen(s->minor_text);
    if (advice != NULL)
        snprintf(s->minor_text + n, sizeof s->minor_text - n, ": %s", advice);
    return false;
}

bool
status_fail(struct gss_status *s, OM_uint32 major, int minor, const char *fmt, ...)
{
    va_list ap;
    s->major = major;
    s->minor = (OM_uint32)minor;
    set_mech(s, GSS_C_NO_OID);
    display(major, GSS_C_GSS_CODE, GSS_C_NO_OID, s->major_text, sizeof s->major_text);
    va_start(ap, fmt);
    vsnprintf(s->minor_text, sizeof s->minor_text, fmt, ap);
    va_end(ap);
    return false;
}

/* Texts carry their NUL. */
static bool
put_text(utf8string *to, const char *text)
{
    if (text[0] == '\0')
        return true;
    to->utf8string_val = strdup(text);
    to->utf8string_len = to->utf8string_val != NULL ? (u_int)strlen(text) + 1 : 0;
    return to->utf8string_val != NULL;
}

bool
status_to_gssx(const struct gss_status *s, gssx_status *out)
{
    out->major_status = s->major;
    out->minor_status = s->minor;
    return gssx_put(&out->mech, gage_slice_of(s->mech_bytes, s->mech.length)) &&
           put_text(&out->major_status_string, s->major_text) && put_text(&out->minor_status_string, s->minor_text);
}
