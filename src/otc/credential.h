/* credential.h - what token 1 says about itself: identifier, time limit and four texts (doc/otc.md section 3.3). */
#ifndef GAGE_OTC_CREDENTIAL_H
#define GAGE_OTC_CREDENTIAL_H

#include "base/encode.h"

enum otc_text { OTC_LABEL, OTC_PURPOSE, OTC_TITLE, OTC_FORMAT, OTC_TEXTS };
#define OTC_TITLE_MAX 1024
#define OTC_TEXT_MAX 255 /* of the others */

/* A zeroed one is valid and empty. The texts are borrowed from `memory`, which the credential owns. */
struct otc_credential {
    uint8_t id[UUID_LEN];
    uint64_t not_after; /* seconds since 1970; 0: no limit */
    gage_slice text[OTC_TEXTS];
    uint8_t *memory;
};

void otc_credential_free(struct otc_credential *credential);

/* Whether the text may stand there: its limit, and UTF-8 that is safe to show. */
bool otc_text_fits(enum otc_text which, gage_slice text);

/* Takes copies of the texts (NULL: of `from`'s own). GAGE_E_LIMIT where one does not fit. *to must be zeroed. */
gage_rc otc_credential_copy(const struct otc_credential *from, struct otc_credential *to);
gage_rc otc_credential_set_texts(struct otc_credential *credential, const gage_slice text[OTC_TEXTS]);

/* The four texts as on the wire. get borrows them from what is read, and sets r->bad where one does not fit. */
void put_otc_texts(gage_buf *buf, const gage_slice text[OTC_TEXTS]);
void get_otc_texts(struct reader *r, gage_slice text[OTC_TEXTS]);
/* id || not_after || texts, as in exported contexts and credentials (section 11). get makes a copy; *credential must be zeroed. */
void put_otc_credential(gage_buf *buf, const struct otc_credential *credential);
gage_rc get_otc_credential(struct reader *r, struct otc_credential *credential);

#endif
