/* Every way in which a transfer ends, told as stories: what each side says, and with which code. */
#include "unit/test.h"

#include "unit/transfer/story.h"

#define OUTCOME(x) GAGE_OUTCOME_##x
#define REASON(x) GAGE_REASON_##x
#define EXPECT_END(s, who, outcome, reason, code, text)                                                                \
    story_expect(s, who, OUTCOME(outcome), REASON(reason), GAGE_##code, text)

static void
both_start(struct story *s)
{
    story_begin(s);
    story_accept(s, RECEIVER);
}

/* ---- it works ---- */

TEST(four_writes_deliver_and_the_sender_deletes_after_reading)
{
    struct story s = {0};
    both_start(&s);
    story_finish(&s);
    EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "receipt names this content");
    EXPECT_END(&s, RECEIVER, INSTALLED, COMPLETED, OK, "in place");
    assert_int_equal(s.box.writes, 4);
    assert_true(s.party[SENDER].result.released && !s.party[RECEIVER].result.unconfirmed);
    assert_null(strchr(s.trace, 'd')); /* the receiver never DELETEs */
    assert_string_equal(s.trace + strlen(s.trace) - 2, "RD");
    assert_int_equal(s.box.deletes, 1);
    story_free(&s);
}

TEST(both_persons_see_the_same_six_digits)
{
    struct story s = {.send = {.verify = true}};
    both_start(&s);
    story_finish(&s);
    EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "");
    assert_int_equal(strlen(s.party[SENDER].digits), DIGITS_LEN);
    assert_string_equal(s.party[SENDER].digits, s.party[RECEIVER].digits);
    assert_int_equal(s.box.writes, 8);
    story_free(&s);
}

TEST(what_cannot_be_installed_now_is_installed_later)
{
    struct story s = {.party = {[RECEIVER] = {.install = GAGE_INSTALL_LATER}}};
    both_start(&s);
    story_finish(&s);
    EXPECT_END(&s, RECEIVER, INSTALLED, COMPLETED, OK, "");
    assert_int_equal(s.party[RECEIVER].installs, 1);
    story_free(&s);
}

/* ---- persons say no ---- */

TEST(a_refused_claim_leaves_nothing_at_the_relay)
{
    struct story s = {.party = {[RECEIVER] = {.no_claim = true}}};
    both_start(&s);
    story_finish_one(&s, RECEIVER);
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, REFUSED, E_REFUSED, "refused by the person");
    assert_null(strpbrk(s.trace, "rpd")); /* the preview only: nobody claimed */
    story_accept(&s, OTHER);
    story_finish(&s);
    EXPECT_END(&s, OTHER, INSTALLED, COMPLETED, OK, "");
    story_free(&s);
}

/* The one who said no, or the one who was told. */
static void
expect_no(struct story *s, int who, enum gage_outcome outcome, bool own, const char *text)
{
    story_expect(s, who, outcome, own ? REASON(REFUSED) : REASON(PEER_REFUSED), GAGE_E_REFUSED, text);
}

static bool
asked_for_digits(const struct story *s, int who)
{
    struct gage_action action;
    assert_ok(gage_transfer_next(s->party[who].t, fake_now, &action, NULL));
    return action.kind == GAGE_ACT_ASK && action.ask.question == GAGE_ASK_DIGITS;
}

/* Up to where both persons have the question, and neither has answered. */
static void
begin_to_digits(struct story *s)
{
    both_start(s);
    for (int i = 0; i < 200 && !(asked_for_digits(s, SENDER) && asked_for_digits(s, RECEIVER)); i++)
        for (int who = SENDER; who <= RECEIVER; who++)
            if (!asked_for_digits(s, who))
                story_step(s, who);
    assert_true(asked_for_digits(s, SENDER) && asked_for_digits(s, RECEIVER));
}

TEST(both_persons_are_asked_at_once_and_either_may_answer_first)
{
    for (int first = SENDER; first <= RECEIVER; first++)
        for (int restart = 0; restart < 2; restart++) {
            struct story s = {.send = {.verify = true}};
            begin_to_digits(&s);
            story_step(&s, first);
            story_to_http(&s, first, GAGE_HTTP_READ);
            assert_false(s.party[SENDER].result.released);
            assert_int_equal(s.box.writes,
                             first == SENDER ? 5 : 6); /* nothing beyond the reveal, and what the receiver says */
            if (restart) {
                story_restart(&s, SENDER);
                story_restart(&s, RECEIVER);
            }
            story_finish(&s);
            EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "");
            EXPECT_END(&s, RECEIVER, INSTALLED, COMPLETED, OK, "");
            story_free(&s);
        }
}

/* Who says no, and who answers first. */
static void
digits_refused_by(int who, int first)
{
    struct story s = {.send = {.verify = true}};
    s.party[who].no_digits = true;
    begin_to_digits(&s);
    story_step(&s, first);
    story_to_http(&s, first, GAGE_HTTP_READ);
    story_finish(&s);
    bool sender = who == SENDER;
    expect_no(&s, SENDER, OUTCOME(NOT_RELEASED), sender, sender ? "refused" : "digits");
    if (sender) /* it cannot tell whether it is its turn to write: the mailbox is gone */
        EXPECT_END(&s, RECEIVER, NOT_INSTALLED, GONE, E_NOT_FOUND, "digits");
    else
        expect_no(&s, RECEIVER, OUTCOME(NOT_INSTALLED), true, "refused");
    assert_false(s.party[SENDER].result.released);
    assert_int_equal(s.party[RECEIVER].installs, 0);
    story_free(&s);
}

TEST(digits_that_differ_release_nothing)
{
    for (int who = SENDER; who <= RECEIVER; who++)
        for (int first = SENDER; first <= RECEIVER; first++)
            digits_refused_by(who, first);
}

TEST(another_title_than_announced_is_asked_about_and_a_no_is_told)
{
    struct story s = {.party = {[RECEIVER] = {.no_mismatch = true}}};
    both_start(&s);
    snprintf(s.box.title, sizeof s.box.title, "another thing");
    gage_invitation_free(&s.invitation); /* the link form: no title in it */
    AUTO(gage_buf) link = GAGE_BUF(2000);
    assert_ok(gage_transfer_invitation(s.party[SENDER].t, &s.invitation, NULL));
    assert_ok(gage_invitation_format(s.invitation, GAGE_INVITATION_LINK, &link, NULL));
    gage_invitation_free(&s.invitation);
    assert_ok(gage_invitation_parse(gage_buf_slice(&link), false, &s.invitation, NULL));
    gage_transfer_free(&s.party[RECEIVER].t);
    story_accept(&s, RECEIVER);
    story_finish(&s);
    assert_int_equal(s.party[RECEIVER].asked_mismatch, 1);
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, REFUSED, E_REFUSED, "refused");
    EXPECT_END(&s, SENDER, DECLINED, PEER_REFUSED, E_REFUSED, "announced");
    assert_int_equal(s.party[RECEIVER].installs, 0);
    story_free(&s);
}

TEST(content_that_cannot_be_put_in_place_is_declined)
{
    struct story s = {.party = {[RECEIVER] = {.install = GAGE_INSTALL_REFUSED}}};
    both_start(&s);
    story_finish(&s);
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, INSTALL, E_IO, "could not be put in place");
    EXPECT_END(&s, SENDER, DECLINED, PEER_REFUSED, E_REFUSED, "put in place");
    story_free(&s);
}

TEST(a_refused_call_ends_both_sides)
{
    for (int who = SENDER; who <= RECEIVER; who++) {
        struct story s = {.send = {.calls = true}};
        s.party[who].no_call = true;
        both_start(&s);
        story_finish(&s);
        expect_no(&s, SENDER, OUTCOME(NOT_RELEASED), who == SENDER, "");
        expect_no(&s, RECEIVER, OUTCOME(NOT_INSTALLED), who == RECEIVER, "");
        story_free(&s);
    }
}

/* ---- cancelled ---- */

static void
cancel(struct story *s, int who)
{
    assert_ok(gage_transfer_cancel(s->party[who].t, NULL));
}

TEST(a_sender_that_cancels_before_the_release_has_released_nothing)
{
    struct story s = {0};
    both_start(&s);
    story_to_writes(&s, 2);
    cancel(&s, SENDER);
    story_finish(&s);
    EXPECT_END(&s, SENDER, NOT_RELEASED, CANCELLED, E_CANCELLED, "cancelled here");
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, GONE, E_NOT_FOUND, "gone");
    story_free(&s);
}

TEST(a_sender_that_cancels_before_the_mailbox_exists_asks_the_relay_nothing)
{
    struct story s = {0};
    story_begin(&s);
    cancel(&s, SENDER);
    story_finish_one(&s, SENDER);
    EXPECT_END(&s, SENDER, NOT_RELEASED, CANCELLED, E_CANCELLED, "cancelled here");
    assert_string_equal(s.trace, "");
    story_free(&s);
}

TEST(a_sender_that_cancels_after_the_release_does_not_know)
{
    struct story s = {0};
    both_start(&s);
    story_to_writes(&s, 3);
    cancel(&s, SENDER);
    story_finish_one(&s, SENDER);
    EXPECT_END(&s, SENDER, UNKNOWN, CANCELLED, E_UNKNOWN_OUTCOME, "cancelled here");
    assert_true(s.party[SENDER].result.released);
    story_finish(&s);
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, GONE, E_NOT_FOUND, "gone");
    story_free(&s);
}

TEST(a_receipt_that_is_there_beats_the_cancelling)
{
    struct story s = {0};
    both_start(&s);
    story_to_writes(&s, 3);
    story_finish_one(&s, RECEIVER);
    cancel(&s, SENDER);
    story_finish_one(&s, SENDER);
    EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "");
    story_free(&s);
}

TEST(a_receiver_may_cancel_until_it_has_content)
{
    struct story s = {0};
    both_start(&s);
    story_to_writes(&s, 2);
    cancel(&s, RECEIVER);
    story_finish_one(&s, RECEIVER);
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, CANCELLED, E_CANCELLED, "cancelled here");
    story_finish(&s);
    EXPECT_END(&s, SENDER, NOT_RELEASED, GONE, E_NOT_FOUND, "gone");
    story_free(&s);

    s = (struct story){0};
    both_start(&s);
    story_to_writes(&s, 3);
    assert_true(story_to(&s, RECEIVER, GAGE_ACT_INSTALL));
    cancel(&s, RECEIVER); /* too late: it goes on */
    story_finish(&s);
    EXPECT_END(&s, RECEIVER, INSTALLED, COMPLETED, OK, "");
    EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "");
    story_free(&s);
}

/* ---- gone ---- */

TEST(a_mailbox_gone_before_the_release_released_nothing)
{
    struct story s = {0};
    both_start(&s);
    s.box.deleted = true;
    story_finish(&s);
    EXPECT_END(&s, SENDER, NOT_RELEASED, GONE, E_NOT_FOUND, "gone");
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, GONE, E_NOT_FOUND, "gone");
    assert_null(strchr(s.trace, 'r')); /* at the preview already */
    story_free(&s);
}

TEST(a_404_before_a_receipt_is_unknown_never_done)
{
    struct story s = {0};
    both_start(&s);
    story_to_writes(&s, 3);
    assert_true(story_to_http(&s, SENDER, GAGE_HTTP_READ));
    story_reply(&s, SENDER, 404, NULL, NULL, "");
    story_finish_one(&s, SENDER);
    EXPECT_END(&s, SENDER, UNKNOWN, GONE, E_UNKNOWN_OUTCOME, "gone");
    story_free(&s);
}

TEST(a_404_to_the_write_that_releases_is_unknown_too)
{
    struct story s = {0};
    both_start(&s);
    story_to_writes(&s, 2);
    assert_true(story_to_http(&s, SENDER, GAGE_HTTP_PUT));
    story_reply(&s, SENDER, 404, NULL, NULL, "");
    story_finish_one(&s, SENDER);
    EXPECT_END(&s, SENDER, UNKNOWN, GONE, E_UNKNOWN_OUTCOME, "gone");
    story_free(&s);
}

TEST(a_404_to_the_deletion_after_the_receipt_is_delivered_all_the_same)
{
    struct story s = {0};
    both_start(&s);
    assert_true((story_to_writes(&s, 4), story_to_http(&s, SENDER, GAGE_HTTP_DELETE)));
    story_reply(&s, SENDER, 404, NULL, NULL, "");
    story_finish(&s);
    EXPECT_END(&s, SENDER, DELIVERED, COMPLETED, OK, "");
    story_free(&s);
}

TEST(a_receipt_that_cannot_be_left_leaves_the_content_in_place_unconfirmed)
{
    struct story s = {0};
    both_start(&s);
    story_to_writes(&s, 3);
    assert_true(story_to_http(&s, RECEIVER, GAGE_HTTP_READ) && story_to_http(&s, RECEIVER, GAGE_HTTP_PUT));
    story_reply(&s, RECEIVER, 404, NULL, NULL, "");
    story_finish_one(&s, RECEIVER);
    EXPECT_END(&s, RECEIVER, INSTALLED, COMPLETED, OK, "in place");
    assert_true(s.party[RECEIVER].result.unconfirmed);
    story_free(&s);
}

/* ---- time ---- */

TEST(a_link_that_nobody_opened_in_time_released_nothing)
{
    struct story s = {0};
    story_begin(&s);
    story_finish_one(&s, SENDER);
    EXPECT_END(&s, SENDER, NOT_RELEASED, EXPIRED, E_EXPIRED, "time");
    story_free(&s);
}

TEST(a_relay_that_lengthens_the_time_changes_nothing_for_the_sender)
{
    struct story s = {0};
    both_start(&s); /* this relay says 2030 */
    assert_true(story_to_http(&s, SENDER, GAGE_HTTP_READ));
    story_step(&s, SENDER);
    struct gage_transfer_status status;
    gage_transfer_status(s.party[SENDER].t, &status);
    assert_int_equal(status.expires, s.send.expires);
    fake_now = s.send.expires + 1; /* and now somebody claims */
    assert_true(story_to_http(&s, RECEIVER, GAGE_HTTP_PUT));
    story_step(&s, RECEIVER);
    story_finish_one(&s, SENDER);
    EXPECT_END(&s, SENDER, NOT_RELEASED, EXPIRED, E_EXPIRED, "time");
    assert_false(s.party[SENDER].result.released);
    story_free(&s);
}

TEST(no_receipt_in_time_is_unknown)
{
    struct story s = {0};
    both_start(&s);
    story_to_writes(&s, 3);
    story_finish_one(&s, SENDER);
    EXPECT_END(&s, SENDER, UNKNOWN, EXPIRED, E_UNKNOWN_OUTCOME, "time");
    story_free(&s);
}

TEST(a_receiver_waits_no_longer_than_the_mailbox_lives)
{
    struct story s = {0};
    both_start(&s);
    story_to_writes(&s, 2);
    fake_now = 1900000000; /* beyond what the relay told */
    story_finish_one(&s, RECEIVER);
    EXPECT_END(&s, RECEIVER, NOT_INSTALLED, EXPIRED, E_EXPIRED, "time");
    story_free(&s);
}

TEST(every_outcome_has_its_story)
{
    assert_int_equal(story_outcomes, (2u << GAGE_OUTCOME_NOT_INSTALLED) - 1);
    assert_int_equal(story_reasons & STORY_PERSONS, STORY_PERSONS);
}

TEST_MAIN(CASE(four_writes_deliver_and_the_sender_deletes_after_reading), CASE(both_persons_see_the_same_six_digits),
          CASE(both_persons_are_asked_at_once_and_either_may_answer_first),
          CASE(what_cannot_be_installed_now_is_installed_later), CASE(a_refused_claim_leaves_nothing_at_the_relay),
          CASE(digits_that_differ_release_nothing), CASE(another_title_than_announced_is_asked_about_and_a_no_is_told),
          CASE(content_that_cannot_be_put_in_place_is_declined), CASE(a_refused_call_ends_both_sides),
          CASE(a_sender_that_cancels_before_the_release_has_released_nothing),
          CASE(a_sender_that_cancels_before_the_mailbox_exists_asks_the_relay_nothing),
          CASE(a_sender_that_cancels_after_the_release_does_not_know),
          CASE(a_receipt_that_is_there_beats_the_cancelling), CASE(a_receiver_may_cancel_until_it_has_content),
          CASE(a_mailbox_gone_before_the_release_released_nothing), CASE(a_404_before_a_receipt_is_unknown_never_done),
          CASE(a_404_to_the_write_that_releases_is_unknown_too),
          CASE(a_404_to_the_deletion_after_the_receipt_is_delivered_all_the_same),
          CASE(a_receipt_that_cannot_be_left_leaves_the_content_in_place_unconfirmed),
          CASE(a_link_that_nobody_opened_in_time_released_nothing),
          CASE(a_relay_that_lengthens_the_time_changes_nothing_for_the_sender), CASE(no_receipt_in_time_is_unknown),
          CASE(a_receiver_waits_no_longer_than_the_mailbox_lives), CASE(every_outcome_has_its_story))
