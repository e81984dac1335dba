/* The init/accept loop, save and load, with Kerberos in a private realm. */
#include "unit/test.h"

#include "handshake/context.h"

static struct handshake *
start(bool initiate)
{
    struct handshake_spec spec = {.initiate = initiate, .target = initiate ? "host@localhost" : NULL};
    struct handshake *h = NULL;
    struct gage_err err = {0};
    assert_ok(mechanism_find("krb5", &spec.mechanism, NULL));
    if (!gage_ok(handshake_start(&spec, &h, &err)))
        fail_msg("%s", err.text);
    return h;
}

/* Stores the handshake and goes on from what was stored, as another process would. */
static void
restart(struct handshake **h)
{
    AUTO(gage_buf) saved = GAGE_BUF(HANDSHAKE_STATE_MAX);
    struct handshake_spec spec = {
        .initiate = (*h)->initiate, .mechanism = (*h)->mechanism, .target = (*h)->initiate ? "host@localhost" : NULL};
    bool complete = (*h)->complete;
    assert_ok(handshake_save(*h, &saved, NULL));
    handshake_free(h);
    assert_ok(handshake_load(&spec, gage_buf_slice(&saved), complete, h, NULL));
}

static void
establish(struct handshake **i, struct handshake **a, bool restarting)
{
    AUTO(gage_buf) first = GAGE_BUF(HANDSHAKE_TOKEN_MAX), second = GAGE_BUF(HANDSHAKE_TOKEN_MAX);
    struct gage_err err = {0};
    *i = start(true);
    *a = start(false);
    assert_ok(handshake_step(*i, SLICE_NONE, &first, NULL));
    assert_false((*i)->complete);
    if (restarting)
        restart(i);
    if (!gage_ok(handshake_step(*a, gage_buf_slice(&first), &second, &err)))
        fail_msg("%s", err.text);
    assert_true((*a)->complete);
    if (restarting)
        restart(a);
    buf_reset(&first);
    assert_ok(handshake_step(*i, gage_buf_slice(&second), &first, NULL));
    assert_true((*i)->complete);
    assert_int_equal(first.n, 0);
}

TEST(a_half_open_context_is_stored_and_finished_elsewhere)
{
    AUTO(handshake_ptr) i = NULL;
    AUTO(handshake_ptr) a = NULL;
    AUTO(gage_buf) token = GAGE_BUF(1000), text = GAGE_BUF(1000);
    establish(&i, &a, true);
    assert_ok(handshake_wrap(i, SLICE_LITERAL("a credential"), &token, NULL));
    assert_ok(handshake_unwrap(a, gage_buf_slice(&token), &text, NULL));
    assert_slice_equal(gage_buf_slice(&text), SLICE_LITERAL("a credential"));
}

TEST(refuses_a_repeated_and_a_skipped_message)
{
    AUTO(handshake_ptr) i = NULL;
    AUTO(handshake_ptr) a = NULL;
    AUTO(gage_buf) one = GAGE_BUF(1000), two = GAGE_BUF(1000), three = GAGE_BUF(1000), text = GAGE_BUF(1000);
    establish(&i, &a, false);
    assert_ok(handshake_wrap(i, SLICE_LITERAL("1"), &one, NULL));
    assert_ok(handshake_wrap(i, SLICE_LITERAL("2"), &two, NULL));
    assert_ok(handshake_wrap(i, SLICE_LITERAL("3"), &three, NULL));
    assert_ok(handshake_unwrap(a, gage_buf_slice(&one), &text, NULL));
    assert_code(handshake_unwrap(a, gage_buf_slice(&one), &text, NULL), GAGE_E_USED);
    assert_code(handshake_unwrap(a, gage_buf_slice(&three), &text, NULL), GAGE_E_USED);
    assert_int_equal(text.n, 1);
}

TEST(refuses_a_damaged_message)
{
    AUTO(handshake_ptr) i = NULL;
    AUTO(handshake_ptr) a = NULL;
    AUTO(gage_buf) token = GAGE_BUF(1000), text = GAGE_BUF(1000);
    establish(&i, &a, false);
    assert_ok(handshake_wrap(i, SLICE_LITERAL("a credential"), &token, NULL));
    token.p[token.n - 1] ^= 1;
    assert_code(handshake_unwrap(a, gage_buf_slice(&token), &text, NULL), GAGE_E_AUTH);
    assert_int_equal(text.n, 0);
}

TEST(both_sides_draw_the_same_pseudo_random_bytes_and_know_each_other)
{
    AUTO(handshake_ptr) i = NULL;
    AUTO(handshake_ptr) a = NULL;
    AUTO(gage_buf) name = GAGE_BUF(HANDSHAKE_NAME_MAX);
    uint8_t p[32], q[32];
    establish(&i, &a, false);
    assert_ok(handshake_prf(i, SLICE_LITERAL("digits"), p, sizeof p, NULL));
    assert_ok(handshake_prf(a, SLICE_LITERAL("digits"), q, sizeof q, NULL));
    assert_memory_equal(p, q, sizeof p);
    assert_ok(handshake_peer(a, &name, NULL));
    assert_slice_equal(gage_buf_slice(&name), SLICE_LITERAL("krb5:alice@TEST.GAGE"));
}

TEST(nothing_is_protected_before_the_context_stands)
{
    AUTO(handshake_ptr) i = start(true);
    AUTO(gage_buf) out = GAGE_BUF(1000);
    uint8_t p[32];
    assert_code(handshake_wrap(i, SLICE_LITERAL("x"), &out, NULL), GAGE_E_STATE);
    assert_code(handshake_unwrap(i, SLICE_LITERAL("x"), &out, NULL), GAGE_E_STATE);
    assert_code(handshake_prf(i, SLICE_LITERAL("x"), p, sizeof p, NULL), GAGE_E_STATE);
    assert_int_equal(out.n, 0);
}

TEST(a_first_token_names_its_mechanism)
{
    AUTO(handshake_ptr) i = start(true);
    AUTO(gage_buf) token = GAGE_BUF(HANDSHAKE_TOKEN_MAX);
    const struct mechanism *krb5;
    assert_ok(mechanism_find("1.2.840.113554.1.2.2", &krb5, NULL));
    assert_ok(handshake_step(i, SLICE_NONE, &token, NULL));
    assert_ptr_equal(mechanism_of_token(gage_buf_slice(&token)), krb5);
    for (size_t n = 0; n < 15; n++) {
        /* cut anywhere in the framing, it names none */
        if (mechanism_of_token(gage_slice_of(token.p, n)) != NULL)
            fail_msg("a token cut to %zu bytes named a mechanism", n);
    }
    token.p[0] = 0x61;
    assert_null(mechanism_of_token(gage_buf_slice(&token)));
}

TEST(a_mechanism_without_half_open_export_is_refused_before_it_is_tried)
{
    AUTO(handshake_ptr) i = start(true);
    AUTO(gage_buf) out = GAGE_BUF(HANDSHAKE_STATE_MAX);
    assert_ok(mechanism_find("spnego", &i->mechanism, NULL));
    assert_code(handshake_save(i, &out, NULL), GAGE_E_UNSUPPORTED);
}

TEST(an_unknown_mechanism_is_told_so)
{
    const struct mechanism *m = NULL;
    assert_code(mechanism_find("ntlm", &m, NULL), GAGE_E_UNSUPPORTED);
    assert_null(m);
    assert_ok(mechanism_find(NULL, &m, NULL));
    assert_true(m->link_secret);
}

TEST_MAIN(CASE(a_half_open_context_is_stored_and_finished_elsewhere), CASE(refuses_a_repeated_and_a_skipped_message),
          CASE(refuses_a_damaged_message), CASE(both_sides_draw_the_same_pseudo_random_bytes_and_know_each_other),
          CASE(nothing_is_protected_before_the_context_stands), CASE(a_first_token_names_its_mechanism),
          CASE(a_mechanism_without_half_open_export_is_refused_before_it_is_tried),
          CASE(an_unknown_mechanism_is_told_so))
