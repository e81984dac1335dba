#include "seal/keys.h"

#include <string.h>

#define SEAL_VERSION 1

uint32_t
week_of(int64_t now)
{
    return now < 0 ? 0 : now / WEEK_SECONDS > UINT32_MAX ? UINT32_MAX : (uint32_t)(now / WEEK_SECONDS);
}

gage_rc
week_key_step(struct week_key *key, uint32_t week)
{
    if (week > key->week && week - key->week > WEEKS_MAX)
        return gage_rc_of(GAGE_E_LIMIT);
    while (key->week < week) {
        AUTO(gage_secret) next = {.n = 0};
        TRY(hkdf_expand_secret(secret_slice(&key->key), SLICE_LITERAL("gage-pair-1 step"), SEAL_KEY_LEN, &next));
        TRY(secret_set(&key->key, secret_slice(&next)));
        key->week++;
    }
    return GAGE_DONE;
}

gage_rc
week_key_at(const struct week_key *key, uint32_t week, gage_secret *out)
{
    if (week < key->week)
        return gage_rc_of(GAGE_E_EXPIRED);
    struct week_key copy = *key;
    gage_rc rc = week_key_step(&copy, week);
    if (gage_ok(rc))
        rc = secret_set(out, secret_slice(&copy.key));
    secret_wipe(&copy.key);
    return rc;
}

gage_rc
seal_commitment_of(struct hkdf *hkdf, const gage_secret *week_key, const uint8_t nonce[SEAL_NONCE_LEN], gage_secret *k,
                   uint8_t commitment[SHA256_LEN])
{
    gage_slice commit = SLICE_LITERAL("gage-seal-1 commit");
    TRY(hkdf_extract_in(hkdf, gage_slice_of(nonce, SEAL_NONCE_LEN), secret_slice(week_key), k));
    return hkdf_expand_in(hkdf, secret_slice(k), &commit, 1, commitment, SHA256_LEN);
}

gage_rc
seal_chunk_key_of(struct hkdf *hkdf, const gage_secret *k, gage_secret *chunks)
{
    gage_slice label = SLICE_LITERAL("gage-seal-1 chunks");
    TRY(hkdf_expand_in(hkdf, secret_slice(k), &label, 1, chunks->b, SEAL_KEY_LEN));
    chunks->n = SEAL_KEY_LEN;
    return GAGE_DONE;
}

static gage_rc
derive(struct hkdf *hkdf, const gage_secret *week_key, const uint8_t nonce[SEAL_NONCE_LEN], struct seal_keys *keys)
{
    AUTO(gage_secret) k = {.n = 0};
    TRY(seal_commitment_of(hkdf, week_key, nonce, &k, keys->commitment));
    return seal_chunk_key_of(hkdf, &k, &keys->chunks);
}

gage_rc
seal_keys_of(const gage_secret *week_key, const uint8_t nonce[SEAL_NONCE_LEN], struct seal_keys *keys)
{
    struct hkdf hkdf;
    TRY(hkdf_init(&hkdf));
    gage_rc rc = derive(&hkdf, week_key, nonce, keys);
    hkdf_cleanup(&hkdf);
    return rc;
}

void
seal_keys_wipe(struct seal_keys *keys)
{
    gage_wipe(keys, sizeof *keys);
}

void
seal_header_put(const struct seal_header *header, uint8_t bytes[SEAL_HEADER_LEN])
{
    bytes[0] = SEAL_VERSION;
    memcpy(bytes + 1, header->nonce, SEAL_NONCE_LEN);
    memcpy(bytes + 1 + SEAL_NONCE_LEN, header->hint, HINT_LEN);
    memcpy(bytes + 1 + SEAL_NONCE_LEN + HINT_LEN, header->commitment, SHA256_LEN);
}

gage_rc
seal_header_get(gage_slice bytes, struct seal_header *header, struct gage_err *err)
{
    struct reader r = read_from(bytes);
    uint8_t version = get_u8(&r);
    get_copy(&r, header->nonce, sizeof header->nonce);
    get_copy(&r, header->hint, sizeof header->hint);
    get_copy(&r, header->commitment, sizeof header->commitment);
    REQUIRE(read_ok(&r), err, GAGE_E_FORMAT, "this is not a seal: it is shorter than a seal's header");
    REQUIRE(version == SEAL_VERSION, err, GAGE_E_UNSUPPORTED,
            "this is not a seal, or one of a newer version (%u) than this gage opens (1)", version);
    return GAGE_DONE;
}
