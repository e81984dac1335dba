/* bindings.h - the hash of channel bindings, and how two sides' compare (doc/otc.md section 6). */
#ifndef GAGE_OTC_BINDINGS_H
#define GAGE_OTC_BINDINGS_H

#include <gssapi/gssapi.h>

#include "base/crypto.h"

struct otc_bindings {
    bool present;
    uint8_t hash[SHA256_LEN]; /* zeros when not present */
};

/* Hashes what the caller of the GSS-API gave; GSS_C_NO_CHANNEL_BINDINGS is "none". BAD_BINDING_ARG for a length without bytes. */
gage_rc otc_bindings_of(const struct gss_channel_bindings_struct *given, struct otc_bindings *out,
                        struct gage_err *err);

enum otc_bound { OTC_UNBOUND, OTC_BOUND, OTC_BINDINGS_DIFFER };
enum otc_bound otc_bindings_compare(const struct otc_bindings *own, const struct otc_bindings *peer);

/* The 33 bytes of the wire. get sets r->bad unless they are one of the two forms. */
void put_otc_bindings(gage_buf *buf, const struct otc_bindings *bindings);
void get_otc_bindings(struct reader *r, struct otc_bindings *bindings);

#endif
