#include "relayd/body.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "relayd/store.h"

/* Whether the text has more values than any request needs: each costs the parser a hundred times the two or three bytes that it takes
 * to write it. Counted by what separates them outside of strings, before the parser runs. */
static bool
too_many_values(gage_slice text)
{
    bool quoted = false;
    size_t count = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == ',' || c == '[' || c == '{'))
            count++;
    }
    return count > BODY_VALUES_MAX;
}

gage_rc
body_parse(gage_slice text, json_t **out, struct gage_err *err)
{
    json_error_t problem;
    REQUIRE(!too_many_values(text), err, GAGE_E_FORMAT, "the body has more than %d JSON values", BODY_VALUES_MAX);
    json_t *document = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &problem);
    if (document == NULL) {
        enum json_error_code code = json_error_code(&problem);
        return gage_fail(err, GAGE_E_FORMAT, "the body is not JSON: %s at byte %d",
                         code == json_error_duplicate_key            ? "a key stands twice in one object"
                         : code == json_error_invalid_utf8           ? "invalid UTF-8"
                         : code == json_error_premature_end_of_input ? "it ends too early"
                                                                     : "a syntax error",
                         problem.position);
    }
    if (!json_is_object(document)) {
        json_decref(document);
        return gage_fail(err, GAGE_E_FORMAT, "the body is not a JSON object");
    }
    *out = document;
    return GAGE_DONE;
}

/* A required string member of at most max bytes. */
static gage_rc
string_of(json_t *object, const char *where, const char *key, size_t max, gage_slice *out, struct gage_err *err)
{
    json_t *value = json_object_get(object, key);
    REQUIRE(json_is_string(value), err, GAGE_E_FORMAT, "%s.%s is missing or not a string", where, key);
    *out = gage_slice_of(json_string_value(value), json_string_length(value));
    REQUIRE(out->n <= max, err, GAGE_E_LIMIT, "%s.%s is longer than %zu bytes", where, key, max);
    return GAGE_DONE;
}

static gage_rc
object_of(json_t *document, const char *key, bool required, json_t **out, struct gage_err *err)
{
    *out = json_object_get(document, key);
    if (*out == NULL && !required)
        return GAGE_DONE;
    REQUIRE(json_is_object(*out), err, GAGE_E_FORMAT, "%s is missing or not an object", key);
    return GAGE_DONE;
}

static bool
is_type(gage_slice type)
{
    if (type.n == 0 || type.n > STORE_TYPE_MAX)
        return false;
    for (size_t i = 0; i < type.n; i++) {
        uint8_t c = type.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == 0 || strchr("._+-", c) == NULL))
            return false;
    }
    return true;
}

gage_rc
body_payload(json_t *document, struct payload *payload, struct gage_err *err)
{
    json_t *object;
    TRY(object_of(document, "payload", true, &object, err));
    TRY(string_of(object, "payload", "type", STORE_TYPE_MAX, &payload->type, err));
    TRY(string_of(object, "payload", "data", SIZE_MAX, &payload->data, err));
    REQUIRE(is_type(payload->type), err, GAGE_E_FORMAT, "payload.type is not 1 to 64 of A-Z a-z 0-9 . _ + -");
    return GAGE_DONE;
}

gage_rc
body_token(json_t *document, gage_buf *token, struct gage_err *err)
{
    json_t *object;
    gage_slice type, data;
    TRY(object_of(document, "notificationToken", false, &object, err));
    if (object == NULL)
        return GAGE_DONE;
    TRY(string_of(object, "notificationToken", "type", TOKEN_TYPE_MAX, &type, err));
    TRY(string_of(object, "notificationToken", "tokenData", TOKEN_DATA_MAX, &data, err));
    REQUIRE(type.n > 0, err, GAGE_E_FORMAT, "notificationToken.type is empty");
    put_vec8(token, type);
    put_vec16(token, data);
    return buf_check(token, err);
}

/* https only: anything else could make a viewer's browser do more than fetch a picture (A11). Empty: no picture. */
static bool
is_picture_url(gage_slice url)
{
    if (url.n == 0)
        return true;
    if (url.n < 9 || memcmp(url.p, "https://", 8) != 0)
        return false;
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= 0x20 || url.p[i] >= 0x7f || strchr("\"<>\\^`{|}", url.p[i]) != NULL)
            return false;
    return true;
}

gage_rc
body_display(json_t *document, gage_buf *display, struct gage_err *err)
{
    json_t *object;
    gage_slice title, description, url;
    TRY(object_of(document, "displayInformation", true, &object, err));
    TRY(string_of(object, "displayInformation", "title", TITLE_MAX, &title, err));
    TRY(string_of(object, "displayInformation", "description", DESCRIPTION_MAX, &description, err));
    TRY(string_of(object, "displayInformation", "imageURL", URL_MAX, &url, err));
    REQUIRE(is_picture_url(url), err, GAGE_E_FORMAT, "displayInformation.imageURL is neither an https URL nor empty");
    put_text(display, "{\"title\":");
    put_json_string(display, title);
    put_text(display, ",\"description\":");
    put_json_string(display, description);
    put_text(display, ",\"imageURL\":");
    put_json_string(display, url);
    put_text(display, "}");
    return buf_check(display, err);
}

/* A set of letters in any order, each once, with R (A7). */
static gage_rc
parse_rights(gage_slice text, uint32_t *rights, struct gage_err *err)
{
    *rights = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint32_t right = text.p[i] == 'R'   ? STORE_RIGHT_READ
                         : text.p[i] == 'W' ? STORE_RIGHT_WRITE
                         : text.p[i] == 'D' ? STORE_RIGHT_DELETE
                                            : 0;
        REQUIRE(right != 0 && (*rights & right) == 0, err, GAGE_E_FORMAT,
                "mailboxConfiguration.accessRights holds another letter than R, W, D, or one twice");
        *rights |= right;
    }
    REQUIRE((*rights & STORE_RIGHT_READ) != 0, err, GAGE_E_FORMAT,
            "mailboxConfiguration.accessRights is without R: nobody could read");
    return GAGE_DONE;
}

gage_rc
body_configuration(json_t *document, uint32_t *rights, int64_t *expires, struct gage_err *err)
{
    json_t *object;
    gage_slice text;
    *rights = STORE_RIGHT_READ | STORE_RIGHT_DELETE;
    *expires = 0;
    TRY(object_of(document, "mailboxConfiguration", false, &object, err));
    if (object == NULL)
        return GAGE_DONE;
    if (json_object_get(object, "accessRights") != NULL) {
        TRY(string_of(object, "mailboxConfiguration", "accessRights", 16, &text, err));
        TRY(parse_rights(text, rights, err));
    }
    TRY(string_of(object, "mailboxConfiguration", "expiration", 64, &text, err));
    REQUIRE(gage_ok(rfc3339_parse((const char *)text.p, text.n, expires)), err, GAGE_E_FORMAT,
            "mailboxConfiguration.expiration is not of the form YYYY-MM-DDThh:mm:ssZ");
    return GAGE_DONE;
}

/* ---- writing ---- */

void
put_text(gage_buf *buf, const char *text)
{
    put_bytes(buf, slice_str(text));
}

void
put_number(gage_buf *buf, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    put_text(buf, text);
}

static void
put_escape(gage_buf *buf, uint8_t c)
{
    char text[8];
    if (c == '"' || c == '\\')
        snprintf(text, sizeof text, "\\%c", c);
    else
        snprintf(text, sizeof text, "\\u%04x", c);
    put_text(buf, text);
}

void
put_json_string(gage_buf *buf, gage_slice text)
{
    size_t from = 0;
    put_u8(buf, '"');
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        put_bytes(buf, gage_slice_of(text.p + from, i - from));
        put_escape(buf, c);
        from = i + 1;
    }
    if (from < text.n)
        put_bytes(buf, gage_slice_of(text.p + from, text.n - from));
    put_u8(buf, '"');
}
