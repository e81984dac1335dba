#include "unit/transfer/story.h"

#include <stdlib.h>

#define STEPS_MAX 60000

uint32_t story_outcomes, story_reasons;

static gage_rc
seeded_fill(void *context, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)fake_random();
    return GAGE_DONE;
}
static const struct gage_rng seeded = {seeded_fill, NULL};

void
story_begin(struct story *s)
{
    struct gage_err err = {0};
    fake_reset(7);
    mailbox_init(&s->box);
    s->content = GAGE_BUF(1000);
    put_bytes(&s->content, SLICE_LITERAL("-----THE CREDENTIAL-----"));
    s->send.relay = "https://relay.example";
    s->send.title = "a key";
    s->send.name = "key.pem";
    s->send.mode = 0600;
    s->send.expires = fake_now + 86400;
    s->send.content = gage_buf_slice(&s->content);
    if (!gage_ok(transfer_send(&fake_security, &s->send, &seeded, fake_now, &s->party[SENDER].t, &err)))
        fail_msg("%s", err.text);
}

void
story_free(struct story *s)
{
    for (int i = 0; i < PARTIES; i++) {
        gage_transfer_free(&s->party[i].t);
        gage_buf_free(&s->party[i].record);
    }
    gage_invitation_free(&s->invitation);
    gage_buf_free(&s->content);
    mailbox_free(&s->box);
}

void
story_accept(struct story *s, int who)
{
    while (s->invitation == NULL)
        story_step(s, SENDER);
    assert_ok(transfer_receive(&fake_security, s->invitation, &s->receive, &seeded, fake_now, &s->party[who].t, NULL));
}

void
story_restart(struct story *s, int who)
{
    struct party *p = &s->party[who];
    gage_transfer_free(&p->t);
    assert_ok(transfer_load(&fake_security, gage_buf_slice(&p->record), &seeded, fake_now, &p->t, NULL));
}

/* ---- one step ---- */

static void
note(struct story *s, int who, enum gage_http_purpose purpose)
{
    size_t n = strlen(s->trace);
    char c = " CGRPD"[purpose];
    if (n + 1 < sizeof s->trace)
        s->trace[n] = who == SENDER ? c : (char)(c | 0x20);
}

static void
ask_relay(struct story *s, int who, const struct gage_http_request *request)
{
    struct mailbox_answer answer = {.body = GAGE_BUF(0)};
    note(s, who, request->purpose);
    mailbox_handle(&s->box, request, &answer);
    fake_now += request->wait > 0 ? 5 : 0;
    assert_ok(gage_transfer_http_result(s->party[who].t, fake_now, &answer.response, NULL));
    mailbox_answer_free(&answer);
}

static void
save(struct party *p, gage_slice record)
{
    gage_buf_free(&p->record);
    p->record = GAGE_BUF(3u * ENVELOPE_MAX);
    put_bytes(&p->record, record);
    assert_ok(buf_check(&p->record, NULL));
    assert_ok(gage_transfer_saved(p->t, NULL));
}

static void
invite(struct story *s, struct party *p)
{
    if (s->invitation == NULL) {
        assert_ok(gage_transfer_invitation(p->t, &s->invitation, NULL));
        s->secret = s->invitation->secret;
    }
    assert_ok(gage_transfer_invited(p->t, NULL));
}

static void
ask_person(struct party *p, const struct gage_ask *ask)
{
    bool no = p->no_claim;
    if (ask->question == GAGE_ASK_DIGITS) {
        snprintf(p->digits, sizeof p->digits, "%s", ask->digits);
        no = p->no_digits;
    } else if (ask->question == GAGE_ASK_MISMATCH) {
        p->asked_mismatch++;
        no = p->no_mismatch;
    }
    assert_ok(gage_transfer_answer(p->t, !no, NULL));
}

static void
install(struct story *s, struct party *p, const struct gage_install *it)
{
    enum gage_install_result how = p->install != 0 ? p->install : GAGE_INSTALL_DONE;
    assert_slice_equal(it->content, gage_buf_slice(&s->content));
    p->installs += how == GAGE_INSTALL_DONE;
    if (how == GAGE_INSTALL_LATER)
        p->install = GAGE_INSTALL_DONE;
    assert_ok(gage_transfer_installed(p->t, how, NULL));
}

static void
call(struct story *s, struct party *p, const struct gage_action *action)
{
    if (p->no_call)
        assert_ok(gage_transfer_answer(p->t, false, NULL));
    else if (action->kind == GAGE_ACT_REQUEST)
        assert_ok(gage_transfer_request(p->t, SLICE_LITERAL("please"), NULL));
    else
        assert_ok(gage_transfer_supply(p->t, gage_buf_slice(&s->content), true, "key.pem", 0600, NULL));
}

static void
end(struct party *p, const struct gage_result *result)
{
    p->done = true;
    p->result = *result;
    snprintf(p->text, sizeof p->text, "%s", result->text);
    p->result.text = p->text;
}

static void
look(struct party *p, struct gage_action *action)
{
    struct gage_err err = {0};
    assert_non_null(p->t);
    if (!gage_ok(gage_transfer_next(p->t, fake_now, action, &err)))
        fail_msg("%s", err.text);
}

void
story_step(struct story *s, int who)
{
    struct party *p = &s->party[who];
    struct gage_action action;
    look(p, &action);
    if (action.kind == GAGE_ACT_HTTP)
        ask_relay(s, who, &action.http);
    else if (action.kind == GAGE_ACT_SAVE)
        save(p, action.record);
    else if (action.kind == GAGE_ACT_INVITE)
        invite(s, p);
    else if (action.kind == GAGE_ACT_ASK)
        ask_person(p, &action.ask);
    else if (action.kind == GAGE_ACT_INSTALL)
        install(s, p, &action.install);
    else if (action.kind == GAGE_ACT_WAIT)
        fake_now = action.until;
    else if (action.kind == GAGE_ACT_DONE)
        end(p, &action.result);
    else
        call(s, p, &action);
}

/* ---- many steps ---- */

bool
story_to(struct story *s, int who, enum gage_action_kind kind)
{
    for (int i = 0; i < STEPS_MAX; i++) {
        struct gage_action action;
        look(&s->party[who], &action);
        if (action.kind == kind)
            return true;
        if (action.kind == GAGE_ACT_DONE)
            return false;
        story_step(s, who);
    }
    fail_msg("it never came");
    return false;
}

bool
story_to_http(struct story *s, int who, enum gage_http_purpose purpose)
{
    for (int i = 0; i < STEPS_MAX; i++) {
        struct gage_action action;
        look(&s->party[who], &action);
        if (action.kind == GAGE_ACT_DONE)
            return false;
        if (action.kind == GAGE_ACT_HTTP && action.http.purpose == purpose)
            return true;
        story_step(s, who);
    }
    fail_msg("the request never came");
    return false;
}

void
story_to_writes(struct story *s, size_t writes)
{
    for (int i = 0; i < STEPS_MAX && s->box.writes < writes; i++)
        for (int who = 0; who < PARTIES && s->box.writes < writes; who++)
            if (s->party[who].t != NULL && !s->party[who].done)
                story_step(s, who);
    assert_int_equal(s->box.writes, writes);
}

void
story_reply(struct story *s, int who, int status, const char *name, const char *value, const char *body)
{
    struct gage_http_header header = {name, value};
    struct gage_http_response response = {
        .status = status, .headers = &header, .header_count = name != NULL, .body = slice_str(body)};
    struct gage_action action;
    look(&s->party[who], &action);
    assert_int_equal(action.kind, GAGE_ACT_HTTP);
    note(s, who, action.http.purpose);
    assert_ok(gage_transfer_http_result(s->party[who].t, fake_now, &response, NULL));
}

void
story_finish_one(struct story *s, int who)
{
    for (int i = 0; i < STEPS_MAX && !s->party[who].done; i++)
        story_step(s, who);
    assert_true(s->party[who].done);
}

void
story_finish(struct story *s)
{
    bool more = true;
    for (int i = 0; i < STEPS_MAX && more; i++) {
        more = false;
        for (int who = 0; who < PARTIES; who++)
            if (s->party[who].t != NULL && !s->party[who].done) {
                story_step(s, who);
                more = true;
            }
    }
    assert_false(more);
}

void
story_forge(struct story *s, void (*change)(struct packet *))
{
    struct mailbox_content *c = &s->box.history[s->box.shown];
    AUTO(gage_buf) envelope = GAGE_BUF(ENVELOPE_MAX), text = GAGE_BUF(ENVELOPE_MAX), again = GAGE_BUF(ENVELOPE_MAX);
    struct packet packet;
    assert_ok(get_base64(gage_buf_slice(&c->data), &envelope));
    assert_ok(envelope_open(&s->secret, gage_buf_slice(&envelope), &text, NULL));
    assert_ok(packet_get(gage_buf_slice(&text), &packet, NULL));
    if (change != NULL)
        change(&packet);
    packet_put(&again, &packet, 0);
    buf_reset(&envelope);
    assert_ok(envelope_seal(&s->secret, &seeded, gage_buf_slice(&again), &envelope, NULL));
    buf_reset(&c->data);
    put_base64(&c->data, gage_buf_slice(&envelope));
    s->box.version++;
}

void
story_expect(struct story *s, int who, enum gage_outcome outcome, enum gage_reason reason, enum gage_code code,
             const char *text)
{
    const struct party *p = &s->party[who];
    assert_true(p->done);
    if (p->result.outcome != outcome || p->result.reason != reason || p->result.code != code)
        fail_msg("outcome %d, reason %d, code %s: %s", (int)p->result.outcome, (int)p->result.reason,
                 gage_code_name(p->result.code), p->text);
    if (strstr(p->text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", p->text, text);
    size_t word = strlen(gage_outcome_word(outcome));
    assert_memory_equal(p->text, gage_outcome_word(outcome), word);
    assert_int_equal(p->text[word], ':');
    story_outcomes |= 1u << (unsigned)outcome;
    story_reasons |= 1u << (unsigned)reason;
}
