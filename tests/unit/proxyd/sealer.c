#include "unit/test.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/encode.h"
#include "proxyd/nonce.h"
#include "proxyd/sealer.h"

/* The vectors of C2SP's document on XAES-256-GCM. */
static const struct {
    uint8_t key; /* thirty-two times */
    const char *aad, *sealed;
} vectors[] = {
    {0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
    {0x03, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
};
static const uint8_t salt[SEALER_SALT_LEN] = "ABCDEFGHIJKLMNOPQRSTUVWX";
#define TEXT SLICE_LITERAL("XAES-256-GCM")

static void
set(struct sealer *s, uint32_t id, uint8_t byte)
{
    uint8_t key[SEALER_KEY_LEN];
    memset(key, byte, sizeof key);
    assert_ok(sealer_set(s, id, key));
}

TEST(seals_as_xaes_256_gcm_says_and_changes_keys)
{
    struct sealer *s = sealer_new();
    assert_non_null(s);
    for (uint32_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        AUTO(gage_buf) sealed = GAGE_BUF(64), shown = GAGE_BUF(128), text = GAGE_BUF(64);
        set(s, i, vectors[i].key);
        assert_true(sealer_has(s, i));
        assert_false(sealer_has(s, i + 1));
        assert_ok(sealer_seal(s, salt, slice_str(vectors[i].aad), TEXT, &sealed));
        put_hex(&shown, gage_buf_slice(&sealed));
        assert_slice_equal(gage_buf_slice(&shown), slice_str(vectors[i].sealed));
        assert_ok(sealer_open(s, salt, slice_str(vectors[i].aad), gage_buf_slice(&sealed), &text));
        assert_slice_equal(gage_buf_slice(&text), TEXT);
    }
    sealer_free(&s);
}

TEST(opens_nothing_that_was_changed_or_is_for_another_key_salt_or_purpose)
{
    struct sealer *s = sealer_new();
    AUTO(gage_buf) sealed = GAGE_BUF(64), text = GAGE_BUF(64);
    uint8_t other[SEALER_SALT_LEN];
    assert_non_null(s);
    assert_code(sealer_seal(s, salt, SLICE_NONE, TEXT, &sealed), GAGE_E_INTERNAL); /* no key yet */
    set(s, 1, 7);
    assert_ok(sealer_seal(s, salt, SLICE_NONE, TEXT, &sealed));
    for (size_t i = 0; i < sizeof other; i++) {
        memcpy(other, salt, sizeof other);
        other[i] ^= 1;
        assert_code(sealer_open(s, other, SLICE_NONE, gage_buf_slice(&sealed), &text), GAGE_E_AUTH);
    }
    assert_code(sealer_open(s, salt, SLICE_LITERAL("a"), gage_buf_slice(&sealed), &text), GAGE_E_AUTH);
    for (size_t n = 0; n < sealed.n; n++)
        assert_code(sealer_open(s, salt, SLICE_NONE, gage_slice_of(sealed.p, n), &text), GAGE_E_AUTH);
    set(s, 2, 8);
    assert_code(sealer_open(s, salt, SLICE_NONE, gage_buf_slice(&sealed), &text), GAGE_E_AUTH);
    set(s, 1, 7);
    assert_int_equal(text.n, 0);
    assert_ok(sealer_open(s, salt, SLICE_NONE, gage_buf_slice(&sealed), &text));
    assert_slice_equal(gage_buf_slice(&text), TEXT);
    sealer_free(&s);
}

/* Each drawn number is looked for among all before it. */
TEST(nonces_do_not_repeat_in_a_block_beyond_it_or_in_a_child_process)
{
    uint8_t seen[256][16];
    int pipes[2];
    assert_ok(nonce_fill(seen[0], 16));
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        uint8_t mine[16];
        _exit(gage_ok(nonce_fill(mine, 16)) && write(pipes[1], mine, 16) == 16 ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read(pipes[0], seen[1], 16), 16);
    for (size_t i = 2; i < 256; i++)
        assert_ok(nonce_fill(seen[i], 16));
    for (size_t i = 0; i < 256; i++)
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(seen[i], seen[k], 16);
    uint8_t large[2000] = {0}, zero[16] = {0};
    assert_ok(nonce_fill(large, sizeof large));
    assert_memory_not_equal(large + sizeof large - 16, zero, 16);
    close(pipes[0]);
    close(pipes[1]);
}

TEST_MAIN(CASE(seals_as_xaes_256_gcm_says_and_changes_keys),
          CASE(opens_nothing_that_was_changed_or_is_for_another_key_salt_or_purpose),
          CASE(nonces_do_not_repeat_in_a_block_beyond_it_or_in_a_child_process))
