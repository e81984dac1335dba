#include "unit/test.h"

#include "stream/pair.h"

static void
big_pattern(uint8_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)(i * 7 + i / 251);
}

/* Both directions carry data, then end, each on its own. */
static void
carries_data(struct pair *pair)
{
    static uint8_t most[GAGE_STREAM_DATA_MAX];
    big_pattern(most, sizeof most);
    end_send(&pair->a, SLICE_LITERAL("hello"));
    end_send(&pair->b, SLICE_OF(most));
    pair_run(pair);
    assert_slice_equal(gage_buf_slice(&pair->b.got), SLICE_LITERAL("hello"));
    assert_slice_equal(gage_buf_slice(&pair->a.got), SLICE_OF(most));
    end_finish(&pair->a);
    pair_run(pair);
    assert_true(pair->b.ended && !pair->a.ended);
    end_send(&pair->b, SLICE_LITERAL("still here"));
    end_finish(&pair->b);
    pair_run(pair);
    assert_true(pair->a.ended);
    assert_int_equal(pair->a.got.n, sizeof most + 10);
    assert_ok(end_close(&pair->a));
    assert_ok(end_close(&pair->b));
    assert_int_equal(pair->a.err.code, GAGE_OK);
}

static void
connects_with(enum gage_stream_records a, enum gage_stream_records b, enum gage_stream_records agreed, size_t chunk)
{
    struct pair pair;
    pair_init(&pair);
    pair.a.config.records = a;
    pair.b.config.records = b;
    pair.chunk = chunk;
    pair_connect(&pair);
    assert_int_equal(gage_stream_peer(pair.a.stream)->records, agreed);
    assert_int_equal(gage_stream_peer(pair.b.stream)->records, agreed);
    carries_data(&pair);
    pair_free(&pair);
}

TEST(carries_data_both_ways_with_half_close_in_aead_records)
{
    connects_with(GAGE_STREAM_ANY_RECORDS, GAGE_STREAM_ANY_RECORDS, GAGE_STREAM_AEAD, 0);
    connects_with(GAGE_STREAM_AEAD, GAGE_STREAM_ANY_RECORDS, GAGE_STREAM_AEAD, 0);
}

TEST(carries_data_both_ways_with_half_close_in_wrap_records)
{
    connects_with(GAGE_STREAM_WRAP, GAGE_STREAM_ANY_RECORDS, GAGE_STREAM_WRAP, 0);
    connects_with(GAGE_STREAM_ANY_RECORDS, GAGE_STREAM_WRAP, GAGE_STREAM_WRAP, 0);
}

TEST(works_byte_by_byte)
{
    connects_with(GAGE_STREAM_ANY_RECORDS, GAGE_STREAM_ANY_RECORDS, GAGE_STREAM_AEAD, 1);
    connects_with(GAGE_STREAM_WRAP, GAGE_STREAM_WRAP, GAGE_STREAM_WRAP, 1);
}

TEST(works_in_pieces_of_any_size)
{
    for (size_t chunk = 2; chunk < 90; chunk += 13)
        connects_with(GAGE_STREAM_ANY_RECORDS, GAGE_STREAM_ANY_RECORDS, GAGE_STREAM_AEAD, chunk);
}

TEST(bare_records_carry_data_and_end_with_the_transport)
{
    struct pair pair;
    uint8_t frame[GAGE_STREAM_FRAME_MAX];
    size_t n = 1;
    pair_init(&pair);
    pair.a.config.records = pair.b.config.records = GAGE_STREAM_BARE;
    pair_connect(&pair);
    end_send(&pair.a, SLICE_LITERAL("ping"));
    assert_int_equal(pair.a.wire.p[0], 0); /* a plain 32-bit length */
    end_send(&pair.b, SLICE_LITERAL("pong"));
    pair_run(&pair);
    assert_slice_equal(gage_buf_slice(&pair.b.got), SLICE_LITERAL("ping"));
    assert_slice_equal(gage_buf_slice(&pair.a.got), SLICE_LITERAL("pong"));
    assert_ok(gage_stream_seal_end(pair.a.stream, frame, &n, NULL));
    assert_int_equal(n, 0);
    assert_ok(end_close(&pair.b));
    pair_free(&pair);
}

TEST(roles_follow_the_numbers_whoever_connected)
{
    struct pair pair;
    for (int swap = 0; swap < 2; swap++) {
        pair_init(&pair);
        pair.a.config.role = swap ? GAGE_STREAM_ACCEPTOR : GAGE_STREAM_ANY_ROLE;
        pair.b.config.role = swap ? GAGE_STREAM_ANY_ROLE : GAGE_STREAM_ACCEPTOR;
        pair_connect(&pair);
        assert_int_equal(gage_stream_peer(pair.a.stream)->initiator, !swap);
        assert_int_equal(gage_stream_peer(pair.b.stream)->initiator, swap);
        pair_free(&pair);
    }
    for (int i = 0; i < 20; i++) { /* both indifferent: always one of each */
        pair_init(&pair);
        pair.a.config.role = pair.b.config.role = GAGE_STREAM_ANY_ROLE;
        pair_connect(&pair);
        assert_int_not_equal(gage_stream_peer(pair.a.stream)->initiator, gage_stream_peer(pair.b.stream)->initiator);
        pair_free(&pair);
    }
}

TEST(one_passive_side_works_on_either_end)
{
    struct pair pair;
    for (int which = 0; which < 2; which++)
        for (size_t chunk = 0; chunk < 2; chunk++) {
            pair_init(&pair);
            pair.a.config.passive = which == 0;
            pair.b.config.passive = which == 1;
            pair.chunk = chunk;
            pair_connect(&pair);
            carries_data(&pair);
            pair_free(&pair);
        }
}

TEST(reports_the_peers_name_flags_and_expiry)
{
    struct pair pair;
    pair_init(&pair);
    pair_start(&pair);
    assert_null(gage_stream_peer(pair.a.stream));
    pair_run(&pair);
    const struct gage_stream_peer *a = gage_stream_peer(pair.a.stream), *b = gage_stream_peer(pair.b.stream);
    assert_string_equal(a->name, "gage/localhost@TEST.GAGE");
    assert_string_equal(b->name, "alice@TEST.GAGE");
    assert_true(a->exported.n > 20 && a->exported.p[0] == 4 && a->exported.p[1] == 1);
    assert_true((b->flags & GSS_C_MUTUAL_FLAG) != 0 && a->initiator && !b->initiator);
    assert_true(a->expires > NOW && a->expires < NOW + 86400ll * 1000000000);
    pair_free(&pair);
}

/* Line, token frames and confirmation of the initiator and its first data reach the acceptor in one piece, and the line and
 * answer of the acceptor likewise, with 64 KiB of data behind. */
TEST(line_tokens_and_64_kib_of_data_in_one_segment)
{
    static uint8_t most[GAGE_STREAM_DATA_MAX];
    struct pair pair;
    pair_init(&pair);
    pair.b.config.passive = true; /* so that it answers line and all in one go */
    pair_start(&pair);
    big_pattern(most, sizeof most);
    gage_slice line = gage_stream_output(pair.a.stream);
    end_give(&pair.b, line); /* its line comes out */
    end_give(&pair.a, gage_buf_slice(&pair.b.wire));
    buf_reset(&pair.b.wire);
    gage_slice tokens = gage_slice_of(pair.a.wire.p + line.n, pair.a.wire.n - line.n);
    end_give(&pair.b, tokens);
    buf_reset(&pair.a.wire);
    end_give(&pair.a, gage_buf_slice(&pair.b.wire)); /* last token and confirmation in one */
    buf_reset(&pair.b.wire);
    assert_protected(&pair.a);
    end_send(&pair.a, SLICE_OF(most));
    end_finish(&pair.a);
    end_give(&pair.b, gage_buf_slice(&pair.a.wire)); /* confirmation, 64 KiB and the end in one */
    assert_protected(&pair.b);
    assert_slice_equal(gage_buf_slice(&pair.b.got), SLICE_OF(most));
    assert_true(pair.b.ended);
    pair_free(&pair);
}

TEST(a_plain_peer_is_served_where_policy_prefers)
{
    for (size_t chunk = 0; chunk < 2; chunk++) {
        struct pair pair;
        pair_init(&pair);
        pair.b.config.passive = true;
        pair.b.config.policy = GAGE_STREAM_PREFER;
        pair_start(&pair);
        const char *plain = "STARTUP of another protocol";
        for (size_t i = 0; chunk == 1 && i < strlen(plain); i++)
            end_give(&pair.b, gage_slice_of(plain + i, 1));
        if (chunk == 0)
            end_give(&pair.b, slice_str(plain));
        assert_int_equal(gage_stream_phase(pair.b.stream), GAGE_STREAM_CLEAR);
        assert_slice_equal(gage_buf_slice(&pair.b.got), slice_str(plain));
        assert_int_equal(pair.b.wire.n, 0);
        end_send(&pair.b, SLICE_LITERAL("answer"));
        assert_slice_equal(gage_buf_slice(&pair.b.wire), SLICE_LITERAL("answer"));
        pair_free(&pair);
    }
}

TEST(a_short_plain_message_and_its_end_are_served_too)
{
    struct pair pair;
    pair_init(&pair);
    pair.b.config.passive = true;
    pair.b.config.policy = GAGE_STREAM_PREFER;
    pair_start(&pair);
    end_give(&pair.b, SLICE_LITERAL("START"));
    assert_int_equal(pair.b.got.n, 0);
    assert_ok(end_close(&pair.b));
    assert_slice_equal(gage_buf_slice(&pair.b.got), SLICE_LITERAL("START"));
    pair_free(&pair);
}

TEST(plain_policy_refuses_and_both_talk_in_the_clear)
{
    struct pair pair;
    pair_init(&pair);
    pair.a.config.policy = GAGE_STREAM_PREFER;
    pair.b.config.policy = GAGE_STREAM_PLAIN;
    pair_start(&pair);
    pair_run(&pair);
    assert_int_equal(gage_stream_phase(pair.a.stream), GAGE_STREAM_CLEAR);
    assert_int_equal(gage_stream_phase(pair.b.stream), GAGE_STREAM_CLEAR);
    assert_int_equal(pair.a.got.n + pair.b.got.n, 0); /* the lines are nobody's data */
    end_send(&pair.a, SLICE_LITERAL("one"));
    end_send(&pair.b, SLICE_LITERAL("two"));
    pair_run(&pair);
    assert_slice_equal(gage_buf_slice(&pair.b.got), SLICE_LITERAL("one"));
    assert_slice_equal(gage_buf_slice(&pair.a.got), SLICE_LITERAL("two"));
    pair_free(&pair);
}

TEST(plain_policy_sends_without_waiting)
{
    struct pair pair;
    pair_init(&pair);
    pair.b.config.policy = GAGE_STREAM_PLAIN;
    pair_start(&pair);
    assert_true(gage_stream_may_send(pair.b.stream));
    assert_false(gage_stream_may_send(pair.a.stream));
    end_send(&pair.b, SLICE_LITERAL("220 ready"));
    assert_slice_equal(gage_buf_slice(&pair.b.wire), SLICE_LITERAL("220 ready"));
    pair_free(&pair);
}

/* ---- time ---- */

TEST(warns_before_expiry_and_ends_at_it)
{
    struct pair pair;
    enum gage_stream_event event;
    pair_init(&pair);
    pair_connect(&pair);
    int64_t expires = gage_stream_peer(pair.a.stream)->expires;
    assert_int_equal(gage_stream_next_time(pair.a.stream), expires - pair.a.config.warn_ns);
    assert_ok(gage_stream_tick(pair.a.stream, expires - pair.a.config.warn_ns - 1, &event, NULL));
    assert_int_equal(event, GAGE_STREAM_NOTHING);
    assert_ok(gage_stream_tick(pair.a.stream, expires - pair.a.config.warn_ns, &event, NULL));
    assert_int_equal(event, GAGE_STREAM_EXPIRING);
    assert_ok(gage_stream_tick(pair.a.stream, expires - 1, &event, NULL));
    assert_int_equal(event, GAGE_STREAM_NOTHING);
    assert_int_equal(gage_stream_next_time(pair.a.stream), expires);
    assert_code(gage_stream_tick(pair.a.stream, expires, &event, NULL), GAGE_E_EXPIRED);
    assert_int_equal(gage_stream_output(pair.a.stream).n, 0); /* no end record: it would say "complete" */
    assert_false(gage_stream_may_send(pair.a.stream));
    pair_free(&pair);
}

TEST(outlives_its_context_where_told_to)
{
    struct pair pair;
    enum gage_stream_event event;
    pair_init(&pair);
    pair.a.config.outlive = true;
    pair_connect(&pair);
    int64_t expires = gage_stream_peer(pair.a.stream)->expires;
    assert_ok(gage_stream_tick(pair.a.stream, expires + 1, &event, NULL));
    assert_int_equal(event, GAGE_STREAM_EXPIRING);
    assert_int_equal(gage_stream_next_time(pair.a.stream), INT64_MAX);
    assert_true(gage_stream_may_send(pair.a.stream));
    pair_free(&pair);
}

TEST(nothing_ticks_in_the_clear)
{
    struct pair pair;
    pair_init(&pair);
    pair.b.config.passive = true;
    pair.b.config.policy = GAGE_STREAM_PREFER;
    pair_start(&pair);
    assert_int_equal(gage_stream_next_time(pair.b.stream), NOW + 3000000000);
    end_give(&pair.b, SLICE_LITERAL("x"));
    assert_int_equal(gage_stream_next_time(pair.b.stream), INT64_MAX);
    pair_free(&pair);
}

/* ---- the object ---- */

TEST(refuses_sending_before_it_is_protected_and_after_its_end)
{
    struct pair pair;
    uint8_t frame[GAGE_STREAM_FRAME_MAX];
    size_t n;
    pair_init(&pair);
    pair_start(&pair);
    assert_code(gage_stream_seal(pair.a.stream, SLICE_LITERAL("x"), frame, &n, NULL), GAGE_E_STATE);
    pair_run(&pair);
    assert_code(gage_stream_seal(pair.a.stream, SLICE_NONE, frame, &n, NULL), GAGE_E_USAGE);
    end_finish(&pair.a);
    assert_code(gage_stream_seal(pair.a.stream, SLICE_LITERAL("x"), frame, &n, NULL), GAGE_E_STATE);
    assert_code(gage_stream_seal_end(pair.a.stream, frame, &n, NULL), GAGE_E_STATE);
    pair_free(&pair);
}

TEST(seals_in_place)
{
    struct pair pair;
    static uint8_t frame[GAGE_STREAM_FRAME_MAX];
    size_t n;
    pair_init(&pair);
    pair_connect(&pair);
    memcpy(frame + GAGE_STREAM_HEADROOM, "in place", 8);
    assert_ok(gage_stream_seal(pair.a.stream, gage_slice_of(frame + GAGE_STREAM_HEADROOM, 8), frame, &n, NULL));
    end_give(&pair.b, gage_slice_of(frame, n));
    assert_slice_equal(gage_buf_slice(&pair.b.got), SLICE_LITERAL("in place"));
    pair_free(&pair);
}

TEST(demands_a_target_of_a_possible_initiator)
{
    struct gage_stream_config config;
    gage_stream *stream = NULL;
    gage_stream_config_init(&config);
    assert_code(gage_stream_new(&config, NOW, &stream, NULL), GAGE_E_USAGE);
    config.role = GAGE_STREAM_ACCEPTOR;
    assert_ok(gage_stream_new(&config, NOW, &stream, NULL));
    gage_stream_free(&stream);
    gage_stream_free(&stream);
}

TEST_MAIN(CASE(carries_data_both_ways_with_half_close_in_aead_records),
          CASE(carries_data_both_ways_with_half_close_in_wrap_records), CASE(works_byte_by_byte),
          CASE(works_in_pieces_of_any_size), CASE(bare_records_carry_data_and_end_with_the_transport),
          CASE(roles_follow_the_numbers_whoever_connected), CASE(one_passive_side_works_on_either_end),
          CASE(reports_the_peers_name_flags_and_expiry), CASE(line_tokens_and_64_kib_of_data_in_one_segment),
          CASE(a_plain_peer_is_served_where_policy_prefers), CASE(a_short_plain_message_and_its_end_are_served_too),
          CASE(plain_policy_refuses_and_both_talk_in_the_clear), CASE(plain_policy_sends_without_waiting),
          CASE(warns_before_expiry_and_ends_at_it), CASE(outlives_its_context_where_told_to),
          CASE(nothing_ticks_in_the_clear), CASE(refuses_sending_before_it_is_protected_and_after_its_end),
          CASE(seals_in_place), CASE(demands_a_target_of_a_possible_initiator))
