#include "relayd/request.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "relayd/front.h"
#include "relayd/routes.h"

const char *
request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

bool
request_reserve(struct request *request, int64_t n)
{
    struct relay *relay = request->relay;
    if (atomic_fetch_add(&relay->body_memory, n) + n > relay->limits.body_memory + 4096) {
        atomic_fetch_sub(&relay->body_memory, n);
        return false;
    }
    request->reserved += n;
    return true;
}

void
request_drop_body(struct request *request)
{
    gage_buf_free(&request->body);
    json_decref(request->document);
    request->document = NULL;
    atomic_fetch_sub(&request->relay->body_memory, request->reserved);
    request->reserved = 0;
}

void
request_suspend(struct request *request)
{
    request->phase = PHASE_ASKED;
    request->suspended = true;
    MHD_suspend_connection(request->connection);
}

void
request_resume(struct request *request)
{
    request->phase = PHASE_RESUMED;
    MHD_resume_connection(request->connection);
}

void
request_drop_op(struct request *request)
{
    if (request->op == NULL)
        return;
    store_op_clear(request->op);
    free(request->op);
    request->op = NULL;
}

struct store_op *
request_op(struct request *request, enum store_verb verb)
{
    request_drop_op(request);
    struct store_op *op = calloc(1, sizeof *op);
    request->op = op;
    if (op == NULL) {
        answer_problem(request, 503, "the relay is short of memory");
        return NULL;
    }
    op->context = request;
    op->request.verb = verb;
    op->request.now = clock_now();
    memcpy(op->request.mailbox, request->mailbox, UUID_LEN);
    op->request.claim = SLICE_OF(request->claim);
    if (request->id != NULL)
        op->request.request_id = gage_slice_of(request->id->key, request->id->key_n);
    return op;
}

static void
asked_done(struct store_op *op)
{
    request_resume(op->context);
}

/* A thread for which more than one descriptor is ready leaves the waiting for the disk to the store's thread, which gathers. */
bool
request_now(struct request *request)
{
    return wire_ready() <= 1 && store_now(request->relay->store, request->op);
}

void
request_ask(struct request *request)
{
    request->op->done = asked_done;
    if (request_now(request)) {
        request->route->answer(request);
        return;
    }
    request_suspend(request);
    if (!store_submit(request->relay->store, request->op))
        request_resume(request);
}
