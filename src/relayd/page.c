#include "relayd/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/encode.h"
#include "relayd/body.h"

static const char style[] =
    ":root{color-scheme:light dark}"
    "body{margin:0;font:17px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;background:#f4f5f7;color:#17191c}"
    "main{max-width:34rem;margin:0 auto;padding:1.25rem}"
    ".card{background:#fff;border:1px solid #d9dce1;border-radius:14px;overflow:hidden;margin:1rem 0}"
    ".card img{display:block;width:100%;max-height:14rem;object-fit:cover;background:#e8eaee}"
    ".card div{padding:1rem 1.25rem}"
    "h1{font-size:1.35rem;line-height:1.25;margin:0 0 .4rem;overflow-wrap:anywhere}"
    /* what the sender wrote must not push what to do next off a phone's screen; what is cut off can be scrolled to */
    "h1{max-height:6.25em;overflow-y:auto}.text{max-height:10.5em;overflow-y:auto}"
    "h2{font-size:1.05rem;margin:1.5rem 0 .4rem}"
    "p{margin:.4rem 0;overflow-wrap:anywhere}"
    ".said{color:#5a6069;font-size:.88rem;margin:0 0 .3rem}"
    ".left{font-weight:600}"
    "code{background:#e8eaee;border-radius:6px;padding:.1rem .35rem;font-size:.95em}"
    "ol{padding-left:1.3rem;margin:.4rem 0}li{margin:.45rem 0}"
    "footer{color:#5a6069;font-size:.85rem;margin:1.5rem 0 .5rem}"
    "@media(prefers-color-scheme:dark){body{background:#14161a;color:#e8eaed}.card{background:#1e2126;border-color:#"
    "343941}"
    ".said,footer{color:#a3a9b3}code,.card img{background:#2b2f36}}";

/* HTML text and attribute values: the five characters that mean something, and nothing that does not print. */
static void
put_escaped(gage_buf *out, gage_slice text)
{
    AUTO(gage_buf) shown = GAGE_BUF(text.n * 2 + 16);
    put_printable(&shown, text);
    for (size_t i = 0; i < shown.n; i++) {
        switch (shown.p[i]) {
        case '&':
            put_text(out, "&amp;");
            break;
        case '<':
            put_text(out, "&lt;");
            break;
        case '>':
            put_text(out, "&gt;");
            break;
        case '"':
            put_text(out, "&quot;");
            break;
        case '\'':
            put_text(out, "&#39;");
            break;
        default:
            put_u8(out, shown.p[i]);
            break;
        }
    }
}

static void
put_count(gage_buf *out, int64_t count, const char *unit)
{
    char text[64];
    snprintf(text, sizeof text, "%" PRId64 " %s%s", count, unit, count == 1 ? "" : "s");
    put_text(out, text);
}

/* "2 days", "5 hours", "12 minutes": the largest unit of which there are two, rounded down. */
static void
put_left(gage_buf *out, int64_t seconds)
{
    if (seconds >= 2 * 86400)
        put_count(out, seconds / 86400, "day");
    else if (seconds >= 2 * 3600)
        put_count(out, seconds / 3600, "hour");
    else if (seconds >= 60)
        put_count(out, seconds / 60, "minute");
    else
        put_text(out, "less than a minute");
}

static void
put_meta(gage_buf *out, const char *property, gage_slice value)
{
    put_text(out, "<meta property=\"og:");
    put_text(out, property);
    put_text(out, "\" content=\"");
    put_escaped(out, value);
    put_text(out, "\">\n");
}

static void
put_head(const struct page *page, gage_buf *out)
{
    put_text(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"robots\" content=\"noindex\">\n");
    put_meta(out, "type", SLICE_LITERAL("website"));
    put_meta(out, "url", slice_str(page->url));
    put_meta(out, "title", page->title);
    put_meta(out, "description", page->description);
    if (page->image != NULL)
        put_meta(out, "image", slice_str(page->image));
    put_text(out, "<title>");
    put_escaped(out, page->title);
    put_text(out, "</title>\n<style>");
    put_text(out, style);
    put_text(out, "</style>\n</head>\n");
}

static void
put_card(const struct page *page, gage_buf *out)
{
    char expires[RFC3339_LEN + 1];
    rfc3339_format(page->expires, expires);
    put_text(
        out,
        "<p class=\"said\">Somebody shares this with you. The words and the picture are theirs; this relay has not "
        "checked them.</p>\n<section class=\"card\">\n");
    if (page->image != NULL) {
        put_text(out, "<img alt=\"\" src=\"");
        put_escaped(out, slice_str(page->image));
        put_text(out, "\">\n");
    }
    put_text(out, "<div>\n<h1>");
    put_escaped(out, page->title);
    put_text(out, "</h1>\n<p class=\"text\">");
    put_escaped(out, page->description);
    put_text(out, "</p>\n<p class=\"left\">Can be accepted for another ");
    put_left(out, page->expires - page->now);
    put_text(out, " <span class=\"said\">(until <time datetime=\"");
    put_text(out, expires);
    put_text(out, "\">");
    put_text(out, expires);
    put_text(out, "</time>)</span></p>\n</div>\n</section>\n");
}

static void
put_advice(gage_buf *out)
{
    put_text(
        out,
        "<h2>What to do next</h2>\n<ol>\n"
        "<li>Only go on if you know who sent you this link and expected it.</li>\n"
        "<li>Copy the whole link, with everything after the <code>#</code> sign: that part is the key. It has not been "
        "sent to this relay.</li>\n"
        "<li>On a computer with <strong>gage</strong>, run <code>gage accept</code> and paste the link when it asks. "
        "On a "
        "phone, open the link in the wallet app it was meant for.</li>\n</ol>\n"
        "<p>The link works for one device. Do not pass it on and do not post it.</p>\n"
        "<footer>This relay stores sealed bytes that it cannot read.</footer>\n");
}

void
page_print(const struct page *page, gage_buf *out)
{
    put_head(page, out);
    put_text(out, "<body>\n<main>\n");
    put_card(page, out);
    put_advice(out);
    put_text(out, "</main>\n</body>\n</html>\n");
}

/* https://host[:port] of the URL where these are plain characters; else no origin at all. */
static gage_slice
origin_of(const char *url)
{
    size_t n = strcspn(url + 8, "/?#") + 8;
    for (size_t i = 8; i < n; i++) {
        char c = url[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                     c == '-' || c == ':';
        if (!plain)
            return SLICE_NONE;
    }
    return n > 8 ? gage_slice_of(url, n) : SLICE_NONE;
}

gage_rc
page_policy(const char *image, gage_buf *out)
{
    uint8_t digest[SHA256_LEN];
    TRY(sha256_of(SLICE_LITERAL(style), digest));
    put_text(out, "default-src 'none'; style-src 'sha256-");
    put_base64(out, SLICE_OF(digest));
    put_text(out, "'; img-src ");
    gage_slice origin = image != NULL ? origin_of(image) : SLICE_NONE;
    if (origin.n > 0)
        put_bytes(out, origin);
    else
        put_text(out, "'none'");
    put_text(out, "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    return buf_check(out, NULL);
}
