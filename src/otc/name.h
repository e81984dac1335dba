/* name.h - a name: a principal, "this credential's initiator or acceptor", or a wildcard target (doc/otc.md section 9). Immutable. */
#ifndef GAGE_OTC_NAME_H
#define GAGE_OTC_NAME_H

#include <gssapi/gssapi.h>

#include "otc/credential.h"

#define OTC_WILDCARD_MAX 1024
#define OTC_PRINCIPAL_MAX (UUID_TEXT_LEN + 10) /* "/initiator" */
#define OTC_TYPE_MAX 64

struct otc_name {
    uint32_t magic;
    bool principal;
    bool initiator; /* of a principal */
    bool vouched;   /* a principal that a context gave: id and role are authenticated */
    struct otc_credential credential;
    uint8_t type[OTC_TYPE_MAX]; /* of a wildcard: the OID's value it was imported under, and its bytes */
    size_t type_len;
    gage_buf text;
};

struct otc_name *otc_name_of(gss_name_t handle);
void otc_name_free(struct otc_name *name);

/* The party of a context. */
gage_rc otc_name_party(const struct otc_credential *credential, bool initiator, bool vouched, struct otc_name **out);
/* A wildcard; BAD_NAME when too long. type NULL or empty: a user name. */
gage_rc otc_name_wildcard(gage_slice type, gage_slice text, struct otc_name **out, struct gage_err *err);
/* From the text "id/role", or the exported form around it; BAD_NAME. */
gage_rc otc_name_from_text(gage_slice text, struct otc_name **out, struct gage_err *err);
gage_rc otc_name_from_exported(gage_slice token, struct otc_name **out, struct gage_err *err);
gage_rc otc_name_copy(const struct otc_name *from, struct otc_name **out);

bool otc_name_equal(const struct otc_name *a, const struct otc_name *b);
/* What is shown: the principal's text or the wildcard's bytes. */
void put_otc_name(gage_buf *buf, const struct otc_name *name);
/* RFC 2743 section 3.2; NAME_NOT_MN for a wildcard. */
gage_rc put_otc_exported_name(gage_buf *buf, const struct otc_name *name, struct gage_err *err);

/* The attributes' names in order, NULL from OTC_ATTRIBUTES on. */
#define OTC_ATTRIBUTES 7
const char *otc_attribute_name(size_t i);
/* Appends the value of the i-th attribute; false where the name does not have it. *authenticated as section 9 says. */
bool otc_attribute(const struct otc_name *name, size_t i, gage_buf *value, bool *authenticated);

#endif
