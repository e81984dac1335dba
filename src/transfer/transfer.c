/* The public face of a transfer: what to do next, and what the caller reports. */
#include <string.h>

#include "transfer/state.h"

#define LATER_SECONDS 5

/* ---- next ---- */

static gage_rc
give_save(gage_transfer *t, struct gage_action *action, struct gage_err *err)
{
    if (t->record.n == 0) {
        gage_rc rc = state_put(t, &t->record, err);
        if (!gage_ok(rc)) {
            buf_reset(&t->record);
            /* A context that could not be imported back is gone. */
            t->poisoned = t->handshake != NULL;
            return rc;
        }
    }
    t->stored = true;
    action->kind = GAGE_ACT_SAVE;
    action->record = gage_buf_slice(&t->record);
    return GAGE_DONE;
}

static void
fill_ask(gage_transfer *t, enum gage_question question, struct gage_action *action)
{
    bool claim = question == GAGE_ASK_CLAIM;
    action->kind = GAGE_ACT_ASK;
    action->ask = (struct gage_ask){.question = question,
                                    .host = t->host,
                                    .title = claim ? t->announced_title : t->title,
                                    .description = claim ? t->shown_description : "",
                                    .format = claim ? t->announced_format : t->format,
                                    .announced_title = t->announced_title,
                                    .announced_format = t->announced_format,
                                    .digits = t->digits};
}

static void
give_install(gage_transfer *t, struct gage_action *action)
{
    if (t->now < t->retry_at) {
        give_wait(t, t->retry_at, action);
        return;
    }
    make_key(t);
    action->kind = GAGE_ACT_INSTALL;
    action->install = (struct gage_install){.content = gage_buf_slice(&t->content),
                                            .name = t->name,
                                            .format = t->format,
                                            .title = t->title,
                                            .mode = t->mode,
                                            .key = t->key,
                                            .peer = t->peer};
    memcpy(action->install.sha256, t->sha256, sizeof t->sha256);
}

static void
give_call(gage_transfer *t, enum gage_action_kind kind, struct gage_action *action)
{
    make_key(t);
    action->kind = kind;
    action->call = (struct gage_call){
        .input = gage_buf_slice(&t->input), .format = t->format, .key = t->key, .peer = t->peer, .round = t->round};
}

static void
give_done(gage_transfer *t, struct gage_action *action)
{
    action->kind = GAGE_ACT_DONE;
    action->result = (struct gage_result){.outcome = t->outcome,
                                          .reason = t->reason,
                                          .code = t->code,
                                          .text = t->sentence,
                                          .released = t->released,
                                          .unconfirmed = t->unconfirmed};
}

static gage_rc
give_for_phase(gage_transfer *t, struct gage_action *action, struct gage_err *err)
{
    switch (t->phase) {
    case PHASE_CREATE:
        return next_create(t, action, err);
    case PHASE_PREVIEW:
        return next_preview(t, action, err);
    case PHASE_AWAIT:
        return next_await(t, action, err);
    case PHASE_PUT:
        return next_put(t, action, err);
    case PHASE_DELETE:
        return next_delete(t, action, err);
    case PHASE_ASK_CLAIM:
        fill_ask(t, GAGE_ASK_CLAIM, action);
        return GAGE_DONE;
    case PHASE_ASK_DIGITS:
        fill_ask(t, GAGE_ASK_DIGITS, action);
        return GAGE_DONE;
    case PHASE_ASK_MISMATCH:
        fill_ask(t, GAGE_ASK_MISMATCH, action);
        return GAGE_DONE;
    case PHASE_REQUEST:
        give_call(t, GAGE_ACT_REQUEST, action);
        return GAGE_DONE;
    case PHASE_SUPPLY:
        give_call(t, GAGE_ACT_SUPPLY, action);
        return GAGE_DONE;
    case PHASE_INSTALL:
        give_install(t, action);
        return GAGE_DONE;
    case PHASE_DONE:
        give_done(t, action);
        return GAGE_DONE;
    }
    return gage_fail(err, GAGE_E_INTERNAL, "a transfer in no known phase");
}

gage_rc
gage_transfer_next(gage_transfer *t, int64_t now, struct gage_action *action, struct gage_err *err)
{
    memset(action, 0, sizeof *action);
    REQUIRE(!t->poisoned, err, GAGE_E_STATE, "an earlier step failed half-way: load the last record to go on");
    t->now = now;
    /* A step may only change the phase (it expired, it is to be written again): then the next phase says what to do. */
    for (int i = 0; action->kind == 0 && i < 4; i++) {
        if (t->dirty)
            TRY(give_save(t, action, err));
        else if (t->phase == PHASE_AWAIT && t->role == PACKET_SENDER && !t->invited)
            action->kind = GAGE_ACT_INVITE;
        else
            TRY(give_for_phase(t, action, err));
    }
    t->given.kind = action->kind;
    return GAGE_DONE;
}

/* ---- reports ---- */

static gage_rc
demand(const gage_transfer *t, enum gage_action_kind kind, struct gage_err *err)
{
    REQUIRE(t->given.kind == kind && !t->poisoned, err, GAGE_E_STATE,
            "the action reported on was not the one last given");
    return GAGE_DONE;
}

/* A report is taken once; a step that fails half-way leaves only the last record sound. */
static gage_rc
took(gage_transfer *t, gage_rc rc)
{
    t->given.kind = (enum gage_action_kind)0;
    if (!gage_ok(rc))
        t->poisoned = true;
    return rc;
}

void
gage_transfer_http_sent(gage_transfer *t, int64_t now)
{
    if (!t->live || t->sent)
        return;
    t->sent = true;
    if (t->phase == PHASE_PUT && t->asked_to_wait)
        t->since = now;
}

gage_rc
gage_transfer_saved(gage_transfer *t, struct gage_err *err)
{
    TRY(demand(t, GAGE_ACT_SAVE, err));
    t->dirty = false;
    buf_reset(&t->record);
    return took(t, GAGE_DONE);
}

gage_rc
gage_transfer_invited(gage_transfer *t, struct gage_err *err)
{
    TRY(demand(t, GAGE_ACT_INVITE, err));
    t->invited = true;
    t->since = t->now;
    make_dirty(t);
    return took(t, GAGE_DONE);
}

static gage_rc
agree(gage_transfer *t, struct gage_err *err)
{
    switch (t->phase) {
    case PHASE_ASK_CLAIM:
        set_phase(t, PHASE_AWAIT);
        t->look = true;
        make_dirty(t);
        return GAGE_DONE;
    case PHASE_ASK_DIGITS:
        return t->role == PACKET_SENDER ? sender_digits_agree(t, err) : receiver_digits_agree(t, err);
    default:
        set_phase(t, (enum phase)t->refusing);
        make_dirty(t);
        return GAGE_DONE;
    }
}

static gage_rc
disagree(gage_transfer *t, struct gage_err *err)
{
    switch (t->phase) {
    case PHASE_ASK_CLAIM:
        finish(t, GAGE_OUTCOME_NOT_INSTALLED, GAGE_REASON_REFUSED, NULL);
        return GAGE_DONE;
    case PHASE_ASK_DIGITS:
        if (t->role == PACKET_RECEIVER)
            return compose_refusal(t, REFUSAL_DIGITS, err);
        sender_digits_differ(t);
        return GAGE_DONE;
    case PHASE_ASK_MISMATCH:
        return compose_refusal(t, REFUSAL_MISMATCH, err);
    default:
        return compose_refusal(t, REFUSAL_CALL, err);
    }
}

gage_rc
gage_transfer_answer(gage_transfer *t, bool yes, struct gage_err *err)
{
    bool call = t->given.kind == GAGE_ACT_REQUEST || t->given.kind == GAGE_ACT_SUPPLY;
    if (!(call && !yes))
        TRY(demand(t, GAGE_ACT_ASK, err));
    return took(t, yes ? agree(t, err) : disagree(t, err));
}

gage_rc
gage_transfer_request(gage_transfer *t, gage_slice request, struct gage_err *err)
{
    TRY(demand(t, GAGE_ACT_REQUEST, err));
    REQUIRE(request.n <= GAGE_TRANSFER_CONTENT_MAX, err, GAGE_E_LIMIT, "the request is too long");
    return took(t, receiver_request(t, request, err));
}

gage_rc
gage_transfer_supply(gage_transfer *t, gage_slice answer, bool last, const char *name, uint32_t mode,
                     struct gage_err *err)
{
    TRY(demand(t, GAGE_ACT_SUPPLY, err));
    const char *plain = name != NULL ? name : "";
    REQUIRE(answer.n <= GAGE_TRANSFER_CONTENT_MAX, err, GAGE_E_LIMIT, "the answer is too long");
    REQUIRE(plain[0] == '\0' || name_plain(slice_str(plain)), err, GAGE_E_USAGE, "the name is not a plain file name");
    TRY(copy_text(t->name, sizeof t->name, slice_str(plain)));
    t->mode = mode & 0777;
    return took(t, sender_supply(t, answer, last, err));
}

gage_rc
gage_transfer_installed(gage_transfer *t, enum gage_install_result result, struct gage_err *err)
{
    TRY(demand(t, GAGE_ACT_INSTALL, err));
    if (result == GAGE_INSTALL_LATER) {
        t->retry_at = t->now + LATER_SECONDS;
        return took(t, GAGE_DONE);
    }
    REQUIRE(result == GAGE_INSTALL_DONE || result == GAGE_INSTALL_REFUSED, err, GAGE_E_USAGE, "no such result");
    return took(t, result == GAGE_INSTALL_DONE ? receiver_installed(t, err) : compose_refusal(t, REFUSAL_INSTALL, err));
}

gage_rc
gage_transfer_cancel(gage_transfer *t, struct gage_err *err)
{
    if (is_done(t) || t->ending || t->phase == PHASE_INSTALL)
        return GAGE_DONE;
    t->given.kind = (enum gage_action_kind)0;
    t->live = false;
    bool unclaimed = t->phase == PHASE_PREVIEW || t->phase == PHASE_ASK_CLAIM || t->phase == PHASE_CREATE;
    enum gage_outcome outcome = t->role == PACKET_SENDER ? GAGE_OUTCOME_NOT_RELEASED : GAGE_OUTCOME_NOT_INSTALLED;
    if (unclaimed) {
        finish(t, outcome, GAGE_REASON_CANCELLED, NULL);
    } else if (!t->released) {
        finish_and_delete(t, outcome, GAGE_REASON_CANCELLED, NULL);
    } else {
        t->cancelling = true; /* the receipt may be there already */
        set_phase(t, PHASE_AWAIT);
    }
    return GAGE_DONE;
}

/* ---- looking ---- */

static const char *
waiting_for(const gage_transfer *t)
{
    bool sender = t->role == PACKET_SENDER;
    switch (t->phase) {
    case PHASE_CREATE:
        return "the relay to make the mailbox";
    case PHASE_PREVIEW:
        return "the relay's preview";
    case PHASE_ASK_CLAIM:
    case PHASE_ASK_DIGITS:
    case PHASE_ASK_MISMATCH:
        return "your answer";
    case PHASE_PUT:
        if (t->live && t->sent && t->asked_to_wait)
            break; /* what is waited for is the answer to it */
        return t->ending ? "the relay to take the last message" : "the relay to take the message";
    case PHASE_DELETE:
        return "the relay to delete the mailbox";
    case PHASE_INSTALL:
        return "the content to be put in place";
    case PHASE_REQUEST:
    case PHASE_SUPPLY:
        return "the call to be answered here";
    case PHASE_DONE:
        return "";
    case PHASE_AWAIT:
        break;
    }
    if (sender && t->agreed && (t->expect & 1u << RECORD_COMPARED) != 0)
        return "the receiver to say that the digits are the same";
    if (!sender && t->digits[0] != '\0' && t->round == 0)
        return "the sender to say that the digits are the same";
    if (!sender)
        return t->peer_log.seq == 0 ? "the sender's invitation" : "the sender's answer";
    if (t->peer_log.seq == 0)
        return "the receiver to open the link";
    return t->released ? "the receipt" : "the receiver's answer";
}

void
gage_transfer_status(const gage_transfer *t, struct gage_transfer_status *status)
{
    *status = (struct gage_transfer_status){
        .role = t->role == PACKET_SENDER ? GAGE_ROLE_SENDER : GAGE_ROLE_RECEIVER,
        .waiting_for = waiting_for(t),
        .since = t->since,
        .trouble = t->trouble,
        .url = t->url,
        .host = t->host,
        .title = t->title[0] != '\0' ? t->title : t->announced_title,
        .format = t->format[0] != '\0' ? t->format : t->announced_format,
        .peer = t->peer,
        .digits = t->digits,
        .created = t->created,
        .expires = t->expires,
        .waits_until = t->phase == PHASE_DONE ? 0 : waits_until(t),
        .size = (size_t)t->size,
        .attempt = t->attempt,
        .released = t->released,
        .done = t->phase == PHASE_DONE,
        .note = gage_buf_slice(&t->note),
    };
}

gage_rc
gage_transfer_invitation(const gage_transfer *t, gage_invitation **out, struct gage_err *err)
{
    AUTO(gage_invitation_ptr) in = NULL;
    REQUIRE(t->role == PACKET_SENDER && t->url[0] != '\0' && t->secret.n > 0, err, GAGE_E_STATE,
            "there is no invitation: the mailbox does not exist yet, or the transfer is over");
    TRY(invitation_new(&in, err));
    TRY(url_parse_mailbox(slice_str(t->url), t->allow_loopback_http, &in->url, err));
    memcpy(in->host, t->host, sizeof in->host);
    memcpy(in->title, t->title, sizeof in->title);
    memcpy(in->format, t->format, sizeof in->format);
    memcpy(in->pin, t->pin, sizeof in->pin);
    in->secret = t->secret;
    in->expires = t->expires;
    in->vertical = t->vertical[0];
    in->allow_loopback_http = t->allow_loopback_http;
    *out = in;
    in = NULL;
    return GAGE_DONE;
}
