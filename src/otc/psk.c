#include "otc/psk.h"

#include "base/encode.h"
#include "otc/noise.h"
#include "otc/status.h"

void
otc_psk_wipe(struct otc_psk *psk)
{
    gage_wipe(psk, sizeof *psk);
}

gage_rc
otc_psk_from_text(gage_slice text, enum otc_side side, struct otc_psk *psk, struct gage_err *err)
{
    AUTO(gage_buf) secret = GAGE_BUF(OTC_SECRET_LEN);
    AUTO(gage_secret) prk = {0};
    AUTO(otc_work) work = {0};
    const gage_slice use = SLICE_LITERAL("psk");
    gage_rc rc = get_base64(text, &secret);
    if (rc.code == GAGE_E_NOMEM)
        return rc;
    if (!gage_ok(rc) || secret.n != OTC_SECRET_LEN)
        return otc_fail(err, OTC_S_BAD_SECRET);
    TRY(hkdf_init(&work));
    TRY(hkdf_extract_in(&work, SLICE_LITERAL("gage/otc/1"), gage_buf_slice(&secret), &prk));
    TRY(hkdf_expand_in(&work, secret_slice(&prk), &use, 1, psk->key.b, SHA256_LEN));
    psk->key.n = SHA256_LEN;
    psk->side = side;
    psk->not_after = 0;
    return GAGE_DONE;
}

gage_rc
otc_psk_kid(const struct otc_psk *psk, struct hkdf *work, const uint8_t salt[OTC_SALT_LEN], uint8_t kid[OTC_KID_LEN])
{
    const gage_slice info[] = {SLICE_LITERAL("kid"), gage_slice_of(salt, OTC_SALT_LEN)};
    return hkdf_expand_in(work, secret_slice(&psk->key), info, 2, kid, OTC_KID_LEN);
}

enum otc_side
otc_side_of_peer(enum otc_side own)
{
    if (own == OTC_SIDE_LINK)
        return OTC_SIDE_LINK;
    return own == OTC_SIDE_A ? OTC_SIDE_B : OTC_SIDE_A;
}

bool
otc_side_valid(uint8_t side)
{
    return side == OTC_SIDE_LINK || side == OTC_SIDE_A || side == OTC_SIDE_B;
}
