/* Answers: bodies, headers, problems. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relayd/body.h"
#include "relayd/metrics.h"
#include "relayd/routes.h"

#define PROBLEM_MAX 2048

static const struct {
    unsigned status;
    const char *reason;
} reasons[] = {
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {429, "Too Many Requests"},
    {500, "Internal Server Error"},
    {503, "Service Unavailable"},
};

const char *
status_reason(unsigned status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "OK";
}

void
answer_header(struct request *request, const char *name, const char *value)
{
    if (request->response != NULL)
        MHD_add_response_header(request->response, name, value);
}

void
answer_number(struct request *request, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    answer_header(request, name, text);
}

/* The headers that every answer has (R19: the request id comes back). */
static void
add_common(struct request *request, const char *type)
{
    answer_header(request, "Content-Type", type);
    answer_header(request, "Cache-Control", "no-store");
    answer_header(request, "X-Content-Type-Options", "nosniff");
    if (request->relay->tls_on)
        answer_header(request, "Strict-Transport-Security", "max-age=31536000");
    if (request->id != NULL)
        answer_header(request, "Mailbox-Request-ID", request->id->text);
    if (request->relay->draining)
        answer_header(request, "Connection", "close");
}

/* The answer where there is no memory left for an answer. */
static const char busy[] = "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"
                           "\"detail\":\"the relay has too much in progress; try again\"}";

static struct MHD_Response *
take_buffer(gage_buf *body)
{
    if (body->bad)
        return NULL;
    if (body->n == 0)
        return MHD_create_response_from_buffer(0, (char[1]){0}, MHD_RESPMEM_MUST_COPY);
    struct MHD_Response *response = MHD_create_response_from_buffer(body->n, body->p, MHD_RESPMEM_MUST_FREE);
    if (response != NULL)
        *body = (gage_buf){0};
    return response;
}

void
answer_body(struct request *request, unsigned status, const char *type, gage_buf *body)
{
    if (request->response != NULL)
        MHD_destroy_response(request->response);
    request->response = NULL;
    request->status = status;
    if (request_reserve(request, (int64_t)body->n))
        request->response = take_buffer(body);
    else {
        request->status = 503;
        type = "application/problem+json";
        request->response =
            MHD_create_response_from_buffer(sizeof busy - 1, (void *)(uintptr_t)busy, MHD_RESPMEM_PERSISTENT);
        answer_number(request, "Retry-After", 2);
    }
    request->phase = PHASE_READY;
    add_common(request, type);
}

void
answer_problem(struct request *request, unsigned status, const char *fmt, ...)
{
    char detail[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    AUTO(gage_buf) body = GAGE_BUF(PROBLEM_MAX);
    put_text(&body, "{\"type\":\"about:blank\",\"title\":");
    put_json_string(&body, slice_str(status_reason(status)));
    put_text(&body, ",\"status\":");
    put_number(&body, status);
    put_text(&body, ",\"detail\":");
    put_json_string(&body, slice_str(detail));
    if (status == 413) {
        put_text(&body, ",\"payloadLimit\":");
        put_number(&body, (uint64_t)request->relay->limits.payload_max);
    }
    put_text(&body, "}");
    answer_body(request, status, "application/problem+json", &body);
    if (status == 401)
        answer_header(request, "WWW-Authenticate", "Mailbox-Device-Claim");
    if (status == 413)
        answer_number(request, "Mailbox-Payload-Limit", (uint64_t)request->relay->limits.payload_max);
    if (status == 503)
        answer_number(request, "Retry-After", 2);
}

void
answer_json(struct request *request, gage_buf *body)
{
    bool duplicate = request->op != NULL && request->op->result.verdict == STORE_DUPLICATE;
    answer_body(request, duplicate ? 201 : 200, "application/json", body);
    if (request->op != NULL && request->op->result.version > 0)
        answer_number(request, "Mailbox-Version", request->op->result.version);
}

bool
answer_rate(struct request *request, enum peer_rate rate)
{
    const struct limits *limits = &request->relay->limits;
    int64_t per_minute = rate == PEER_CREATES ? limits->creates_per_minute : limits->requests_per_minute;
    uint32_t retry = peers_spend(request->relay->peers, request->wire->peer, rate, per_minute);
    if (retry == 0)
        return false;
    answer_problem(request, 429, "too many %s from your network; try again in %u s",
                   rate == PEER_CREATES ? "new mailboxes" : "requests", retry);
    answer_number(request, "Retry-After", retry);
    return true;
}

bool
answer_verdict(struct request *request)
{
    const struct store_result *result = &request->op->result;
    switch (result->verdict) {
    case STORE_OK:
    case STORE_DUPLICATE:
        return false;
    case STORE_UNAUTHORIZED:
        answer_problem(request, 401, "this device claim is not one of the two that the mailbox is bound to");
        return true;
    case STORE_DENIED:
        answer_problem(request, 401, "the mailbox's access rights do not allow this");
        return true;
    case STORE_NOT_FOUND:
        answer_problem(request, 404, "there is no such mailbox; it may have expired or been deleted");
        return true;
    case STORE_MISMATCH:
        answer_problem(request, 412, "the mailbox has another version than If-Match names; read it again");
        answer_number(request, "Mailbox-Version", result->version);
        return true;
    case STORE_TOO_LARGE:
        answer_problem(request, 413, "the payload is longer than this mailbox may hold");
        return true;
    case STORE_FULL:
        answer_problem(request, 503, "the relay has no room for a new mailbox now; try again later");
        return true;
    case STORE_UNAVAILABLE:
        break;
    }
    answer_problem(request, 503, "the relay cannot store this now; try again with the same Mailbox-Request-ID");
    return true;
}
