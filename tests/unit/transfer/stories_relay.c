/* What a relay may answer, or somebody who holds the link may write into it, and what each side makes of that. */
#include "unit/test.h"

#include "unit/transfer/story.h"

#define EXPECT_END(s, who, outcome, reason, code, text)                                                                \
    story_expect(s, who, GAGE_OUTCOME_##outcome, GAGE_REASON_##reason, GAGE_##code, text)
#define CREATED "{\"urlLink\":\"" MAILBOX_URL "\"}"

static void
start(struct story *s, size_t writes)
{
    story_begin(s);
    story_accept(s, RECEIVER);
    story_to_writes(s, writes);
}

/* ---- the end of the wait ---- */

TEST(a_wait_whose_end_nobody_told_ends_after_seven_days)
{
    struct story s = {0};
    struct gage_transfer_status status;
    story_begin(&s);
    story_to_writes(&s, 1);
    while (s.invitation == NULL)
        story_step(&s, SENDER);
    s.invitation->expires = 0; /* a plain link */
    story_accept(&s, RECEIVER);
    int64_t began = fake_now;
    for (int i = 0; i < 200 && !s.party[RECEIVER].done; i++) {
        struct gage_action action;
        assert_ok(gage_transfer_next(s.party[RECEIVER].t, fake_now, &action, NULL));
        if (action.kind == GAGE_ACT_HTTP)
            story_reply(&s, RECEIVER, 200, NULL, NULL, "{}");
        else
            story_step(&s, RECEIVER);
        gage_transfer_status(s.party[RECEIVER].t, &status);
        assert_int_equal(status.expires, 0);
        assert_int_equal(status.waits_until, s.party[RECEIVER].done || status.done ? 0 : began + UNTOLD_SECONDS);
        if (i == 20)
            fake_now = began + UNTOLD_SECONDS - 1;
    }
    assert_true(fake_now > began + UNTOLD_SECONDS);
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, EXPIRED, E_EXPIRED, "ran out");
    story_free(&s);
}

/* ---- creating ---- */

/* The answer to CREATE ends it before anything left. */
static void
refused_create(int status, const char *name, const char *value, const char *body, enum gage_reason reason,
               enum gage_code code, const char *text)
{
    struct story s = {0};
    story_begin(&s);
    assert_true(story_to_http(&s, SENDER, GAGE_HTTP_CREATE));
    story_reply(&s, SENDER, status, name, value, body);
    story_finish_one(&s, SENDER);
    story_expect(&s, SENDER, GAGE_OUTCOME_NOT_RELEASED, reason, code, text);
    assert_false(s.party[SENDER].result.released);
    story_free(&s);
}

TEST(a_413_tells_the_limit_before_anything_is_released)
{
    refused_create(413, "Mailbox-Payload-Limit", "500", "", GAGE_REASON_TOO_LARGE, GAGE_E_LIMIT, "takes 500");
    refused_create(413, NULL, NULL, "", GAGE_REASON_TOO_LARGE, GAGE_E_LIMIT, "too large for this relay");
}

TEST(the_first_payload_is_as_long_as_the_one_with_content)
{
    struct story s = {0};
    start(&s, 3);
    assert_int_equal(s.box.history[0].data.n, s.box.history[2].data.n);
    assert_int_equal(gage_transfer_payload_size(s.party[SENDER].t), s.box.history[2].data.n);
    story_free(&s);
}

TEST(a_refusal_for_good_is_told_in_the_relays_words)
{
    refused_create(403, NULL, NULL, "{\"detail\":\"not from here\"}", GAGE_REASON_RELAY, GAGE_E_UNAVAILABLE,
                   "403: not from here");
    refused_create(401, NULL, NULL, "", GAGE_REASON_RELAY, GAGE_E_UNAVAILABLE, "401");
    refused_create(302, "Location", "https://evil.example/", "", GAGE_REASON_RELAY, GAGE_E_UNAVAILABLE, "302");
}

TEST(a_mailbox_on_another_origin_is_refused)
{
    static const char foreign[] = "{\"urlLink\":\"https://evil.example/v1/m/0b8c7f0e-6d1c-4a4e-9b5e-0123456789ab\"}";
    static const char port[] = "{\"urlLink\":\"https://relay.example:444/v1/m/0b8c7f0e-6d1c-4a4e-9b5e-0123456789ab\"}";
    refused_create(200, NULL, NULL, foreign, GAGE_REASON_RELAY, GAGE_E_UNAVAILABLE, "another host");
    refused_create(201, NULL, NULL, port, GAGE_REASON_RELAY, GAGE_E_UNAVAILABLE, "another host");
    refused_create(200, NULL, NULL, "{}", GAGE_REASON_RELAY, GAGE_E_UNAVAILABLE, "urlLink");
}

TEST(a_repeated_create_that_names_no_mailbox_makes_another)
{
    struct story s = {0};
    struct gage_action action;
    char first[UUID_TEXT_LEN + 1];
    story_begin(&s);
    assert_true(story_to_http(&s, SENDER, GAGE_HTTP_CREATE));
    assert_ok(gage_transfer_next(s.party[SENDER].t, fake_now, &action, NULL));
    snprintf(first, sizeof first, "%s", request_header(&action.http, "Mailbox-Request-ID"));
    story_reply(&s, SENDER, 201, NULL, NULL, "");
    assert_true(story_to_http(&s, SENDER, GAGE_HTTP_CREATE));
    assert_ok(gage_transfer_next(s.party[SENDER].t, fake_now, &action, NULL));
    assert_string_not_equal(first, request_header(&action.http, "Mailbox-Request-ID"));
    story_accept(&s, RECEIVER);
    story_finish(&s);
    EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "");
    story_free(&s);
}

/* ---- passing trouble ---- */

static void
wait_at_least(struct story *s, int who, int64_t seconds)
{
    struct gage_action action;
    assert_ok(gage_transfer_next(s->party[who].t, fake_now, &action, NULL));
    assert_int_equal(action.kind, GAGE_ACT_WAIT);
    assert_true(action.until >= fake_now + seconds);
}

TEST(retry_after_is_waited_for_and_every_passing_refusal_is_tried_again)
{
    static const int statuses[] = {408, 425, 429, 500, 502, 503, 504};
    struct story s = {0};
    start(&s, 2);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        assert_true(story_to_http(&s, SENDER, GAGE_HTTP_PUT));
        story_reply(&s, SENDER, statuses[i], "retry-after", "77", "");
        wait_at_least(&s, SENDER, 77);
        struct gage_transfer_status status;
        gage_transfer_status(s.party[SENDER].t, &status);
        assert_non_null(strstr(status.trouble, "answered"));
    }
    story_finish(&s);
    EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "");
    story_free(&s);
}

static void
expect_waiting(struct story *s, const char *what, int64_t since)
{
    struct gage_transfer_status status;
    gage_transfer_status(s->party[SENDER].t, &status);
    assert_string_equal(status.waiting_for, what);
    assert_int_equal(status.since, since);
}

TEST(a_write_that_waits_is_told_as_the_peers_once_it_has_left)
{
    struct story s = {0};
    struct gage_action action;
    start(&s, 2);
    assert_true(story_to_http(&s, SENDER, GAGE_HTTP_PUT));
    expect_waiting(&s, "the relay to take the message", fake_now);
    fake_now += 3;
    gage_transfer_http_sent(s.party[SENDER].t, fake_now);
    int64_t left = fake_now;
    expect_waiting(&s, "the receipt", left);
    fake_now += 50;
    story_reply(&s, SENDER, 200, "mailbox-version", "3", "{\"version\":3}");
    assert_ok(gage_transfer_next(s.party[SENDER].t, fake_now, &action, NULL));
    expect_waiting(&s, "the receipt", left);
    story_finish(&s);
    EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "");
    story_free(&s);
}

TEST(a_write_that_waited_for_nothing_looks_before_it_writes_again)
{
    struct story s = {0};
    start(&s, 2);
    assert_true(story_to_http(&s, SENDER, GAGE_HTTP_PUT));
    assert_ok(gage_transfer_http_failed(s.party[SENDER].t, fake_now, "no answer", NULL));
    expect_waiting(&s, "the relay to take the message", fake_now);
    assert_true(story_to(&s, SENDER, GAGE_ACT_HTTP));
    size_t reads = s.box.reads, writes = s.box.writes;
    story_step(&s, SENDER);
    assert_true(s.box.reads == reads + 1 && s.box.writes == writes);
    story_finish(&s);
    EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "");
    story_free(&s);
}

TEST(a_relay_that_never_answers_is_asked_ever_more_slowly_until_the_time_is_over)
{
    struct story s = {0};
    struct gage_action action;
    unsigned tries = 0;
    story_begin(&s);
    for (; !s.party[SENDER].done && tries < 20000; tries++) {
        bool asked = story_to_http(&s, SENDER, GAGE_HTTP_CREATE);
        assert_ok(gage_transfer_next(s.party[SENDER].t, fake_now, &action, NULL));
        if (asked)
            assert_ok(gage_transfer_http_failed(s.party[SENDER].t, fake_now, "no route", NULL));
        else
            story_step(&s, SENDER);
    }
    EXPECT_END(&s, SENDER, NOT_RELEASED, EXPIRED, E_EXPIRED, "could not be reached");
    assert_true(tries > 1000 && tries < 86400 / 50);
    story_free(&s);
}

TEST(an_answer_to_another_request_is_no_answer)
{
    struct story s = {0};
    start(&s, 2);
    assert_true(story_to_http(&s, SENDER, GAGE_HTTP_PUT));
    story_reply(&s, SENDER, 404, "Mailbox-Request-ID", "11111111-2222-4333-8444-555555555555", "");
    story_finish(&s);
    EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "");
    story_free(&s);
}

TEST(a_412_means_read_then_decide_again)
{
    struct story s = {0};
    start(&s, 2);
    assert_true(story_to_http(&s, SENDER, GAGE_HTTP_PUT));
    story_reply(&s, SENDER, 412, NULL, NULL, "");
    size_t n = strlen(s.trace);
    story_finish(&s);
    assert_int_equal(s.trace[n], 'R');
    EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "");
    story_free(&s);
}

TEST(an_unreadable_answer_to_a_read_is_asked_for_again)
{
    struct story s = {0};
    start(&s, 3);
    assert_true(story_to_http(&s, RECEIVER, GAGE_HTTP_READ));
    story_reply(&s, RECEIVER, 200, NULL, NULL, "{\"payload\":{\"type\":1}}");
    story_finish(&s);
    EXPECT_END(&s, RECEIVER, INSTALLED, COMPLETED, OK, "");
    story_free(&s);
}

TEST(either_side_may_die_after_every_write)
{
    for (size_t writes = 1; writes <= 4; writes++) {
        struct story s = {0};
        start(&s, writes);
        story_restart(&s, SENDER);
        if (s.party[RECEIVER].record.n > 0)
            story_restart(&s, RECEIVER);
        story_finish(&s);
        EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "");
        EXPECT_END(&s, RECEIVER, INSTALLED, COMPLETED, OK, "");
        assert_int_equal(s.box.writes, 4);
        story_free(&s);
    }
}

/* ---- who else has the link ---- */

TEST(who_comes_second_is_told_and_the_first_is_unharmed)
{
    struct story s = {0};
    start(&s, 2);
    story_accept(&s, OTHER);
    story_finish(&s);
    EXPECT_END(&s, OTHER, NOT_INSTALLED, TAKEN, E_USED, "somebody else opened this link first");
    EXPECT_END(&s, RECEIVER, INSTALLED, COMPLETED, OK, "");
    EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "");
    story_free(&s);
}

/* The relay takes this receiver for the one who claimed. */
static void
let_in(struct story *s, const char *claim)
{
    snprintf(s->box.claim[1], sizeof s->box.claim[1], "%s", claim);
}

TEST(a_second_receiver_whom_the_relay_let_in_is_told_the_same)
{
    struct story s = {0};
    char first[UUID_TEXT_LEN + 1], second[UUID_TEXT_LEN + 1];
    start(&s, 1);
    story_accept(&s, OTHER);
    assert_true(story_to_http(&s, RECEIVER, GAGE_HTTP_PUT));
    snprintf(first, sizeof first, "%s", s.box.claim[1]);
    let_in(&s, "");
    assert_true(story_to_http(&s, OTHER, GAGE_HTTP_PUT)); /* both have read the first token */
    snprintf(second, sizeof second, "%s", s.box.claim[1]);
    let_in(&s, first);
    story_step(&s, RECEIVER);
    while (s.box.writes < 3)
        story_step(&s, SENDER); /* bound to the first one's answer, and released */
    let_in(&s, second);
    story_finish_one(&s, OTHER);
    EXPECT_END(&s, OTHER, NOT_INSTALLED, TAKEN, E_USED, "somebody else opened this link first");
    let_in(&s, first);
    story_finish(&s);
    EXPECT_END(&s, RECEIVER, INSTALLED, COMPLETED, OK, "");
    EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "");
    story_free(&s);
}

/* ---- what the slot shows ---- */

static void
next_number(struct packet *packet)
{
    packet->seq += 1;
}

static void
peer_role(struct packet *packet)
{
    packet->role = packet->role == PACKET_SENDER ? PACKET_RECEIVER : PACKET_SENDER;
}

static void
no_tokens(struct packet *packet)
{
    packet->token[PACKET_CONTEXT] = packet->token[PACKET_MESSAGE] = SLICE_NONE;
}

static void
other_attempt(struct packet *packet)
{
    packet->attempt += 1;
}

TEST(another_second_token_after_the_release_is_forked)
{
    struct story s = {0};
    start(&s, 3);
    mailbox_show(&s.box, 1);
    story_forge(&s, NULL);
    story_finish_one(&s, SENDER);
    EXPECT_END(&s, SENDER, UNKNOWN, FORKED, E_UNKNOWN_OUTCOME, "two different messages");
    assert_null(strchr(s.trace, 'D'));
    story_free(&s);
}

TEST(another_first_token_is_forked_for_the_receiver)
{
    struct story s = {0};
    start(&s, 2);
    mailbox_show(&s.box, 0);
    story_forge(&s, NULL);
    story_finish_one(&s, RECEIVER);
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, FORKED, E_FORKED, "two different messages");
    story_free(&s);
}

TEST(a_gap_is_lost)
{
    struct story s = {0};
    start(&s, 1);
    story_forge(&s, next_number);
    story_finish_one(&s, RECEIVER);
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, LOST, E_LOST, "missing");
    story_free(&s);
}

TEST(an_own_name_over_other_bytes_is_reflected)
{
    struct story s = {0};
    start(&s, 1);
    story_forge(&s, peer_role);
    story_finish_one(&s, RECEIVER);
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, REFLECTED, E_REFLECTED, "did not write");
    story_free(&s);
    s = (struct story){0};
    start(&s, 2);
    story_forge(&s, peer_role);
    story_finish_one(&s, SENDER);
    EXPECT_END(&s, SENDER, NOT_RELEASED, REFLECTED, E_REFLECTED, "did not write");
    story_free(&s);
}

TEST(what_the_link_secret_does_not_open_is_damaged)
{
    struct story s = {0};
    start(&s, 2);
    s.box.history[1].data.p[40] = s.box.history[1].data.p[40] == 'A' ? 'B' : 'A';
    story_finish_one(&s, SENDER);
    EXPECT_END(&s, SENDER, NOT_RELEASED, DAMAGED, E_AUTH, "");
    story_free(&s);
    s = (struct story){0};
    start(&s, 1);
    snprintf(s.box.history[0].type, sizeof s.box.history[0].type, "AEAD_AES_128_GCM");
    story_finish_one(&s, RECEIVER);
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, DAMAGED, E_AUTH, "another type");
    story_free(&s);
}

TEST(a_damaged_receipt_is_unknown)
{
    struct story s = {0};
    start(&s, 4);
    s.box.history[3].data.p[40] = s.box.history[3].data.p[40] == 'A' ? 'B' : 'A';
    story_finish_one(&s, SENDER);
    EXPECT_END(&s, SENDER, UNKNOWN, DAMAGED, E_UNKNOWN_OUTCOME, "");
    story_free(&s);
}

TEST(a_header_spliced_by_a_holder_of_the_link_shows_in_the_transcript)
{
    struct story s = {0};
    start(&s, 1);
    story_forge(&s, NULL); /* the same token in another envelope, which the sender does not get to see */
    assert_true(story_to_http(&s, RECEIVER, GAGE_HTTP_PUT));
    story_step(&s, RECEIVER);
    story_to_writes(&s, 3);
    story_finish_one(&s, RECEIVER);
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, MISMATCH, E_MISMATCH, "somebody interfered");
    story_free(&s);
}

TEST(what_the_protocol_does_not_allow_ends_it)
{
    struct story s = {0};
    start(&s, 1);
    story_forge(&s, no_tokens);
    story_finish_one(&s, RECEIVER);
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, PROTOCOL, E_FORMAT, "made on demand");
    story_free(&s);
    s = (struct story){0};
    start(&s, 2);
    story_forge(&s, other_attempt);
    story_finish_one(&s, SENDER);
    EXPECT_END(&s, SENDER, NOT_RELEASED, PROTOCOL, E_FORMAT, "does not allow");
    assert_int_equal(s.box.deletes, 1); /* nothing can come of it: the receiver need not wait */
    story_free(&s);
}

TEST(an_acceptor_that_fails_ends_with_the_mechanisms_sentence)
{
    struct story s = {0};
    start(&s, 1);
    fake_step_failures = 1;
    story_finish_one(&s, RECEIVER);
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, HANDSHAKE, E_AUTH, "made to fail");
    story_free(&s);
}

TEST(every_reason_has_its_story)
{
    uint32_t here = story_reasons | STORY_PERSONS;
    assert_int_equal(here, (2u << GAGE_REASON_PROTOCOL) - 1);
}

TEST_MAIN(CASE(a_wait_whose_end_nobody_told_ends_after_seven_days),
          CASE(a_413_tells_the_limit_before_anything_is_released),
          CASE(the_first_payload_is_as_long_as_the_one_with_content),
          CASE(a_refusal_for_good_is_told_in_the_relays_words), CASE(a_mailbox_on_another_origin_is_refused),
          CASE(a_repeated_create_that_names_no_mailbox_makes_another),
          CASE(retry_after_is_waited_for_and_every_passing_refusal_is_tried_again),
          CASE(a_write_that_waits_is_told_as_the_peers_once_it_has_left),
          CASE(a_write_that_waited_for_nothing_looks_before_it_writes_again),
          CASE(a_relay_that_never_answers_is_asked_ever_more_slowly_until_the_time_is_over),
          CASE(an_answer_to_another_request_is_no_answer), CASE(a_412_means_read_then_decide_again),
          CASE(an_unreadable_answer_to_a_read_is_asked_for_again), CASE(either_side_may_die_after_every_write),
          CASE(who_comes_second_is_told_and_the_first_is_unharmed),
          CASE(a_second_receiver_whom_the_relay_let_in_is_told_the_same),
          CASE(another_second_token_after_the_release_is_forked), CASE(another_first_token_is_forked_for_the_receiver),
          CASE(a_gap_is_lost), CASE(an_own_name_over_other_bytes_is_reflected),
          CASE(what_the_link_secret_does_not_open_is_damaged), CASE(a_damaged_receipt_is_unknown),
          CASE(a_header_spliced_by_a_holder_of_the_link_shows_in_the_transcript),
          CASE(what_the_protocol_does_not_allow_ends_it),
          CASE(an_acceptor_that_fails_ends_with_the_mechanisms_sentence), CASE(every_reason_has_its_story))
