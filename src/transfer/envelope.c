#include "transfer/envelope.h"

const char *
envelope_type(size_t secret_length)
{
    return secret_length == 32 ? "AEAD_AES_256_GCM" : secret_length == 16 ? "AEAD_AES_128_GCM" : NULL;
}

gage_rc
envelope_seal(const gage_secret *secret, const struct gage_rng *rng, gage_slice text, gage_buf *out,
              struct gage_err *err)
{
    uint8_t iv[GCM_IV_LEN];
    REQUIRE(text.n <= ENVELOPE_MAX - ENVELOPE_OVERHEAD, err, GAGE_E_LIMIT, "more than fits one envelope");
    REQUIRE(gage_ok(rng_fill(rng, iv, sizeof iv)), err, GAGE_E_INTERNAL, "no random bytes");
    buf_reserve(out, text.n + ENVELOPE_OVERHEAD);
    put_bytes(out, SLICE_OF(iv));
    TRY(buf_check(out, err));
    gage_rc rc = gcm_seal_once(secret_slice(secret), iv, SLICE_NONE, text, out);
    return gage_ok(rc) ? rc : gage_fail(err, rc.code, "the envelope could not be sealed");
}

gage_rc
envelope_open(const gage_secret *secret, gage_slice envelope, gage_buf *out, struct gage_err *err)
{
    REQUIRE(envelope.n >= ENVELOPE_OVERHEAD, err, GAGE_E_AUTH, "the mailbox holds less than an envelope");
    gage_slice sealed = gage_slice_of(envelope.p + GCM_IV_LEN, envelope.n - GCM_IV_LEN);
    gage_rc rc = gcm_open_once(secret_slice(secret), envelope.p, SLICE_NONE, sealed, out);
    return gage_ok(rc)
               ? rc
               : gage_fail(err, rc.code, "what the mailbox holds was not made with this link's secret, or was damaged");
}
