#include "unit/test.h"

#include "handshake/agreement.h"
#include "handshake/contexts.h"

static const uint8_t transcript[32] = {1, 2, 3}, other_transcript[32] = {1, 2, 4};
static const uint8_t low_order[32]; /* u = 0, RFC 7748 section 6.1 */

static struct agreement_input
input(bool initiator)
{
    return (struct agreement_input){.label = SLICE_LITERAL("test-1"),
                                    .initiator = initiator,
                                    .transcript = SLICE_OF(transcript),
                                    .offer = initiator ? SLICE_LITERAL("ab") : SLICE_NONE,
                                    .rng = &gage_system_rng};
}

/* Both sides of a run; `i` and `a` may be changed before run_start. */
struct run {
    struct contexts contexts;
    struct agreement_input in_i, in_a;
    struct agreement i, a;
    gage_slice token_i, token_a;
    struct gage_err err;
};

static void
run_prepare(struct run *run)
{
    *run = (struct run){.in_i = input(true), .in_a = input(false)};
    run->contexts = contexts_make(FULL_FLAGS);
}

static void
run_start(struct run *run)
{
    assert_ok(agreement_start(&run->i, run->contexts.initiator, &run->in_i, &run->token_i, &run->err));
    assert_ok(agreement_start(&run->a, run->contexts.acceptor, &run->in_a, &run->token_a, &run->err));
}

static void
run_end(struct run *run)
{
    agreement_cleanup(&run->i);
    agreement_cleanup(&run->a);
    contexts_drop(&run->contexts);
}

static gage_rc
acceptor_takes(struct run *run, gage_slice token)
{
    return agreement_finish(&run->a, run->contexts.acceptor, token, &run->err);
}

/* A confirmation of the initiator's with these fields, wrapped properly. */
static gss_buffer_desc
forge(struct run *run, int conf, const char *label, uint8_t role, const uint8_t *share, gage_slice extra)
{
    AUTO(gage_buf) body = GAGE_BUF(2000);
    put_vec8(&body, slice_str(label));
    put_u8(&body, role);
    put_bytes(&body, SLICE_OF(transcript));
    put_vec8(&body, SLICE_NONE);
    put_bytes(&body, gage_slice_of(share, 32));
    put_bytes(&body, SLICE_OF(other_transcript));
    put_bytes(&body, extra);
    return contexts_wrap(run->contexts.initiator, conf, gage_buf_slice(&body));
}

static void
refuses_forged(enum gage_code code, int conf, const char *label, uint8_t role, const uint8_t *share, gage_slice extra)
{
    struct run run;
    run_prepare(&run);
    run_start(&run);
    /* The initiator's own confirmation is taken off the sequence first, as if the forger were the initiator itself. */
    contexts_drop(&run.contexts);
    agreement_cleanup(&run.a);
    run.contexts = contexts_make(FULL_FLAGS);
    assert_ok(agreement_start(&run.a, run.contexts.acceptor, &run.in_a, &run.token_a, &run.err));
    AUTO(gss_buffer_desc) token = forge(&run, conf, label, role, share, extra);
    assert_code(acceptor_takes(&run, gss_slice(&token)), code);
    assert_int_equal(agreement_peer_offer(&run.a).n, 0);
    run_end(&run);
}

TEST(both_sides_get_the_same_keys_and_each_others_offer)
{
    struct run run;
    AUTO(gage_secret) one = {.n = 0};
    AUTO(gage_secret) two = {.n = 0};
    AUTO(gage_secret) other = {.n = 0};
    run_prepare(&run);
    run_start(&run);
    assert_code(agreement_expand(&run.i, SLICE_LITERAL("x"), 32, &one), GAGE_E_STATE);
    assert_ok(acceptor_takes(&run, run.token_i));
    assert_ok(agreement_finish(&run.i, run.contexts.initiator, run.token_a, &run.err));
    assert_slice_equal(agreement_peer_offer(&run.a), SLICE_LITERAL("ab"));
    assert_int_equal(agreement_peer_offer(&run.i).n, 0);
    assert_ok(agreement_expand(&run.i, SLICE_LITERAL("x"), 44, &one));
    assert_ok(agreement_expand(&run.a, SLICE_LITERAL("x"), 44, &two));
    assert_ok(agreement_expand(&run.a, SLICE_LITERAL("y"), 44, &other));
    assert_true(secret_equal(&one, &two));
    assert_false(secret_equal(&one, &other));
    assert_code(acceptor_takes(&run, run.token_i), GAGE_E_STATE);
    run_end(&run);
}

/* The PRK as the header's formulas have it, computed here a second time from what the test can see. */
TEST(key_is_the_documented_function_of_tokens_prf_and_shares)
{
    struct run run;
    AUTO(gage_secret) shared = {.n = 0};
    AUTO(gage_secret) prk = {.n = 0};
    AUTO(gss_buffer_desc) p = GSS_C_EMPTY_BUFFER;
    gage_buf material = GAGE_BUF(64), salted = GAGE_BUF(4096);
    uint8_t salt[32];
    OM_uint32 minor;
    run_prepare(&run);
    run_start(&run);
    assert_ok(x25519_shared(&run.i.private_key, run.a.share, &shared));
    assert_ok(acceptor_takes(&run, run.token_i));
    gss_buffer_desc label = gss_buffer_of(SLICE_LITERAL("test-1"));
    assert_int_equal(gss_pseudo_random(&minor, run.contexts.initiator, GSS_C_PRF_KEY_FULL, &label, 32, &p), 0);
    put_bytes(&material, gss_slice(&p));
    put_bytes(&material, secret_slice(&shared));
    put_bytes(&salted, SLICE_OF(transcript));
    put_vec32(&salted, run.token_i);
    put_vec32(&salted, run.token_a);
    assert_ok(sha256_of(gage_buf_slice(&salted), salt));
    assert_ok(hkdf_extract(SLICE_OF(salt), gage_buf_slice(&material), &prk));
    assert_true(secret_equal(&prk, &run.a.prk));
    gage_buf_free(&material);
    gage_buf_free(&salted);
    run_end(&run);
}

/* The linker puts this in the routine's place (--wrap): a mechanism without a pseudo-random function, when asked for. */
static bool without_prf;
OM_uint32 __real_gss_pseudo_random(OM_uint32 *minor, gss_ctx_id_t context, int key, const gss_buffer_t in, ssize_t n,
                                   gss_buffer_t out);
OM_uint32 __wrap_gss_pseudo_random(OM_uint32 *minor, gss_ctx_id_t context, int key, const gss_buffer_t in, ssize_t n,
                                   gss_buffer_t out);
OM_uint32
__wrap_gss_pseudo_random(OM_uint32 *minor, gss_ctx_id_t context, int key, const gss_buffer_t in, ssize_t n,
                         gss_buffer_t out)
{
    return without_prf ? GSS_S_UNAVAILABLE : __real_gss_pseudo_random(minor, context, key, in, n, out);
}

TEST(without_a_prf_both_random_values_take_its_place)
{
    struct run run;
    AUTO(gage_secret) shared = {.n = 0};
    AUTO(gage_secret) prk = {.n = 0};
    gage_buf material = GAGE_BUF(96), salted = GAGE_BUF(4096);
    uint8_t salt[32];
    run_prepare(&run);
    run_start(&run);
    assert_ok(x25519_shared(&run.i.private_key, run.a.share, &shared));
    without_prf = true;
    gage_rc rc_a = acceptor_takes(&run, run.token_i);
    gage_rc rc_i = agreement_finish(&run.i, run.contexts.initiator, run.token_a, &run.err);
    without_prf = false;
    assert_ok(rc_a);
    assert_ok(rc_i);
    put_bytes(&material, SLICE_OF(run.i.random));
    put_bytes(&material, SLICE_OF(run.a.random));
    put_bytes(&material, secret_slice(&shared));
    put_bytes(&salted, SLICE_OF(transcript));
    put_vec32(&salted, run.token_i);
    put_vec32(&salted, run.token_a);
    assert_ok(sha256_of(gage_buf_slice(&salted), salt));
    assert_ok(hkdf_extract(SLICE_OF(salt), gage_buf_slice(&material), &prk));
    assert_true(secret_equal(&prk, &run.a.prk));
    assert_true(secret_equal(&prk, &run.i.prk));
    gage_buf_free(&material);
    gage_buf_free(&salted);
    run_end(&run);
}

TEST(two_agreements_on_one_context_share_no_key)
{
    struct run run;
    AUTO(gage_secret) first = {.n = 0};
    run_prepare(&run);
    run_start(&run);
    assert_ok(acceptor_takes(&run, run.token_i));
    assert_ok(agreement_finish(&run.i, run.contexts.initiator, run.token_a, &run.err));
    assert_ok(secret_set(&first, secret_slice(&run.a.prk)));
    agreement_cleanup(&run.i);
    agreement_cleanup(&run.a);
    run_start(&run);
    assert_ok(acceptor_takes(&run, run.token_i));
    assert_false(secret_equal(&first, &run.a.prk));
    run_end(&run);
}

TEST(refuses_another_transcript)
{
    struct run run;
    run_prepare(&run);
    run.in_i.transcript = SLICE_OF(other_transcript);
    run_start(&run);
    assert_code(acceptor_takes(&run, run.token_i), GAGE_E_MISMATCH);
    assert_code(agreement_finish(&run.i, run.contexts.initiator, run.token_a, &run.err), GAGE_E_MISMATCH);
    run_end(&run);
}

TEST(refuses_another_label)
{
    struct run run;
    run_prepare(&run);
    run.in_i.label = SLICE_LITERAL("test-2");
    run_start(&run);
    assert_code(acceptor_takes(&run, run.token_i), GAGE_E_FORMAT);
    run_end(&run);
}

TEST(refuses_its_own_confirmation)
{
    struct run run;
    run_prepare(&run);
    run_start(&run);
    gage_rc rc = acceptor_takes(&run, run.token_a); /* krb5 knows the direction and says so before we look */
    assert_true(rc.code == GAGE_E_AUTH || rc.code == GAGE_E_REFLECTED);
    run_end(&run);
    refuses_forged(GAGE_E_REFLECTED, 1, "test-1", 'a', other_transcript, SLICE_NONE);
}

TEST(refuses_a_confirmation_that_is_not_encrypted)
{
    refuses_forged(GAGE_E_UNSUPPORTED, 0, "test-1", 'i', other_transcript, SLICE_NONE);
}

TEST(refuses_no_role_trailing_bytes_and_low_order_shares)
{
    refuses_forged(GAGE_E_FORMAT, 1, "test-1", 'x', other_transcript, SLICE_NONE);
    refuses_forged(GAGE_E_FORMAT, 1, "test-1", 'i', other_transcript, SLICE_LITERAL("z"));
    refuses_forged(GAGE_E_AUTH, 1, "test-1", 'i', low_order, SLICE_NONE);
}

TEST(takes_the_forgers_honest_twin)
{
    struct run run;
    run_prepare(&run);
    assert_ok(agreement_start(&run.a, run.contexts.acceptor, &run.in_a, &run.token_a, &run.err));
    AUTO(gss_buffer_desc) token = forge(&run, 1, "test-1", 'i', other_transcript, SLICE_NONE);
    assert_ok(acceptor_takes(&run, gss_slice(&token)));
    run_end(&run);
}

/* Bytes 6 and 7 of an RFC 4121 token are RRC (section 4.2.5), which says how far the rest is rotated and is not authenticated: flipping
 * it alone breaks the token too. */
TEST(refuses_damage_at_every_byte)
{
    struct run run;
    run_prepare(&run);
    run_start(&run);
    uint8_t copy[AGREEMENT_TOKEN_MAX];
    for (size_t i = 0; i < run.token_i.n; i++) {
        memcpy(copy, run.token_i.p, run.token_i.n);
        copy[i] ^= 1;
        assert_false(gage_ok(acceptor_takes(&run, gage_slice_of(copy, run.token_i.n))));
    }
    for (size_t n = 0; n < run.token_i.n; n++)
        assert_false(gage_ok(acceptor_takes(&run, gage_slice_of(run.token_i.p, n))));
    assert_ok(acceptor_takes(&run, run.token_i));
    run_end(&run);
}

TEST(refuses_a_replayed_and_a_late_token)
{
    struct run run;
    run_prepare(&run);
    AUTO(gss_buffer_desc) earlier = contexts_wrap(run.contexts.initiator, 1, SLICE_LITERAL("x"));
    run_start(&run);
    assert_code(acceptor_takes(&run, run.token_i), GAGE_E_GSS); /* a gap: `earlier` is missing */
    run_end(&run);
    run_prepare(&run);
    run_start(&run);
    assert_ok(acceptor_takes(&run, run.token_i));
    struct agreement again = {0};
    gage_slice token;
    assert_ok(agreement_start(&again, run.contexts.acceptor, &run.in_a, &token, &run.err));
    assert_code(agreement_finish(&again, run.contexts.acceptor, run.token_i, &run.err), GAGE_E_USED);
    agreement_cleanup(&again);
    run_end(&run);
}

TEST(demands_mutual_authentication_and_an_open_context)
{
    struct run run;
    run_prepare(&run);
    contexts_drop(&run.contexts);
    run.contexts = contexts_make(FULL_FLAGS & ~(OM_uint32)GSS_C_MUTUAL_FLAG);
    assert_code(agreement_start(&run.i, run.contexts.initiator, &run.in_i, &run.token_i, &run.err), GAGE_E_UNSUPPORTED);
    contexts_drop(&run.contexts);
    assert_false(gage_ok(agreement_start(&run.a, GSS_C_NO_CONTEXT, &run.in_a, &run.token_a, &run.err)));
    run_end(&run);
}

TEST(refuses_inputs_beyond_their_limits)
{
    struct run run;
    uint8_t longest[256] = {1};
    run_prepare(&run);
    run.in_i.offer = SLICE_OF(longest);
    assert_code(agreement_start(&run.i, run.contexts.initiator, &run.in_i, &run.token_i, &run.err), GAGE_E_LIMIT);
    agreement_cleanup(&run.i);
    run.in_i.offer.n = 255;
    run.in_i.label = gage_slice_of(longest, 65);
    assert_code(agreement_start(&run.i, run.contexts.initiator, &run.in_i, &run.token_i, &run.err), GAGE_E_LIMIT);
    agreement_cleanup(&run.i);
    run.in_i.label.n = 64;
    run.in_a.label = run.in_i.label;
    run_start(&run);
    assert_ok(acceptor_takes(&run, run.token_i));
    assert_int_equal(agreement_peer_offer(&run.a).n, 255);
    run_end(&run);
}

TEST(gss_failures_keep_both_status_values_and_say_what_failed)
{
    struct gage_err err = {0};
    assert_code(gss_fail(&err, GSS_S_DEFECTIVE_TOKEN, 0, GSS_C_NO_OID, "the peer's token"), GAGE_E_AUTH);
    assert_int_equal(err.gss_major, GSS_S_DEFECTIVE_TOKEN);
    assert_non_null(strstr(err.text, "the peer's token: "));
    assert_code(gss_fail(&err, GSS_S_CREDENTIALS_EXPIRED, 0, GSS_C_NO_OID, "x"), GAGE_E_EXPIRED);
    assert_code(gss_fail(&err, GSS_S_DUPLICATE_TOKEN, 0, GSS_C_NO_OID, "x"), GAGE_E_USED);
    assert_code(gss_fail(&err, GSS_S_GAP_TOKEN, 0, GSS_C_NO_OID, "x"), GAGE_E_GSS);
    assert_code(gss_fail(NULL, GSS_S_BAD_BINDINGS, 0, GSS_C_NO_OID, "x"), GAGE_E_MISMATCH);
}

TEST_MAIN(CASE(both_sides_get_the_same_keys_and_each_others_offer),
          CASE(key_is_the_documented_function_of_tokens_prf_and_shares),
          CASE(without_a_prf_both_random_values_take_its_place), CASE(two_agreements_on_one_context_share_no_key),
          CASE(refuses_another_transcript), CASE(refuses_another_label), CASE(refuses_its_own_confirmation),
          CASE(refuses_a_confirmation_that_is_not_encrypted), CASE(refuses_no_role_trailing_bytes_and_low_order_shares),
          CASE(takes_the_forgers_honest_twin), CASE(refuses_damage_at_every_byte),
          CASE(refuses_a_replayed_and_a_late_token), CASE(demands_mutual_authentication_and_an_open_context),
          CASE(refuses_inputs_beyond_their_limits), CASE(gss_failures_keep_both_status_values_and_say_what_failed))
