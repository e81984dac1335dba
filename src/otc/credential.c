#include "otc/credential.h"

#include <stdlib.h>
#include <string.h>

void
otc_credential_free(struct otc_credential *credential)
{
    free(credential->memory);
    *credential = (struct otc_credential){0};
}

bool
otc_text_fits(enum otc_text which, gage_slice text)
{
    return text.n <= (which == OTC_TITLE ? OTC_TITLE_MAX : OTC_TEXT_MAX) && utf8_printable(text);
}

gage_rc
otc_credential_set_texts(struct otc_credential *credential, const gage_slice text[OTC_TEXTS])
{
    size_t total = 1; /* so that an empty one is an allocation too */
    for (int i = 0; i < OTC_TEXTS; i++) {
        if (!otc_text_fits((enum otc_text)i, text[i]))
            return gage_rc_of(GAGE_E_LIMIT);
        total += text[i].n;
    }
    uint8_t *memory = malloc(total), *to = memory;
    if (memory == NULL)
        return gage_rc_of(GAGE_E_NOMEM);
    gage_slice copies[OTC_TEXTS];
    for (int i = 0; i < OTC_TEXTS; i++) {
        if (text[i].n > 0)
            memcpy(to, text[i].p, text[i].n);
        copies[i] = gage_slice_of(to, text[i].n);
        to += text[i].n;
    }
    free(credential->memory); /* after the copy: `text` may be its own */
    credential->memory = memory;
    memcpy(credential->text, copies, sizeof copies);
    return GAGE_DONE;
}

gage_rc
otc_credential_copy(const struct otc_credential *from, struct otc_credential *to)
{
    memcpy(to->id, from->id, sizeof to->id);
    to->not_after = from->not_after;
    return otc_credential_set_texts(to, from->text);
}

void
put_otc_texts(gage_buf *buf, const gage_slice text[OTC_TEXTS])
{
    put_vec8(buf, text[OTC_LABEL]);
    put_vec8(buf, text[OTC_PURPOSE]);
    put_vec16(buf, text[OTC_TITLE]);
    put_vec8(buf, text[OTC_FORMAT]);
}

void
get_otc_texts(struct reader *r, gage_slice text[OTC_TEXTS])
{
    text[OTC_LABEL] = get_vec8(r);
    text[OTC_PURPOSE] = get_vec8(r);
    text[OTC_TITLE] = get_vec16(r);
    text[OTC_FORMAT] = get_vec8(r);
    for (int i = 0; i < OTC_TEXTS; i++)
        r->bad |= !otc_text_fits((enum otc_text)i, text[i]);
}

void
put_otc_credential(gage_buf *buf, const struct otc_credential *credential)
{
    put_bytes(buf, SLICE_OF(credential->id));
    put_u64(buf, credential->not_after);
    put_otc_texts(buf, credential->text);
}

gage_rc
get_otc_credential(struct reader *r, struct otc_credential *credential)
{
    gage_slice text[OTC_TEXTS];
    get_copy(r, credential->id, sizeof credential->id);
    credential->not_after = get_u64(r);
    get_otc_texts(r, text);
    return r->bad ? gage_rc_of(GAGE_E_FORMAT) : otc_credential_set_texts(credential, text);
}
