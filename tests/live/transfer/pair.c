/* Whole transfers over real mechanisms (argument: otc or krb5), with a mailbox in memory: what is exchanged, and a restart from the
 * last record at every step. */
#include "live/otc/kit.h"

#include "base/clock.h"
#include "unit/transfer/mailbox.h"

#define STEPS_MAX 400

static const char *mechanism;

struct side {
    gage_transfer *t;
    gage_buf record;
    bool done, invited;
    char digits[8], peer[256];
    struct gage_result result;
    unsigned installs;
    gage_buf installed;
};

struct story {
    struct mailbox box;
    struct side s, r;
    gage_buf content;
    bool verify, calls;
    unsigned steps;
    int restart_at; /* the step after which both sides restart; -1: never, -2: after each record */
    int64_t now;
};

static void
story_begin(struct story *y, size_t size, bool verify, bool calls)
{
    memset(y, 0, sizeof *y);
    mailbox_init(&y->box);
    y->content = GAGE_BUF(GAGE_TRANSFER_CONTENT_MAX);
    y->verify = verify;
    y->calls = calls;
    y->restart_at = -1;
    y->now = clock_now();
    for (size_t i = 0; i < size; i++)
        put_u8(&y->content, (uint8_t)(i * 31));
    struct gage_err err = {0};
    struct gage_send_options o = {.relay = "https://relay.example",
                                  .title = "keys",
                                  .name = "id.key",
                                  .mode = 0600,
                                  .expires = y->now + 3600,
                                  .content = gage_buf_slice(&y->content),
                                  .verify = verify,
                                  .calls = calls,
                                  .mechanism = mechanism,
                                  .target = strcmp(mechanism, "krb5") == 0 ? "host@localhost" : NULL};
    if (!gage_ok(gage_transfer_send(&o, NULL, y->now, &y->s.t, &err)))
        fail_msg("%s", err.text);
}

static void
side_free(struct side *side)
{
    gage_transfer_free(&side->t);
    gage_buf_free(&side->record);
    gage_buf_free(&side->installed);
}

static void
story_end(struct story *y)
{
    side_free(&y->s);
    side_free(&y->r);
    gage_buf_free(&y->content);
    mailbox_free(&y->box);
}

static void
accept_invitation(struct story *y, gage_transfer *sender)
{
    AUTO(gage_buf) text = GAGE_BUF(4096);
    gage_invitation *in = NULL, *copy = NULL;
    assert_ok(gage_transfer_invitation(sender, &in, NULL));
    assert_ok(gage_invitation_format(in, GAGE_INVITATION_LINK, &text, NULL));
    assert_ok(gage_invitation_parse(gage_buf_slice(&text), false, &copy, NULL));
    struct gage_receive_options o = {.mechanism = mechanism};
    assert_ok(gage_transfer_receive(copy, &o, NULL, y->now, &y->r.t, NULL));
    gage_invitation_free(&in);
    gage_invitation_free(&copy);
}

static void
keep(gage_buf *to, gage_slice bytes)
{
    gage_buf_free(to);
    *to = GAGE_BUF(3u * ENVELOPE_MAX);
    put_bytes(to, bytes);
    assert_false(to->bad);
}

static void
do_http(struct story *y, struct side *side, const struct gage_http_request *request)
{
    struct mailbox_answer answer = {.body = GAGE_BUF(0)};
    mailbox_handle(&y->box, request, &answer);
    assert_ok(gage_transfer_http_result(side->t, y->now, &answer.response, NULL));
    mailbox_answer_free(&answer);
}

static void
do_action(struct story *y, struct side *side, const struct gage_action *a)
{
    switch (a->kind) {
    case GAGE_ACT_HTTP:
        do_http(y, side, &a->http);
        break;
    case GAGE_ACT_SAVE:
        keep(&side->record, a->record);
        assert_ok(gage_transfer_saved(side->t, NULL));
        break;
    case GAGE_ACT_INVITE:
        if (y->r.t == NULL)
            accept_invitation(y, side->t);
        assert_ok(gage_transfer_invited(side->t, NULL));
        break;
    case GAGE_ACT_ASK:
        snprintf(side->digits, sizeof side->digits, "%s", a->ask.digits);
        assert_ok(gage_transfer_answer(side->t, true, NULL));
        break;
    case GAGE_ACT_REQUEST:
        assert_ok(gage_transfer_request(side->t, SLICE_LITERAL("a public key"), NULL));
        break;
    case GAGE_ACT_SUPPLY:
        assert_slice_equal(a->call.input, SLICE_LITERAL("a public key"));
        assert_ok(gage_transfer_supply(side->t, gage_buf_slice(&y->content), true, "id.key", 0600, NULL));
        break;
    case GAGE_ACT_INSTALL:
        side->installs++;
        keep(&side->installed, a->install.content);
        snprintf(side->peer, sizeof side->peer, "%s", a->install.peer);
        assert_ok(gage_transfer_installed(side->t, GAGE_INSTALL_DONE, NULL));
        break;
    case GAGE_ACT_WAIT:
        y->now = a->until;
        break;
    case GAGE_ACT_DONE:
        side->done = true;
        side->result = a->result;
        break;
    }
}

/* Ends and goes on from what was stored, as after kill -9. */
static void
restart(struct story *y, struct side *side)
{
    struct gage_err err = {0};
    if (side->record.n == 0 || side->done)
        return;
    gage_transfer_free(&side->t);
    if (!gage_ok(gage_transfer_load(gage_buf_slice(&side->record), NULL, y->now, &side->t, &err)))
        fail_msg("%s", err.text);
}

static void
step(struct story *y, struct side *side)
{
    struct gage_action action;
    struct gage_err err = {0};
    if (side->t == NULL || side->done)
        return;
    if (!gage_ok(gage_transfer_next(side->t, y->now, &action, &err)))
        fail_msg("%s", err.text);
    do_action(y, side, &action);
    if ((y->restart_at == -2 && action.kind == GAGE_ACT_SAVE) || y->restart_at == (int)y->steps)
        restart(y, side);
    y->steps++;
}

static void
story_run(struct story *y)
{
    for (unsigned i = 0; i < STEPS_MAX && !(y->s.done && (y->r.done || y->r.t == NULL)); i++) {
        step(y, &y->s);
        step(y, &y->r);
    }
}

static void
assert_handed_over(const struct story *y)
{
    if (!y->s.done || !y->r.done)
        fail_msg("restart at %d: not over after %u steps", y->restart_at, y->steps);
    if (y->s.result.outcome != GAGE_OUTCOME_DELIVERED || y->r.result.outcome != GAGE_OUTCOME_INSTALLED)
        fail_msg("restart at %d: %s / %s", y->restart_at, y->s.result.text, y->r.result.text);
    assert_true(y->r.installs >= 1);
    assert_slice_equal(gage_buf_slice(&y->r.installed), gage_buf_slice(&y->content));
}

TEST(a_whole_transfer_is_four_writes)
{
    struct story y;
    bool timed = strcmp(mechanism, "krb5") == 0;
    story_begin(&y, 1000, false, false);
    story_run(&y);
    assert_handed_over(&y);
    /* A time-bound mechanism needs "ready" and a token made on demand besides. */
    assert_int_equal(y.box.creates + y.box.puts, timed ? 6 : 4);
    assert_int_equal(y.box.deletes, 1);
    assert_memory_equal(y.r.peer, mechanism, strlen(mechanism));
    story_end(&y);
}

static void
restart_at_every_step(bool verify, bool calls)
{
    struct story y;
    story_begin(&y, 100, verify, calls);
    story_run(&y);
    int steps = (int)y.steps;
    story_end(&y);
    for (int at = -2; at < steps; at++) {
        story_begin(&y, 100, verify, calls);
        y.restart_at = at;
        story_run(&y);
        assert_handed_over(&y);
        if (verify)
            assert_string_equal(y.s.digits, y.r.digits);
        story_end(&y);
    }
}

TEST(survives_a_restart_after_every_step)
{
    restart_at_every_step(false, false);
}

TEST(both_persons_read_the_same_six_digits_over_any_restart)
{
    restart_at_every_step(true, false);
}

TEST(additional_calls_survive_a_restart_after_every_step)
{
    restart_at_every_step(false, true);
}

TEST(carries_36_kilobytes_within_a_payload_of_64)
{
    struct story y;
    story_begin(&y, 36000, false, false);
    y.box.payload_max = 65536 - 16;
    assert_true(gage_transfer_payload_size(y.s.t) <= y.box.payload_max);
    story_run(&y);
    assert_handed_over(&y);
    story_end(&y);
}

TEST(too_large_for_the_relay_is_said_before_anything_is_released)
{
    struct story y;
    story_begin(&y, 60000, false, false);
    y.box.payload_max = 65536;
    story_run(&y);
    assert_true(y.s.done && !y.s.result.released);
    assert_int_equal(y.s.result.reason, GAGE_REASON_TOO_LARGE);
    assert_int_equal(y.s.result.code, GAGE_E_LIMIT);
    assert_non_null(strstr(y.s.result.text, "65536"));
    story_end(&y);
}

TEST(carries_a_megabyte_where_the_relay_takes_it)
{
    struct story y;
    story_begin(&y, 1 << 20, false, false);
    story_run(&y);
    assert_handed_over(&y);
    story_end(&y);
}

TEST(the_relay_sees_neither_content_nor_title_of_the_messages)
{
    struct story y;
    story_begin(&y, 1000, false, false);
    story_run(&y);
    for (size_t i = 0; i < y.box.writes; i++) {
        AUTO(gage_buf) bytes = GAGE_BUF(ENVELOPE_MAX);
        assert_ok(get_base64(gage_buf_slice(&y.box.history[i].data), &bytes));
        assert_null(memmem(bytes.p, bytes.n, y.content.p, 16));
        assert_null(memmem(bytes.p, bytes.n, "id.key", 6));
    }
    story_end(&y);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {CASE(a_whole_transfer_is_four_writes),
                                       CASE(survives_a_restart_after_every_step),
                                       CASE(both_persons_read_the_same_six_digits_over_any_restart),
                                       CASE(additional_calls_survive_a_restart_after_every_step),
                                       CASE(carries_36_kilobytes_within_a_payload_of_64),
                                       CASE(too_large_for_the_relay_is_said_before_anything_is_released),
                                       CASE(carries_a_megabyte_where_the_relay_takes_it),
                                       CASE(the_relay_sees_neither_content_nor_title_of_the_messages)};
    mechanism = argc > 1 ? argv[1] : "otc";
    if (strcmp(mechanism, "otc") == 0)
        kit_start();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
