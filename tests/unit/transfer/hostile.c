/* A relay that keeps a transfer busy: it cannot make a side wait longer than was asked for, nor turn in circles without a pause. */
#include "unit/test.h"

#include "unit/transfer/fake.h"
#include "unit/transfer/mailbox.h"

#define LIFE 600
#define STEPS_MAX 5000

static gage_rc
seeded_fill(void *context, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)fake_random();
    return GAGE_DONE;
}
static const struct gage_rng seeded = {seeded_fill, NULL};

struct stage {
    struct mailbox box;
    gage_invitation *invitation;
    bool refuse_puts; /* 412 for ever */
    unsigned requests;
};

static void
begin(struct stage *s)
{
    fake_reset(1);
    mailbox_init(&s->box);
}

static void
end(struct stage *s)
{
    gage_invitation_free(&s->invitation);
    mailbox_free(&s->box);
}

static gage_transfer *
sender(void)
{
    gage_transfer *t = NULL;
    struct gage_send_options o = {
        .relay = "https://relay.example", .expires = fake_now + LIFE, .content = SLICE_LITERAL("the content")};
    assert_ok(transfer_send(&fake_security, &o, &seeded, fake_now, &t, NULL));
    return t;
}

static gage_transfer *
receiver(const struct stage *s)
{
    gage_transfer *t = NULL;
    struct gage_receive_options o = {.no_preview = true};
    assert_ok(transfer_receive(&fake_security, s->invitation, &o, &seeded, fake_now, &t, NULL));
    return t;
}

static void
do_http(struct stage *s, gage_transfer *t, const struct gage_http_request *request)
{
    struct mailbox_answer answer = {.body = GAGE_BUF(0)};
    s->requests++;
    mailbox_handle(&s->box, request, &answer);
    if (s->refuse_puts && request->purpose == GAGE_HTTP_PUT)
        answer.response.status = 412;
    fake_now += request->wait;
    assert_ok(gage_transfer_http_result(t, fake_now, &answer.response, NULL));
    mailbox_answer_free(&answer);
}

/* Carries out the next action. True at the end, or where the invitation stands and `until_invited`. */
static bool
step(struct stage *s, gage_transfer *t, bool until_invited, struct gage_result *result)
{
    struct gage_action action;
    assert_ok(gage_transfer_next(t, fake_now, &action, NULL));
    switch (action.kind) {
    case GAGE_ACT_SAVE:
        assert_ok(gage_transfer_saved(t, NULL));
        return false;
    case GAGE_ACT_HTTP:
        do_http(s, t, &action.http);
        return false;
    case GAGE_ACT_ASK:
        assert_ok(gage_transfer_answer(t, true, NULL));
        return false;
    case GAGE_ACT_WAIT:
        fake_now = action.until;
        return false;
    case GAGE_ACT_INVITE:
        if (s->invitation == NULL)
            assert_ok(gage_transfer_invitation(t, &s->invitation, NULL));
        assert_ok(gage_transfer_invited(t, NULL));
        return until_invited;
    case GAGE_ACT_DONE:
        *result = action.result;
        return true;
    default:
        fail_msg("action %d", (int)action.kind);
        return true;
    }
}

static struct gage_result
run(struct stage *s, gage_transfer *t, bool until_invited)
{
    struct gage_result result = {0};
    for (int i = 0; !step(s, t, until_invited, &result); i++)
        if (i == STEPS_MAX)
            fail_msg("no end after %d steps, %u requests", STEPS_MAX, s->requests);
    return result;
}

/* The mailbox of the tests tells 2030 as its expiration, years after what was asked for. */
TEST(a_relay_that_tells_a_later_expiry_is_not_waited_for_longer)
{
    struct stage s = {0};
    begin(&s);
    gage_transfer *t = sender();
    int64_t began = fake_now;
    struct gage_result result = run(&s, t, false);
    assert_int_equal(result.outcome, GAGE_OUTCOME_NOT_RELEASED);
    assert_int_equal(result.reason, GAGE_REASON_EXPIRED);
    assert_in_range(fake_now - began, LIFE, 2 * LIFE);
    gage_transfer_free(&t);
    end(&s);
}

TEST(a_relay_that_says_conflict_for_ever_is_asked_slowly_and_given_up)
{
    struct stage s = {0};
    begin(&s);
    gage_transfer *from = sender();
    run(&s, from, true);
    gage_transfer *to = receiver(&s);
    s.refuse_puts = true;
    struct gage_result result = run(&s, to, false);
    assert_int_equal(result.outcome, GAGE_OUTCOME_NOT_INSTALLED);
    assert_int_equal(result.reason, GAGE_REASON_EXPIRED);
    assert_true(s.requests < 100);
    gage_transfer_free(&from);
    gage_transfer_free(&to);
    end(&s);
}

TEST_MAIN(CASE(a_relay_that_tells_a_later_expiry_is_not_waited_for_longer),
          CASE(a_relay_that_says_conflict_for_ever_is_asked_slowly_and_given_up))
