#include "transfer/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "transfer/json.h"

/* ---- requests ---- */

void
relay_request_reset(struct relay_request *request)
{
    gage_buf body = request->body;
    gage_buf_free(&body);
    gage_wipe(request, sizeof *request);
    *request = RELAY_REQUEST_EMPTY;
}

static void
add_header(struct relay_request *request, const char *name, const char *value)
{
    request->headers[request->header_count++] = (struct gage_http_header){name, value};
    request->http.headers = request->headers;
    request->http.header_count = request->header_count;
}

static void
begin(struct relay_request *request, enum gage_http_purpose purpose, const char *method, const char *url)
{
    relay_request_reset(request);
    snprintf(request->url, sizeof request->url, "%s", url);
    request->http = (struct gage_http_request){
        .purpose = purpose, .method = method, .url = request->url, .answer_max = RELAY_ANSWER_SMALL};
}

static void
add_claim(struct relay_request *request, const uint8_t *claim)
{
    uuid_format(claim, request->claim);
    add_header(request, "Mailbox-Device-Claim", request->claim);
}

static void
add_id(struct relay_request *request, const uint8_t *id)
{
    uuid_format(id, request->id);
    add_header(request, "Mailbox-Request-ID", request->id);
}

static void
put_text_member(gage_buf *body, const char *name, const char *value)
{
    put_u8(body, '"');
    put_bytes(body, slice_str(name));
    put_bytes(body, SLICE_LITERAL("\":"));
    put_json_string(body, slice_str(value));
}

static void
put_payload(gage_buf *body, const char *type, gage_slice envelope)
{
    put_bytes(body, SLICE_LITERAL("\"payload\":{\"type\":\""));
    put_bytes(body, slice_str(type));
    put_bytes(body, SLICE_LITERAL("\",\"data\":\""));
    put_base64(body, envelope);
    put_bytes(body, SLICE_LITERAL("\"}"));
}

static gage_rc
finish_body(struct relay_request *request, struct gage_err *err)
{
    TRY(buf_check(&request->body, err));
    add_header(request, "Content-Type", "application/json");
    request->http.body = gage_buf_slice(&request->body);
    return GAGE_DONE;
}

gage_rc
relay_make_create(struct relay_request *request, const struct relay_create *create, const uint8_t *claim,
                  const uint8_t *id, const char *type, gage_slice envelope, struct gage_err *err)
{
    char expires[RFC3339_LEN + 1];
    gage_buf *body = &request->body;
    begin(request, GAGE_HTTP_CREATE, "POST", create->base);
    snprintf(request->url, sizeof request->url, "%s/v1/m", create->base);
    rfc3339_format(create->expires, expires);
    add_claim(request, claim);
    add_id(request, id);
    put_u8(body, '{');
    put_payload(body, type, envelope);
    put_bytes(body, SLICE_LITERAL(",\"displayInformation\":{"));
    put_text_member(body, "title", create->title);
    put_u8(body, ',');
    put_text_member(body, "description", create->description);
    put_u8(body, ',');
    put_text_member(body, "imageURL", create->image);
    put_bytes(body, SLICE_LITERAL("},\"mailboxConfiguration\":{\"accessRights\":\"RWD\","));
    put_text_member(body, "expiration", expires);
    put_bytes(body, SLICE_LITERAL("}}"));
    return finish_body(request, err);
}

void
relay_make_preview(struct relay_request *request, const char *url)
{
    begin(request, GAGE_HTTP_PREVIEW, "GET", url);
    add_header(request, "Accept", "text/html");
}

/* For something above the version. */
static void
add_wait(struct relay_request *request, uint64_t version, uint32_t wait)
{
    if (version == 0 || wait == 0)
        return;
    snprintf(request->number[0], sizeof request->number[0], "%llu", (unsigned long long)version);
    snprintf(request->number[1], sizeof request->number[1], "wait=%u", wait);
    add_header(request, "Mailbox-After", request->number[0]);
    add_header(request, "Prefer", request->number[1]);
    request->http.wait = wait;
}

void
relay_make_read(struct relay_request *request, const char *url, const uint8_t *claim, uint64_t version, uint32_t wait)
{
    begin(request, GAGE_HTTP_READ, "POST", url);
    add_claim(request, claim);
    request->http.answer_max = GAGE_TRANSFER_ANSWER_MAX;
    add_wait(request, version, wait);
}

gage_rc
relay_make_put(struct relay_request *request, const char *url, const uint8_t *claim, const uint8_t *id,
               uint64_t version, uint32_t wait, const char *type, gage_slice envelope, struct gage_err *err)
{
    begin(request, GAGE_HTTP_PUT, "PUT", url);
    request->http.answer_max = GAGE_TRANSFER_ANSWER_MAX;
    add_claim(request, claim);
    add_id(request, id);
    if (version != 0) {
        snprintf(request->number[2], sizeof request->number[2], "\"%llu\"", (unsigned long long)version);
        add_header(request, "If-Match", request->number[2]);
    }
    add_wait(request, version, wait);
    put_u8(&request->body, '{');
    put_payload(&request->body, type, envelope);
    put_u8(&request->body, '}');
    return finish_body(request, err);
}

void
relay_make_delete(struct relay_request *request, const char *url, const uint8_t *claim, const uint8_t *id, bool later)
{
    begin(request, GAGE_HTTP_DELETE, "DELETE", url);
    add_claim(request, claim);
    add_id(request, id);
    if (later)
        add_header(request, "Prefer", "respond-async");
}

/* ---- answers' headers ---- */

const char *
relay_header(const struct gage_http_response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (response->headers[i].name != NULL && response->headers[i].value != NULL &&
            strcasecmp(response->headers[i].name, name) == 0)
            return response->headers[i].value;
    return "";
}

/* Decimal digits and nothing else, below 2^63; 0 otherwise. */
static uint64_t
decimal(const char *text)
{
    uint64_t v = 0;
    size_t n = strlen(text);
    if (n == 0 || n > 18)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        v = v * 10 + (uint64_t)(text[i] - '0');
    }
    return v;
}

uint64_t
relay_version(const struct gage_http_response *response)
{
    return decimal(relay_header(response, "Mailbox-Version"));
}

uint64_t
relay_payload_limit(const struct gage_http_response *response)
{
    return decimal(relay_header(response, "Mailbox-Payload-Limit"));
}

int64_t
relay_retry_after(const struct gage_http_response *response)
{
    uint64_t seconds = decimal(relay_header(response, "Retry-After"));
    return (int64_t)(seconds < 3600 ? seconds : 3600);
}

bool
relay_answers(const struct gage_http_response *response, const struct relay_request *request)
{
    const char *id = relay_header(response, "Mailbox-Request-ID");
    return id[0] == '\0' || request->id[0] == '\0' || strcasecmp(id, request->id) == 0;
}

/* ---- answers' bodies ---- */

void
copy_printable(char *to, size_t size, gage_slice text)
{
    AUTO(gage_buf) shown = GAGE_BUF(2 * RELAY_ANSWER_SMALL);
    if (text.n > RELAY_ANSWER_SMALL / 2)
        text.n = RELAY_ANSWER_SMALL / 2;
    put_printable(&shown, text);
    size_t n = shown.n < size - 1 ? shown.n : size - 1;
    while (n > 0 && n < shown.n && (shown.p[n] & 0xc0) == 0x80)
        n--;
    if (n > 0)
        memcpy(to, shown.p, n);
    to[n] = '\0';
}

static void
copy_member(char *to, size_t size, const struct json_object *object, const char *name)
{
    AUTO(gage_buf) text = GAGE_BUF(RELAY_ANSWER_SMALL);
    to[0] = '\0';
    if (gage_ok(json_read_string(json_get(object, name), &text)))
        copy_printable(to, size, gage_buf_slice(&text));
}

static int64_t
time_member(const struct json_object *object, const char *name)
{
    int64_t seconds = 0;
    gage_slice text = json_plain(json_get(object, name));
    return text.n > 0 && gage_ok(rfc3339_parse((const char *)text.p, text.n, &seconds)) ? seconds : 0;
}

gage_rc
relay_read_create(gage_slice body, const struct url *relay, bool allow_loopback_http, struct url *mailbox,
                  int64_t *expires, struct gage_err *err)
{
    struct json_object object;
    AUTO(gage_buf) link = GAGE_BUF(GAGE_TRANSFER_URL_MAX);
    TRY(json_parse_object(body, &object, err));
    REQUIRE(gage_ok(json_read_string(json_get(&object, "urlLink"), &link)), err, GAGE_E_FORMAT,
            "the relay's answer names no mailbox (urlLink)");
    TRY(url_parse_mailbox(gage_buf_slice(&link), allow_loopback_http, mailbox, err));
    REQUIRE(
        url_same_origin(mailbox, relay), err, GAGE_E_MISMATCH,
        "the relay names a mailbox on another host than itself: its --public-url differs from the address used here");
    int64_t told = time_member(&object, "expiration");
    *expires = told > 0 ? told : *expires;
    return GAGE_DONE;
}

/* Decodes {"type", "data"}. */
static gage_rc
read_payload(struct json payload, struct relay_content *out, struct gage_err *err)
{
    struct json_object object;
    AUTO(gage_buf) unescaped = GAGE_BUF(GAGE_TRANSFER_ANSWER_MAX);
    TRY(json_parse_object(payload.text, &object, err));
    struct json value = json_get(&object, "data");
    gage_slice data = json_plain(value);
    if (data.p == NULL && gage_ok(json_read_string(value, &unescaped)))
        data = gage_buf_slice(&unescaped); /* "\/" is a legal way to write '/' */
    out->type = json_plain(json_get(&object, "type"));
    REQUIRE(out->type.n > 0 && data.n > 0, err, GAGE_E_FORMAT,
            "the relay's answer holds a payload without type or data");
    gage_rc rc = get_base64(data, &out->envelope);
    REQUIRE(gage_ok(rc), err, rc.code, "the payload in the mailbox is not base64, or too large");
    return GAGE_DONE;
}

gage_rc
relay_read_content(gage_slice body, struct relay_content *out, struct gage_err *err)
{
    struct json_object object, display;
    int64_t version = 0;
    TRY(json_parse_object(body, &object, err));
    struct json payload = json_get(&object, "payload"), shown = json_get(&object, "displayInformation");
    out->type = SLICE_NONE;
    if (payload.type == JSON_OBJECT)
        TRY(read_payload(payload, out, err));
    out->title[0] = '\0';
    if (shown.type == JSON_OBJECT && gage_ok(json_parse_object(shown.text, &display, NULL)))
        copy_member(out->title, sizeof out->title, &display, "title");
    out->expires = time_member(&object, "expiration");
    out->version = gage_ok(json_read_integer(json_get(&object, "version"), &version)) ? (uint64_t)version : 0;
    return GAGE_DONE;
}

bool
relay_brings_payload(gage_slice body)
{
    struct json_object object;
    return gage_ok(json_parse_object(body, &object, NULL)) && json_get(&object, "payload").type == JSON_OBJECT;
}

void
relay_read_problem(gage_slice body, char text[RELAY_TEXT_MAX + 1])
{
    struct json_object object;
    text[0] = '\0';
    if (body.n > RELAY_ANSWER_SMALL || !gage_ok(json_parse_object(body, &object, NULL)))
        return;
    copy_member(text, RELAY_TEXT_MAX + 1, &object, "detail");
    if (text[0] == '\0')
        copy_member(text, RELAY_TEXT_MAX + 1, &object, "title");
}
