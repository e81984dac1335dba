/* noise.h - the symmetric state of Noise_NNpsk0_25519_AESGCM_SHA256 (Noise Protocol Framework, revision 34, section 5.2; doc/otc.md
 * section 3.2). Each encryption of this pattern follows a MixKey, so the counter n is always 0 and is not kept. */
#ifndef GAGE_OTC_NOISE_H
#define GAGE_OTC_NOISE_H

#include "base/crypto.h"

struct otc_noise {
    uint8_t h[SHA256_LEN];
    gage_secret ck, k;
};

void otc_noise_wipe(struct otc_noise *noise);

typedef struct otc_noise otc_noise;
GAGE_AUTO_DEFINE(otc_noise, otc_noise_wipe)

/* The workspace that one call's key derivations share. */
typedef struct hkdf otc_work;
GAGE_AUTO_DEFINE(otc_work, hkdf_cleanup)

/* h = ck = the protocol's name, then MixHash(prologue). */
gage_rc otc_noise_start(struct otc_noise *noise, gage_slice prologue);
gage_rc otc_noise_mix_hash(struct otc_noise *noise, gage_slice data);
/* MixKey. The cipher key k is made only where it is wanted, for a payload before the next mixing; else it is left empty. */
gage_rc otc_noise_mix_key(struct otc_noise *noise, struct hkdf *work, gage_slice input, bool wanted);
/* MixKeyAndHash, without its k: in this pattern a MixKey follows before any payload. */
gage_rc otc_noise_mix_key_and_hash(struct otc_noise *noise, struct hkdf *work, gage_slice input);
/* EncryptAndHash appends ciphertext || tag; DecryptAndHash appends the text, or fails with GAGE_E_AUTH and appends nothing. */
gage_rc otc_noise_seal(struct otc_noise *noise, gage_slice text, gage_buf *out);
gage_rc otc_noise_open(struct otc_noise *noise, gage_slice sealed, gage_buf *out);

#endif
