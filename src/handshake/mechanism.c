#include "handshake/mechanism.h"

#include <string.h>

#include <gage/otc.h>

#define OID_VALUE(text)                                                                                                \
    {                                                                                                                  \
        .length = sizeof(text) - 1, .elements = (text)                                                                 \
    }

/* One row a mechanism. An unknown mechanism has no row, because the properties that no GSS call tells (half-open export, how
 * long a first token lasts) decide whether a transfer over it can be resumed at all. */
static const struct mechanism rows[] = {
    {.name = "otc",
     .oid_text = GAGE_OTC_OID_TEXT,
     .oid = OID_VALUE("\x2a\x86\x48\x86\xf7\x14\x01\xbe\x40\x93\x7a\x81\xbe\x78\x82\xac\x2b\x87\x49\x81\x96\x47\x82\xe2"
                      "\x6f\x83\xce\xa2\x07\x82\xb5\x91\x37"),
     .half_open_export = true,
     .prf = true,
     .names_text = true,
     .forward_secret = true,
     .link_secret = true,
     .key_secret = "otc_secret",
     .key_secret_file = "otc_secret_file",
     .key_purpose = "otc_purpose",
     .key_title = "otc_title",
     .key_format = "otc_format",
     .key_not_after = "otc_not_after"},
    /* An AP-REQ is refused beyond the clock skew, 300 s by default; a minute is left for the way. The acceptor is complete
     * with its first token, so only the initiator is ever half-open. */
    {.name = "krb5",
     .oid_text = "1.2.840.113554.1.2.2",
     .oid = OID_VALUE("\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"),
     .half_open_export = true,
     .first_token_life = 240,
     .prf = true,
     .names_text = true,
     .names_global = true},
    /* Negotiation: MIT krb5 exports no half-open context of it, and hides which mechanism will be used. */
    {.name = "spnego", .oid_text = "1.3.6.1.5.5.2", .oid = OID_VALUE("\x2b\x06\x01\x05\x05\x02"), .prf = true},
};

#define ROWS (sizeof rows / sizeof *rows)

gage_rc
mechanism_find(const char *name_or_oid, const struct mechanism **out, struct gage_err *err)
{
    for (size_t i = 0; i < ROWS; i++) {
        bool found = name_or_oid == NULL
                         ? rows[i].link_secret
                         : strcmp(name_or_oid, rows[i].name) == 0 || strcmp(name_or_oid, rows[i].oid_text) == 0;
        if (found) {
            *out = &rows[i];
            return GAGE_DONE;
        }
    }
    return gage_fail(err, GAGE_E_UNSUPPORTED, "unknown mechanism: gage knows otc, krb5 and spnego, or their OIDs");
}

const struct mechanism *
mechanism_at(size_t i)
{
    return i < ROWS ? &rows[i] : NULL;
}

const struct mechanism *
mechanism_of_oid(gss_OID oid)
{
    for (size_t i = 0; oid != GSS_C_NO_OID && i < ROWS; i++)
        if (slice_equal(gage_slice_of(oid->elements, oid->length),
                        gage_slice_of(rows[i].oid.elements, rows[i].oid.length)))
            return &rows[i];
    return NULL;
}

/* Steps over a DER length in the short or the one- to four-byte form. */
static void
skip_der_length(struct reader *r)
{
    uint8_t first = get_u8(r);
    if (first >= 0x80)
        get_bytes(r, first - 0x80u <= 4 ? first - 0x80u : r->left + 1);
}

const struct mechanism *
mechanism_of_token(gage_slice token)
{
    struct reader r = read_from(token);
    bool framed = get_u8(&r) == 0x60;
    skip_der_length(&r);
    framed = get_u8(&r) == 0x06 && framed;
    gage_slice value = get_vec8(&r);
    if (!framed || !read_ok(&r))
        return NULL;
    gss_OID_desc oid = {.length = (OM_uint32)value.n, .elements = (void *)(uintptr_t)value.p};
    return mechanism_of_oid(&oid);
}

gss_OID
mechanism_oid(const struct mechanism *mechanism)
{
    union {
        const gss_OID_desc *row;
        gss_OID oid;
    } p = {.row = &mechanism->oid};
    return p.oid;
}
