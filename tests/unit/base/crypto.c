#include "unit/test.h"

#include <pthread.h>

#include "base/crypto.h"
#include "base/encode.h"

/* Bytes of a hexadecimal literal, in a buffer of the test. */
static gage_slice
hex(gage_buf *into, const char *text)
{
    size_t before = into->n;
    assert_ok(get_hex(slice_str(text), into));
    return gage_slice_of(into->p + before, into->n - before);
}

#define ARENA(name)                                                                                                    \
    AUTO(gage_buf) name = GAGE_BUF(4096);                                                                              \
    buf_reserve(&name, 4096)

TEST(sha256_and_hmac_match_their_published_vectors)
{
    ARENA(a);
    uint8_t out[SHA256_LEN];
    gage_slice parts[] = {SLICE_LITERAL("a"), SLICE_NONE, SLICE_LITERAL("bc")};
    assert_ok(sha256_parts(parts, 3, out)); /* FIPS 180-4, "abc" */
    assert_slice_equal(SLICE_OF(out), hex(&a, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    gage_slice text[] = {SLICE_LITERAL("what do ya want "), SLICE_LITERAL("for nothing?")};
    struct sha256 hash;
    uint8_t pieces[SHA256_LEN];
    assert_ok(sha256_start(&hash));
    for (size_t i = 0; i < 3; i++)
        assert_ok(sha256_add(&hash, parts[i]));
    assert_ok(sha256_finish(&hash, pieces));
    sha256_cleanup(&hash);
    assert_memory_equal(pieces, out, SHA256_LEN);
    assert_ok(hmac_sha256_parts(SLICE_LITERAL("Jefe"), text, 2, out)); /* RFC 4231, case 2 */
    assert_slice_equal(SLICE_OF(out), hex(&a, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
}

TEST(a_keyed_hmac_is_the_hmac_each_time)
{
    struct hmac_key key;
    uint8_t out[SHA256_LEN], expected[SHA256_LEN];
    gage_slice text[] = {SLICE_LITERAL("what do ya want "), SLICE_LITERAL("for nothing?")};
    assert_ok(hmac_key_init(&key, SLICE_LITERAL("Jefe")));
    for (size_t count = 2; count <= 2; count--) { /* 2, 1, 0 parts */
        assert_ok(hmac_sha256_parts(SLICE_LITERAL("Jefe"), text, count, expected));
        assert_ok(hmac_key_parts(&key, text, count, out));
        assert_memory_equal(out, expected, SHA256_LEN);
    }
    hmac_key_cleanup(&key);
    assert_code(hmac_key_parts(&key, text, 2, out), GAGE_E_INTERNAL);
}

TEST(hkdf_matches_rfc_5869)
{
    ARENA(a);
    gage_secret prk = {0};
    uint8_t okm[82];
    gage_slice ikm = hex(&a, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
    gage_slice info = hex(&a, "f0f1f2f3f4f5f6f7f8f9");
    assert_ok(hkdf_extract(hex(&a, "000102030405060708090a0b0c"), ikm, &prk)); /* test case 1 */
    assert_ok(hkdf_expand(secret_slice(&prk), &info, 1, okm, 42));
    assert_slice_equal(gage_slice_of(okm, 42),
                       hex(&a, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"));
    assert_ok(hkdf_extract(SLICE_NONE, ikm, &prk)); /* test case 3: no salt, no info */
    assert_ok(hkdf_expand(secret_slice(&prk), NULL, 0, okm, 42));
    assert_slice_equal(gage_slice_of(okm, 42),
                       hex(&a, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"));
}

TEST(gcm_matches_its_published_vector_and_works_in_place)
{
    ARENA(a); /* McGrew and Viega, test case 16 */
    gage_slice key = hex(&a, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    gage_slice iv = hex(&a, "cafebabefacedbaddecaf888"), aad = hex(&a, "feedfacedeadbeeffeedfacedeadbeefabaddad2");
    gage_slice text =
        hex(&a, "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b5"
                "25b16aedf5aa0de657ba637b39");
    gage_slice sealed =
        hex(&a, "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
                "c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b");
    AUTO(gage_buf) out = GAGE_BUF(200);
    assert_ok(gcm_seal_once(key, iv.p, aad, text, &out));
    assert_slice_equal(gage_buf_slice(&out), sealed);
    struct gcm gcm;
    assert_ok(gcm_init(&gcm, key, false));
    assert_ok(gcm_open(&gcm, iv.p, aad, gage_slice_of(out.p, text.n), out.p, sealed.p + text.n));
    assert_slice_equal(gage_slice_of(out.p, text.n), text);
    gcm_cleanup(&gcm);
}

TEST(gcm_in_pieces_is_gcm_in_one)
{
    const uint8_t key[32] = {7}, iv[GCM_IV_LEN] = {1, 2};
    uint8_t text[100], whole[100], pieces[100], tag[GCM_TAG_LEN], tag2[GCM_TAG_LEN];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)i;
    struct gcm seal, open;
    assert_ok(gcm_init(&seal, SLICE_OF(key), true));
    assert_ok(gcm_init(&open, SLICE_OF(key), false));
    assert_ok(gcm_seal(&seal, iv, SLICE_LITERAL("aad"), SLICE_OF(text), whole, tag));
    assert_ok(gcm_begin(&seal, iv));
    assert_ok(gcm_aad(&seal, SLICE_LITERAL("a")));
    assert_ok(gcm_aad(&seal, SLICE_LITERAL("ad")));
    assert_ok(gcm_text(&seal, gage_slice_of(text, 33), pieces));
    assert_ok(gcm_text(&seal, gage_slice_of(text + 33, 67), pieces + 33));
    assert_ok(gcm_end_seal(&seal, tag2));
    assert_memory_equal(whole, pieces, sizeof whole);
    assert_memory_equal(tag, tag2, sizeof tag);
    tag2[15] ^= 1;
    assert_ok(gcm_begin(&open, iv));
    assert_ok(gcm_aad(&open, SLICE_LITERAL("aad")));
    assert_ok(gcm_text(&open, SLICE_OF(whole), pieces));
    assert_code(gcm_end_open(&open, tag2), GAGE_E_AUTH);
    gcm_cleanup(&seal);
    gcm_cleanup(&open);
}

TEST(gcm_refuses_damage_at_every_byte_and_gives_nothing_out)
{
    static const uint8_t key[32] = {1}, iv[GCM_IV_LEN] = {2};
    AUTO(gage_buf) sealed = GAGE_BUF(100);
    assert_ok(gcm_seal_once(SLICE_OF(key), iv, SLICE_LITERAL("aad"), SLICE_LITERAL("text"), &sealed));
    for (size_t i = 0; i < sealed.n; i++) {
        AUTO(gage_buf) out = GAGE_BUF(100);
        sealed.p[i] ^= 1;
        assert_code(gcm_open_once(SLICE_OF(key), iv, SLICE_LITERAL("aad"), gage_buf_slice(&sealed), &out), GAGE_E_AUTH);
        assert_int_equal(out.n, 0);
        for (size_t k = 0; k < 4; k++)
            assert_int_equal(out.p[k], 0);
        sealed.p[i] ^= 1;
    }
    AUTO(gage_buf) out = GAGE_BUF(100);
    for (size_t n = 0; n < sealed.n; n++)
        assert_code(gcm_open_once(SLICE_OF(key), iv, SLICE_LITERAL("aad"), gage_slice_of(sealed.p, n), &out),
                    GAGE_E_AUTH);
    assert_code(gcm_open_once(SLICE_OF(key), iv, SLICE_LITERAL("aae"), gage_buf_slice(&sealed), &out), GAGE_E_AUTH);
    assert_ok(gcm_open_once(SLICE_OF(key), iv, SLICE_LITERAL("aad"), gage_buf_slice(&sealed), &out));
    assert_slice_equal(gage_buf_slice(&out), SLICE_LITERAL("text"));
}

/* "Random" bytes that are the slice in context. */
static gage_rc
fixed_fill(void *context, uint8_t *out, size_t n)
{
    const gage_slice *bytes = context;
    assert_int_equal(n, bytes->n);
    memcpy(out, bytes->p, n);
    return GAGE_DONE;
}

TEST(x25519_matches_rfc_7748_and_refuses_low_order_points)
{
    ARENA(a); /* section 6.1 */
    static const uint8_t zero[X25519_LEN];
    gage_secret alice = {0}, shared = {0};
    uint8_t public_key[X25519_LEN];
    gage_slice key = hex(&a, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    const struct gage_rng fixed = {.fill = fixed_fill, .context = &key};
    assert_ok(x25519_generate(&fixed, &alice, public_key));
    assert_slice_equal(secret_slice(&alice), key);
    assert_slice_equal(SLICE_OF(public_key),
                       hex(&a, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
    gage_slice bob = hex(&a, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_ok(x25519_shared(&alice, bob.p, &shared));
    assert_slice_equal(secret_slice(&shared),
                       hex(&a, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"));
    assert_code(x25519_shared(&alice, zero, &shared), GAGE_E_AUTH);
    assert_int_equal(shared.n, 0);
}

TEST(x25519_opened_once_agrees_again_and_after_a_refusal)
{
    AUTO(x25519_t) own = {NULL}, theirs = {NULL};
    static const uint8_t zero[X25519_LEN];
    gage_secret key[2] = {{.n = 0}}, shared = {0}, again = {0};
    uint8_t public_key[2][X25519_LEN];
    assert_ok(x25519_make(&gage_system_rng, &key[0], public_key[0], &own));
    assert_ok(x25519_make(&gage_system_rng, &key[1], public_key[1], &theirs));
    assert_ok(x25519_with(&own, public_key[1], &shared));
    assert_code(x25519_with(&own, zero, &again), GAGE_E_AUTH);
    assert_int_equal(again.n, 0);
    assert_ok(x25519_with(&own, public_key[1], &again));
    assert_true(secret_equal(&shared, &again));
    assert_ok(x25519_with(&theirs, public_key[0], &again));
    assert_true(secret_equal(&shared, &again));
    x25519_close(&own);
    x25519_close(&own);
}

/* Derives and agrees, over and over, on what OpenSSL keeps for all threads. */
static void *
derive_and_agree(void *wrong)
{
    gage_secret prk = {0}, key = {0}, shared = {0};
    uint8_t okm[42], first[42], public_key[X25519_LEN];
    const gage_slice info = SLICE_LITERAL("info");
    for (int i = 0; i < 200; i++) {
        bool good = gage_ok(hkdf_extract(SLICE_LITERAL("salt"), SLICE_LITERAL("ikm"), &prk)) &&
                    gage_ok(hkdf_expand(secret_slice(&prk), &info, 1, okm, sizeof okm));
        if (i == 0)
            memcpy(first, okm, sizeof okm);
        good = good && memcmp(first, okm, sizeof okm) == 0 &&
               gage_ok(x25519_generate(&gage_system_rng, &key, public_key)) &&
               gage_ok(x25519_shared(&key, public_key, &shared));
        if (!good)
            *(bool *)wrong = true;
    }
    return NULL;
}

TEST(threads_derive_and_agree_side_by_side)
{
    pthread_t thread[12]; /* more than the workspaces that are kept */
    bool wrong[12] = {false};
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, derive_and_agree, &wrong[i]), 0);
    for (size_t i = 0; i < 12; i++) {
        pthread_join(thread[i], NULL);
        assert_false(wrong[i]);
    }
}

TEST(random_bytes_differ)
{
    uint8_t a[32], b[32];
    assert_ok(rng_fill(&gage_system_rng, a, sizeof a));
    assert_ok(rng_fill(&gage_system_rng, b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
}

TEST_MAIN(CASE(sha256_and_hmac_match_their_published_vectors), CASE(a_keyed_hmac_is_the_hmac_each_time),
          CASE(hkdf_matches_rfc_5869), CASE(gcm_matches_its_published_vector_and_works_in_place),
          CASE(gcm_in_pieces_is_gcm_in_one), CASE(gcm_refuses_damage_at_every_byte_and_gives_nothing_out),
          CASE(x25519_matches_rfc_7748_and_refuses_low_order_points),
          CASE(x25519_opened_once_agrees_again_and_after_a_refusal), CASE(threads_derive_and_agree_side_by_side),
          CASE(random_bytes_differ))
