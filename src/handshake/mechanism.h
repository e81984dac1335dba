/* mechanism.h - what a layer above may ask about a GSS mechanism: its properties, never which one it is. */
#ifndef GAGE_HANDSHAKE_MECHANISM_H
#define GAGE_HANDSHAKE_MECHANISM_H

#include "handshake/gss.h"

/* Static; one row for each mechanism that gage knows. */
struct mechanism {
    const char *name;      /* the prefix of its names: "krb5", "otc" */
    const char *oid_text;  /* dotted */
    gss_OID_desc oid;      /* its DER value */
    bool half_open_export; /* a context may be exported between tokens, by either side, and finished elsewhere (RFC 2743
                            * makes that optional) */
    uint32_t first_token_life; /* seconds after which an acceptor refuses the initiator's first token; 0: no limit */
    bool prf;                  /* gss_pseudo_random (RFC 4401) */
    bool names_text;           /* the name inside an exported name is what gss_display_name gives */
    bool names_global;         /* equal exported names mean the same party, whoever the peer */
    bool forward_secret;       /* keys of a finished context cannot be had from long-term secrets (RFC 5587 PFS) */
    bool link_secret;          /* credentials are made from a shared secret alone; nothing to install beforehand */
    /* Where link_secret: the credential store's keys (gss_acquire_cred_from); NULL where it has no such key. */
    const char *key_secret, *key_secret_file, *key_purpose, *key_title, *key_format, *key_not_after;
};

/* By name or dotted OID; NULL: the mechanism that needs only a link secret. GAGE_E_UNSUPPORTED: not one that gage knows. */
gage_rc mechanism_find(const char *name_or_oid, const struct mechanism **out, struct gage_err *err);
/* By the OID in a first context token's framing (RFC 2743 section 3.1); NULL if it is not framed so or not known. */
const struct mechanism *mechanism_of_token(gage_slice token);
/* By OID; NULL if not known. */
const struct mechanism *mechanism_of_oid(gss_OID oid);
/* The rows one by one; NULL beyond the last. */
const struct mechanism *mechanism_at(size_t i);
/* GAGE_E_UNSUPPORTED, with what to do, if the GSS library does not offer it. */
gage_rc mechanism_present(const struct mechanism *mechanism, struct gage_err *err);
/* The OID as the GSS calls want it: not const, and they do not write to it. */
gss_OID mechanism_oid(const struct mechanism *mechanism);

#endif
