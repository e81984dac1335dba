/* PATCH /v1/m/{id}: RelinquishMailbox (R33, A12, A13), and DELETE /v1/m/{id}: DeleteMailbox (R30, A14), at once or, with
 * "Prefer: respond-async" (RFC 7240 section 4.1), along with the next change of any mailbox. */
#include <stdlib.h>
#include <string.h>

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

/* A deletion that nobody waits for any more, with what it borrows from its request. */
struct orphan {
    struct store_op op;
    uint8_t claim[UUID_LEN];
    uint8_t id[REQUEST_ID_MAX];
};

static void
orphan_done(struct store_op *op)
{
    struct orphan *orphan = (struct orphan *)(void *)op;
    if (op->result.verdict == STORE_OK)
        push_notify(gage_buf_slice(&op->result.peer_token));
    store_op_clear(op);
    gage_wipe(orphan, sizeof *orphan);
    free(orphan);
}

/* Leaves the request's operation to the store. False: it cannot wait there. */
static bool
leave_behind(const struct request *request)
{
    struct orphan *orphan = calloc(1, sizeof *orphan);
    if (orphan == NULL)
        return false;
    memcpy(orphan->claim, request->claim, sizeof orphan->claim);
    memcpy(orphan->id, request->id->key, request->id->key_n);
    orphan->op.request = request->op->request;
    orphan->op.request.claim = SLICE_OF(orphan->claim);
    orphan->op.request.request_id = gage_slice_of(orphan->id, request->id->key_n);
    orphan->op.done = orphan_done;
    if (store_later(request->relay->store, &orphan->op))
        return true;
    orphan_done(&orphan->op);
    return false;
}

void
delete_start(struct request *request)
{
    if (request_op(request, STORE_DELETE) == NULL)
        return;
    if (!request_prefers(request, "respond-async") || !leave_behind(request)) {
        request_ask(request);
        return;
    }
    AUTO(gage_buf) body = GAGE_BUF(16);
    put_text(&body, "{}");
    answer_body(request, 202, "application/json", &body);
    answer_header(request, "Preference-Applied", "respond-async");
}

void
delete_answer(struct request *request)
{
    answer(request);
}
