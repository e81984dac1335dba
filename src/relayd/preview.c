/* GET /v1/m/{id}: ReadDisplayInformationFromMailbox (R31, A10, A11): for people, crawlers and messengers; changes nothing, needs nothing. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "relayd/body.h"
#include "relayd/page.h"
#include "relayd/routes.h"

void
preview_start(struct request *request)
{
    struct store_op *op = request_op(request, STORE_DISPLAY);
    if (op == NULL)
        return;
    if (store_try(request->relay->store, op))
        preview_answer(request);
    else
        request_ask(request);
}

static gage_slice
text_of(json_t *display, const char *key)
{
    json_t *value = json_object_get(display, key);
    return gage_slice_of(json_string_value(value), json_string_length(value));
}

static void
answer_page(struct request *request, json_t *display)
{
    char id[UUID_TEXT_LEN + 1], url[1200];
    const char *image = request->relay->settings.preview_image;
    AUTO(gage_buf) body = GAGE_BUF(PAGE_MAX);
    AUTO(gage_buf) policy = GAGE_BUF(POLICY_MAX + URL_MAX);
    uuid_format(request->mailbox, id);
    snprintf(url, sizeof url, "%s/v1/m/%s", request->relay->public_url, id);
    if (image == NULL && text_of(display, "imageURL").n > 0)
        image = json_string_value(json_object_get(display, "imageURL"));
    page_print(&(struct page){.title = text_of(display, "title"),
                              .description = text_of(display, "description"),
                              .image = image,
                              .url = url,
                              .now = clock_now(),
                              .expires = request->op->result.expires},
               &body);
    if (!gage_ok(page_policy(image, &policy))) {
        answer_problem(request, 500, "the relay failed inside; please report it");
        return;
    }
    put_u8(&policy, 0);
    answer_body(request, 200, "text/html; charset=utf-8", &body);
    answer_header(request, "Content-Security-Policy", (const char *)policy.p);
    answer_header(request, "Referrer-Policy", "no-referrer");
    answer_header(request, "X-Frame-Options", "DENY");
    answer_header(request, "X-Robots-Tag", "noindex");
    answer_header(request, "Cross-Origin-Opener-Policy", "same-origin");
}

void
preview_answer(struct request *request)
{
    struct gage_err err;
    if (answer_verdict(request))
        return;
    if (!gage_ok(body_parse(gage_buf_slice(&request->op->result.display), &request->document, &err))) {
        answer_problem(request, 500, "the mailbox's display information is damaged");
        return;
    }
    answer_page(request, request->document);
}
