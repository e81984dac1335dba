#include "handshake/gss.h"

#include <stdio.h>
#include <string.h>

#include "base/encode.h"

#define STATUS_TEXT_MAX 160

/* The routine error of a major status and the class of failure it is. */
static const struct {
    OM_uint32 error;
    enum gage_code code;
} classes[] = {
    {GSS_S_CREDENTIALS_EXPIRED, GAGE_E_EXPIRED},
    {GSS_S_CONTEXT_EXPIRED, GAGE_E_EXPIRED},
    {GSS_S_DUPLICATE_TOKEN, GAGE_E_USED},
    {GSS_S_OLD_TOKEN, GAGE_E_USED},
    {GSS_S_DEFECTIVE_CREDENTIAL, GAGE_E_SECRET},
    {GSS_S_DEFECTIVE_TOKEN, GAGE_E_AUTH},
    {GSS_S_BAD_SIG, GAGE_E_AUTH},
    {GSS_S_BAD_BINDINGS, GAGE_E_MISMATCH},
    {GSS_S_UNAVAILABLE, GAGE_E_UNSUPPORTED},
    {GSS_S_BAD_MECH, GAGE_E_UNSUPPORTED},
};

static enum gage_code
class_of(OM_uint32 major)
{
    /* Duplicate and old are supplementary bits, and routine errors in name only. */
    if (GSS_ERROR(major) == 0 && (major & (GSS_S_DUPLICATE_TOKEN | GSS_S_OLD_TOKEN)) != 0)
        return GAGE_E_USED;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (classes[i].error == GSS_ERROR(major))
            return classes[i].code;
    return (major & (GSS_S_DUPLICATE_TOKEN | GSS_S_OLD_TOKEN)) != 0 ? GAGE_E_USED : GAGE_E_GSS;
}

/* The first line that the library has for the status, printable, at most STATUS_TEXT_MAX bytes; "" if it has none. */
static void
status_text(OM_uint32 status, int type, gss_OID mech, char text[STATUS_TEXT_MAX + 1])
{
    OM_uint32 minor, more = 0;
    AUTO(gss_buffer_desc) line = GSS_C_EMPTY_BUFFER;
    AUTO(gage_buf) shown = GAGE_BUF(4 * STATUS_TEXT_MAX);
    text[0] = '\0';
    if (gss_display_status(&minor, status, type, mech, &more, &line) != GSS_S_COMPLETE)
        return;
    gage_slice all = gss_slice(&line);
    all.n = strnlen((const char *)all.p, all.n < STATUS_TEXT_MAX ? all.n : STATUS_TEXT_MAX);
    put_printable(&shown, all);
    snprintf(text, STATUS_TEXT_MAX + 1, "%.*s", (int)shown.n, shown.n > 0 ? (const char *)shown.p : "");
}

gage_rc
gss_fail(struct gage_err *err, OM_uint32 major, OM_uint32 minor, gss_OID mech, const char *what)
{
    char general[STATUS_TEXT_MAX + 1], particular[STATUS_TEXT_MAX + 1] = "";
    status_text(major, GSS_C_GSS_CODE, GSS_C_NO_OID, general);
    if (minor != 0)
        status_text(minor, GSS_C_MECH_CODE, mech, particular);
    /* The mechanism's own sentence says more than the class; both only where there is room. */
    bool both = particular[0] != '\0' && strlen(general) + strlen(particular) < STATUS_TEXT_MAX;
    const char *first = particular[0] == '\0' || both ? general : particular;
    gage_rc rc = gage_fail(err, class_of(major), "%s: %s%s%s", what, first, both ? ": " : "", both ? particular : "");
    if (err != NULL) {
        err->gss_major = major;
        err->gss_minor = minor;
    }
    return rc;
}

gss_buffer_desc
gss_buffer_of(gage_slice bytes)
{
    union {
        const uint8_t *borrowed;
        void *value; /* the GSS-API's inputs are not const; it does not write to them */
    } p = {.borrowed = bytes.p};
    return (gss_buffer_desc){.length = bytes.n, .value = p.value};
}

gage_slice
gss_slice(const gss_buffer_desc *buffer)
{
    return gage_slice_of(buffer->value, buffer->length);
}
