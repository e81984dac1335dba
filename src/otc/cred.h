/* cred.h - a credential handle: secrets, and what contexts made with them say (doc/otc.md sections 11 and 12). Immutable once made, so
 * threads may share one. */
#ifndef GAGE_OTC_CRED_H
#define GAGE_OTC_CRED_H

#include <gssapi/gssapi_ext.h>

#include "otc/credential.h"
#include "otc/psk.h"

#define OTC_SECRETS_MAX 64
#define OTC_PATH_MAX 4096
#define OTC_INDEFINITE 0xffffffffu
#define OTC_LINK_CLAIM (24 * 3600u)
#define OTC_FILE_CLAIM 600u
#define OTC_LIFETIME (7 * 24 * 3600u)

enum { OTC_USE_INITIATE = 1, OTC_USE_ACCEPT = 2 };

struct otc_cred {
    uint32_t magic;
    unsigned usage; /* OTC_USE_* */
    size_t count;   /* 1 to OTC_SECRETS_MAX */
    struct otc_psk *psk;
    bool fixed;        /* contexts take the id below; else each mints its own */
    uint32_t claim;    /* seconds from a context's start to its credential's not_after; 0: credential.not_after alone */
    uint32_t lifetime; /* of contexts, seconds; OTC_INDEFINITE */
    struct otc_credential credential; /* its not_after is absolute */
    char *used;                       /* path of the used store, or NULL */
};

/* The handle's type check; NULL where it is not one of ours. */
struct otc_cred *otc_cred_of(gss_cred_id_t handle);
void otc_cred_free(struct otc_cred *cred);

/* An empty one with room for so many secrets, or NULL without memory. */
struct otc_cred *otc_cred_new(size_t secrets);

/* What a credential is made from. Texts and paths are borrowed. */
struct otc_cred_request {
    gss_cred_usage_t usage;
    uint32_t time_req;                       /* seconds; 0 and OTC_INDEFINITE: no wish */
    gage_slice password;                     /* link secret; p NULL: none */
    const gss_key_value_element_desc *store; /* may be NULL */
    size_t store_count;
};

/* Reads the named secret files, nothing else. Draws the id of a link's credential. */
gage_rc otc_cred_make(const struct otc_cred_request *request, const struct gage_rng *rng, int64_t now,
                      struct otc_cred **out, struct gage_err *err);

/* Seconds until it can no longer start or accept anything: 0 when over, OTC_INDEFINITE without end. */
uint32_t otc_cred_left(const struct otc_cred *cred, int64_t now);
/* The earlier of two ends, where 0 is none. */
uint64_t otc_earlier(uint64_t a, uint64_t b);

/* Section 11's token; import gives BAD_IMPORT_CRED for anything else. */
void put_otc_cred(gage_buf *buf, const struct otc_cred *cred);
gage_rc otc_cred_import(gage_slice token, struct otc_cred **out, struct gage_err *err);

#endif
