#include "proxyd/mech.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gage/otc.h"

const gss_OID_desc mech_oid_krb5 = {9, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"};
const gss_OID_desc mech_oid_spnego = {6, "\x2b\x06\x01\x05\x05\x02"};
#define KRB5_TEXT "1.2.840.113554.1.2.2"
#define SPNEGO_TEXT "1.3.6.1.5.5.2"

static const struct {
    const char *name, *text;
    enum mech_kind kind;
    const gss_OID_desc *oid; /* NULL: that of text */
} named[] = {{"krb5", KRB5_TEXT, MECH_KRB5, &mech_oid_krb5},
             {"spnego", SPNEGO_TEXT, MECH_SPNEGO, &mech_oid_spnego},
             {"otc", GAGE_OTC_OID_TEXT, MECH_OTC, NULL}};
#define NAMED (sizeof named / sizeof named[0])

bool
mech_equal(gss_const_OID a, gss_const_OID b)
{
    return slice_equal(oid_slice(a), oid_slice(b));
}

bool
mech_is_krb5(gss_const_OID oid)
{
    return mech_equal(oid, &mech_oid_krb5);
}

/* One arc in base 128 (X.690 8.19). */
static void
put_arc(gage_buf *bytes, uint64_t arc)
{
    uint8_t digits[10];
    int n = 0;
    do
        digits[n++] = (uint8_t)(arc & 0x7f);
    while ((arc >>= 7) != 0);
    while (n-- > 0)
        put_u8(bytes, (uint8_t)(digits[n] | (n > 0 ? 0x80 : 0)));
}

static bool
put_dotted(const char *text, gage_buf *bytes)
{
    uint64_t first = 0;
    int count = 0;
    for (const char *p = text;; p++) {
        char *end;
        if (*p < '0' || *p > '9')
            return false;
        uint64_t arc = strtoull(p, &end, 10);
        if (count == 1) {
            if (first > 2 || (first < 2 && arc > 39))
                return false;
            put_arc(bytes, first * 40 + arc);
        } else if (count > 1) {
            put_arc(bytes, arc);
        }
        first = count++ == 0 ? arc : first;
        p = end;
        if (*p == '\0')
            return count > 2 && !bytes->bad;
        if (*p != '.')
            return false;
    }
}

bool
mech_parse(const char *word, gage_buf *bytes, gss_OID_desc *oid, enum mech_kind *kind)
{
    size_t start = bytes->n;
    const char *text = word;
    *kind = MECH_OTHER;
    for (size_t i = 0; i < NAMED; i++) {
        if (strcasecmp(word, named[i].name) == 0 || strcmp(word, named[i].text) == 0) {
            text = named[i].text;
            *kind = named[i].kind;
        }
    }
    if (!put_dotted(text, bytes)) {
        bytes->n = start;
        return false;
    }
    *oid = (gss_OID_desc){(OM_uint32)(bytes->n - start), bytes->p + start};
    return true;
}

static bool
is_named(size_t i, gss_const_OID oid)
{
    AUTO(gage_buf) bytes = GAGE_BUF(128);
    gss_OID_desc parsed;
    enum mech_kind kind;
    if (named[i].oid != NULL)
        return mech_equal(named[i].oid, oid);
    return mech_parse(named[i].name, &bytes, &parsed, &kind) && mech_equal(&parsed, oid);
}

void
mech_show(gss_const_OID oid, gage_buf *out)
{
    OM_uint32 minor;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    gss_OID_desc copy;
    for (size_t i = 0; i < NAMED; i++) {
        if (is_named(i, oid)) {
            put_bytes(out, slice_str(named[i].name));
            return;
        }
    }
    if (oid == GSS_C_NO_OID || oid->length == 0) {
        put_bytes(out, SLICE_LITERAL("none"));
        return;
    }
    copy = *oid;
    if (gss_oid_to_str(&minor, &copy, &text) == GSS_S_COMPLETE) {
        const char *p = text.value; /* "{ 1 2 840 }" */
        for (bool gap = false; *p != '\0'; p++) {
            if (*p >= '0' && *p <= '9') {
                if (gap && out->n > 0)
                    put_u8(out, '.');
                gap = false;
                put_u8(out, (uint8_t)*p);
            } else if (p != text.value && p[-1] >= '0' && p[-1] <= '9') {
                gap = true;
            }
        }
    }
    gss_release_buffer(&minor, &text);
}
