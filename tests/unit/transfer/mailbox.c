#include "unit/test.h"

#include "unit/transfer/mailbox.h"

#include <stdlib.h>

#include "transfer/json.h"

void
mailbox_init(struct mailbox *m)
{
    memset(m, 0, sizeof *m);
    m->payload_max = ENVELOPE_MAX * 2;
    m->version = 0;
}

void
mailbox_free(struct mailbox *m)
{
    for (size_t i = 0; i < m->writes; i++)
        gage_buf_free(&m->history[i].data);
}

void
mailbox_answer_free(struct mailbox_answer *answer)
{
    gage_buf_free(&answer->body);
}

const char *
request_header(const struct gage_http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return "";
}

void
mailbox_show(struct mailbox *m, size_t index)
{
    if (index < m->writes) {
        m->shown = index;
        m->version++;
    }
}

void
mailbox_forget_recipient(struct mailbox *m)
{
    m->claim[1][0] = '\0';
}

static gage_slice
payload_member(gage_slice body, const char *name)
{
    struct json_object object, payload;
    assert_ok(json_parse_object(body, &object, NULL));
    assert_ok(json_parse_object(json_get(&object, "payload").text, &payload, NULL));
    return json_plain(json_get(&payload, name));
}

bool
mailbox_open(const struct gage_http_request *request, const gage_secret *secret, gage_buf *text, struct packet *packet)
{
    if (request->purpose != GAGE_HTTP_CREATE && request->purpose != GAGE_HTTP_PUT)
        return false;
    AUTO(gage_buf) envelope = GAGE_BUF(ENVELOPE_MAX);
    assert_ok(get_base64(payload_member(request->body, "data"), &envelope));
    assert_ok(envelope_open(secret, gage_buf_slice(&envelope), text, NULL));
    assert_ok(packet_get(gage_buf_slice(text), packet, NULL));
    return true;
}

static void
write_slot(struct mailbox *m, const struct gage_http_request *request, bool by_sender)
{
    assert_true(m->writes < MAILBOX_HISTORY);
    struct mailbox_content *c = &m->history[m->writes];
    gage_slice type = payload_member(request->body, "type");
    c->data = GAGE_BUF(GAGE_TRANSFER_ANSWER_MAX);
    put_bytes(&c->data, payload_member(request->body, "data"));
    assert_ok(copy_text(c->type, sizeof c->type, type));
    c->by_sender = by_sender;
    m->shown = m->writes++;
    m->version++;
}

static void
text(struct mailbox_answer *a, const char *s)
{
    put_bytes(&a->body, slice_str(s));
}

static void
add_header(struct mailbox_answer *a, const char *name, const char *value)
{
    a->headers[a->response.header_count++] = (struct gage_http_header){name, value};
}

static bool
remembered(const struct mailbox *m, const char *id)
{
    for (size_t i = 0; i < m->id_count; i++)
        if (strcmp(m->ids[i], id) == 0)
            return true;
    return false;
}

static void
remember(struct mailbox *m, const char *id)
{
    if (!m->forget_ids && m->id_count < MAILBOX_HISTORY)
        snprintf(m->ids[m->id_count++], sizeof m->ids[0], "%s", id);
}

static void
put_created(struct mailbox_answer *a)
{
    text(a, "{\"urlLink\":\"" MAILBOX_URL "\",\"isPushNotificationSupported\":false}");
}

static int
create(struct mailbox *m, const struct gage_http_request *request, struct mailbox_answer *a)
{
    struct json_object object, display;
    const char *id = request_header(request, "Mailbox-Request-ID");
    if (payload_member(request->body, "data").n > m->payload_max) {
        snprintf(a->limit, sizeof a->limit, "%zu", m->payload_max);
        add_header(a, "Mailbox-Payload-Limit", a->limit);
        return 413;
    }
    put_created(a);
    if (remembered(m, id))
        return 201;
    assert_ok(json_parse_object(request->body, &object, NULL));
    assert_ok(json_parse_object(json_get(&object, "displayInformation").text, &display, NULL));
    assert_ok(copy_text(m->title, sizeof m->title, json_plain(json_get(&display, "title"))));
    remember(m, id);
    m->creates++;
    m->exists = true;
    m->writes = m->writes; /* a repeated create by a client that gave up on the first one begins anew */
    snprintf(m->claim[0], sizeof m->claim[0], "%s", request_header(request, "Mailbox-Device-Claim"));
    write_slot(m, request, true);
    return 200;
}

static int
read_slot(struct mailbox *m, const struct gage_http_request *request, struct mailbox_answer *a)
{
    const char *claim = request_header(request, "Mailbox-Device-Claim");
    if (strcmp(claim, m->claim[0]) != 0 && m->claim[1][0] == '\0')
        snprintf(m->claim[1], sizeof m->claim[1], "%s", claim);
    if (strcmp(claim, m->claim[0]) != 0 && strcmp(claim, m->claim[1]) != 0)
        return 401;
    const struct mailbox_content *c = &m->history[m->shown];
    m->reads++;
    text(a, "{\"payload\":{\"type\":");
    put_json_string(&a->body, slice_str(c->type));
    text(a, ",\"data\":\"");
    put_bytes(&a->body, gage_buf_slice(&c->data));
    text(a, "\"},\"displayInformation\":{\"title\":");
    put_json_string(&a->body, slice_str(m->title));
    text(a, ",\"description\":\"\",\"imageURL\":\"\"},\"expiration\":\"2030-01-01T00:00:00Z\"}");
    return 200;
}

static int
put(struct mailbox *m, const struct gage_http_request *request, struct mailbox_answer *a)
{
    const char *claim = request_header(request, "Mailbox-Device-Claim"),
               *id = request_header(request, "Mailbox-Request-ID");
    const char *if_match = request_header(request, "If-Match");
    char current[32];
    if (strcmp(claim, m->claim[0]) != 0 && strcmp(claim, m->claim[1]) != 0)
        return 401;
    text(a, "{\"isPushNotificationSupported\":false}");
    if (remembered(m, id)) {
        m->duplicates++;
        return 201;
    }
    snprintf(current, sizeof current, "\"%llu\"", (unsigned long long)m->version);
    if (if_match[0] != '\0' && strcmp(if_match, current) != 0)
        return 412;
    remember(m, id);
    m->puts++;
    write_slot(m, request, strcmp(claim, m->claim[0]) == 0);
    if (!m->brings || request_header(request, "Mailbox-After")[0] == '\0')
        return 200;
    if (m->meanwhile != NULL)
        m->meanwhile(m->context);
    if (m->deleted || (strcmp(claim, m->claim[0]) != 0 && strcmp(claim, m->claim[1]) != 0))
        return 200;
    buf_reset(&a->body);
    return read_slot(m, request, a);
}

static int
execute(struct mailbox *m, const struct gage_http_request *request, struct mailbox_answer *a)
{
    if (request->purpose == GAGE_HTTP_CREATE)
        return create(m, request, a);
    if (!m->exists || m->deleted)
        return 404;
    switch (request->purpose) {
    case GAGE_HTTP_PREVIEW:
        text(a, "<html><head><meta property=\"og:title\" content=\"");
        text(a, m->title);
        text(a, "\"></head></html>");
        return 200;
    case GAGE_HTTP_READ:
        return read_slot(m, request, a);
    case GAGE_HTTP_PUT:
        return put(m, request, a);
    default:
        m->deletes++;
        m->deleted = true;
        return 200;
    }
}

void
mailbox_handle(struct mailbox *m, const struct gage_http_request *request, struct mailbox_answer *a)
{
    gage_buf_free(&a->body);
    memset(a, 0, sizeof *a);
    a->body = GAGE_BUF(GAGE_TRANSFER_ANSWER_MAX);
    snprintf(a->id, sizeof a->id, "%s", request_header(request, "Mailbox-Request-ID"));
    if (m->fail_status != 0) {
        a->response.status = m->fail_status;
        m->fail_status = 0;
    } else {
        a->response.status = execute(m, request, a);
    }
    if (!m->no_versions && m->exists) {
        snprintf(a->version, sizeof a->version, "%llu", (unsigned long long)m->version);
        add_header(a, "mailbox-version", a->version);
    }
    if (a->id[0] != '\0')
        add_header(a, "Mailbox-Request-ID", a->id);
    a->response.headers = a->headers;
    a->response.body = gage_buf_slice(&a->body);
}
