#include "unit/test.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

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

#define SOME 100 /* three blocks, and what does not fill one */

TEST(finds_the_key_whose_hint_openssl_made_wherever_it_stands_among_any_number)
{
    uint8_t keys[SOME * HINT_KEY_LEN], nonce[SEAL_NONCE_LEN], hints[SOME][HINT_LEN], none[HINT_LEN] = {0};
    size_t found[2];
    assert_ok(rng_fill(&gage_system_rng, keys, sizeof keys));
    assert_ok(rng_fill(&gage_system_rng, nonce, sizeof nonce));
    for (size_t i = 0; i < SOME; i++)
        openssl_hint(keys + i * HINT_KEY_LEN, nonce, hints[i]);
    for (size_t count = 0; count <= SOME; count++) {
        for (size_t i = 0; i < SOME; i++) {
            assert_int_equal(hint_search(keys, count, nonce, hints[i], found, 2), i < count ? 1 : 0);
            assert_true(i >= count || found[0] == i);
        }
        assert_int_equal(hint_search(keys, count, nonce, none, found, 2), 0);
    }
}

TEST(does_not_take_half_a_hint_for_the_whole)
{
    uint8_t keys[SOME * HINT_KEY_LEN], nonce[SEAL_NONCE_LEN] = {7}, hint[HINT_LEN];
    size_t found[2];
    assert_ok(rng_fill(&gage_system_rng, keys, sizeof keys));
    for (size_t i = 0; i < SOME; i++) {
        for (size_t byte = 0; byte < HINT_LEN; byte += HINT_LEN - 1) {
            openssl_hint(keys + i * HINT_KEY_LEN, nonce, hint);
            hint[byte] ^= 1;
            assert_int_equal(hint_search(keys, SOME, nonce, hint, found, 2), 0);
        }
    }
}

TEST(tells_of_more_matches_than_there_is_room_for)
{
    uint8_t keys[SOME * HINT_KEY_LEN] = {0}, nonce[SEAL_NONCE_LEN] = {1}, hint[HINT_LEN];
    size_t found[3] = {SOME, SOME, SOME};
    hint_of(keys, nonce, hint);
    for (size_t count = 2; count <= SOME; count++) {
        assert_int_equal(hint_search(keys, count, nonce, hint, found, 2), count);
        assert_int_equal(found[0], 0);
        assert_int_equal(found[1], 1);
        assert_int_equal(found[2], SOME);
    }
}

#define MANY 100001 /* enough for several threads, and not a whole number of anything */

static uint8_t *
many_keys(void)
{
    uint8_t *keys = malloc((size_t)MANY * HINT_KEY_LEN);
    assert_non_null(keys);
    assert_ok(rng_fill(&gage_system_rng, keys, (size_t)MANY * HINT_KEY_LEN));
    return keys;
}

TEST(threads_find_the_key_wherever_it_stands_among_many)
{
    static const size_t places[] = {0, 1, 4095, 8191, 8192, 16383, 50000, 65536, MANY - 2, MANY - 1};
    uint8_t nonce[SEAL_NONCE_LEN] = {3}, hint[HINT_LEN], none[HINT_LEN] = {0}, *keys = many_keys();
    size_t found[HINT_MATCHES_MAX];
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        openssl_hint(keys + places[i] * HINT_KEY_LEN, nonce, hint);
        assert_int_equal(hint_search_threads(keys, MANY, nonce, hint, found), 1);
        assert_int_equal(found[0], places[i]);
        assert_int_equal(hint_search_threads(keys, places[i], nonce, hint, found), 0);
    }
    assert_int_equal(hint_search_threads(keys, MANY, nonce, none, found), 0);
    free(keys);
}

TEST(threads_tell_of_every_match)
{
    uint8_t nonce[SEAL_NONCE_LEN] = {3}, hint[HINT_LEN], *keys = many_keys();
    size_t found[HINT_MATCHES_MAX], sum = 0, expected = 0;
    for (size_t i = 1; i < HINT_MATCHES_MAX; i++) { /* with the first: as many as there is room for, over many shares */
        memcpy(keys + i * 14000 * HINT_KEY_LEN, keys, HINT_KEY_LEN);
        expected += i * 14000;
    }
    hint_of(keys, nonce, hint);
    assert_int_equal(hint_search_threads(keys, MANY, nonce, hint, found), HINT_MATCHES_MAX);
    for (size_t i = 0; i < HINT_MATCHES_MAX; i++)
        sum += found[i];
    assert_int_equal(sum, expected);
    for (size_t i = 1; i <= 30; i++)
        memcpy(keys + i * HINT_KEY_LEN, keys, HINT_KEY_LEN);
    assert_int_equal(hint_search_threads(keys, MANY, nonce, hint, found), HINT_MATCHES_MAX + 30);
    free(keys);
}

static bool watched;

/* Gives a helper time to end where it could, and one processor instead of all: of an ended one the caller would get it. */
int __real_pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *processors);
int __wrap_pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *processors);
int
__wrap_pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *processors)
{
    cpu_set_t one;
    size_t first = 0;
    if (!watched)
        return __real_pthread_setaffinity_np(thread, size, processors);
    usleep(20000);
    while (!CPU_ISSET(first, processors))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    return __real_pthread_setaffinity_np(thread, sizeof one, &one);
}

TEST(threads_leave_the_caller_the_processors_it_had)
{
    uint8_t nonce[SEAL_NONCE_LEN] = {3}, none[HINT_LEN] = {0}, *keys = many_keys();
    size_t found[HINT_MATCHES_MAX];
    cpu_set_t before, after;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    watched = true;
    assert_int_equal(hint_search_threads(keys, MANY, nonce, none, found), 0);
    watched = false;
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
    free(keys);
}

TEST_MAIN(CASE(equals_openssl_for_random_keys_and_nonces),
          CASE(finds_the_key_whose_hint_openssl_made_wherever_it_stands_among_any_number),
          CASE(does_not_take_half_a_hint_for_the_whole), CASE(tells_of_more_matches_than_there_is_room_for),
          CASE(threads_find_the_key_wherever_it_stands_among_many), CASE(threads_tell_of_every_match),
          CASE(threads_leave_the_caller_the_processors_it_had))
