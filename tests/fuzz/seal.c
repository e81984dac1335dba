/* Whatever somebody hands to gage unseal, and what a peer with the keys could put inside: seals, what they say inside, grants, proofs, offers and
 * records. First byte: which parser; second: how many bytes are given at a time. */
#include <stdlib.h>
#include <string.h>

#include "seal/opener.h"

#define NOW INT64_C(1795000000)
#define OUT_MAX ((size_t)1 << 22)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct pairing bob;
static struct opener opener;

static void
make_bob(void)
{
    if (bob.until != 0)
        return;
    bob = (struct pairing){.made = NOW, .until = INT64_MAX, .self = GAGE_BUF(16), .peer = GAGE_BUF(16)};
    bob.receiving = bob.sending = (struct week_key){week_of(NOW), {.b = {1, 2, 3}, .n = SEAL_KEY_LEN}};
    put_bytes(&bob.self, SLICE_LITERAL("bob"));
    put_bytes(&bob.peer, SLICE_LITERAL("alice"));
}

/* Opens a seal piece by piece. Whatever the bytes are: nothing is said to be whole that was not sealed by the key. */
static gage_rc
open_seal(gage_slice seal, size_t piece, gage_buf *out)
{
    const struct pairing *candidates[] = {&bob};
    const struct open_policy policy = {.keep = 4, .max_age = 600};
    size_t which = 9;
    if (seal.n < SEAL_HEADER_LEN)
        return gage_rc_of(GAGE_E_FORMAT);
    gage_rc rc = opener_begin(&opener, seal.p, candidates, 1, &policy, NOW, &which, NULL);
    gage_slice body = gage_slice_of(seal.p + SEAL_HEADER_LEN, seal.n - SEAL_HEADER_LEN);
    while (gage_ok(rc) && body.n > 0) {
        size_t part = piece > 0 && piece < body.n ? piece : body.n;
        rc = opener_put(&opener, gage_slice_of(body.p, part), out, NULL);
        body = gage_slice_of(body.p + part, body.n - part);
    }
    if (gage_ok(rc))
        rc = opener_end(&opener, out, NULL);
    if (gage_ok(rc) && (!opener.inner_known || which != 0))
        abort();
    opener_cleanup(&opener);
    return rc;
}

/* The bytes as the plaintexts of a seal that verifies: a peer's faulty or hostile program. */
static void
put_sealed(gage_slice text, gage_buf *seal)
{
    struct seal_header header = {.nonce = {7}};
    uint8_t bytes[SEAL_HEADER_LEN], aad[SHA256_LEN];
    struct seal_keys keys = {.chunks = {.n = 0}};
    struct gcm gcm;
    if (!gage_ok(seal_keys_of(&bob.receiving.key, header.nonce, &keys)))
        abort();
    memcpy(header.commitment, keys.commitment, sizeof header.commitment);
    seal_header_put(&header, bytes);
    put_bytes(seal, SLICE_OF(bytes));
    if (!gage_ok(seal_digest(bytes, aad)) || !gage_ok(gcm_init(&gcm, secret_slice(&keys.chunks), true)))
        abort();
    for (uint32_t i = 0; text.n > 0; i++) {
        size_t part = text.n < CHUNK_TEXT ? text.n : CHUNK_TEXT;
        uint8_t iv[GCM_IV_LEN] = {0};
        iv[10] = (uint8_t)i;
        iv[11] = part == text.n;
        uint8_t *to = put_space(seal, part + GCM_TAG_LEN);
        if (to == NULL || !gage_ok(gcm_seal(&gcm, iv, SLICE_OF(aad), gage_slice_of(text.p, part), to, to + part)))
            abort();
        text = gage_slice_of(text.p + part, text.n - part);
    }
    gcm_cleanup(&gcm);
}

static void
open_inside(gage_slice text, size_t piece, gage_buf *out)
{
    AUTO(gage_buf) seal = GAGE_BUF(OUT_MAX);
    if (text.n == 0 || text.n > OUT_MAX / 2)
        return;
    put_sealed(text, &seal);
    gage_rc rc = open_seal(gage_buf_slice(&seal), piece, out);
    if (gage_ok(rc) && out->n > text.n)
        abort();
}

/* A record that is taken is written back as it was. */
static void
read_record(gage_slice bytes)
{
    AUTO(pairing_t) p = {.made = 0};
    AUTO(gage_buf) back = GAGE_BUF(PAIRING_RECORD_MAX);
    bool changed;
    if (!gage_ok(pairing_get(bytes, &p, NULL)))
        return;
    pairing_put(&back, &p);
    if (back.bad || !slice_equal(gage_buf_slice(&back), bytes))
        abort();
    (void)gage_ok(pairing_step(&p, NOW, 4, &changed));
}

static void
read_grant(gage_slice bytes)
{
    struct carrier_grant grant;
    AUTO(gage_buf) back = GAGE_BUF(CARRIER_GRANT_MAX + 65536);
    if (!gage_ok(grant_get(bytes, &grant, NULL)))
        return;
    grant_put(&back, &grant);
    if (back.bad || !slice_equal(gage_buf_slice(&back), bytes))
        abort();
    secret_wipe(&grant.key);
}

/* The peer's offer of a pairing, in an agreement that stands. */
static void
read_offer(gage_slice bytes)
{
    struct agreement agreed = {.agreed = true, .prk = {.b = {5}, .n = 32}, .peer_offer = GAGE_BUF(AGREEMENT_OFFER_MAX)};
    AUTO(pairing_t) p = {.made = 0};
    put_bytes(&agreed.peer_offer, bytes);
    if (!agreed.peer_offer.bad &&
        gage_ok(pairing_make(&agreed, true, SLICE_LITERAL("alice"), SLICE_LITERAL("bob"), NOW, 1000, &p, NULL)) &&
        (p.until <= NOW || p.until > NOW + 1000))
        abort();
    agreement_cleanup(&agreed);
}

static void
read_agreement(gage_slice bytes)
{
    AUTO(agreement_t) a = {.agreed = false};
    AUTO(gage_buf) back = GAGE_BUF(AGREEMENT_RECORD_MAX);
    if (gage_ok(agreement_get(bytes, &a, NULL)) && !gage_ok(agreement_put(&back, &a, NULL)))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t seal[SHA256_LEN], key[CARRIER_KEY_LEN];
    AUTO(gage_buf) out = GAGE_BUF(OUT_MAX);
    if (n < 2)
        return 0;
    gage_slice rest = gage_slice_of(data + 2, n - 2);
    make_bob();
    switch (data[0] % 7) {
    case 0:
        if (gage_ok(open_seal(rest, data[1], &out)) && out.n > n)
            abort();
        break;
    case 1:
        open_inside(rest, data[1], &out);
        break;
    case 2:
        read_record(rest);
        break;
    case 3:
        read_grant(rest);
        break;
    case 4:
        if (gage_ok(proof_check(seal, SLICE_OF(key), SLICE_LITERAL("here"), rest, NULL)) && rest.n != CARRIER_PROOF_LEN)
            abort();
        break;
    case 5:
        read_offer(rest);
        break;
    default:
        read_agreement(rest);
    }
    return 0;
}
