#include "proxyd/status.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "proxyd/conv.h"
#include "proxyd/krb_text.h"
#include "proxyd/mech.h"

/* Parts of MIT krb5's messages, and what their reader can do; the first that fits. */
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
    {"cannot decrypt ticket", "the keytab's key is not the KDC's: export it again (ktadd)"},
    {"Cannot decrypt ticket for",
     "the credential was asked for by one name and the ticket is for another: ask for none, "
     "or see krb5_principal"},
    {"ncryption type", "KDC, keytab and permitted_enctypes in krb5.conf have to agree on a key's type"},
    {"Decrypt integrity check failed", "the keytab's key is not the KDC's: export it again (ktadd)"},
    {"Preauthentication failed", "the client keytab's key is not the KDC's: export it again (ktadd)"},
    {"No Kerberos credentials available", "give the user a ticket (kinit) or the service a client_keytab"},
    {"No credentials cache found", "give the user a ticket (kinit) or the service a client_keytab"},
    {"No KCM server found", "start it, see kcm_socket in krb5.conf, or keep the tickets in a FILE: cache"},
    {"does not match desired name",
     "the cache holds another name's tickets: leave out the ccache row (each name then has "
     "a cache in memory), or remove the file"},
    {"Ticket not yet valid", "set the clocks of client, server and KDC (NTP)"},
    {"have been revoked", "the principal is locked or disabled: unlock it on the KDC (modprinc +allow_tix, -unlock)"},
    {"in database has expired", "the principal's time on the KDC is over: give it more (modprinc -expire)"},
    {"Password has expired", "change the password or key on the KDC"},
    {"Server krbtgt/", "this realm's KDC does not know that realm: name the host's under domain_realm in krb5.conf, or "
                       "set up trust between both"},
    {"Ticket expired", "get a new ticket (kinit), or let the service renew from a client_keytab"},
    {"not found in Kerberos database", "create the principal on the KDC, or correct the name"},
    {"Permission denied", "let the daemon's user read the keytab or cache"},
    {"KDC can't fulfill requested option", "allow delegation for the service on the KDC"},
    {"KDC policy rejects request", "allow delegation for the service on the KDC"},
};

/* What a failure means of which the mechanism says no more than its code. */
static const struct {
    OM_uint32 major;
    const char *meaning;
} meanings[] = {
    {GSS_S_BAD_MECH, "the mechanism is not installed, or not one of the service's mechs"},
    {GSS_S_BAD_NAME, "the name cannot be read in the form it is said to have"},
    {GSS_S_BAD_NAMETYPE, "the mechanism does not know names of this form"},
    {GSS_S_BAD_BINDINGS, "client and server are not ends of one channel: something between them ends TLS"},
    {GSS_S_BAD_SIG, "the message was changed on its way, or belongs to another context"},
    {GSS_S_NO_CRED, "there is no credential of this mechanism for this use: see the service's cred_store, mechs and "
                    "cred_usage"},
    {GSS_S_NO_CONTEXT, "there is no such context: establish it anew"},
    {GSS_S_DEFECTIVE_TOKEN, "the token is damaged, or of no mechanism that the service has in mechs"},
    {GSS_S_DEFECTIVE_CREDENTIAL, "the credential is damaged, or of another mechanism: acquire it anew"},
    {GSS_S_CREDENTIALS_EXPIRED, "get a new ticket (kinit), or let the service renew from a client_keytab"},
    {GSS_S_CONTEXT_EXPIRED, "establish the context anew"},
    {GSS_S_UNAVAILABLE, "the mechanism does not do that"},
};

/* The mechanism's text, where it says more than nothing or "Success". */
static void
mend_text(struct gss_status *s)
{
    if (s->minor_text[0] != '\0' && strcmp(s->minor_text, "Success") != 0)
        return;
    const char *text =
        "the mechanism gives no reason, a damaged token or message is one: debug_level = 3 logs libkrb5's trace";
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (meanings[i].major == GSS_ROUTINE_ERROR(s->major))
            text = meanings[i].meaning;
    snprintf(s->minor_text, sizeof s->minor_text, "%s", text);
}

static void
add_advice(struct gss_status *s)
{
    const char *advice = status_advice(s->minor_text);
    size_t n = strlen(s->minor_text);
    if (advice != NULL)
        snprintf(s->minor_text + n, sizeof s->minor_text - n, ": %s", advice);
}

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
    krb_text_begin();
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

/* A text that is asked for. */
struct asked {
    OM_uint32 code;
    int type;
    gss_OID mech;
    char *text; /* out, like the next: whether libkrb5 made all of it for the call at hand */
    size_t size;
    bool is_new;
};

/* All messages of a code, joined. */
static void *
display(void *context)
{
    struct asked *asked = context;
    OM_uint32 minor, more = 0;
    AUTO(gage_buf) all = GAGE_BUF(asked->size - 1);
    asked->is_new = true;
    do {
        gss_buffer_desc part = GSS_C_EMPTY_BUFFER;
        if (GSS_ERROR(gss_display_status(&minor, asked->code, asked->type, asked->mech, &more, &part)))
            break;
        if (all.n > 0)
            put_bytes(&all, SLICE_LITERAL(", "));
        asked->is_new = asked->is_new && krb_text_is_new(gage_slice_of(part.value, part.length));
        put_printable(&all, gage_slice_of(part.value, part.length));
        gss_release_buffer(&minor, &part);
    } while (more != 0);
    if (all.n > 0)
        memcpy(asked->text, all.p, all.n);
    asked->text[all.n] = '\0';
    return NULL;
}

static void
display_major(struct gss_status *s)
{
    display(&(struct asked){s->major, GSS_C_GSS_CODE, GSS_C_NO_OID, s->major_text, sizeof s->major_text, false});
}

/* Where the text may be that of an earlier failure, a thread that had none is asked: it tells the code's own text. */
static void
display_minor(struct gss_status *s)
{
    pthread_t thread;
    struct asked asked = {s->minor,      GSS_C_MECH_CODE,      s->mech.length > 0 ? &s->mech : GSS_C_NO_OID,
                          s->minor_text, sizeof s->minor_text, false};
    display(&asked);
    if (asked.is_new)
        return;
    s->minor_text[0] = '\0';
    if (pthread_create(&thread, NULL, display, &asked) == 0)
        pthread_join(thread, NULL);
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
    display_major(s);
    if (minor != 0)
        display_minor(s);
    mend_text(s);
    add_advice(s);
    return false;
}

void
status_about(struct gss_status *s, const char *who)
{
    char text[STATUS_TEXT_MAX];
    memcpy(text, s->minor_text, sizeof text);
    size_t n = (size_t)snprintf(s->minor_text, sizeof s->minor_text, "%s: ", who);
    if (n < sizeof s->minor_text)
        snprintf(s->minor_text + n, sizeof s->minor_text - n, "%s", text);
}

void
status_append(struct gss_status *s, const char *text)
{
    size_t n = strlen(s->minor_text);
    snprintf(s->minor_text + n, sizeof s->minor_text - n, " (%s)", text);
}

bool
status_fail(struct gss_status *s, OM_uint32 major, int minor, const char *fmt, ...)
{
    va_list ap;
    s->major = major;
    s->minor = (OM_uint32)minor;
    set_mech(s, GSS_C_NO_OID);
    display_major(s);
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
