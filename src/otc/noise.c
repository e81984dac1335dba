#include "otc/noise.h"

#include <string.h>

void
otc_noise_wipe(struct otc_noise *noise)
{
    gage_wipe(noise, sizeof *noise);
}

gage_rc
otc_noise_start(struct otc_noise *noise, gage_slice prologue)
{
    static const char name[] = "Noise_NNpsk0_25519_AESGCM_SHA256";
    _Static_assert(sizeof name - 1 == SHA256_LEN, "a name of exactly the hash's length stands for itself");
    memcpy(noise->h, name, SHA256_LEN);
    TRY(secret_set(&noise->ck, SLICE_LITERAL(name)));
    return otc_noise_mix_hash(noise, prologue);
}

gage_rc
otc_noise_mix_hash(struct otc_noise *noise, gage_slice data)
{
    const gage_slice parts[] = {SLICE_OF(noise->h), data};
    return sha256_parts(parts, 2, noise->h);
}

/* HKDF of Noise section 4.3: as many keys of 32 bytes as are wanted, the first of them the new ck. */
static gage_rc
mix(struct otc_noise *noise, struct hkdf *work, gage_slice input, uint8_t *out, size_t outputs)
{
    AUTO(gage_secret) prk = {0};
    secret_wipe(&noise->k);
    TRY(hkdf_extract_in(work, secret_slice(&noise->ck), input, &prk));
    TRY(hkdf_expand_in(work, secret_slice(&prk), NULL, 0, out, outputs * SHA256_LEN));
    return secret_set(&noise->ck, gage_slice_of(out, SHA256_LEN));
}

gage_rc
otc_noise_mix_key(struct otc_noise *noise, struct hkdf *work, gage_slice input, bool wanted)
{
    uint8_t out[2 * SHA256_LEN];
    gage_rc rc = mix(noise, work, input, out, wanted ? 2 : 1);
    if (gage_ok(rc) && wanted)
        rc = secret_set(&noise->k, gage_slice_of(out + SHA256_LEN, SHA256_LEN));
    gage_wipe(out, sizeof out);
    return rc;
}

gage_rc
otc_noise_mix_key_and_hash(struct otc_noise *noise, struct hkdf *work, gage_slice input)
{
    uint8_t out[2 * SHA256_LEN];
    gage_rc rc = mix(noise, work, input, out, 2);
    if (gage_ok(rc))
        rc = otc_noise_mix_hash(noise, gage_slice_of(out + SHA256_LEN, SHA256_LEN));
    gage_wipe(out, sizeof out);
    return rc;
}

static const uint8_t nonce_zero[GCM_IV_LEN];

gage_rc
otc_noise_seal(struct otc_noise *noise, gage_slice text, gage_buf *out)
{
    size_t before = out->n;
    TRY(gcm_seal_once(secret_slice(&noise->k), nonce_zero, SLICE_OF(noise->h), text, out));
    return otc_noise_mix_hash(noise, gage_slice_of(out->p + before, out->n - before));
}

gage_rc
otc_noise_open(struct otc_noise *noise, gage_slice sealed, gage_buf *out)
{
    TRY(gcm_open_once(secret_slice(&noise->k), nonce_zero, SLICE_OF(noise->h), sealed, out));
    return otc_noise_mix_hash(noise, sealed);
}
