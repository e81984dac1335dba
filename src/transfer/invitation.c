#include "transfer/invitation.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "transfer/json.h"

#define FILE_KIND "gage-invitation"
#define FILE_VERSION 1

gage_rc
invitation_new(gage_invitation **out, struct gage_err *err)
{
    *out = calloc(1, sizeof **out);
    REQUIRE(*out != NULL, err, GAGE_E_NOMEM, "not enough memory for an invitation");
    return GAGE_DONE;
}

void
gage_invitation_free(gage_invitation **invitation)
{
    if (invitation == NULL || *invitation == NULL)
        return;
    gage_wipe(*invitation, sizeof **invitation);
    free(*invitation);
    *invitation = NULL;
}

/* ---- what its fields may be ---- */

bool
title_valid(gage_slice text)
{
    return text.n <= GAGE_TRANSFER_TITLE_MAX && utf8_printable(text);
}

static bool
is_token_char(uint8_t c, const char *also)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c != 0 && strchr(also, c) != NULL);
}

bool
format_valid(gage_slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!is_token_char(text.p[i], "._+/-"))
            return false;
    return text.n > 0 && text.n <= GAGE_TRANSFER_FORMAT_MAX;
}

bool
pin_valid(gage_slice text)
{
    static const char prefix[] = "sha256//";
    const size_t n = sizeof prefix - 1;
    if (text.n <= n || text.n > PIN_MAX || memcmp(text.p, prefix, n) != 0)
        return false;
    for (size_t i = n; i < text.n; i++)
        if (!is_token_char(text.p[i], "+/="))
            return false;
    return true;
}

/* ---- reading ---- */

gage_rc
copy_text(char *to, size_t size, gage_slice text)
{
    if (text.n >= size)
        return gage_rc_of(GAGE_E_LIMIT);
    if (text.n > 0)
        memcpy(to, text.p, text.n);
    to[text.n] = '\0';
    return GAGE_DONE;
}

/* %2B, %2F and %3D are what messengers make of the characters that the standard alphabet has (A23). */
static void
put_unescaped(gage_buf *out, gage_slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        AUTO(gage_buf) byte = GAGE_BUF(1);
        if (text.p[i] == '%' && text.n - i > 2 && gage_ok(get_hex(gage_slice_of(text.p + i + 1, 2), &byte))) {
            put_u8(out, byte.p[0]);
            i += 2;
        } else {
            put_u8(out, text.p[i]);
        }
    }
}

static gage_rc
read_secret(gage_slice text, gage_secret *out, struct gage_err *err)
{
    AUTO(gage_buf) plain = GAGE_BUF(256);
    AUTO(gage_buf) bytes = GAGE_BUF(GAGE_SECRET_MAX);
    put_unescaped(&plain, text);
    bool good = gage_ok(buf_check(&plain, NULL)) && gage_ok(get_base64(gage_buf_slice(&plain), &bytes)) &&
                (bytes.n == LINK_SECRET_LEN || bytes.n == LINK_SECRET_LEN_SHORT);
    REQUIRE(good, err, GAGE_E_FORMAT, "the link's secret is not whole: copy everything after the # again");
    return secret_set(out, gage_buf_slice(&bytes));
}

static size_t
index_of(gage_slice text, uint8_t c)
{
    const uint8_t *at = text.n > 0 ? memchr(text.p, c, text.n) : NULL;
    return at == NULL ? text.n : (size_t)(at - text.p);
}

/* Cuts the text at the first c: returns what is before; *rest is what follows it, NULL if there was none. */
static gage_slice
cut(gage_slice text, uint8_t c, gage_slice *rest)
{
    size_t n = index_of(text, c);
    *rest = n < text.n ? gage_slice_of(text.p + n + 1, text.n - n - 1) : SLICE_NONE;
    return gage_slice_of(text.p, n);
}

/* "key=value&key=value": v and pin are known, others are ignored. */
static gage_rc
read_query(gage_slice query, gage_invitation *in, struct gage_err *err)
{
    while (query.n > 0) {
        gage_slice value, pair = cut(query, '&', &query);
        gage_slice key = cut(pair, '=', &value);
        if (slice_equal(key, SLICE_LITERAL("v"))) {
            REQUIRE(value.n == 1 && value.p[0] >= 'a' && value.p[0] <= 'z', err, GAGE_E_FORMAT,
                    "the link's v= is not one letter");
            in->vertical = (char)value.p[0];
        } else if (slice_equal(key, SLICE_LITERAL("pin"))) {
            REQUIRE(pin_valid(value), err, GAGE_E_FORMAT, "the link's pin= is not a public key pin");
            TRY(copy_text(in->pin, sizeof in->pin, value));
        }
    }
    return GAGE_DONE;
}

/* A URL with its query and fragment. */
static gage_rc
read_url(gage_slice text, gage_invitation *in, struct gage_err *err)
{
    gage_slice fragment, query;
    for (size_t i = 0; i < text.n; i++)
        REQUIRE(text.p[i] != 0 && strchr(" \t\r\n", text.p[i]) == NULL, err, GAGE_E_FORMAT,
                "the link has a space or line break in it: copy it again, whole and in one piece");
    gage_slice before = cut(text, '#', &fragment);
    gage_slice url = cut(before, '?', &query);
    REQUIRE(fragment.n > 0, err, GAGE_E_FORMAT, "the link has no secret: the part after # is missing, copy it whole");
    TRY(url_parse_mailbox(url, in->allow_loopback_http, &in->url, err));
    TRY(read_query(query, in, err));
    return read_secret(fragment, &in->secret, err);
}

/* gage: and gage+http: stand for https: and http:. */
static gage_rc
read_uri(gage_slice text, size_t scheme, const char *real, gage_invitation *in, struct gage_err *err)
{
    AUTO(gage_buf) url = GAGE_BUF(INVITATION_TEXT_MAX);
    put_bytes(&url, slice_str(real));
    put_bytes(&url, gage_slice_of(text.p + scheme, text.n - scheme));
    TRY(buf_check(&url, err));
    return read_url(gage_buf_slice(&url), in, err);
}

/* An optional member of text: absent leaves "". */
static gage_rc
read_member(const struct json_object *object, const char *name, bool (*valid)(gage_slice), char *to, size_t size,
            struct gage_err *err)
{
    AUTO(gage_buf) text = GAGE_BUF(INVITATION_TEXT_MAX);
    struct json value = json_get(object, name);
    if (value.type == JSON_NONE)
        return GAGE_DONE;
    bool good = gage_ok(json_read_string(value, &text)) && valid(gage_buf_slice(&text)) &&
                gage_ok(copy_text(to, size, gage_buf_slice(&text)));
    REQUIRE(good, err, GAGE_E_FORMAT, "the invitation's \"%s\" is malformed or too long", name);
    return GAGE_DONE;
}

static gage_rc
read_expires(const struct json_object *object, int64_t *out, struct gage_err *err)
{
    struct json value = json_get(object, "expires");
    gage_slice text = json_plain(value);
    bool good = value.type == JSON_NONE || (text.n > 0 && gage_ok(rfc3339_parse((const char *)text.p, text.n, out)));
    REQUIRE(good, err, GAGE_E_FORMAT, "the invitation's \"expires\" is not a time");
    return GAGE_DONE;
}

static gage_rc
read_file(gage_slice text, gage_invitation *in, struct gage_err *err)
{
    struct json_object object;
    int64_t version = 0;
    TRY(json_parse_object(text, &object, err));
    bool ours = slice_equal(json_plain(json_get(&object, "type")), SLICE_LITERAL(FILE_KIND)) &&
                gage_ok(json_read_integer(json_get(&object, "version"), &version)) && version == FILE_VERSION;
    REQUIRE(ours, err, GAGE_E_FORMAT, "not an invitation of this version");
    gage_slice mailbox = json_plain(json_get(&object, "mailbox"));
    TRY(url_parse_mailbox(mailbox, in->allow_loopback_http, &in->url, err));
    TRY(read_secret(json_plain(json_get(&object, "secret")), &in->secret, err));
    TRY(read_member(&object, "title", title_valid, in->title, sizeof in->title, err));
    TRY(read_member(&object, "format", format_valid, in->format, sizeof in->format, err));
    TRY(read_member(&object, "pin", pin_valid, in->pin, sizeof in->pin, err));
    return read_expires(&object, &in->expires, err);
}

static bool
has_prefix(gage_slice text, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.n > n && memcmp(text.p, prefix, n) == 0;
}

static gage_slice
trimmed(gage_slice text)
{
    while (text.n > 0 && strchr(" \t\r\n", text.p[0]) != NULL && text.p[0] != 0)
        text = gage_slice_of(text.p + 1, text.n - 1);
    while (text.n > 0 && strchr(" \t\r\n", text.p[text.n - 1]) != NULL && text.p[text.n - 1] != 0)
        text.n--;
    return text;
}

static gage_rc
read_any(gage_slice text, gage_invitation *in, struct gage_err *err)
{
    REQUIRE(text.n <= INVITATION_TEXT_MAX, err, GAGE_E_LIMIT, "an invitation of more than 16 KiB");
    if (has_prefix(text, "{"))
        return read_file(text, in, err);
    if (has_prefix(text, "gage://"))
        return read_uri(text, 7, "https://", in, err);
    if (has_prefix(text, "gage+http://"))
        return read_uri(text, 12, "http://", in, err);
    if (has_prefix(text, "https://") || has_prefix(text, "http://"))
        return read_url(text, in, err);
    return gage_fail(err, GAGE_E_FORMAT, "not an invitation: it is neither a link, a gage: URI nor an invitation file");
}

gage_rc
gage_invitation_parse(gage_slice text, bool allow_loopback_http, gage_invitation **out, struct gage_err *err)
{
    AUTO(gage_invitation_ptr) in = NULL;
    TRY(invitation_new(&in, err));
    in->allow_loopback_http = allow_loopback_http;
    TRY(read_any(trimmed(text), in, err));
    gage_slice host = url_authority(&in->url);
    TRY(copy_text(in->host, sizeof in->host, host));
    *out = in;
    in = NULL;
    return GAGE_DONE;
}

/* ---- writing ---- */

/* The link: the secret as drafted, in the standard alphabet with padding. */
static void
put_link(gage_buf *out, const gage_invitation *in)
{
    put_bytes(out, slice_str(in->url.text));
    if (in->vertical != 0) {
        put_bytes(out, SLICE_LITERAL("?v="));
        put_u8(out, (uint8_t)in->vertical);
    }
    put_u8(out, '#');
    put_base64(out, secret_slice(&in->secret));
}

static void
put_uri(gage_buf *out, const gage_invitation *in)
{
    bool secure = has_prefix(slice_str(in->url.text), "https://");
    char mark = '?';
    put_bytes(out, secure ? SLICE_LITERAL("gage://") : SLICE_LITERAL("gage+http://"));
    put_bytes(out, slice_str(in->url.text + in->url.authority));
    if (in->vertical != 0) {
        put_bytes(out, SLICE_LITERAL("?v="));
        put_u8(out, (uint8_t)in->vertical);
        mark = '&';
    }
    if (in->pin[0] != '\0') {
        put_u8(out, (uint8_t)mark);
        put_bytes(out, SLICE_LITERAL("pin="));
        put_bytes(out, slice_str(in->pin));
    }
    put_u8(out, '#');
    put_base64url(out, secret_slice(&in->secret));
}

static void
put_member(gage_buf *out, const char *name, const char *text)
{
    if (text[0] == '\0')
        return;
    put_bytes(out, SLICE_LITERAL(",\n  \""));
    put_bytes(out, slice_str(name));
    put_bytes(out, SLICE_LITERAL("\": "));
    put_json_string(out, slice_str(text));
}

static void
put_file(gage_buf *out, const gage_invitation *in)
{
    char expires[RFC3339_LEN + 1] = "";
    if (in->expires > 0)
        rfc3339_format(in->expires, expires);
    put_bytes(out, SLICE_LITERAL("{\n  \"type\": \"" FILE_KIND "\",\n  \"version\": 1"));
    put_member(out, "mailbox", in->url.text);
    put_bytes(out, SLICE_LITERAL(",\n  \"secret\": \""));
    put_base64(out, secret_slice(&in->secret));
    put_u8(out, '"');
    put_member(out, "title", in->title);
    put_member(out, "format", in->format);
    put_member(out, "expires", expires);
    put_member(out, "pin", in->pin);
    put_bytes(out, SLICE_LITERAL("\n}\n"));
}

gage_rc
gage_invitation_format(const gage_invitation *invitation, enum gage_invitation_form form, gage_buf *out,
                       struct gage_err *err)
{
    size_t before = out->n;
    buf_reserve(out, out->max - out->n < 4096 ? out->max - out->n : 4096);
    switch (form) {
    case GAGE_INVITATION_LINK:
        put_link(out, invitation);
        break;
    case GAGE_INVITATION_URI:
        put_uri(out, invitation);
        break;
    case GAGE_INVITATION_FILE:
        put_file(out, invitation);
        break;
    default:
        return gage_fail(err, GAGE_E_USAGE, "no such form of an invitation");
    }
    gage_rc rc = buf_check(out, err);
    if (!gage_ok(rc)) {
        gage_wipe(out->p + before, out->n - before);
        out->n = before;
    }
    return rc;
}

/* ---- looking ---- */

const char *
gage_invitation_url(const gage_invitation *invitation)
{
    return invitation->url.text;
}

const char *
gage_invitation_host(const gage_invitation *invitation)
{
    return invitation->host;
}

const char *
gage_invitation_title(const gage_invitation *invitation)
{
    return invitation->title;
}

int64_t
gage_invitation_expires(const gage_invitation *invitation)
{
    return invitation->expires;
}

const char *
gage_invitation_pin(const gage_invitation *invitation)
{
    return invitation->pin;
}

bool
gage_text_has_secret(const char *text)
{
    gage_slice all = trimmed(slice_str(text));
    bool kind = has_prefix(all, "https://") || has_prefix(all, "http://") || has_prefix(all, "gage:") ||
                has_prefix(all, "gage+http:");
    size_t hash = index_of(all, '#');
    return kind && hash + 1 < all.n;
}
