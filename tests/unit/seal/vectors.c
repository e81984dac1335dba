/* doc/vectors/seal.json, run through this implementation: keys, every seal byte for byte and back, the proof. tests/interop/seal.py is the other one. */
#include "unit/test.h"

#include <stdlib.h>

#include <jansson.h>

#include "base/encode.h"
#include "seal/carrier.h"
#include "seal/opener.h"
#include "seal/sealer.h"

#define BIG ((size_t)1 << 20)

static json_t *all;

static gage_buf
hex(const json_t *object, const char *name)
{
    gage_buf out = GAGE_BUF(BIG);
    const char *text = json_string_value(json_object_get(object, name));
    if (text == NULL)
        fail_msg("the vectors have no \"%s\"", name);
    assert_ok(get_hex(slice_str(text), &out));
    return out;
}

static void
assert_hex(const json_t *object, const char *name, gage_slice bytes)
{
    AUTO(gage_buf) expected = hex(object, name);
    assert_slice_equal(bytes, gage_buf_slice(&expected));
}

/* One side's pairing, from the PRK as a finished agreement would have it. */
static void
make(bool initiator, struct pairing *out)
{
    const json_t *v = json_object_get(all, "pairing");
    AUTO(gage_buf) prk = hex(v, "prk");
    AUTO(gage_buf) i = hex(v, "initiator");
    AUTO(gage_buf) a = hex(v, "acceptor");
    int64_t now = (int64_t)json_integer_value(json_object_get(v, "week")) * WEEK_SECONDS;
    struct agreement agreed = {.agreed = true, .peer_offer = GAGE_BUF(AGREEMENT_OFFER_MAX)};
    uint8_t names[SHA256_LEN], offer[PAIRING_OFFER_LEN];
    assert_ok(secret_set(&agreed.prk, gage_buf_slice(&prk)));
    assert_ok(pairing_names(gage_buf_slice(&i), gage_buf_slice(&a), names));
    pairing_offer(now, PAIRING_VALIDITY_MAX, names, offer);
    put_bytes(&agreed.peer_offer, SLICE_OF(offer));
    assert_ok(pairing_make(&agreed, initiator, gage_buf_slice(initiator ? &i : &a), gage_buf_slice(initiator ? &a : &i),
                           now, PAIRING_VALIDITY_MAX, out, NULL));
    agreement_cleanup(&agreed);
}

TEST(both_sides_derive_the_documented_keys)
{
    const json_t *v = json_object_get(all, "pairing");
    AUTO(pairing_t) i = {.made = 0};
    AUTO(pairing_t) a = {.made = 0};
    make(true, &i);
    make(false, &a);
    const struct pairing *sides[] = {&i, &a};
    for (int side = 0; side < 2; side++) {
        const struct pairing *p = sides[side];
        bool first = side == 0;
        assert_hex(v, "seal_i2a", secret_slice(first ? &p->sending.key : &p->receiving.key));
        assert_hex(v, "seal_a2i", secret_slice(first ? &p->receiving.key : &p->sending.key));
        assert_hex(v, "hint_i2a", gage_slice_of(first ? p->hint_send : p->hint_receive, HINT_KEY_LEN));
        assert_hex(v, "hint_a2i", gage_slice_of(first ? p->hint_receive : p->hint_send, HINT_KEY_LEN));
        assert_hex(v, "id", SLICE_OF(p->id));
    }
}

static gage_rc
fixed(void *context, uint8_t *out, size_t n)
{
    gage_buf *from = context;
    assert_true(from->n >= n);
    memcpy(out, from->p, n);
    buf_drop(from, n);
    return GAGE_DONE;
}

static void
message_of(const json_t *v, gage_buf *message)
{
    json_int_t n = json_integer_value(json_object_get(v, "message_length"));
    for (json_int_t at = 0; at < n; at++)
        put_u8(message, (uint8_t)(at * 7));
}

static void
seal(const json_t *v, gage_slice message, gage_buf *sealed)
{
    static struct sealer sealer;
    static const struct seal_carrier anybody = {CARRIER_ANY, {NULL, 0}};
    bool changed;
    int64_t now = json_integer_value(json_object_get(v, "time"));
    AUTO(pairing_t) alice = {.made = 0};
    AUTO(gage_buf) random = hex(v, "nonce");
    AUTO(gage_buf) id = hex(v, "id");
    const struct gage_rng rng = {fixed, &random};
    put_bytes(&random, gage_buf_slice(&id));
    make(true, &alice);
    assert_ok(pairing_step(&alice, now, 4, &changed));
    assert_ok(sealer_begin(&sealer, &alice, &anybody, &rng, now, sealed, NULL));
    assert_ok(sealer_put(&sealer, message, sealed));
    assert_ok(sealer_end(&sealer, sealed));
    sealer_cleanup(&sealer);
}

static void
open_again(const json_t *v, gage_slice sealed, gage_slice message)
{
    static struct opener opener;
    size_t which;
    AUTO(pairing_t) bob = {.made = 0};
    AUTO(gage_buf) out = GAGE_BUF(BIG);
    int64_t now = json_integer_value(json_object_get(v, "time"));
    const struct pairing *candidates[] = {&bob};
    const struct open_policy policy = {.keep = 4};
    make(false, &bob);
    assert_ok(opener_begin(&opener, sealed.p, candidates, 1, &policy, now, &which, NULL));
    assert_ok(opener_put(&opener, gage_slice_of(sealed.p + SEAL_HEADER_LEN, sealed.n - SEAL_HEADER_LEN), &out, NULL));
    assert_ok(opener_end(&opener, &out, NULL));
    assert_slice_equal(gage_buf_slice(&out), message);
    assert_hex(v, "id", SLICE_OF(opener.result.inner.id));
    opener_cleanup(&opener);
}

TEST(every_seal_comes_out_byte_for_byte_and_opens)
{
    size_t i;
    json_t *v;
    assert_true(json_array_size(json_object_get(all, "seals")) >= 5);
    json_array_foreach(json_object_get(all, "seals"), i, v)
    {
        uint8_t hash[SHA256_LEN];
        AUTO(gage_buf) message = GAGE_BUF(BIG);
        AUTO(gage_buf) sealed = GAGE_BUF(BIG);
        message_of(v, &message);
        seal(v, gage_buf_slice(&message), &sealed);
        assert_int_equal(sealed.n, json_integer_value(json_object_get(v, "length")));
        assert_hex(v, "header", gage_slice_of(sealed.p, SEAL_HEADER_LEN));
        assert_ok(sha256_of(gage_buf_slice(&sealed), hash));
        assert_hex(v, "sha256", SLICE_OF(hash));
        if (json_object_get(v, "seal") != NULL)
            assert_hex(v, "seal", gage_buf_slice(&sealed));
        open_again(v, gage_buf_slice(&sealed), gage_buf_slice(&message));
    }
}

TEST(the_carriers_proof_is_the_documented_one)
{
    const json_t *v = json_object_get(all, "proof");
    uint8_t digest[SHA256_LEN], proof[CARRIER_PROOF_LEN];
    AUTO(gage_buf) header = hex(v, "header");
    AUTO(gage_buf) key = hex(v, "key");
    AUTO(gage_buf) context = hex(v, "context");
    assert_ok(seal_digest(header.p, digest));
    assert_ok(proof_make(digest, gage_buf_slice(&key), gage_buf_slice(&context), proof));
    assert_hex(v, "proof", SLICE_OF(proof));
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {CASE(both_sides_derive_the_documented_keys),
                                       CASE(every_seal_comes_out_byte_for_byte_and_opens),
                                       CASE(the_carriers_proof_is_the_documented_one)};
    all = argc == 2 ? json_load_file(argv[1], 0, NULL) : NULL;
    if (all == NULL)
        return 2;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(all);
    return failed;
}
