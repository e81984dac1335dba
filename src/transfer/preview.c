/* The OpenGraph elements of a relay's preview page (R31). */
#include <string.h>
#include <strings.h>

#include "transfer/relay.h"

static gage_slice
from(gage_slice text, size_t n)
{
    return gage_slice_of(text.p + n, text.n - n);
}

static bool
starts_with(gage_slice text, const char *prefix)
{
    size_t n = strlen(prefix);
    return text.n >= n && strncasecmp((const char *)text.p, prefix, n) == 0;
}

/* A character reference at the start of text: its character and length; 0 if it is none that a relay has reason to write. */
static size_t
reference(gage_slice text, char *character)
{
    static const struct {
        const char *text;
        char character;
    } known[] = {{"&amp;", '&'},  {"&lt;", '<'},    {"&gt;", '>'},    {"&quot;", '"'},
                 {"&#39;", '\''}, {"&#x27;", '\''}, {"&apos;", '\''}, {"&#34;", '"'}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (starts_with(text, known[i].text)) {
            *character = known[i].character;
            return strlen(known[i].text);
        }
    return 0;
}

static void
put_unescaped(gage_buf *out, gage_slice text)
{
    while (text.n > 0) {
        char character = (char)text.p[0];
        size_t n = reference(text, &character);
        put_u8(out, (uint8_t)character);
        text = from(text, n == 0 ? 1 : n);
    }
}

/* The value of the attribute within a tag's text, quotes taken off; p == NULL if it has none. */
static gage_slice
attribute(gage_slice tag, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 1; i + length + 2 < tag.n; i++) {
        gage_slice here = from(tag, i);
        bool begins = tag.p[i - 1] == ' ' || tag.p[i - 1] == '\n' || tag.p[i - 1] == '\t' || tag.p[i - 1] == '\r';
        if (!begins || !starts_with(here, name) || here.p[length] != '=')
            continue;
        uint8_t quote = here.p[length + 1];
        gage_slice value = from(here, length + 2);
        const uint8_t *end = quote == '"' || quote == '\'' ? memchr(value.p, quote, value.n) : NULL;
        return end == NULL ? SLICE_NONE : gage_slice_of(value.p, (size_t)(end - value.p));
    }
    return SLICE_NONE;
}

/* The tag's length from '<' on, its '>' left out; quoted '>' belong to the tag. */
static size_t
tag_length(gage_slice text)
{
    uint8_t quote = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (quote != 0)
            quote = c == quote ? 0 : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == '>')
            return i;
    }
    return text.n;
}

static void
take(gage_slice tag, const char *property, char *to, size_t size)
{
    gage_slice content = attribute(tag, "content");
    AUTO(gage_buf) text = GAGE_BUF(RELAY_ANSWER_SMALL);
    gage_slice named = attribute(tag, "property");
    if (to[0] != '\0' || content.p == NULL || !slice_equal(named, slice_str(property)))
        return;
    put_unescaped(&text, content);
    copy_printable(to, size, gage_buf_slice(&text));
}

void
relay_read_preview(gage_slice html, char title[GAGE_TRANSFER_TITLE_MAX + 1],
                   char description[GAGE_TRANSFER_DESCRIPTION_MAX + 1])
{
    title[0] = description[0] = '\0';
    if (html.n > RELAY_ANSWER_SMALL)
        html.n = RELAY_ANSWER_SMALL;
    while (html.n > 0) {
        if (!starts_with(html, "<meta")) {
            html = from(html, 1);
            continue;
        }
        size_t n = tag_length(html);
        take(gage_slice_of(html.p, n), "og:title", title, GAGE_TRANSFER_TITLE_MAX + 1);
        take(gage_slice_of(html.p, n), "og:description", description, GAGE_TRANSFER_DESCRIPTION_MAX + 1);
        html = from(html, n);
    }
}
