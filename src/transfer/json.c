#include "transfer/json.h"

#include <string.h>

struct cursor {
    const uint8_t *p;
    size_t left;
    enum gage_code bad; /* GAGE_OK, or why reading stopped */
};

static void
fail(struct cursor *c, enum gage_code code)
{
    if (c->bad == GAGE_OK)
        c->bad = code;
    c->left = 0;
}

static uint8_t
peek(const struct cursor *c)
{
    return c->left > 0 ? *c->p : 0;
}

static void
advance(struct cursor *c, size_t n)
{
    c->p += n;
    c->left -= n;
}

static void
skip_space(struct cursor *c)
{
    while (c->left > 0 && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
        advance(c, 1);
}

static void
expect(struct cursor *c, uint8_t what)
{
    if (peek(c) == what && c->left > 0)
        advance(c, 1);
    else
        fail(c, GAGE_E_FORMAT);
}

/* ---- strings ---- */

static int
hex4(const uint8_t *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t d = p[i];
        int digit = d >= '0' && d <= '9'                     ? d - '0'
                    : (d | 0x20) >= 'a' && (d | 0x20) <= 'f' ? (d | 0x20) - 'a' + 10
                                                             : -1;
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

/* One \u escape (a surrogate pair counts as one) after the backslash: its character and length, 0 if malformed. NUL is refused:
 * no string of ours may hold it. */
static size_t
unicode_escape(gage_slice s, uint32_t *character)
{
    int first = s.n >= 5 ? hex4(s.p + 1) : -1;
    if (first <= 0 || (first >= 0xdc00 && first < 0xe000))
        return 0;
    *character = (uint32_t)first;
    if (first < 0xd800 || first >= 0xe000)
        return 5;
    int second = s.n >= 11 && s.p[5] == '\\' && s.p[6] == 'u' ? hex4(s.p + 7) : -1;
    if (second < 0xdc00 || second >= 0xe000)
        return 0;
    *character = 0x10000 + (((uint32_t)first - 0xd800) << 10) + ((uint32_t)second - 0xdc00);
    return 11;
}

/* The escape after a backslash: its character and how many bytes it takes; 0 if malformed. */
static size_t
escape(gage_slice s, uint32_t *character)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (s.n == 0 || s.p[0] == 0)
        return 0;
    const char *at = strchr(from, s.p[0]);
    if (at != NULL) {
        *character = (uint8_t)to[at - from];
        return 1;
    }
    return s.p[0] == 'u' ? unicode_escape(s, character) : 0;
}

static void
skip_string(struct cursor *c)
{
    uint32_t character;
    expect(c, '"');
    while (c->left > 0 && *c->p != '"') {
        size_t n = *c->p == '\\' ? escape(gage_slice_of(c->p + 1, c->left - 1), &character) + 1 : 1;
        if (*c->p < 0x20 || (*c->p == '\\' && n == 1)) {
            fail(c, GAGE_E_FORMAT);
            return;
        }
        advance(c, n);
    }
    expect(c, '"');
}

static void
put_utf8(gage_buf *out, uint32_t c)
{
    if (c < 0x80) {
        put_u8(out, (uint8_t)c);
    } else if (c < 0x800) {
        put_u8(out, (uint8_t)(0xc0 | c >> 6));
        put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        put_u8(out, (uint8_t)(0xe0 | c >> 12));
        put_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        put_u8(out, (uint8_t)(0xf0 | c >> 18));
        put_u8(out, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
        put_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

/* ---- values ---- */

static void
skip_digits(struct cursor *c)
{
    if (peek(c) < '0' || peek(c) > '9')
        fail(c, GAGE_E_FORMAT);
    while (c->left > 0 && *c->p >= '0' && *c->p <= '9')
        advance(c, 1);
}

static void
skip_number(struct cursor *c)
{
    if (peek(c) == '-')
        advance(c, 1);
    if (peek(c) == '0')
        advance(c, 1);
    else
        skip_digits(c);
    if (peek(c) == '.') {
        advance(c, 1);
        skip_digits(c);
    }
    if ((peek(c) | 0x20) == 'e') {
        advance(c, 1);
        if (peek(c) == '+' || peek(c) == '-')
            advance(c, 1);
        skip_digits(c);
    }
}

static void
skip_word(struct cursor *c, const char *word)
{
    size_t n = strlen(word);
    if (c->left < n || memcmp(c->p, word, n) != 0)
        fail(c, GAGE_E_FORMAT);
    else
        advance(c, n);
}

static void get_value(struct cursor *c, unsigned depth, struct json *out);

static void
skip_array(struct cursor *c, unsigned depth)
{
    struct json ignored;
    expect(c, '[');
    skip_space(c);
    if (peek(c) == ']') {
        advance(c, 1);
        return;
    }
    for (;;) {
        get_value(c, depth, &ignored);
        skip_space(c);
        if (peek(c) != ',')
            break;
        advance(c, 1);
    }
    expect(c, ']');
}

/* Reads one member's name and value. */
static gage_slice
get_member(struct cursor *c, unsigned depth, struct json *value)
{
    skip_space(c);
    const uint8_t *start = c->p;
    skip_string(c);
    gage_slice name = c->bad == GAGE_OK ? gage_slice_of(start + 1, (size_t)(c->p - start) - 2) : SLICE_NONE;
    skip_space(c);
    expect(c, ':');
    get_value(c, depth, value);
    return name;
}

static void
keep_member(struct cursor *c, struct json_object *object, gage_slice name, struct json value)
{
    if (object == NULL || c->bad != GAGE_OK)
        return;
    for (size_t i = 0; i < object->count; i++)
        if (slice_equal(object->member[i].name, name))
            fail(c, GAGE_E_FORMAT);
    if (object->count == JSON_MEMBERS_MAX) {
        fail(c, GAGE_E_LIMIT);
        return;
    }
    object->member[object->count].name = name;
    object->member[object->count].value = value;
    object->count++;
}

/* Reads an object; its members into *object unless that is NULL. */
static void
get_object(struct cursor *c, unsigned depth, struct json_object *object)
{
    struct json value;
    expect(c, '{');
    skip_space(c);
    if (peek(c) == '}') {
        advance(c, 1);
        return;
    }
    for (;;) {
        gage_slice name = get_member(c, depth, &value);
        keep_member(c, object, name, value);
        skip_space(c);
        if (peek(c) != ',')
            break;
        advance(c, 1);
    }
    expect(c, '}');
}

static enum json_type
skip_value(struct cursor *c, unsigned depth)
{
    if (depth == 0) {
        fail(c, GAGE_E_LIMIT);
        return JSON_NONE;
    }
    switch (peek(c)) {
    case '{':
        get_object(c, depth - 1, NULL);
        return JSON_OBJECT;
    case '[':
        skip_array(c, depth - 1);
        return JSON_ARRAY;
    case '"':
        skip_string(c);
        return JSON_STRING;
    case 't':
        skip_word(c, "true");
        return JSON_TRUE;
    case 'f':
        skip_word(c, "false");
        return JSON_FALSE;
    case 'n':
        skip_word(c, "null");
        return JSON_NULL;
    default:
        skip_number(c);
        return JSON_NUMBER;
    }
}

static void
get_value(struct cursor *c, unsigned depth, struct json *out)
{
    skip_space(c);
    const uint8_t *start = c->p;
    enum json_type type = skip_value(c, depth);
    bool good = c->bad == GAGE_OK;
    *out = (struct json){good ? type : JSON_NONE, good ? gage_slice_of(start, (size_t)(c->p - start)) : SLICE_NONE};
}

gage_rc
json_parse_object(gage_slice text, struct json_object *out, struct gage_err *err)
{
    struct cursor c = {.p = text.p, .left = text.n, .bad = GAGE_OK};
    out->count = 0;
    if (text.n == 0 || !utf8_valid(text))
        return gage_fail(err, GAGE_E_FORMAT, "not JSON: it is empty or not UTF-8");
    skip_space(&c);
    get_object(&c, JSON_DEPTH_MAX, out);
    skip_space(&c);
    if (c.left > 0)
        fail(&c, GAGE_E_FORMAT);
    if (c.bad == GAGE_OK)
        return GAGE_DONE;
    out->count = 0;
    return gage_fail(err, c.bad,
                     c.bad == GAGE_E_LIMIT ? "JSON with too many members or too deep" : "not well-formed JSON");
}

struct json
json_get(const struct json_object *object, const char *name)
{
    gage_slice wanted = slice_str(name);
    for (size_t i = 0; i < object->count; i++)
        if (slice_equal(object->member[i].name, wanted))
            return object->member[i].value;
    return (struct json){JSON_NONE, SLICE_NONE};
}

gage_rc
json_read_string(struct json value, gage_buf *out)
{
    uint32_t character;
    size_t before = out->n;
    if (value.type != JSON_STRING)
        return gage_rc_of(GAGE_E_FORMAT);
    for (size_t i = 1; i + 1 < value.text.n;) {
        if (value.text.p[i] != '\\') {
            put_u8(out, value.text.p[i++]);
            continue;
        }
        i += 1 + escape(gage_slice_of(value.text.p + i + 1, value.text.n - i - 1), &character);
        put_utf8(out, character);
    }
    if (!out->bad)
        return GAGE_DONE;
    out->n = before;
    return gage_rc_of(GAGE_E_LIMIT);
}

gage_slice
json_plain(struct json value)
{
    if (value.type != JSON_STRING || memchr(value.text.p, '\\', value.text.n) != NULL)
        return SLICE_NONE;
    return gage_slice_of(value.text.p + 1, value.text.n - 2);
}

gage_rc
json_read_integer(struct json value, int64_t *out)
{
    int64_t v = 0;
    bool good = value.type == JSON_NUMBER && value.text.n <= 16;
    for (size_t i = 0; good && i < value.text.n; i++) {
        good = value.text.p[i] >= '0' && value.text.p[i] <= '9';
        v = v * 10 + (value.text.p[i] - '0');
    }
    if (!good || v >= (int64_t)1 << 53)
        return gage_rc_of(GAGE_E_FORMAT);
    *out = v;
    return GAGE_DONE;
}

void
put_json_string(gage_buf *buf, gage_slice text)
{
    static const char digits[] = "0123456789abcdef";
    put_u8(buf, '"');
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '"' || c == '\\') {
            put_u8(buf, '\\');
            put_u8(buf, c);
        } else if (c < 0x20) {
            put_bytes(buf, SLICE_LITERAL("\\u00"));
            put_u8(buf, (uint8_t)digits[c >> 4]);
            put_u8(buf, (uint8_t)digits[c & 15]);
        } else {
            put_u8(buf, c);
        }
    }
    put_u8(buf, '"');
}
