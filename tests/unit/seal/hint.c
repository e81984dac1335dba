#include "unit/test.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/crypto.h"
#include "seal/hint.h"

static void
openssl_hint(const uint8_t *key, const uint8_t *nonce, uint8_t *hint)
{
    size_t size = HINT_LEN, n = 0;
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    assert_int_equal(EVP_MAC_init(ctx, key, HINT_KEY_LEN, params), 1);
    assert_int_equal(EVP_MAC_update(ctx, nonce, SEAL_NONCE_LEN), 1);
    assert_int_equal(EVP_MAC_final(ctx, hint, &n, HINT_LEN), 1);
    assert_int_equal(n, HINT_LEN);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
}

TEST(equals_openssl_for_random_keys_and_nonces)
{
    uint8_t key[HINT_KEY_LEN], nonce[SEAL_NONCE_LEN], ours[HINT_LEN], theirs[HINT_LEN];
    for (int i = 0; i < 200; i++) {
        assert_ok(rng_fill(&gage_system_rng, key, sizeof key));
        assert_ok(rng_fill(&gage_system_rng, nonce, sizeof nonce));
        hint_of(key, nonce, ours);
        openssl_hint(key, nonce, theirs);
        assert_memory_equal(ours, theirs, HINT_LEN);
    }
}

TEST(finds_the_key_wherever_it_stands_and_no_other)
{
    uint8_t keys[11 * HINT_KEY_LEN], nonce[SEAL_NONCE_LEN] = {7}, hint[HINT_LEN];
    size_t found[2];
    assert_ok(rng_fill(&gage_system_rng, keys, sizeof keys));
    for (size_t count = 0; count <= 11; count++) {
        for (size_t i = 0; i < count; i++) {
            hint_of(keys + i * HINT_KEY_LEN, nonce, hint);
            assert_int_equal(hint_search(keys, count, nonce, hint, found, 2), 1);
            assert_int_equal(found[0], i);
        }
        memset(hint, 0, sizeof hint);
        assert_int_equal(hint_search(keys, count, nonce, hint, found, 2), 0);
    }
}

TEST(tells_of_more_matches_than_there_is_room_for)
{
    uint8_t keys[5 * HINT_KEY_LEN] = {0}, nonce[SEAL_NONCE_LEN] = {1}, hint[HINT_LEN];
    size_t found[2] = {9, 9};
    hint_of(keys, nonce, hint);
    assert_int_equal(hint_search(keys, 5, nonce, hint, found, 2), 5);
    assert_int_equal(found[0], 0);
    assert_int_equal(found[1], 1);
}

TEST_MAIN(CASE(equals_openssl_for_random_keys_and_nonces), CASE(finds_the_key_wherever_it_stands_and_no_other),
          CASE(tells_of_more_matches_than_there_is_room_for))
