#include "unit/test.h"

#include <stdlib.h>

#include "seal/opener.h"
#include "seal/sealer.h"

#define NOW INT64_C(1795000000)
#define BIG (1 << 20)

/* Two views of one pairing, made as pairing_make would, but from fixed keys. */
static void
put_name(gage_buf *buf, const char *name)
{
    *buf = GAGE_BUF(SEAL_NAME_MAX);
    put_bytes(buf, slice_str(name));
}

static void
make_pair(const char *alice, const char *bob, uint8_t seed, struct pairing *a, struct pairing *b)
{
    struct week_key ab = {week_of(NOW), {.b = {seed, 1}, .n = SEAL_KEY_LEN}},
                    ba = {week_of(NOW), {.b = {seed, 2}, .n = SEAL_KEY_LEN}};
    *a = (struct pairing){.made = NOW, .until = NOW + PAIRING_VALIDITY_DEFAULT, .sending = ab, .receiving = ba};
    *b = (struct pairing){.made = NOW, .until = NOW + PAIRING_VALIDITY_DEFAULT, .sending = ba, .receiving = ab};
    memset(a->hint_send, seed, HINT_KEY_LEN);
    memset(b->hint_receive, seed, HINT_KEY_LEN);
    memset(b->hint_send, seed + 100, HINT_KEY_LEN);
    memset(a->hint_receive, seed + 100, HINT_KEY_LEN);
    put_name(&a->self, alice);
    put_name(&a->peer, bob);
    put_name(&b->self, bob);
    put_name(&b->peer, alice);
}

struct world {
    struct pairing alice, bob;
    struct sealer sealer;
    struct opener opener;
    gage_buf seal, out;
};

static int
set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    make_pair("alice", "bob", 7, &w->alice, &w->bob);
    w->seal = GAGE_BUF(2 * BIG);
    w->out = GAGE_BUF(BIG);
    *state = w;
    return 0;
}

static int
tear_down(void **state)
{
    struct world *w = *state;
    pairing_cleanup(&w->alice);
    pairing_cleanup(&w->bob);
    sealer_cleanup(&w->sealer);
    gage_buf_free(&w->seal);
    gage_buf_free(&w->out);
    free(w);
    return 0;
}

static void
seal_at(struct world *w, const struct pairing *from, struct seal_carrier carrier, int64_t now, gage_slice message)
{
    buf_reset(&w->seal);
    sealer_cleanup(&w->sealer);
    assert_ok(sealer_begin(&w->sealer, from, &carrier, &gage_system_rng, now, &w->seal, NULL));
    assert_ok(sealer_put(&w->sealer, message, &w->seal));
    assert_ok(sealer_end(&w->sealer, &w->seal));
}

/* Opens w->seal in pieces; the result stays in w->opener until the caller cleans it. */
static gage_rc
open_at(struct world *w, const struct pairing *const *candidates, size_t count, const struct open_policy *policy,
        int64_t now)
{
    size_t which;
    gage_slice body = gage_slice_of(w->seal.p + SEAL_HEADER_LEN, w->seal.n - SEAL_HEADER_LEN);
    buf_reset(&w->out);
    gage_rc rc = opener_begin(&w->opener, w->seal.p, candidates, count, policy, now, &which, NULL);
    while (gage_ok(rc) && body.n > 0) {
        size_t n = body.n < 5000 ? body.n : 5000;
        rc = opener_put(&w->opener, gage_slice_of(body.p, n), &w->out, NULL);
        body = gage_slice_of(body.p + n, body.n - n);
    }
    return gage_ok(rc) ? opener_end(&w->opener, &w->out, NULL) : rc;
}

static gage_rc
bob_opens(struct world *w, struct open_policy policy, int64_t now)
{
    const struct pairing *bob = &w->bob;
    policy.keep = PAIRING_KEEP_DEFAULT;
    gage_rc rc = open_at(w, &bob, 1, &policy, now);
    opener_cleanup(&w->opener);
    return rc;
}

static const struct seal_carrier anybody = {CARRIER_ANY, {NULL, 0}};
#define MESSAGE SLICE_LITERAL("the message")
#define WORLD struct world *w = *state

static void
bob_opens_and_knows_who_when_and_which(void **state)
{
    WORLD;
    const struct pairing *bob = &w->bob;
    struct open_policy policy = {.keep = PAIRING_KEEP_DEFAULT, .max_age = 60};
    uint8_t id[SEAL_ID_LEN];
    seal_at(w, &w->alice, anybody, NOW, MESSAGE);
    memcpy(id, w->sealer.id, sizeof id);
    assert_ok(open_at(w, &bob, 1, &policy, NOW + 60));
    assert_slice_equal(gage_buf_slice(&w->out), MESSAGE);
    assert_slice_equal(w->opener.result.inner.originator, SLICE_LITERAL("alice"));
    assert_int_equal(w->opener.result.inner.time, NOW);
    assert_memory_equal(w->opener.result.inner.id, id, sizeof id);
    assert_false(w->opener.result.carrier_checked);
    opener_cleanup(&w->opener);
}

static void
a_large_message_comes_out_whole(void **state)
{
    WORLD;
    AUTO(gage_buf) message = GAGE_BUF(BIG);
    for (size_t i = 0; i < 300000; i++)
        put_u8(&message, (uint8_t)(i * 31 >> 3));
    seal_at(w, &w->alice, anybody, NOW, gage_buf_slice(&message));
    assert_ok(bob_opens(w, (struct open_policy){0}, NOW));
    assert_slice_equal(gage_buf_slice(&w->out), gage_buf_slice(&message));
}

static void
the_sender_cannot_open_and_a_reflected_seal_is_not_for_her(void **state)
{
    WORLD;
    const struct pairing *alice = &w->alice;
    struct open_policy policy = {.keep = PAIRING_KEEP_DEFAULT};
    seal_at(w, &w->alice, anybody, NOW, MESSAGE);
    assert_code(open_at(w, &alice, 1, &policy, NOW), GAGE_E_NOT_OURS);
    assert_int_equal(w->out.n, 0);
    opener_cleanup(&w->opener);
}

static void
ages_are_judged_at_their_edges(void **state)
{
    WORLD;
    seal_at(w, &w->alice, anybody, NOW, MESSAGE);
    assert_ok(bob_opens(w, (struct open_policy){.max_age = 600}, NOW + 600));
    assert_code(bob_opens(w, (struct open_policy){.max_age = 600}, NOW + 601), GAGE_E_EXPIRED);
    assert_int_equal(w->out.n, 0);
    assert_ok(bob_opens(w, (struct open_policy){0}, NOW - SEAL_AHEAD_MAX));
    assert_code(bob_opens(w, (struct open_policy){0}, NOW - SEAL_AHEAD_MAX - 1), GAGE_E_FUTURE);
    assert_int_equal(w->out.n, 0);
}

static void
weeks_later_it_opens_until_the_key_is_erased(void **state)
{
    WORLD;
    bool changed;
    seal_at(w, &w->alice, anybody, NOW, MESSAGE);
    for (int week = 0; week <= 4; week++) {
        assert_ok(pairing_step(&w->bob, NOW + week * WEEK_SECONDS, 4, &changed));
        assert_ok(bob_opens(w, (struct open_policy){0}, NOW + week * WEEK_SECONDS));
    }
    assert_ok(pairing_step(&w->bob, NOW + 5 * WEEK_SECONDS, 4, &changed));
    assert_true(changed);
    assert_code(bob_opens(w, (struct open_policy){0}, NOW + 5 * WEEK_SECONDS), GAGE_E_NOT_OURS);
}

static void
a_sender_whose_week_has_begun_is_understood_and_an_expired_pairing_is_not(void **state)
{
    WORLD;
    int64_t next_week = (int64_t)(week_of(NOW) + 1) * WEEK_SECONDS;
    seal_at(w, &w->alice, anybody, next_week + 10, MESSAGE);
    assert_ok(bob_opens(w, (struct open_policy){0}, next_week - 10));
    w->bob.until = NOW;
    assert_code(bob_opens(w, (struct open_policy){0}, next_week - 10), GAGE_E_PAIRING_OVER);
    w->alice.until = NOW;
    sealer_cleanup(&w->sealer);
    assert_code(sealer_begin(&w->sealer, &w->alice, &anybody, &gage_system_rng, NOW, &w->seal, NULL),
                GAGE_E_PAIRING_OVER);
}

static void
the_carrier_is_compared_by_name(void **state)
{
    WORLD;
    seal_at(w, &w->alice, (struct seal_carrier){CARRIER_NAME, SLICE_LITERAL("carol")}, NOW, MESSAGE);
    assert_ok(bob_opens(w, (struct open_policy){.check_name = true, .deliverer = SLICE_LITERAL("carol")}, NOW));
    assert_code(bob_opens(w, (struct open_policy){.check_name = true, .deliverer = SLICE_LITERAL("mallory")}, NOW),
                GAGE_E_CARRIER);
    assert_int_equal(w->out.n, 0);
    assert_ok(bob_opens(w, (struct open_policy){0}, NOW));
    seal_at(w, &w->alice, anybody, NOW, MESSAGE);
    assert_code(bob_opens(w, (struct open_policy){.check_name = true, .deliverer = SLICE_LITERAL("carol")}, NOW),
                GAGE_E_CARRIER);
}

static void
the_carrier_proves_for_one_seal_and_one_occasion(void **state)
{
    WORLD;
    uint8_t digest[SHA256_LEN], proof[CARRIER_PROOF_LEN], other[CARRIER_PROOF_LEN];
    static const uint8_t guess[CARRIER_KEY_LEN];
    gage_slice occasion = SLICE_LITERAL("bob's challenge");
    seal_at(w, &w->alice, (struct seal_carrier){.kind = CARRIER_KEY}, NOW, MESSAGE);
    assert_ok(seal_digest(w->sealer.header, digest));
    assert_ok(proof_make(digest, secret_slice(&w->sealer.carrier_key), occasion, proof));
    assert_ok(
        bob_opens(w, (struct open_policy){.check_proof = true, .proof = SLICE_OF(proof), .occasion = occasion}, NOW));
    assert_code(bob_opens(w, (struct open_policy){.check_proof = true, .proof = SLICE_OF(proof)}, NOW), GAGE_E_CARRIER);
    assert_ok(proof_make(digest, SLICE_OF(guess), occasion, other));
    assert_code(
        bob_opens(w, (struct open_policy){.check_proof = true, .proof = SLICE_OF(other), .occasion = occasion}, NOW),
        GAGE_E_CARRIER);
    seal_at(w, &w->alice, (struct seal_carrier){.kind = CARRIER_KEY}, NOW, MESSAGE);
    assert_code(
        bob_opens(w, (struct open_policy){.check_proof = true, .proof = SLICE_OF(proof), .occasion = occasion}, NOW),
        GAGE_E_CARRIER);
}

static void
a_seal_that_fits_two_pairings_is_refused(void **state)
{
    WORLD;
    struct pairing twin_a, twin_b;
    make_pair("alice", "bob", 7, &twin_a, &twin_b);
    const struct pairing *both[] = {&w->bob, &twin_b};
    struct open_policy policy = {.keep = PAIRING_KEEP_DEFAULT};
    seal_at(w, &w->alice, anybody, NOW, MESSAGE);
    assert_code(open_at(w, both, 2, &policy, NOW), GAGE_E_CRAFTED);
    opener_cleanup(&w->opener);
    pairing_cleanup(&twin_a);
    pairing_cleanup(&twin_b);
}

static void
names_inside_must_be_those_of_the_pairing(void **state)
{
    WORLD;
    struct pairing liar_a, liar_b;
    make_pair("root", "bob", 7, &liar_a, &liar_b);
    seal_at(w, &liar_a, anybody, NOW, MESSAGE); /* the same keys, other names */
    assert_code(bob_opens(w, (struct open_policy){0}, NOW), GAGE_E_AUTH);
    pairing_cleanup(&liar_a);
    pairing_cleanup(&liar_b);
}

static void
any_flipped_bit_of_the_whole_seal_is_refused(void **state)
{
    WORLD;
    seal_at(w, &w->alice, anybody, NOW, MESSAGE);
    for (size_t i = 0; i < w->seal.n * 8; i++) {
        w->seal.p[i / 8] ^= (uint8_t)(1 << i % 8);
        gage_rc rc = bob_opens(w, (struct open_policy){0}, NOW);
        /* A hint that no longer fits keeps a keyring from even asking; here the pairing is given, and the header authenticates it. */
        assert_true(rc.code == GAGE_E_AUTH || rc.code == GAGE_E_NOT_OURS || rc.code == GAGE_E_UNSUPPORTED);
        assert_int_equal(w->out.n, 0);
        w->seal.p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    assert_ok(bob_opens(w, (struct open_policy){0}, NOW));
}

static void
a_record_reads_back_and_no_truncation_does(void **state)
{
    WORLD;
    AUTO(gage_buf) record = GAGE_BUF(PAIRING_RECORD_MAX);
    AUTO(pairing_t) back = {.made = 0};
    pairing_put(&record, &w->alice);
    assert_ok(buf_check(&record, NULL));
    for (size_t n = 0; n < record.n; n++)
        assert_code(pairing_get(gage_slice_of(record.p, n), &back, NULL), GAGE_E_FORMAT);
    assert_ok(pairing_get(gage_buf_slice(&record), &back, NULL));
    assert_true(secret_equal(&back.sending.key, &w->alice.sending.key));
    assert_slice_equal(gage_buf_slice(&back.peer), SLICE_LITERAL("bob"));
}

#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
TEST_MAIN(IN_WORLD(bob_opens_and_knows_who_when_and_which), IN_WORLD(a_large_message_comes_out_whole),
          IN_WORLD(the_sender_cannot_open_and_a_reflected_seal_is_not_for_her),
          IN_WORLD(ages_are_judged_at_their_edges), IN_WORLD(weeks_later_it_opens_until_the_key_is_erased),
          IN_WORLD(a_sender_whose_week_has_begun_is_understood_and_an_expired_pairing_is_not),
          IN_WORLD(the_carrier_is_compared_by_name), IN_WORLD(the_carrier_proves_for_one_seal_and_one_occasion),
          IN_WORLD(a_seal_that_fits_two_pairings_is_refused), IN_WORLD(names_inside_must_be_those_of_the_pairing),
          IN_WORLD(any_flipped_bit_of_the_whole_seal_is_refused), IN_WORLD(a_record_reads_back_and_no_truncation_does))
