#include "relayd/guard.h"

#include <string.h>
#include <strings.h>

enum state {
    METHOD,
    TARGET,
    VERSION,
    VERSION_LF,
    LINE_START,
    NAME,
    VALUE_BEFORE,
    VALUE,
    VALUE_LF,
    HEAD_LF,
    BODY,
    CHUNK_SIZE,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_CR,
    CHUNK_LF,
    LAST_CR,
    LAST_LF,
    DONE
};

#define REFUSALS(X)                                                                                                    \
    X(LINE_END, 400, "Bad Request", "a line does not end in CRLF, or a CR stands alone")                               \
    X(BYTE, 400, "Bad Request", "the head holds a NUL, control or non-ASCII byte")                                     \
    X(REQUEST_LINE, 400, "Bad Request", "the request line is not METHOD SP /path SP HTTP/1.1")                         \
    X(VERSION_NUMBER, 505, "HTTP Version Not Supported", "this server speaks HTTP/1.1 only")                           \
    X(TARGET_LONG, 414, "URI Too Long", "the request target is longer than 1024 bytes")                                \
    X(HEAD_LONG, 431, "Request Header Fields Too Large",                                                               \
      "the head is longer than 3072 bytes or has more than 32 fields")                                                 \
    X(FOLD, 400, "Bad Request", "a field is folded over two lines")                                                    \
    X(NAME_FORM, 400, "Bad Request", "a field name is empty, is not a token, or has a space before its colon")         \
    X(TWICE, 400, "Bad Request", "a field that may stand once only stands twice")                                      \
    X(NO_HOST, 400, "Bad Request", "there is no Host field")                                                           \
    X(HOST_FORM, 400, "Bad Request", "the Host field is not a host and port")                                          \
    X(LENGTH_FORM, 400, "Bad Request", "Content-Length is not a number of 1 to 10 digits")                             \
    X(CODING, 501, "Not Implemented", "the only Transfer-Encoding is chunked")                                         \
    X(BOTH_LENGTHS, 400, "Bad Request", "Content-Length stands beside Transfer-Encoding")                              \
    X(EXPECTATION, 417, "Expectation Failed", "the only expectation is 100-continue")                                  \
    X(CHUNK_FORM, 400, "Bad Request", "a chunk has a bad size, an extension or a wrong end, or trailer fields follow") \
    X(BODY_LONG, 413, "Content Too Large", "the request body is longer than this relay reads")

enum refusal_index {
#define REFUSAL_INDEX(name, status, reason, detail) REFUSAL_##name,
    REFUSALS(REFUSAL_INDEX)
};

static const struct guard_refusal refusals[] = {
#define REFUSAL_ROW(name, status, reason, detail) {status, reason, detail},
    REFUSALS(REFUSAL_ROW)};

const struct guard_refusal guard_too_slow = {408, "Request Timeout", "the request took too long to arrive"};

/* Fields that may stand once only (the first four are read by the guard). */
enum known { HOST, CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT };
static const char *const known[] = {
    "host",
    "content-length",
    "transfer-encoding",
    "expect",
    "content-type",
    "if-match",
    "mailbox-after",
    "mailbox-device-attestation",
    "mailbox-device-claim",
    "mailbox-request-id",
    "authorization",
};
#define KNOWN_COUNT (sizeof known / sizeof known[0])

void
guard_init(struct guard *guard, uint64_t body_max)
{
    *guard = (struct guard){.body_max = body_max, .field = -1};
}

void
guard_next(struct guard *guard)
{
    if (guard->complete)
        guard_init(guard, guard->body_max);
}

bool
guard_started(const struct guard *guard)
{
    return guard->head > 0;
}

bool
guard_in_body(const struct guard *guard)
{
    return guard->state >= BODY;
}

static void
refuse(struct guard *g, enum refusal_index why)
{
    if (g->refusal == NULL)
        g->refusal = &refusals[why];
}

/* tchar of RFC 9110 section 5.6.2. */
static bool
is_token(uint8_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool
is_host(uint8_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c != 0 && strchr("-._:[]", c) != NULL;
}

static void
enter(struct guard *g, enum state state)
{
    g->state = (uint8_t)state;
    g->token = 0;
    g->kept = 0;
}

static void
keep(struct guard *g, uint8_t c)
{
    if (g->kept < sizeof g->text)
        g->text[g->kept++] = (char)c;
}

static bool
text_is(const struct guard *g, const char *word)
{
    size_t n = strlen(word);
    return g->token == n && g->kept == n && strncasecmp(g->text, word, n) == 0;
}

/* ---- request line ---- */

static void
take_method(struct guard *g, uint8_t c)
{
    if (c == ' ' && g->token > 0)
        enter(g, TARGET);
    else if (!is_token(c) || ++g->token > GUARD_NAME_MAX)
        refuse(g, REFUSAL_REQUEST_LINE);
}

static void
take_target(struct guard *g, uint8_t c)
{
    if (c == ' ' && g->token > 0) {
        enter(g, VERSION);
        return;
    }
    if (c <= 0x20 || c >= 0x7f || (g->token == 0 && c != '/'))
        refuse(g, REFUSAL_REQUEST_LINE);
    else if (++g->token > GUARD_TARGET_MAX)
        refuse(g, REFUSAL_TARGET_LONG);
}

static void
take_version(struct guard *g, uint8_t c)
{
    static const char wanted[] = "HTTP/1.1";
    if (c == '\r' && g->token == 8) {
        if (memcmp(g->text, wanted, 8) != 0)
            refuse(g, REFUSAL_VERSION_NUMBER);
        enter(g, VERSION_LF);
        return;
    }
    bool digit = c >= '0' && c <= '9';
    bool fits = g->token < 8 && (g->token == 5 || g->token == 7 ? digit : c == (uint8_t)wanted[g->token]);
    if (!fits)
        refuse(g, REFUSAL_REQUEST_LINE);
    g->token++;
    keep(g, c);
}

/* ---- fields ---- */

static void
end_head(struct guard *g)
{
    if ((g->seen & (1u << HOST)) == 0)
        refuse(g, REFUSAL_NO_HOST);
    if (g->chunked && (g->seen & (1u << CONTENT_LENGTH)) != 0)
        refuse(g, REFUSAL_BOTH_LENGTHS);
    if (g->refusal != NULL)
        return;
    enter(g, g->chunked ? CHUNK_SIZE : g->left > 0 ? BODY : DONE);
    g->complete = g->state == DONE;
}

static void
start_line(struct guard *g, uint8_t c)
{
    if (c == '\r') {
        g->state = HEAD_LF;
        return;
    }
    enter(g, NAME);
    if (c == ' ' || c == '\t')
        refuse(g, REFUSAL_FOLD);
    else if (!is_token(c))
        refuse(g, REFUSAL_NAME_FORM);
    else if (++g->fields > GUARD_FIELDS_MAX)
        refuse(g, REFUSAL_HEAD_LONG);
    g->token = 1;
    keep(g, c);
}

/* The name is whole: which one it is, and whether it may stand here. */
static void
end_name(struct guard *g)
{
    g->field = -1;
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (text_is(g, known[i]))
            g->field = (int8_t)i;
    if (g->field >= 0) {
        if (g->seen & (1u << g->field))
            refuse(g, REFUSAL_TWICE);
        g->seen = (uint16_t)(g->seen | 1u << g->field);
    }
    g->value_gap = false;
    enter(g, VALUE_BEFORE);
}

static void
take_name(struct guard *g, uint8_t c)
{
    if (c == ':') {
        end_name(g);
        return;
    }
    if (!is_token(c))
        refuse(g, REFUSAL_NAME_FORM);
    g->token++;
    keep(g, c);
}

static void
end_length(struct guard *g)
{
    if (g->token == 0 || g->token > 10)
        refuse(g, REFUSAL_LENGTH_FORM);
    for (uint8_t i = 0; i < g->kept && g->refusal == NULL; i++)
        g->left = g->left * 10 + (uint64_t)(g->text[i] - '0');
    g->body = g->left;
    if (g->left > g->body_max)
        refuse(g, REFUSAL_BODY_LONG);
}

static void
end_value(struct guard *g)
{
    switch (g->field) {
    case HOST:
        if (g->token == 0 || g->token > 255)
            refuse(g, REFUSAL_HOST_FORM);
        break;
    case CONTENT_LENGTH:
        end_length(g);
        break;
    case TRANSFER_ENCODING:
        if (!text_is(g, "chunked"))
            refuse(g, REFUSAL_CODING);
        g->chunked = true;
        break;
    case EXPECT:
        if (!text_is(g, "100-continue"))
            refuse(g, REFUSAL_EXPECTATION);
        break;
    default:
        break;
    }
    enter(g, VALUE_LF);
}

/* A byte of a value the guard reads: no white space inside, only the bytes that kind of value has. */
static void
take_known(struct guard *g, uint8_t c)
{
    if (g->field == CONTENT_LENGTH && (g->value_gap || c < '0' || c > '9'))
        refuse(g, REFUSAL_LENGTH_FORM);
    if (g->field == HOST && (g->value_gap || !is_host(c)))
        refuse(g, REFUSAL_HOST_FORM);
    if (g->field == TRANSFER_ENCODING && g->value_gap)
        refuse(g, REFUSAL_CODING);
    g->token++;
    keep(g, c);
}

static void
take_value(struct guard *g, uint8_t c)
{
    if (c == '\r') {
        end_value(g);
        return;
    }
    if (c == '\n')
        refuse(g, REFUSAL_LINE_END);
    else if ((c < 0x20 && c != '\t') || c >= 0x7f)
        refuse(g, REFUSAL_BYTE);
    if (c == ' ' || c == '\t') {
        g->value_gap = g->value_gap || g->token > 0;
        return;
    }
    g->state = VALUE;
    take_known(g, c);
}

/* ---- chunks ---- */

static void
take_chunk_size(struct guard *g, uint8_t c)
{
    if (c == '\r' && g->token > 0) {
        g->body += g->left;
        if (g->body > g->body_max)
            refuse(g, REFUSAL_BODY_LONG);
        g->state = CHUNK_SIZE_LF;
        return;
    }
    bool digit = c >= '0' && c <= '9';
    uint8_t letter = (uint8_t)(c | 0x20);
    if ((!digit && !(letter >= 'a' && letter <= 'f')) || ++g->token > 8)
        refuse(g, REFUSAL_CHUNK_FORM);
    g->left = (g->left << 4) | (uint64_t)(digit ? c - '0' : letter - 'a' + 10);
}

static void
expect(struct guard *g, uint8_t c, char wanted, enum state then, enum refusal_index why)
{
    if (c != (uint8_t)wanted)
        refuse(g, why);
    enter(g, then);
}

static void
take_chunk_end(struct guard *g, uint8_t c)
{
    switch (g->state) {
    case CHUNK_SIZE:
        take_chunk_size(g, c);
        break;
    case CHUNK_SIZE_LF:
        expect(g, c, '\n', g->left > 0 ? CHUNK_DATA : LAST_CR, REFUSAL_CHUNK_FORM);
        break;
    case CHUNK_CR:
        expect(g, c, '\r', CHUNK_LF, REFUSAL_CHUNK_FORM);
        break;
    case CHUNK_LF:
        expect(g, c, '\n', CHUNK_SIZE, REFUSAL_CHUNK_FORM);
        break;
    case LAST_CR:
        expect(g, c, '\r', LAST_LF, REFUSAL_CHUNK_FORM);
        break;
    default: /* LAST_LF */
        expect(g, c, '\n', DONE, REFUSAL_CHUNK_FORM);
        g->complete = g->refusal == NULL;
        break;
    }
}

/* ---- all together ---- */

static void
take_head(struct guard *g, uint8_t c)
{
    if (++g->head > GUARD_HEAD_MAX)
        refuse(g, REFUSAL_HEAD_LONG);
    switch (g->state) {
    case METHOD:
        take_method(g, c);
        break;
    case TARGET:
        take_target(g, c);
        break;
    case VERSION:
        take_version(g, c);
        break;
    case VERSION_LF:
    case VALUE_LF:
        expect(g, c, '\n', LINE_START, REFUSAL_LINE_END);
        break;
    case LINE_START:
        start_line(g, c);
        break;
    case NAME:
        take_name(g, c);
        break;
    case VALUE_BEFORE:
    case VALUE:
        take_value(g, c);
        break;
    default: /* HEAD_LF */
        if (c != '\n')
            refuse(g, REFUSAL_LINE_END);
        end_head(g);
        break;
    }
}

/* Skips what is body or chunk data; returns how many of n bytes it was. */
static size_t
skip_data(struct guard *g, size_t n)
{
    size_t step = g->left < n ? (size_t)g->left : n;
    g->left -= step;
    if (g->left > 0)
        return step;
    enter(g, g->state == BODY ? DONE : CHUNK_CR);
    g->complete = g->state == DONE;
    return step;
}

size_t
guard_feed(struct guard *guard, gage_slice bytes)
{
    size_t i = 0;
    while (i < bytes.n && guard->refusal == NULL && !guard->complete) {
        if (guard->state == BODY || guard->state == CHUNK_DATA) {
            i += skip_data(guard, bytes.n - i);
            continue;
        }
        if (guard->state < BODY)
            take_head(guard, bytes.p[i]);
        else
            take_chunk_end(guard, bytes.p[i]);
        i++;
    }
    return guard->refusal == NULL ? i : 0;
}
