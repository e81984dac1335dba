#include "seal/carrier.h"

#include <string.h>

#define GRANT_LABEL SLICE_LITERAL("gage-carrier-1")
#define PROOF_LABEL SLICE_LITERAL("gage-proof-1")

void
grant_put(gage_buf *buf, const struct carrier_grant *grant)
{
    put_bytes(buf, GRANT_LABEL);
    put_bytes(buf, SLICE_OF(grant->seal));
    put_bytes(buf, secret_slice(&grant->key));
    put_vec16(buf, grant->recipient);
}

gage_rc
grant_get(gage_slice message, struct carrier_grant *grant, struct gage_err *err)
{
    struct reader r = read_from(message);
    bool labelled = slice_equal(get_bytes(&r, GRANT_LABEL.n), GRANT_LABEL);
    REQUIRE(labelled, err, GAGE_E_FORMAT, "the message is not a carrier's grant");
    get_copy(&r, grant->seal, sizeof grant->seal);
    TRY(secret_set(&grant->key, get_bytes(&r, CARRIER_KEY_LEN)));
    grant->recipient = get_vec16(&r);
    gage_rc rc = read_end(&r, err, "the carrier's grant");
    if (!gage_ok(rc))
        secret_wipe(&grant->key);
    return rc;
}

gage_rc
seal_digest(const uint8_t header[SEAL_HEADER_LEN], uint8_t digest[SHA256_LEN])
{
    return sha256_of(gage_slice_of(header, SEAL_HEADER_LEN), digest);
}

gage_rc
proof_make(const uint8_t seal[SHA256_LEN], gage_slice key, gage_slice context, uint8_t proof[CARRIER_PROOF_LEN])
{
    if (context.n > CARRIER_CONTEXT_MAX)
        return gage_rc_of(GAGE_E_LIMIT);
    uint8_t length[2] = {(uint8_t)(context.n >> 8), (uint8_t)context.n};
    gage_slice name = {seal, SHA256_LEN}, parts[] = {PROOF_LABEL, name, SLICE_OF(length), context};
    memcpy(proof, PROOF_LABEL.p, PROOF_LABEL.n);
    memcpy(proof + PROOF_LABEL.n, seal, SHA256_LEN);
    return hmac_sha256_parts(key, parts, 4, proof + PROOF_LABEL.n + SHA256_LEN);
}

gage_rc
proof_check(const uint8_t seal[SHA256_LEN], gage_slice key, gage_slice context, gage_slice proof, struct gage_err *err)
{
    uint8_t expected[CARRIER_PROOF_LEN];
    REQUIRE(proof.n == CARRIER_PROOF_LEN && slice_equal(gage_slice_of(proof.p, PROOF_LABEL.n), PROOF_LABEL), err,
            GAGE_E_FORMAT, "the carrier's proof is not a proof, or cut");
    REQUIRE(slice_equal(gage_slice_of(proof.p + PROOF_LABEL.n, SHA256_LEN), gage_slice_of(seal, SHA256_LEN)), err,
            GAGE_E_MISMATCH, "the carrier's proof is for another seal");
    TRY(proof_make(seal, key, context, expected));
    bool same = slice_equal_ct(SLICE_OF(expected), proof);
    gage_wipe(expected, sizeof expected);
    REQUIRE(same, err, GAGE_E_AUTH,
            "the carrier's proof does not verify: made by somebody else, or for another occasion");
    return GAGE_DONE;
}
