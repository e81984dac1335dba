#include "cli/drive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cli/report.h"
#include "cli/seal/pair_note.h"
#include "cli/terminal.h"

#define FIRST_CONTACT_S 8
#define FIRST_SERVICE_S 30
#define SKEW_TOLD_S 300

void
drive_free(struct drive *d)
{
    http_close(&d->http);
    gage_transfer_free(&d->transfer);
}

/* ---- the record ---- */

/* What `gage list` shows without loading the transfer. */
static void
copy_status(struct drive *d, const struct gage_transfer_status *status)
{
    snprintf(d->record->mailbox, sizeof d->record->mailbox, "%s", status->url);
    snprintf(d->record->title, sizeof d->record->title, "%s", status->title);
    d->record->expires = status->expires;
}

static gage_rc
do_save(struct drive *d, const struct gage_action *action, struct gage_err *err)
{
    struct gage_transfer_status status;
    gage_transfer_status(d->transfer, &status);
    copy_status(d, &status);
    buf_reset(&d->record->state);
    put_bytes(&d->record->state, action->record);
    TRY(buf_check(&d->record->state, err));
    TRY(d->record->id[0] == '\0' ? record_create(d->record, err) : record_save(d->record, err));
    return gage_transfer_saved(d->transfer, err);
}

/* ---- HTTP ---- */

static bool
stop_wanted(void *context)
{
    struct drive *d = context;
    return interrupted() != 0 || (!d->cancelling && record_cancel_wanted(d->record));
}

static gage_rc
open_http(struct drive *d, struct gage_err *err)
{
    if (d->http != NULL)
        return GAGE_DONE;
    const char *pin = d->record->pin, *ca_file = d->record->ca_file;
    struct http_trust trust = {.pin = pin[0] != '\0' ? pin : NULL,
                               .ca_file = ca_file[0] != '\0' ? ca_file : NULL,
                               .certificate = (d->record->flags & RECORD_CERTIFICATE) != 0};
    TRY(http_start(err));
    return http_open(&trust, stop_wanted, d, &d->http, err);
}

/* A line that cannot be written is found out with the next one. */
static void
request_sent(void *context)
{
    struct drive *d = context;
    struct gage_transfer_status status;
    gage_transfer_http_sent(d->transfer, clock_now());
    gage_transfer_status(d->transfer, &status);
    (void)gage_ok(report_waiting(d->record, &status, NULL));
}

static gage_rc
call(struct drive *d, const struct gage_http_request *wanted, struct http_response *response, struct gage_err *err)
{
    struct http_request request = {.method = wanted->method,
                                   .url = wanted->url,
                                   .headers = wanted->headers,
                                   .header_count = wanted->header_count,
                                   .body = wanted->body,
                                   .wait_seconds = wanted->wait,
                                   .answer_max = wanted->answer_max,
                                   .sent = wanted->wait > 0 ? request_sent : NULL};
    gage_rc rc = http_call(d->http, &request, response, err);
    d->sent_anything = d->sent_anything || gage_ok(rc) || !http_never_sent(d->http);
    return rc;
}

/* Why this ends now, and what stands. */
static gage_rc
give_up(const struct drive *d, gage_rc rc, const char *why, struct gage_err *err)
{
    if (rc.code != GAGE_E_UNAVAILABLE)
        return gage_fail(err, rc.code, "%s", why);
    if (!d->sent_anything && !d->known)
        return gage_fail(err, rc.code, "%.150s; nothing was sent: check address and network, or try again later", why);
    return gage_fail(err, rc.code,
                     "%.120s; the transfer stands: `gage resume %s` tries again, `gage cancel %s` ends it", why,
                     d->record->id, d->record->id);
}

/* The relay gave no answer. Where this process has had none yet, it is not waited for long: better to say so and end. */
static gage_rc
no_answer(struct drive *d, gage_rc rc, const struct gage_err *why, struct gage_err *err)
{
    int64_t now = clock_now();
    if (d->first_try == 0)
        d->first_try = now;
    if (rc.code == GAGE_E_AUTH || rc.code == GAGE_E_USAGE || rc.code == GAGE_E_CONFIG || rc.code == GAGE_E_NOMEM ||
        rc.code == GAGE_E_INTERNAL || (!d->answered_once && now - d->first_try >= FIRST_CONTACT_S))
        return give_up(d, rc, why->text, err);
    snprintf(d->trouble, sizeof d->trouble, "%.150s", why->text);
    return gage_transfer_http_failed(d->transfer, now, why->text, err);
}

/* A relay that has done nothing for this process but put it off is not waited for until the invitation expires. */
static gage_rc
check_service(struct drive *d, const struct http_response *answer, struct gage_err *err)
{
    int64_t now = clock_now();
    bool busy = answer->status >= 500 || answer->status == 408 || answer->status == 425 || answer->status == 429;
    d->served_once = d->served_once || !busy;
    if (d->served_once)
        return GAGE_DONE;
    if (d->first_busy == 0)
        d->first_busy = now;
    if (now - d->first_busy < FIRST_SERVICE_S)
        return GAGE_DONE;
    char why[80];
    snprintf(why, sizeof why, "the relay only answers %d, \"not now\"", answer->status);
    return give_up(d, gage_rc_of(GAGE_E_UNAVAILABLE), why, err);
}

/* Invitations expire by the clocks of both: what looks like an expired or refused one may be a clock. */
static void
check_clock(struct drive *d, const struct http_response *answer)
{
    char amount[32];
    const char *date = http_header_of(answer, "date");
    int64_t skew = 0;
    if (d->clock_told || date == NULL || !http_skew(date, &skew) || (skew <= SKEW_TOLD_S && skew >= -SKEW_TOLD_S))
        return;
    d->clock_told = true;
    duration_text(skew < 0 ? -skew : skew, amount);
    say("this machine's clock is %s %s the relay's: set it, for invitations expire by it", amount,
        skew < 0 ? "behind" : "ahead of");
}

static gage_rc
do_http(struct drive *d, const struct gage_action *action, struct gage_err *err)
{
    AUTO(http_response) answer = {0};
    struct gage_err why = {0};
    TRY(open_http(d, err));
    gage_rc rc = call(d, &action->http, &answer, &why);
    if (rc.code == GAGE_E_CANCELLED)
        return GAGE_DONE; /* the loop looks why */
    if (!gage_ok(rc))
        return no_answer(d, rc, &why, err);
    d->answered_once = true;
    d->read_once = d->read_once || (action->http.purpose == GAGE_HTTP_READ && answer.status == 200);
    check_clock(d, &answer);
    TRY(check_service(d, &answer, err));
    struct gage_http_header headers[HTTP_HEADERS_KEPT];
    for (size_t i = 0; i < answer.header_count; i++)
        headers[i] = (struct gage_http_header){answer.header[i][0], answer.header[i][1]};
    struct gage_http_response response = {answer.status, headers, answer.header_count, gage_buf_slice(&answer.body)};
    return gage_transfer_http_result(d->transfer, clock_now(), &response, err);
}

/* ---- the other actions ---- */

static gage_rc
do_invite(struct drive *d, struct gage_err *err)
{
    TRY(drive_invite(d, err));
    d->invited = true;
    return gage_transfer_invited(d->transfer, err);
}

static gage_rc
do_ask(struct drive *d, const struct gage_action *action, struct gage_err *err)
{
    bool yes = false;
    TRY(drive_ask(d, &action->ask, &yes, err));
    return gage_transfer_answer(d->transfer, yes, err);
}

static gage_rc
do_wait(struct drive *d, const struct gage_action *action)
{
    while (clock_now() < action->until && !stop_wanted(d))
        sleep_ms(250);
    return GAGE_DONE;
}

/* Files are handed over in one piece; a pairing asks and answers once. */
static gage_rc
do_call(struct drive *d, const struct gage_action *action, struct gage_err *err)
{
    if (drive_pairs(d))
        return action->kind == GAGE_ACT_REQUEST ? drive_pair_request(d, &action->call, err)
                                                : drive_pair_supply(d, &action->call, err);
    REQUIRE(strcmp(action->call.format, PAIR_FORMAT) != 0, err, GAGE_E_USAGE,
            "this link makes a pairing, it carries no file: give it to gage pair --accept, which goes on from here");
    return drive_call(d, action->kind, &action->call, err);
}

/* Begins with the outcome's word, which scripts look for. */
static void
outcome_text(const struct gage_result *result, char *text, size_t size)
{
    const char *word = gage_outcome_word(result->outcome);
    if (strncmp(result->text, word, strlen(word)) == 0)
        snprintf(text, size, "%s", result->text);
    else
        snprintf(text, size, "%s: %s", word, result->text);
}

static gage_rc
do_done(struct drive *d, const struct gage_result *result, struct drive_end *end, struct gage_err *err)
{
    char outcome[sizeof d->record->outcome];
    outcome_text(result, outcome, sizeof outcome);
    end->done = true;
    end->outcome = result->outcome;
    if (drive_pairs(d))
        TRY(drive_pair_done(d, result, err));
    if (d->record->id[0] != '\0')
        TRY(record_finish(d->record, result->code, outcome, err));
    TRY(report_outcome(d->record, result, err));
    REQUIRE(result->code == GAGE_OK, err, result->code, "%s", outcome);
    return GAGE_DONE;
}

static gage_rc
carry_out(struct drive *d, const struct gage_action *action, struct gage_err *err)
{
    switch (action->kind) {
    case GAGE_ACT_HTTP:
        return do_http(d, action, err);
    case GAGE_ACT_SAVE:
        return do_save(d, action, err);
    case GAGE_ACT_INVITE:
        return do_invite(d, err);
    case GAGE_ACT_ASK:
        return do_ask(d, action, err);
    case GAGE_ACT_REQUEST:
    case GAGE_ACT_SUPPLY:
        return do_call(d, action, err);
    case GAGE_ACT_INSTALL:
        return drive_pairs(d) && d->new_output[0] == '\0' ? drive_pair_install(d, &action->install, err)
                                                          : drive_install(d, &action->install, err);
    case GAGE_ACT_WAIT:
        return do_wait(d, action);
    case GAGE_ACT_DONE:
        break;
    }
    return gage_fail(err, GAGE_E_INTERNAL, "the transfer asks for an action that does not exist");
}

/* ---- the loop ---- */

/* A person's wish to stop, in either form. */
static gage_rc
check_stop(struct drive *d, struct gage_err *err)
{
    if (interrupted() != 0) {
        waiting_done();
        if (d->record->id[0] == '\0')
            return gage_fail(err, GAGE_E_CANCELLED, "interrupted; nothing was begun");
        return gage_fail(err, GAGE_E_CANCELLED,
                         "interrupted; the transfer stands: `gage resume %s` goes on with it, `gage cancel %s` ends it",
                         d->record->id, d->record->id);
    }
    if (d->cancelling || !record_cancel_wanted(d->record))
        return GAGE_DONE;
    d->cancelling = true;
    return gage_transfer_cancel(d->transfer, err);
}

static bool
may_detach(const struct drive *d, const struct gage_action *action)
{
    return d->detach && d->invited && (action->kind == GAGE_ACT_HTTP || action->kind == GAGE_ACT_WAIT);
}

/* Both people need them before either can be asked: they are told as soon as they are known. */
static gage_rc
tell_digits(struct drive *d, const struct gage_transfer_status *status, struct gage_err *err)
{
    if (d->digits_told || status->digits[0] == '\0')
        return GAGE_DONE;
    d->digits_told = true;
    say("compare with the other person, by voice or face to face: %.3s %s", status->digits,
        strlen(status->digits) > 3 ? status->digits + 3 : "");
    return report_event("digits", d->record, json_pack("{s:s}", "digits", status->digits), err);
}

/* A wait whose end nobody told has one all the same. */
static void
tell_end(struct drive *d, const struct gage_transfer_status *status, const struct gage_action *action)
{
    char until[RFC3339_LEN + 1];
    bool waits = action->kind == GAGE_ACT_WAIT || (action->kind == GAGE_ACT_HTTP && action->http.wait > 0);
    if (d->end_told || status->expires > 0 || !d->read_once || !waits)
        return;
    d->end_told = true;
    rfc3339_format(status->waits_until, until);
    say("neither the invitation nor the relay says until when the sender can answer: this waits until %s at most",
        until);
}

gage_rc
drive_run(struct drive *d, struct drive_end *end, struct gage_err *err)
{
    *end = (struct drive_end){0};
    for (;;) {
        struct gage_action action;
        struct gage_transfer_status status;
        TRY(check_stop(d, err));
        TRY(gage_transfer_next(d->transfer, clock_now(), &action, err));
        if (action.kind == GAGE_ACT_DONE)
            return do_done(d, &action.result, end, err);
        if (may_detach(d, &action)) {
            say("the transfer %s waits for its receiver; `gage resume %s` goes on with it", d->record->id,
                d->record->id);
            return report_event("detached", d->record, json_object(), err);
        }
        gage_transfer_status(d->transfer, &status);
        TRY(tell_digits(d, &status, err));
        tell_end(d, &status, &action);
        TRY(report_waiting(d->record, &status, err));
        TRY(carry_out(d, &action, err));
    }
}

gage_rc
drive_begun(struct drive *d, struct gage_err *err)
{
    struct drive_end end;
    gage_rc rc = drive_run(d, &end, err);
    if (gage_ok(rc) || end.done || d->known || d->sent_anything || d->record->id[0] == '\0')
        return rc;
    (void)record_remove(d->record, NULL);
    REQUIRE(interrupted() == 0, err, GAGE_E_CANCELLED, "interrupted before anything was sent; nothing was begun");
    return rc;
}
