#include "otc/payload.h"

#include <string.h>

#include "otc/oid.h"
#include "otc/status.h"

void
put_otc_hello(gage_buf *buf, const struct otc_hello *hello)
{
    put_u8(buf, hello->version);
    put_u8(buf, hello->suite);
    put_u8(buf, hello->side);
    put_bytes(buf, SLICE_OF(hello->salt));
    put_bytes(buf, SLICE_OF(hello->kid));
}

void
get_otc_hello(struct reader *r, struct otc_hello *hello)
{
    hello->version = get_u8(r);
    hello->suite = get_u8(r);
    hello->side = get_u8(r);
    get_copy(r, hello->salt, sizeof hello->salt);
    get_copy(r, hello->kid, sizeof hello->kid);
}

gage_rc
otc_noise_begin(struct otc_noise *noise, struct hkdf *work, const struct otc_hello *hello, const struct otc_psk *psk)
{
    AUTO(gage_buf) prologue = GAGE_BUF(128);
    put_bytes(&prologue, SLICE_LITERAL("gage-otc-1"));
    put_vec8(&prologue, otc_oid_slice(&otc_mech_oid));
    put_otc_hello(&prologue, hello);
    TRY(buf_check(&prologue, NULL));
    TRY(otc_noise_start(noise, gage_buf_slice(&prologue)));
    return otc_noise_mix_key_and_hash(noise, work, secret_slice(&psk->key));
}

gage_rc
otc_noise_mix_public(struct otc_noise *noise, struct hkdf *work, const uint8_t e[X25519_LEN], bool last)
{
    TRY(otc_noise_mix_hash(noise, gage_slice_of(e, X25519_LEN)));
    return otc_noise_mix_key(noise, work, gage_slice_of(e, X25519_LEN), last);
}

gage_rc
otc_noise_mix_shared(struct otc_noise *noise, struct hkdf *work, struct x25519 *own, const uint8_t peer[X25519_LEN],
                     struct gage_err *err)
{
    AUTO(gage_secret) shared = {0};
    gage_rc rc = x25519_with(own, peer, &shared);
    if (rc.code == GAGE_E_AUTH)
        return otc_fail(err, OTC_S_DAMAGED);
    TRY(rc);
    return otc_noise_mix_key(noise, work, secret_slice(&shared), true);
}

gage_rc
otc_noise_finish(const struct otc_noise *noise, struct hkdf *work, gage_secret *prk)
{
    return hkdf_extract_in(work, SLICE_OF(noise->h), secret_slice(&noise->ck), prk);
}

gage_rc
otc_confirmation(struct hkdf *work, const gage_secret *prk, const uint8_t h[SHA256_LEN], uint8_t out[SHA256_LEN])
{
    AUTO(gage_secret) key = {.n = SHA256_LEN};
    AUTO(gage_secret) mac = {0};
    const gage_slice label = SLICE_LITERAL("confirm initiator");
    TRY(hkdf_expand_in(work, secret_slice(prk), &label, 1, key.b, key.n));
    TRY(hkdf_extract_in(work, secret_slice(&key), gage_slice_of(h, SHA256_LEN), &mac)); /* HMAC(key, h) */
    memcpy(out, mac.b, SHA256_LEN);
    return GAGE_DONE;
}

void
put_otc_offer(gage_buf *buf, const struct otc_offer *offer)
{
    put_bytes(buf, SLICE_OF(offer->what.id));
    put_u64(buf, offer->what.not_after);
    put_u32(buf, offer->lifetime);
    put_u32(buf, offer->flags);
    put_otc_bindings(buf, &offer->bindings);
    put_otc_texts(buf, offer->what.text);
}

void
get_otc_offer(struct reader *r, struct otc_offer *offer)
{
    get_copy(r, offer->what.id, sizeof offer->what.id);
    offer->what.not_after = get_u64(r);
    offer->lifetime = get_u32(r);
    offer->flags = get_u32(r);
    get_otc_bindings(r, &offer->bindings);
    get_otc_texts(r, offer->what.text);
}

void
put_otc_reply(gage_buf *buf, const struct otc_reply *reply)
{
    put_u8(buf, reply->result);
    put_u32(buf, reply->flags);
    put_u32(buf, reply->lifetime);
    put_otc_bindings(buf, &reply->bindings);
}

void
get_otc_reply(struct reader *r, struct otc_reply *reply)
{
    reply->result = get_u8(r);
    reply->flags = get_u32(r);
    reply->lifetime = get_u32(r);
    get_otc_bindings(r, &reply->bindings);
}
