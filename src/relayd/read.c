/* POST /v1/m/{id}: ReadSecureContentFromMailbox (R32, A3..A5, A18), at once or after a wait for a change (A20). A write that waits for
 * what comes after it goes on here, too.
 *
 * A wait: the request is listed under the mailbox's tag, reads (in that order, so that no change is lost between), and sleeps. A wake
 * makes it read again; the deadline, a newer waiting read of the same role, or a drain makes it answer that nothing changed. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "relayd/body.h"
#include "relayd/metrics.h"
#include "relayd/routes.h"

#define SECOND_NS INT64_C(1000000000)

/* ---- what is asked ---- */

/* A number of 1 to 18 digits that ends at `end` or the text's end. */
static bool
parse_number(const char *text, const char *end, uint64_t *number)
{
    size_t n = 0;
    *number = 0;
    for (; text + n < end && text[n] >= '0' && text[n] <= '9'; n++)
        *number = *number * 10 + (uint64_t)(text[n] - '0');
    return n > 0 && n <= 18 && text + n == end;
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* The next preference of the list (RFC 7240 section 2) without its parameters, n bytes; *rest goes on behind it. NULL: there is none. */
static const char *
next_preference(const char **rest, size_t *n)
{
    const char *p = *rest;
    if (p == NULL || *p == '\0')
        return NULL;
    const char *end = p + strcspn(p, ",");
    *rest = *end == ',' ? end + 1 : end;
    while (p < end && is_space(*p))
        p++;
    end = p + strcspn(p, ";,");
    while (end > p && is_space(end[-1]))
        end--;
    *n = (size_t)(end - p);
    return p;
}

bool
request_prefers(const struct request *request, const char *token)
{
    const char *rest = request_header(request, "Prefer"), *one;
    size_t n;
    while ((one = next_preference(&rest, &n)) != NULL)
        if (n == strlen(token) && strncasecmp(one, token, n) == 0)
            return true;
    return false;
}

/* wait=N (RFC 7240 section 4.3); a wait that is not a number is ignored, as other preferences are. */
static uint64_t
preferred_wait(const struct request *request)
{
    const char *rest = request_header(request, "Prefer"), *one;
    uint64_t seconds;
    size_t n;
    while ((one = next_preference(&rest, &n)) != NULL)
        if (n > 5 && strncasecmp(one, "wait=", 5) == 0 && parse_number(one + 5, one + n, &seconds))
            return seconds;
    return 0;
}

bool
request_take_wait(struct request *request)
{
    const char *after = request_header(request, "Mailbox-After");
    if (after == NULL)
        return true;
    uint64_t wait = preferred_wait(request), most = (uint64_t)request->relay->limits.wait_max;
    request->waits = wait > 0;
    request->waited_for = (int64_t)(wait < most ? wait : most);
    request->wait_until = clock_monotonic_ns() + request->waited_for * SECOND_NS;
    return parse_number(after, after + strlen(after), &request->after);
}

static gage_rc
parse_read(struct request *request, struct gage_err *err)
{
    REQUIRE(request_take_wait(request), err, GAGE_E_FORMAT, "Mailbox-After is not a number");
    request->token = GAGE_BUF(STORE_TOKEN_MAX);
    if (request->document != NULL)
        TRY(body_token(request->document, &request->token, err));
    request_drop_body(request); /* what may wait for a minute holds none of it */
    return GAGE_DONE;
}

/* ---- answering ---- */

static void
put_expiration(gage_buf *body, int64_t expires)
{
    char text[RFC3339_LEN + 1];
    rfc3339_format(expires, text);
    put_text(body, "\"expiration\":\"");
    put_text(body, text);
    put_text(body, "\"");
}

/* Tells that the wait was taken up (RFC 7240 section 3). */
static void
add_applied(struct request *request)
{
    char applied[32] = "wait=";
    AUTO(gage_buf) number = GAGE_BUF(24);
    put_number(&number, (uint64_t)request->waited_for);
    memcpy(applied + 5, number.p, number.n);
    answer_header(request, "Preference-Applied", applied);
}

static void
answer_unchanged(struct request *request, uint64_t version, int64_t expires)
{
    AUTO(gage_buf) body = GAGE_BUF(256);
    put_text(&body, "{\"version\":");
    put_number(&body, version);
    put_text(&body, ",\"unchanged\":true,");
    put_expiration(&body, expires);
    put_text(&body, "}");
    answer_body(request, 200, "application/json", &body);
    answer_number(request, "Mailbox-Version", version);
    if (request->waits)
        add_applied(request);
}

static void
answer_content(struct request *request)
{
    const struct store_result *result = &request->op->result;
    AUTO(gage_buf) body = GAGE_BUF(result->payload.n * 6 + 32 * 1024);
    buf_reserve(&body, result->payload.n + result->display.n + 256);
    put_text(&body, "{\"payload\":{\"type\":");
    put_json_string(&body, gage_buf_slice(&result->payload_type));
    put_text(&body, ",\"data\":");
    put_json_string(&body, gage_buf_slice(&result->payload));
    put_text(&body, "},\"displayInformation\":");
    put_bytes(&body, gage_buf_slice(&result->display));
    put_text(&body, ",");
    put_expiration(&body, result->expires);
    put_text(&body, ",\"version\":");
    put_number(&body, result->version);
    if (request->reads_on)
        put_text(&body,
                 request->push ? ",\"isPushNotificationSupported\":true" : ",\"isPushNotificationSupported\":false");
    put_text(&body, "}");
    answer_json(request, &body);
    if (request->reads_on)
        add_applied(request);
}

/* ---- reading ---- */

static struct store_op *
read_op(struct request *request)
{
    struct store_op *op = request_op(request, STORE_READ);
    if (op != NULL) {
        op->request.after = request->after;
        op->request.token = gage_buf_slice(&request->token);
    }
    return op;
}

/* A listed read found nothing new, and the connection sleeps: parks it. Once parked, or resumed, the request belongs to others. */
static void
park(struct request *request)
{
    struct waiters *waiters = request->relay->waiters;
    enum store_role role = request->op->result.role;
    request->known_version = request->op->result.version;
    request->known_expires = request->op->result.expires;
    request_drop_op(request);
    if (waiters_park(waiters, &request->waiter, role))
        return;
    request->waiter.end = request->waiter.woken ? WAIT_CHANGED : WAIT_DEADLINE;
    request_resume(request);
}

static bool
found_nothing(const struct store_op *op)
{
    return op->result.verdict == STORE_OK && op->result.unchanged;
}

/* The store's thread has read for a listed request that sleeps already. */
static void
read_done(struct store_op *op)
{
    struct request *request = op->context;
    if (found_nothing(op)) {
        park(request);
        return;
    }
    waiters_unlist(request->relay->waiters, &request->waiter);
    request_resume(request);
}

static void
wait_is_over(struct waiter *waiter)
{
    struct request *request = (struct request *)(void *)((char *)waiter - offsetof(struct request, waiter));
    metrics.wakes++;
    request_resume(request);
}

static void answer_read(struct request *request);

/* The read of a listed request, at once where the store can, or through its queue. */
static void
read_listed(struct request *request)
{
    struct relay *relay = request->relay;
    if (!store_try(relay->store, request->op) && !request_now(request)) {
        request_suspend(request);
        if (!store_submit(relay->store, request->op))
            read_done(request->op);
        return;
    }
    if (found_nothing(request->op)) {
        request_suspend(request);
        park(request);
        return;
    }
    waiters_unlist(relay->waiters, &request->waiter);
    answer_read(request);
}

/* Lists the request under its mailbox, then reads: what changes after the read wakes it. */
static void
read_waiting(struct request *request)
{
    uint8_t tag[STORE_TAG_LEN];
    if (read_op(request) == NULL)
        return;
    if (!gage_ok(store_tag_of(request->relay->store, request->mailbox, tag))) {
        answer_problem(request, 500, "the relay failed inside; please report it");
        return;
    }
    request->waiter.ready = wait_is_over;
    request->waiter.fd = request->wire->fd;
    request->op->done = read_done;
    waiters_list(request->relay->waiters, &request->waiter, tag, request->wait_until);
    read_listed(request);
}

/* There is a result: content, failure, or nothing new. What befalls the mailbox after a write takes nothing from the write. */
static void
answer_read(struct request *request)
{
    const struct store_result *result = &request->op->result;
    if (request->reads_on && (result->verdict != STORE_OK || result->unchanged)) {
        answer_written(request, 200);
        return;
    }
    if (answer_verdict(request))
        return;
    if (result->unchanged)
        answer_unchanged(request, result->version, result->expires);
    else
        answer_content(request);
}

static void
read_once(struct request *request)
{
    struct store_op *op = read_op(request);
    if (op == NULL)
        return;
    if (store_try(request->relay->store, op))
        answer_read(request);
    else
        request_ask(request);
}

static void
read_now(struct request *request)
{
    bool wait = request->waits && !request->relay->draining && clock_monotonic_ns() < request->wait_until;
    if (wait)
        read_waiting(request);
    else
        read_once(request);
}

void
read_start(struct request *request)
{
    struct gage_err err;
    if (gage_ok(parse_read(request, &err)))
        read_now(request);
    else
        answer_problem(request, 400, "%s", err.text);
}

void
read_on(struct request *request)
{
    request_drop_op(request);
    request_drop_body(request);
    gage_buf_free(&request->token);
    request->reads_on = true;
    if (request->after < request->written)
        request->after = request->written;
    read_now(request);
}

/* What was waited for came: the store's answer, a change, or the end of the wait, which the mailbox may not have lived to see (A9). */
void
read_answer(struct request *request)
{
    if (request->op != NULL)
        answer_read(request);
    else if (request->waiter.end == WAIT_CHANGED || request->known_expires <= clock_now())
        read_now(request);
    else if (request->reads_on)
        answer_written(request, 200);
    else
        answer_unchanged(request, request->known_version, request->known_expires);
}
