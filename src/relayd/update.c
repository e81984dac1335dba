/* PUT /v1/m/{id}: UpdateMailbox (R29, A2, A18, A21); with Mailbox-After the answer waits for, and carries, what comes after (A20). */
#include <string.h>

#include "relayd/body.h"
#include "relayd/push.h"
#include "relayd/routes.h"

/* If-Match: the version as an entity-tag ("3"), as a bare number, or * for any. False where it is something else. */
static bool
parse_if_match(const char *text, uint64_t *version)
{
    size_t n = strlen(text);
    *version = 0;
    if (strcmp(text, "*") == 0)
        return true;
    if (n >= 2 && text[0] == '"' && text[n - 1] == '"') {
        text++;
        n -= 2;
    }
    if (n == 0 || n > 18)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *version = *version * 10 + (uint64_t)(text[i] - '0');
    }
    return *version > 0;
}

static gage_rc
fill(struct request *request, struct store_request *ask, struct gage_err *err)
{
    struct payload payload;
    const char *if_match = request_header(request, "If-Match");
    request->token = GAGE_BUF(STORE_TOKEN_MAX);
    TRY(body_payload(request->document, &payload, err));
    TRY(body_token(request->document, &request->token, err));
    REQUIRE(if_match == NULL || parse_if_match(if_match, &ask->if_match), err, GAGE_E_FORMAT,
            "If-Match is not a version (\"3\") or *");
    REQUIRE(request_take_wait(request), err, GAGE_E_FORMAT, "Mailbox-After is not a number");
    ask->payload_type = payload.type;
    ask->payload = payload.data;
    ask->token = gage_buf_slice(&request->token);
    ask->note = push_supported(ask->token);
    return GAGE_DONE;
}

void
update_start(struct request *request)
{
    struct gage_err err;
    int64_t limit = request->relay->limits.payload_max;
    struct store_op *op = request_op(request, STORE_UPDATE);
    if (op == NULL)
        return;
    if (!gage_ok(fill(request, &op->request, &err))) {
        answer_problem(request, 400, "%s", err.text);
        return;
    }
    if (op->request.payload.n + op->request.payload_type.n > (uint64_t)limit) {
        answer_problem(request, 413, "the payload is longer than %lld bytes", (long long)limit);
        return;
    }
    request_ask(request);
}

void
answer_written(struct request *request, unsigned status)
{
    AUTO(gage_buf) body = GAGE_BUF(256);
    put_text(&body, "{\"isPushNotificationSupported\":");
    put_text(&body, request->push ? "true" : "false");
    put_text(&body, ",\"version\":");
    put_number(&body, request->written);
    put_text(&body, "}");
    answer_body(request, status, "application/json", &body);
    answer_number(request, "Mailbox-Version", request->written);
}

/* A repeated write is answered at once: whoever repeats it did not hear the first answer, and knows nothing newer to wait for. */
void
update_answer(struct request *request)
{
    if (request->reads_on) {
        read_answer(request);
        return;
    }
    if (answer_verdict(request))
        return;
    const struct store_result *result = &request->op->result;
    bool duplicate = result->verdict == STORE_DUPLICATE;
    request->push = duplicate ? result->note != 0 : request->op->request.note != 0;
    request->written = result->version;
    if (!duplicate)
        push_notify(gage_buf_slice(&result->peer_token));
    if (duplicate || !request->waits)
        answer_written(request, duplicate ? 201 : 200);
    else
        read_on(request);
}
