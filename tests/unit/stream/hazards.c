/* Each hazard of doc/startgss.md's security considerations, with its own error. */
#include "unit/test.h"

#include <stdlib.h>

#include <gssapi/gssapi_ext.h>

#include "handshake/contexts.h"
#include "stream/frame.h"
#include "stream/pair.h"
#include "stream/state.h"

#define COPY_MAX 400000

/* ---- lines ---- */

TEST(an_echo_service_refuses_and_protection_is_required)
{
    struct pair pair;
    pair_init(&pair);
    pair_start(&pair);
    end_give(&pair.a, gage_stream_output(pair.a.stream));
    assert_failed(&pair.a, GAGE_E_REFUSED);
    assert_non_null(strstr(pair.a.err.text, "refused protection"));
    pair_free(&pair);
}

TEST(a_refusal_is_taken_only_where_policy_prefers_and_never_remembered)
{
    struct pair pair;
    pair_init(&pair);
    pair.a.config.policy = GAGE_STREAM_PREFER;
    pair_start(&pair);
    end_give(&pair.a, gage_stream_output(pair.a.stream));
    assert_int_equal(gage_stream_phase(pair.a.stream), GAGE_STREAM_CLEAR);
    pair_free(&pair);
    pair_init(&pair);
    pair.a.config.policy = GAGE_STREAM_PREFER;
    pair_connect(&pair);
    pair_free(&pair);
}

static void
insists(enum gage_stream_role role, const char *word)
{
    struct pair pair;
    pair_init(&pair);
    pair.a.config.role = pair.b.config.role = role;
    pair_start(&pair);
    pair_run(&pair);
    assert_failed(&pair.a, GAGE_E_STATE);
    assert_failed(&pair.b, GAGE_E_STATE);
    assert_non_null(strstr(pair.a.err.text, word));
    pair_free(&pair);
}

TEST(both_insist_on_one_role_and_fail_at_once)
{
    insists(GAGE_STREAM_INITIATOR, "initiator");
    insists(GAGE_STREAM_ACCEPTOR, "acceptor");
}

TEST(a_plain_peer_is_refused_where_protection_is_required)
{
    for (int passive = 0; passive < 2; passive++) {
        struct pair pair;
        pair_init(&pair);
        pair.b.config.passive = passive;
        pair_start(&pair);
        end_give(&pair.b, SLICE_LITERAL("AMQP\0\1\0\0"));
        assert_failed(&pair.b, GAGE_E_REFUSED);
        assert_int_equal(pair.b.got.n, 0);
        pair_free(&pair);
    }
}

TEST(a_malformed_line_is_an_error_at_once)
{
    struct pair pair;
    pair_init(&pair);
    pair_start(&pair);
    end_give(&pair.b, SLICE_LITERAL("STARTGSS -"));
    assert_failed(&pair.b, GAGE_E_FORMAT);
    pair_free(&pair);
}

TEST(two_passive_sides_find_out)
{
    struct pair pair;
    enum gage_stream_event event;
    struct gage_err err;
    pair_init(&pair);
    pair.a.config.passive = pair.b.config.passive = true;
    pair_start(&pair);
    pair_run(&pair);
    assert_ok(gage_stream_tick(pair.a.stream, NOW + 2999999999, &event, &err));
    assert_code(gage_stream_tick(pair.a.stream, NOW + 3000000000, &event, &err), GAGE_E_TIMEOUT);
    assert_non_null(strstr(err.text, "passive"));
    pair_free(&pair);
}

/* Puts other digits, of the same range, into every line on the wire. */
static void
edit_number(struct pair *pair, struct end *from)
{
    if (from != &pair->a || pair->tampered++ > 0)
        return;
    uint8_t *digit = from->wire.p + 10; /* the second digit: stays within the role's range */
    *digit = *digit == '3' ? '4' : '3';
}

TEST(an_edited_line_is_found_by_both_sides)
{
    struct pair pair;
    pair_init(&pair);
    pair.tamper = edit_number;
    pair_start(&pair);
    pair_run(&pair);
    assert_failed(&pair.a, GAGE_E_MISMATCH);
    assert_failed(&pair.b, GAGE_E_MISMATCH);
    pair_free(&pair);
}

static void
add_return(struct pair *pair, struct end *from)
{
    if (from != &pair->b || pair->tampered++ > 0)
        return;
    AUTO(gage_buf) edited = GAGE_BUF(COPY_MAX);
    uint8_t *end = memchr(from->wire.p, '\n', from->wire.n);
    size_t digits = (size_t)(end - from->wire.p);
    put_bytes(&edited, gage_slice_of(from->wire.p, digits));
    put_bytes(&edited, SLICE_LITERAL("\r\n"));
    put_bytes(&edited, gage_slice_of(end + 1, from->wire.n - digits - 1));
    buf_reset(&from->wire);
    put_bytes(&from->wire, gage_buf_slice(&edited));
}

TEST(even_an_edited_line_ending_is_found)
{
    struct pair pair;
    pair_init(&pair);
    pair.tamper = add_return;
    pair_start(&pair);
    pair_run(&pair);
    assert_failed(&pair.a, GAGE_E_MISMATCH);
    assert_failed(&pair.b, GAGE_E_MISMATCH);
    pair_free(&pair);
}

/* A man in the middle replaces both lines so that each side believes itself the acceptor or the initiator: they wait or collide, no key comes of it. */
TEST(forced_roles_end_in_an_error_or_the_deadline)
{
    struct pair pair;
    enum gage_stream_event event;
    struct gage_err err;
    for (int initiators = 0; initiators < 2; initiators++) {
        pair_init(&pair);
        pair.a.config.role = pair.b.config.role = GAGE_STREAM_ANY_ROLE;
        pair_start(&pair);
        gage_slice forged = initiators ? SLICE_LITERAL("STARTGSS 4294967295\n") : SLICE_LITERAL("STARTGSS 0\n");
        end_give(&pair.a, forged);
        end_give(&pair.b, forged);
        buf_drop(&pair.a.wire, (size_t)((uint8_t *)memchr(pair.a.wire.p, '\n', pair.a.wire.n) - pair.a.wire.p) + 1);
        buf_drop(&pair.b.wire, (size_t)((uint8_t *)memchr(pair.b.wire.p, '\n', pair.b.wire.n) - pair.b.wire.p) + 1);
        pair_run(&pair);
        if (initiators) {
            assert_failed(&pair.a, GAGE_E_AUTH);
        } else {
            assert_code(gage_stream_tick(pair.a.stream, NOW + 30000000000, &event, &err), GAGE_E_TIMEOUT);
            assert_non_null(strstr(err.text, "handshake token"));
        }
        pair_free(&pair);
    }
}

/* ---- the handshake ---- */

/* An acceptor with whom the test speaks by hand, past the lines; the test is the initiator. */
static void
meet_acceptor(struct pair *pair)
{
    pair_init(pair);
    pair_start(pair);
    end_give(&pair->b, SLICE_LITERAL("STARTGSS 5\n"));
    buf_reset(&pair->b.wire);
}

static void
acceptor_gets(gage_slice bytes, enum gage_code expected, const char *words)
{
    struct pair pair;
    meet_acceptor(&pair);
    end_give(&pair.b, bytes);
    assert_failed(&pair.b, expected);
    if (strstr(pair.b.err.text, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", pair.b.err.text, words);
    assert_int_equal(pair.b.got.n, 0);
    pair_free(&pair);
}

TEST(limits_are_checked_on_the_announcement)
{
    acceptor_gets(SLICE_LITERAL("\x00\xff\xff\xff"), GAGE_E_LIMIT, "16777215");
    acceptor_gets(SLICE_LITERAL("\x00\x00\x00\x00"), GAGE_E_LIMIT, "0 bytes");
    acceptor_gets(SLICE_LITERAL("\x00\x02\x00\x01"), GAGE_E_LIMIT, "131073");
    acceptor_gets(SLICE_LITERAL("\x7f\x00\x00\x01"), GAGE_E_FORMAT, "type 127");
}

TEST(nothing_but_tokens_before_the_context_is_complete)
{
    acceptor_gets(SLICE_LITERAL("\x01\x00\x00\x20"), GAGE_E_STATE, "wrap record");
    acceptor_gets(SLICE_LITERAL("\x02\x00\x00\x20"), GAGE_E_STATE, "AEAD record");
}

TEST(plaintext_after_the_line_reaches_nobody)
{
    acceptor_gets(SLICE_LITERAL("SELECT 1;"), GAGE_E_FORMAT, "type 83");
}

TEST(rubbish_for_a_token_is_refused_with_a_sentence_for_the_peer)
{
    struct pair pair;
    meet_acceptor(&pair);
    end_give(&pair.b, SLICE_LITERAL("\x00\x00\x00\x05rubbi"));
    assert_failed(&pair.b, GAGE_E_AUTH);
    /* possibly an error token, then the sentence */
    uint8_t *p = pair.b.wire.p;
    size_t skip = p[0] == FRAME_HANDSHAKE ? 4 + ((size_t)p[2] << 8 | p[3]) : 0;
    assert_true(pair.b.wire.n > skip + 4);
    assert_int_equal(p[skip], FRAME_ERROR);
    assert_non_null(strstr((char *)p + skip + 4, "token"));
    pair_free(&pair);
}

TEST(the_peers_sentence_is_shown_without_its_control_characters)
{
    acceptor_gets(SLICE_LITERAL("\x03\x00\x00\x07no\x1b[2J\n"), GAGE_E_REFUSED, "the peer says: no?[2J?");
}

TEST(both_sides_tell_why_an_acceptor_without_its_key_fails)
{
    struct pair pair;
    OM_uint32 minor;
    gss_buffer_desc text = gss_buffer_of(SLICE_LITERAL("host@localhost"));
    gss_name_t name = GSS_C_NO_NAME;
    pair_init(&pair);
    /* Acceptable only as host@localhost, addressed as gage@localhost. */
    assert_int_equal(gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &name), GSS_S_COMPLETE);
    assert_int_equal(
        gss_acquire_cred(&minor, name, 0, GSS_C_NO_OID_SET, GSS_C_ACCEPT, &pair.b.config.accept_with, NULL, NULL),
        GSS_S_COMPLETE);
    pair_start(&pair);
    pair_run(&pair);
    assert_true(pair.b.err.code != GAGE_OK && pair.a.err.code != GAGE_OK);
    assert_true(pair.b.err.gss_major != 0);
    pair_free(&pair);
    gss_name_drop(&name);
    gss_cred_drop(&pair.b.config.accept_with);
}

/* The initiator by hand, with flags of the test's choice, up to and including its first token. */
static void
acceptor_meets_flags(OM_uint32 flags, enum gage_code expected)
{
    struct pair pair;
    OM_uint32 minor;
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
    AUTO(gage_buf) frame = GAGE_BUF(COPY_MAX);
    meet_acceptor(&pair);
    OM_uint32 major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &context, pair.target, GSS_C_NO_OID, flags, 0,
                                           GSS_C_NO_CHANNEL_BINDINGS, GSS_C_NO_BUFFER, NULL, &token, NULL, NULL);
    assert_int_equal(GSS_ERROR(major), 0);
    put_vec32(&frame, gss_slice(&token));
    end_give(&pair.b, gage_buf_slice(&frame));
    assert_int_equal(pair.b.err.code, expected);
    if (expected != GAGE_OK)
        assert_non_null(strstr(pair.b.err.text, "lacks mutual"));
    gss_buffer_wipe(&token);
    gss_ctx_drop(&context);
    pair_free(&pair);
}

TEST(demands_mutual_replay_and_sequence_flags)
{
    acceptor_meets_flags(FULL_FLAGS & ~(OM_uint32)GSS_C_MUTUAL_FLAG, GAGE_E_UNSUPPORTED);
    acceptor_meets_flags(FULL_FLAGS & ~(OM_uint32)GSS_C_REPLAY_FLAG, GAGE_E_UNSUPPORTED);
    acceptor_meets_flags(FULL_FLAGS & ~(OM_uint32)GSS_C_SEQUENCE_FLAG, GAGE_E_UNSUPPORTED);
    acceptor_meets_flags(FULL_FLAGS, GAGE_OK);
}

static void
replay_tokens(struct pair *pair, struct end *from)
{
    static uint8_t kept[COPY_MAX];
    static size_t n;
    if (from != &pair->a || gage_stream_phase(pair->b.stream) != GAGE_STREAM_HANDSHAKE)
        return;
    if (pair->tampered == 1) { /* the second connection: the first one's token in place of its own */
        buf_reset(&from->wire);
        put_bytes(&from->wire, gage_slice_of(kept, n));
    } else {
        memcpy(kept, from->wire.p, n = from->wire.n);
    }
    pair->tamper = NULL;
}

TEST(a_token_of_an_earlier_connection_is_refused)
{
    struct pair pair;
    for (unsigned i = 0; i < 2; i++) {
        pair_init(&pair);
        pair.tampered = i;
        pair.tamper = replay_tokens;
        pair_start(&pair);
        pair_run(&pair);
        assert_int_equal(pair.b.err.code, i == 0 ? GAGE_OK : GAGE_E_GSS); /* krb5's replay cache: GSS_S_FAILURE */
        assert_true(i == 0 || strstr(pair.b.err.text, "replay") != NULL);
        pair_free(&pair);
    }
}

TEST(a_token_after_completion_is_refused)
{
    struct pair pair;
    pair_init(&pair);
    pair_start(&pair);
    end_give(&pair.b, gage_stream_output(pair.a.stream));
    end_give(&pair.a, gage_buf_slice(&pair.b.wire));
    buf_reset(&pair.b.wire);
    gage_slice wire = gage_buf_slice(&pair.a.wire);
    const uint8_t *token = (uint8_t *)memchr(wire.p, '\n', wire.n) + 1;
    gage_slice frame = gage_slice_of(token, wire.n - (size_t)(token - wire.p));
    end_give(&pair.b, frame);
    assert_int_equal(pair.b.err.code, GAGE_OK);
    end_give(&pair.b, frame);
    assert_failed(&pair.b, GAGE_E_STATE);
    assert_non_null(strstr(pair.b.err.text, "confirmation"));
    pair_free(&pair);
}

/* ---- who it is ---- */

static gage_rc
nobody(void *context, const struct gage_stream_peer *peer, struct gage_err *err)
{
    (void)context;
    return gage_fail(err, GAGE_E_REFUSED, "%s is not allowed here", peer->name);
}

static gage_rc
with_paths(void *context, const struct gage_stream_peer *peer, struct gage_err *err)
{
    (void)context, (void)peer;
    return gage_fail(err, GAGE_E_REFUSED, "/etc/x, FILE:/tmp/krb5cc_0 and '/srv/\xc3\xa9' fail for host/a@B, 1 / 2");
}

TEST(no_path_of_this_machine_is_told_to_the_peer)
{
    struct pair pair;
    pair_init(&pair);
    pair.b.config.authorise = with_paths;
    pair_start(&pair);
    pair_run(&pair);
    assert_failed(&pair.b, GAGE_E_REFUSED);
    assert_non_null(strstr(pair.b.err.text, "/tmp/krb5cc_0"));
    assert_non_null(strstr(pair.a.err.text, "(a path), FILE:(a path) and '(a path)' fail for host/a@B, 1 / 2"));
    pair_free(&pair);
}

TEST(an_acceptors_refusal_reaches_the_peer_in_words)
{
    struct pair pair;
    pair_init(&pair);
    pair.b.config.authorise = nobody;
    pair_start(&pair);
    pair_run(&pair);
    assert_failed(&pair.b, GAGE_E_REFUSED);
    assert_failed(&pair.a, GAGE_E_REFUSED);
    assert_non_null(strstr(pair.a.err.text, "the peer says: alice@TEST.GAGE is not allowed here"));
    pair_free(&pair);
}

TEST(an_initiators_refusal_reaches_the_peer_authenticated)
{
    struct pair pair;
    pair_init(&pair);
    pair.a.config.authorise = nobody;
    pair_start(&pair);
    pair_run(&pair);
    assert_failed(&pair.a, GAGE_E_REFUSED);
    assert_failed(&pair.b, GAGE_E_REFUSED);
    assert_non_null(strstr(pair.b.err.text, "refuses us"));
    pair_free(&pair);
}

/* gage@localhost as initiator too, with the key of its keytab. */
TEST(a_connection_to_oneself_is_refused_unless_allowed)
{
    for (int allowed = 0; allowed < 2; allowed++) {
        struct pair pair;
        OM_uint32 minor;
        gss_cred_id_t self = GSS_C_NO_CREDENTIAL;
        gss_key_value_element_desc elements[] = {{"client_keytab", getenv("KRB5_KTNAME")}, {"ccache", "MEMORY:self"}};
        gss_key_value_set_desc store = {2, elements};
        pair_init(&pair);
        assert_int_equal(
            gss_acquire_cred_from(&minor, pair.target, 0, GSS_C_NO_OID_SET, GSS_C_INITIATE, &store, &self, NULL, NULL),
            GSS_S_COMPLETE);
        pair.a.config.initiate_with = self;
        pair.a.config.allow_self = pair.b.config.allow_self = allowed;
        pair_start(&pair);
        pair_run(&pair);
        if (allowed) {
            assert_protected(&pair.a);
        } else {
            assert_failed(&pair.b, GAGE_E_REFUSED);
            assert_non_null(strstr(pair.b.err.text, "our own name"));
        }
        pair_free(&pair);
        gss_cred_drop(&self);
    }
}

/* ---- the confirmation ---- */

/* Where a frame of type 1 begins on the wire, or -1. */
static ptrdiff_t
find_confirmation(const struct end *from)
{
    size_t at = 0;
    while (from->wire.n >= at + 4 && from->wire.p[at] != FRAME_WRAP)
        at += 4 + ((size_t)from->wire.p[at + 1] << 16 | (size_t)from->wire.p[at + 2] << 8 | from->wire.p[at + 3]);
    return from->wire.n >= at + 4 ? (ptrdiff_t)at : -1;
}

static void
with_confirmation(struct pair *pair, struct end *from, void (*act)(struct end *from, size_t at))
{
    if (from != &pair->b || gage_stream_phase(pair->b.stream) != GAGE_STREAM_HANDSHAKE || pair->tampered > 0 ||
        from->wire.p[0] == 'S')
        return;
    ptrdiff_t at = find_confirmation(from);
    if (at < 0)
        return;
    pair->tampered++;
    act(from, (size_t)at);
}

static void
strip_it(struct end *from, size_t at)
{
    from->wire.n = at;
}

static void
strip_confirmation(struct pair *pair, struct end *from)
{
    with_confirmation(pair, from, strip_it);
}

TEST(a_stripped_confirmation_waits_for_the_deadline_and_no_longer)
{
    struct pair pair;
    enum gage_stream_event event;
    struct gage_err err;
    pair_init(&pair);
    pair.tamper = strip_confirmation;
    pair_start(&pair);
    pair_run(&pair);
    assert_int_equal(pair.tampered, 1);
    assert_int_equal(gage_stream_phase(pair.a.stream), GAGE_STREAM_HANDSHAKE);
    assert_false(gage_stream_may_send(pair.a.stream));
    assert_code(gage_stream_tick(pair.a.stream, NOW + 30000000000, &event, &err), GAGE_E_TIMEOUT);
    assert_non_null(strstr(err.text, "confirmation"));
    pair_free(&pair);
}

static void
edit_it(struct end *from, size_t at)
{
    from->wire.p[from->wire.n - 1] ^= 1;
    (void)at;
}

static void
edit_confirmation(struct pair *pair, struct end *from)
{
    with_confirmation(pair, from, edit_it);
}

/* The offer lies within what gss_wrap encrypts: editing it is editing the token. */
TEST(an_edited_confirmation_is_refused)
{
    struct pair pair;
    pair_init(&pair);
    pair.tamper = edit_confirmation;
    pair_start(&pair);
    pair_run(&pair);
    assert_int_equal(pair.tampered, 1);
    assert_failed(&pair.a, GAGE_E_AUTH);
    pair_free(&pair);
}

static void
aead_for_it(struct end *from, size_t at)
{
    from->wire.p[at] = FRAME_AEAD;
}

static void
retype_confirmation(struct pair *pair, struct end *from)
{
    with_confirmation(pair, from, aead_for_it);
}

TEST(nothing_but_the_confirmation_after_completion)
{
    struct pair pair;
    pair_init(&pair);
    pair.tamper = retype_confirmation;
    pair_start(&pair);
    pair_run(&pair);
    assert_failed(&pair.a, GAGE_E_STATE);
    pair_free(&pair);
}

TEST(no_record_kind_in_common_is_said_so)
{
    struct pair pair;
    pair_init(&pair);
    pair.a.config.records = GAGE_STREAM_WRAP;
    pair.b.config.records = GAGE_STREAM_AEAD;
    pair_start(&pair);
    pair_run(&pair);
    assert_failed(&pair.a, GAGE_E_UNSUPPORTED);
    assert_failed(&pair.b, GAGE_E_UNSUPPORTED);
    pair_free(&pair);
}

TEST(a_bare_peer_is_not_mistaken_for_a_confirmed_one)
{
    struct pair pair;
    pair_init(&pair);
    pair.b.config.records = GAGE_STREAM_BARE;
    pair_start(&pair);
    pair_run(&pair);
    assert_failed(&pair.b, GAGE_E_STATE); /* it gets a confirmation where it expects a bare record */
    end_give(&pair.a, SLICE_LITERAL("\x00\x00\x00\x40 a bare record"));
    assert_failed(&pair.a, GAGE_E_STATE);
    assert_int_equal(pair.a.got.n, 0);
    pair_free(&pair);
}

/* ---- records ---- */

static void
receives(enum gage_stream_records kind, void (*act)(struct end *from), enum gage_code expected)
{
    struct pair pair;
    pair_init(&pair);
    pair.a.config.records = kind;
    pair_connect(&pair);
    end_send(&pair.a, SLICE_LITERAL("one"));
    size_t first = pair.a.wire.n;
    end_send(&pair.a, SLICE_LITERAL("two"));
    assert_int_equal(pair.a.wire.n, 2 * first);
    act(&pair.a);
    pair_run(&pair);
    assert_failed(&pair.b, expected);
    pair_free(&pair);
}

static void
repeat_first(struct end *from)
{
    memcpy(from->wire.p + from->wire.n / 2, from->wire.p, from->wire.n / 2);
}

static void
swap_both(struct end *from)
{
    uint8_t first[512];
    size_t n = from->wire.n / 2;
    memcpy(first, from->wire.p, n);
    memcpy(from->wire.p, from->wire.p + n, n);
    memcpy(from->wire.p + n, first, n);
}

static void
drop_first(struct end *from)
{
    buf_drop(&from->wire, from->wire.n / 2);
}

static void
flip(struct end *from)
{
    from->wire.p[from->wire.n / 2 - 2] ^= 4;
}

static void
retype(struct end *from)
{
    from->wire.p[0] = from->wire.p[0] == FRAME_WRAP ? FRAME_AEAD : FRAME_WRAP;
}

TEST(records_repeated_dropped_swapped_or_flipped_are_errors)
{
    receives(GAGE_STREAM_AEAD, repeat_first, GAGE_E_AUTH);
    receives(GAGE_STREAM_AEAD, swap_both, GAGE_E_AUTH);
    receives(GAGE_STREAM_AEAD, drop_first, GAGE_E_AUTH);
    receives(GAGE_STREAM_AEAD, flip, GAGE_E_AUTH);
    receives(GAGE_STREAM_AEAD, retype, GAGE_E_STATE);
    receives(GAGE_STREAM_WRAP, repeat_first, GAGE_E_USED);
    receives(GAGE_STREAM_WRAP, swap_both, GAGE_E_GSS);
    receives(GAGE_STREAM_WRAP, drop_first, GAGE_E_GSS);
    receives(GAGE_STREAM_WRAP, flip, GAGE_E_AUTH);
    receives(GAGE_STREAM_WRAP, retype, GAGE_E_STATE);
}

TEST(an_injected_fin_is_no_end_of_file)
{
    const enum gage_stream_records kinds[] = {GAGE_STREAM_AEAD, GAGE_STREAM_WRAP};
    for (size_t i = 0; i < 2; i++)
        for (int partial = 0; partial < 2; partial++) {
            struct pair pair;
            pair_init(&pair);
            pair.a.config.records = kinds[i];
            pair_connect(&pair);
            end_send(&pair.a, SLICE_LITERAL("half of it"));
            if (partial)
                pair.a.wire.n--;
            pair_run(&pair);
            assert_code(end_close(&pair.b), GAGE_E_CLOSED);
            assert_false(pair.b.ended);
            pair_free(&pair);
        }
}

TEST(a_connection_cut_during_the_handshake_says_what_was_missing)
{
    struct pair pair;
    pair_init(&pair);
    pair_start(&pair);
    assert_code(end_close(&pair.b), GAGE_E_CLOSED);
    assert_non_null(strstr(pair.b.err.text, "STARTGSS line"));
    pair_free(&pair);
}

TEST(a_record_after_the_end_is_an_error)
{
    struct pair pair;
    pair_init(&pair);
    pair_connect(&pair);
    end_finish(&pair.a);
    pair_run(&pair);
    end_give(&pair.b, SLICE_LITERAL("\x02\x00\x00\x10"));
    assert_failed(&pair.b, GAGE_E_STATE);
    assert_non_null(strstr(pair.b.err.text, "after its authenticated end"));
    pair_free(&pair);
}

/* A wrap record made with the sender's own context, as a program would that does not encrypt, or that wraps too much. */
static void
acceptor_gets_wrapped(int conf, gage_slice data, enum gage_code expected)
{
    struct pair pair;
    uint8_t header[FRAME_HEADER_LEN];
    AUTO(gage_buf) frame = GAGE_BUF(COPY_MAX);
    pair_init(&pair);
    pair.a.config.records = GAGE_STREAM_WRAP;
    pair_connect(&pair);
    AUTO(gss_buffer_desc) token = contexts_wrap(pair.a.stream->step.context, conf, data);
    frame_put(header, FRAME_WRAP, token.length);
    put_bytes(&frame, SLICE_OF(header));
    put_bytes(&frame, gss_slice(&token));
    end_give(&pair.b, gage_buf_slice(&frame));
    assert_int_equal(pair.b.err.code, expected);
    pair_free(&pair);
}

TEST(wrap_records_must_be_encrypted_and_within_their_limit)
{
    static uint8_t long_one[GAGE_STREAM_DATA_MAX + 1];
    acceptor_gets_wrapped(1, SLICE_LITERAL("x"), GAGE_OK);
    acceptor_gets_wrapped(0, SLICE_LITERAL("x"), GAGE_E_UNSUPPORTED);
    acceptor_gets_wrapped(1, SLICE_OF(long_one), GAGE_E_LIMIT);
}

TEST(a_silent_peer_meets_one_deadline_for_everything)
{
    struct pair pair;
    enum gage_stream_event event;
    struct gage_err err;
    pair_init(&pair);
    pair_start(&pair);
    assert_int_equal(gage_stream_next_time(pair.b.stream), NOW + 30000000000);
    end_give(&pair.b, SLICE_LITERAL("STARTGSS 5\n\x00\x00")); /* a drip does not move it */
    pair.b.now = NOW + 29000000000;
    end_give(&pair.b, SLICE_LITERAL("\x01"));
    assert_int_equal(gage_stream_next_time(pair.b.stream), NOW + 30000000000);
    assert_code(gage_stream_tick(pair.b.stream, NOW + 30000000000, &event, &err), GAGE_E_TIMEOUT);
    assert_int_equal(gage_stream_phase(pair.b.stream), GAGE_STREAM_FAILED);
    pair_free(&pair);
}

TEST(a_step_that_never_returns_meets_the_deadline_too)
{
    struct pair pair;
    enum gage_stream_event event;
    struct gage_err err;
    pair_init(&pair);
    pair_start(&pair);
    struct gage_stream_step step;
    uint8_t line[] = "STARTGSS 4294967295\n";
    assert_ok(gage_stream_receive(pair.a.stream, line, sizeof line - 1, NOW, &step, &err));
    gage_stream_work *work = gage_stream_work_due(pair.a.stream);
    assert_non_null(work);
    assert_null(gage_stream_work_due(pair.a.stream));
    assert_code(gage_stream_tick(pair.a.stream, NOW + 30000000000, &event, &err), GAGE_E_TIMEOUT);
    assert_non_null(strstr(err.text, "KDC"));
    gage_stream_work_run(work);
    assert_code(gage_stream_work_done(pair.a.stream, NOW, &err), GAGE_E_STATE);
    pair_free(&pair);
}

TEST_MAIN(CASE(an_echo_service_refuses_and_protection_is_required),
          CASE(a_refusal_is_taken_only_where_policy_prefers_and_never_remembered),
          CASE(both_insist_on_one_role_and_fail_at_once), CASE(a_plain_peer_is_refused_where_protection_is_required),
          CASE(a_malformed_line_is_an_error_at_once), CASE(two_passive_sides_find_out),
          CASE(an_edited_line_is_found_by_both_sides), CASE(even_an_edited_line_ending_is_found),
          CASE(forced_roles_end_in_an_error_or_the_deadline), CASE(limits_are_checked_on_the_announcement),
          CASE(nothing_but_tokens_before_the_context_is_complete), CASE(plaintext_after_the_line_reaches_nobody),
          CASE(rubbish_for_a_token_is_refused_with_a_sentence_for_the_peer),
          CASE(the_peers_sentence_is_shown_without_its_control_characters),
          CASE(both_sides_tell_why_an_acceptor_without_its_key_fails), CASE(demands_mutual_replay_and_sequence_flags),
          CASE(a_token_of_an_earlier_connection_is_refused), CASE(a_token_after_completion_is_refused),
          CASE(no_path_of_this_machine_is_told_to_the_peer), CASE(an_acceptors_refusal_reaches_the_peer_in_words),
          CASE(an_initiators_refusal_reaches_the_peer_authenticated),
          CASE(a_connection_to_oneself_is_refused_unless_allowed),
          CASE(a_stripped_confirmation_waits_for_the_deadline_and_no_longer), CASE(an_edited_confirmation_is_refused),
          CASE(nothing_but_the_confirmation_after_completion), CASE(no_record_kind_in_common_is_said_so),
          CASE(a_bare_peer_is_not_mistaken_for_a_confirmed_one),
          CASE(records_repeated_dropped_swapped_or_flipped_are_errors), CASE(an_injected_fin_is_no_end_of_file),
          CASE(a_connection_cut_during_the_handshake_says_what_was_missing), CASE(a_record_after_the_end_is_an_error),
          CASE(wrap_records_must_be_encrypted_and_within_their_limit),
          CASE(a_silent_peer_meets_one_deadline_for_everything), CASE(a_step_that_never_returns_meets_the_deadline_too))
