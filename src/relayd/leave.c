/* PATCH /v1/m/{id}: RelinquishMailbox (R33, A12, A13), and DELETE /v1/m/{id}: DeleteMailbox (R30, A14). */
#include "relayd/body.h"
#include "relayd/push.h"
#include "relayd/routes.h"

static void
start(struct request *request, enum store_verb verb)
{
    if (request_op(request, verb) != NULL)
        request_ask(request);
}

static void
answer(struct request *request)
{
    if (answer_verdict(request))
        return;
    if (request->op->result.verdict == STORE_OK)
        push_notify(gage_buf_slice(&request->op->result.peer_token));
    AUTO(gage_buf) body = GAGE_BUF(16);
    put_text(&body, "{}");
    answer_json(request, &body);
}

void
relinquish_start(struct request *request)
{
    start(request, STORE_RELINQUISH);
}

void
relinquish_answer(struct request *request)
{
    answer(request);
}

void
delete_start(struct request *request)
{
    start(request, STORE_DELETE);
}

void
delete_answer(struct request *request)
{
    answer(request);
}
