/* payload.h - what tokens 1 and 2 carry: header, offer and reply (doc/otc.md sections 3.1, 3.3, 3.4). */
#ifndef GAGE_OTC_PAYLOAD_H
#define GAGE_OTC_PAYLOAD_H

#include "otc/bindings.h"
#include "otc/credential.h"
#include "otc/noise.h"
#include "otc/psk.h"

enum otc_token { OTC_TOKEN1 = 0x01, OTC_TOKEN2 = 0x02, OTC_TOKEN3 = 0x03 };
#define OTC_CLEAR_HEADER_LEN 51
#define OTC_OFFER_MAX 2048
#define OTC_REPLY_LEN 42
#define OTC_TOKEN2_LEN (1 + X25519_LEN + OTC_REPLY_LEN + GCM_TAG_LEN)
#define OTC_TOKEN3_LEN (1 + SHA256_LEN)

/* The clear header of token 1. */
struct otc_hello {
    uint8_t version, suite, side;
    uint8_t salt[OTC_SALT_LEN], kid[OTC_KID_LEN];
};
void put_otc_hello(gage_buf *buf, const struct otc_hello *hello);
void get_otc_hello(struct reader *r, struct otc_hello *hello);

/* Noise's start for this mechanism: prologue with OID and header, then the psk token. */
gage_rc otc_noise_begin(struct otc_noise *noise, struct hkdf *work, const struct otc_hello *hello,
                        const struct otc_psk *psk);
/* The e token: MixHash and MixKey of a public key, as patterns with a psk do; `last`: the payload follows. */
gage_rc otc_noise_mix_public(struct otc_noise *noise, struct hkdf *work, const uint8_t e[X25519_LEN], bool last);
/* The ee token. DAMAGED where the result is all zero. */
gage_rc otc_noise_mix_shared(struct otc_noise *noise, struct hkdf *work, struct x25519 *own,
                             const uint8_t peer[X25519_LEN], struct gage_err *err);
/* PRK = Extract(h, ck). */
gage_rc otc_noise_finish(const struct otc_noise *noise, struct hkdf *work, gage_secret *prk);
/* Token 3's contents. */
gage_rc otc_confirmation(struct hkdf *work, const gage_secret *prk, const uint8_t h[SHA256_LEN],
                         uint8_t out[SHA256_LEN]);

/* Payload 1. The texts of `what` are borrowed from what is read. */
struct otc_offer {
    struct otc_credential what;
    uint32_t lifetime, flags;
    struct otc_bindings bindings;
};
void put_otc_offer(gage_buf *buf, const struct otc_offer *offer);
void get_otc_offer(struct reader *r, struct otc_offer *offer);

/* Payload 2. */
enum otc_result { OTC_ACCEPTED, OTC_REFUSED_EXPIRED, OTC_REFUSED_USED, OTC_REFUSED_BINDINGS, OTC_REFUSED };
struct otc_reply {
    uint8_t result; /* any value; above OTC_REFUSED means OTC_REFUSED */
    uint32_t flags, lifetime;
    struct otc_bindings bindings;
};
void put_otc_reply(gage_buf *buf, const struct otc_reply *reply);
void get_otc_reply(struct reader *r, struct otc_reply *reply);

#endif
