#include "stream/record.h"

#include <string.h>

#define KEY_LEN 32

/* Key and IV of the secret in force, counting from 0. */
static gage_rc
use_secret(struct record_keys *keys)
{
    AUTO(gage_secret) key_and_iv = {.n = 0};
    gcm_cleanup(&keys->gcm);
    TRY(hkdf_expand_secret(secret_slice(&keys->secret), SLICE_LITERAL("key"), KEY_LEN + GCM_IV_LEN, &key_and_iv));
    memcpy(keys->iv, key_and_iv.b + KEY_LEN, GCM_IV_LEN);
    keys->records = keys->bytes = 0;
    return gcm_init(&keys->gcm, gage_slice_of(key_and_iv.b, KEY_LEN), keys->encrypt);
}

gage_rc
record_keys_init(struct record_keys *keys, gage_secret *secret, bool encrypt)
{
    *keys = (struct record_keys){
        .encrypt = encrypt, .update_records = RECORD_UPDATE_RECORDS, .update_bytes = RECORD_UPDATE_BYTES};
    TRY(secret_set(&keys->secret, secret_slice(secret)));
    secret_wipe(secret);
    return use_secret(keys);
}

void
record_keys_cleanup(struct record_keys *keys)
{
    gcm_cleanup(&keys->gcm);
    gage_wipe(keys, sizeof *keys);
}

/* Steps to the next secret where the limits say so; the old one is gone then. */
static gage_rc
update_if_due(struct record_keys *keys)
{
    if (keys->records < keys->update_records && keys->bytes < keys->update_bytes)
        return GAGE_DONE;
    AUTO(gage_secret) next = {.n = 0};
    TRY(hkdf_expand_secret(secret_slice(&keys->secret), SLICE_LITERAL("update"), SHA256_LEN, &next));
    TRY(secret_set(&keys->secret, secret_slice(&next)));
    return use_secret(keys);
}

/* IV xor (0, 0, 0, 0, c in 8 bytes). */
static void
make_nonce(const struct record_keys *keys, uint8_t nonce[GCM_IV_LEN])
{
    memcpy(nonce, keys->iv, GCM_IV_LEN);
    for (size_t i = 0; i < 8; i++)
        nonce[GCM_IV_LEN - 1 - i] ^= (uint8_t)(keys->records >> (8 * i));
}

gage_rc
record_seal(struct record_keys *keys, gage_slice data, uint8_t *frame)
{
    uint8_t nonce[GCM_IV_LEN];
    uint8_t *text = frame + FRAME_HEADER_LEN;
    if (data.n > RECORD_DATA_MAX)
        return gage_rc_of(GAGE_E_LIMIT);
    TRY(update_if_due(keys));
    make_nonce(keys, nonce);
    frame_put(frame, FRAME_AEAD, data.n + GCM_TAG_LEN);
    TRY(gcm_seal(&keys->gcm, nonce, gage_slice_of(frame, FRAME_HEADER_LEN), data, text, text + data.n));
    keys->records++;
    keys->bytes += data.n;
    return GAGE_DONE;
}

gage_rc
record_open(struct record_keys *keys, uint8_t *frame, size_t frame_n, gage_slice *data, struct gage_err *err)
{
    uint8_t nonce[GCM_IV_LEN];
    REQUIRE(frame_n >= RECORD_OVERHEAD, err, GAGE_E_FORMAT, "an AEAD record is shorter than its tag");
    uint8_t *text = frame + FRAME_HEADER_LEN;
    size_t n = frame_n - RECORD_OVERHEAD;
    TRY(update_if_due(keys));
    make_nonce(keys, nonce);
    gage_rc rc =
        gcm_open(&keys->gcm, nonce, gage_slice_of(frame, FRAME_HEADER_LEN), gage_slice_of(text, n), text, text + n);
    REQUIRE(rc.code != GAGE_E_AUTH, err, GAGE_E_AUTH,
            "record %llu of the peer does not verify: damaged, forged, replayed or out of order",
            (unsigned long long)keys->records);
    TRY(rc);
    keys->records++;
    keys->bytes += n;
    *data = gage_slice_of(text, n);
    return GAGE_DONE;
}
