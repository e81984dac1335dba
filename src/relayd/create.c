/* POST /v1/m: CreateMailbox (R25..R28, A1, A7, A8). */
#include <stdio.h>

#include "base/clock.h"
#include "relayd/body.h"
#include "relayd/push.h"
#include "relayd/routes.h"

/* Life asked for, within bounds (A8): what is longer than the most is shortened, what is over already is refused. */
static gage_rc
choose_expiry(const struct limits *limits, int64_t now, int64_t *expires, struct gage_err *err)
{
    if (*expires == 0)
        *expires = now + limits->expiration;
    REQUIRE(*expires > now, err, GAGE_E_FORMAT, "mailboxConfiguration.expiration is in the past");
    if (*expires > now + limits->expiration_max)
        *expires = now + limits->expiration_max;
    return GAGE_DONE;
}

static gage_rc
fill(struct request *request, struct store_request *ask, struct gage_err *err)
{
    struct payload payload;
    request->display = GAGE_BUF(STORE_DISPLAY_MAX);
    request->token = GAGE_BUF(STORE_TOKEN_MAX);
    TRY(body_payload(request->document, &payload, err));
    TRY(body_display(request->document, &request->display, err));
    TRY(body_token(request->document, &request->token, err));
    TRY(body_configuration(request->document, &ask->rights, &ask->expires, err));
    TRY(choose_expiry(&request->relay->limits, ask->now, &ask->expires, err));
    ask->payload_type = payload.type;
    ask->payload = payload.data;
    ask->display = gage_buf_slice(&request->display);
    ask->token = gage_buf_slice(&request->token);
    ask->payload_max = (uint64_t)request->relay->limits.payload_max;
    ask->note = push_supported(ask->token);
    return GAGE_DONE;
}

void
create_start(struct request *request)
{
    struct gage_err err;
    if (answer_rate(request, PEER_CREATES))
        return;
    struct store_op *op = request_op(request, STORE_CREATE);
    if (op == NULL)
        return;
    if (!gage_ok(uuid_make(&gage_system_rng, op->request.mailbox))) {
        answer_problem(request, 503, "the relay has no random bytes");
        return;
    }
    if (!gage_ok(fill(request, &op->request, &err))) {
        answer_problem(request, 400, "%s", err.text);
        return;
    }
    if (op->request.payload.n + op->request.payload_type.n > op->request.payload_max) {
        answer_problem(request, 413, "the payload is longer than %llu bytes",
                       (unsigned long long)op->request.payload_max);
        return;
    }
    request_ask(request);
}

void
create_answer(struct request *request)
{
    const struct store_result *result = &request->op->result;
    char id[UUID_TEXT_LEN + 1], expiration[RFC3339_LEN + 1], link[1200];
    if (answer_verdict(request))
        return;
    uuid_format(result->mailbox, id);
    rfc3339_format(result->expires, expiration);
    snprintf(link, sizeof link, "%s/v1/m/%s", request->relay->public_url, id);
    bool push = result->verdict == STORE_DUPLICATE ? result->note != 0 : request->op->request.note != 0;
    AUTO(gage_buf) body = GAGE_BUF(2048);
    put_text(&body, "{\"urlLink\":");
    put_json_string(&body, slice_str(link));
    put_text(&body, push ? ",\"isPushNotificationSupported\":true" : ",\"isPushNotificationSupported\":false");
    put_text(&body, ",\"expiration\":\"");
    put_text(&body, expiration);
    put_text(&body, "\",\"version\":");
    put_number(&body, result->version);
    put_text(&body, "}");
    answer_json(request, &body);
}
