/* psk.h - a shared secret as the mechanism holds it: its side, its key, its end (doc/otc.md section 2). The link secret itself is not
 * kept: the psk does not give it back. */
#ifndef GAGE_OTC_PSK_H
#define GAGE_OTC_PSK_H

#include "base/crypto.h"

#define OTC_SECRET_LEN 32
#define OTC_KID_LEN 32
#define OTC_SALT_LEN 16

/* Side octets. On the wire the initiator's; a link's creator and receiver both have 0. */
enum otc_side { OTC_SIDE_LINK = 0x00, OTC_SIDE_A = 0x61, OTC_SIDE_B = 0x62 };

struct otc_psk {
    enum otc_side side; /* one's own */
    gage_secret key;
    uint64_t not_after; /* of a secret file; 0: no limit */
};

void otc_psk_wipe(struct otc_psk *psk);

/* From the text form; BAD_SECRET where it is not one. */
gage_rc otc_psk_from_text(gage_slice text, enum otc_side side, struct otc_psk *psk, struct gage_err *err);
/* The key identifier under the salt. */
gage_rc otc_psk_kid(const struct otc_psk *psk, struct hkdf *work, const uint8_t salt[OTC_SALT_LEN],
                    uint8_t kid[OTC_KID_LEN]);
/* The side that a peer of this one initiates with. */
enum otc_side otc_side_of_peer(enum otc_side own);
bool otc_side_valid(uint8_t side);

#endif
