#include "base/encode.h"

#include <string.h>

static const char alphabet_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void
put_base64_with(gage_buf *buf, gage_slice in, const char *alphabet, bool pad)
{
    for (size_t i = 0; i < in.n; i += 3) {
        size_t left = in.n - i;
        uint32_t group = (uint32_t)in.p[i] << 16;
        group |= left > 1 ? (uint32_t)in.p[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)in.p[i + 2] : 0;
        for (size_t k = 0; k < 4; k++) {
            if (k <= left)
                put_u8(buf, (uint8_t)alphabet[group >> (18 - 6 * k) & 63]);
            else if (pad)
                put_u8(buf, '=');
        }
    }
}

void
put_base64(gage_buf *buf, gage_slice bytes)
{
    buf_reserve(buf, bytes.n / 3 * 4 + 4 <= buf->max - buf->n ? bytes.n / 3 * 4 + 4 : 0);
    put_base64_with(buf, bytes, alphabet_std, true);
}

void
put_base64url(gage_buf *buf, gage_slice bytes)
{
    put_base64_with(buf, bytes, alphabet_url, false);
}

static int
base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

/* Takes one or two paddings off the end, "=" or "%3D". */
static gage_slice
without_padding(gage_slice text)
{
    for (int i = 0; i < 2; i++) {
        if (text.n >= 1 && text.p[text.n - 1] == '=')
            text.n -= 1;
        else if (text.n >= 3 && text.p[text.n - 3] == '%' && text.p[text.n - 2] == '3' &&
                 (text.p[text.n - 1] | 0x20) == 'd')
            text.n -= 3;
    }
    return text;
}

gage_rc
get_base64(gage_slice text, gage_buf *out)
{
    gage_slice in = without_padding(text);
    size_t before = out->n;
    uint32_t bits = 0;
    unsigned held = 0;
    bool good = in.n % 4 != 1;
    for (size_t i = 0; good && i < in.n; i++) {
        int digit = base64_digit(in.p[i]);
        good = digit >= 0;
        bits = (bits << 6 | (uint32_t)(good ? digit : 0)) & 0xfff;
        held += 6;
        if (good && held >= 8) {
            held -= 8;
            put_u8(out, (uint8_t)(bits >> held));
            bits &= (1u << held) - 1;
        }
    }
    if (good && bits == 0 && !out->bad)
        return GAGE_DONE;
    if (out->n > before)
        gage_wipe(out->p + before, out->n - before);
    out->n = before;
    return out->bad ? buf_check(out, NULL) : gage_rc_of(GAGE_E_FORMAT);
}

void
put_hex(gage_buf *buf, gage_slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.n; i++) {
        put_u8(buf, (uint8_t)digits[bytes.p[i] >> 4]);
        put_u8(buf, (uint8_t)digits[bytes.p[i] & 15]);
    }
}

static int
hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

gage_rc
get_hex(gage_slice text, gage_buf *out)
{
    if (text.n % 2 != 0)
        return gage_rc_of(GAGE_E_FORMAT);
    for (size_t i = 0; i < text.n; i++)
        if (hex_digit(text.p[i]) < 0)
            return gage_rc_of(GAGE_E_FORMAT);
    for (size_t i = 0; i < text.n; i += 2)
        put_u8(out, (uint8_t)(hex_digit(text.p[i]) << 4 | hex_digit(text.p[i + 1])));
    return out->bad ? gage_rc_of(GAGE_E_LIMIT) : GAGE_DONE;
}

gage_rc
uuid_make(const struct gage_rng *rng, uint8_t uuid[UUID_LEN])
{
    TRY(rng_fill(rng, uuid, UUID_LEN));
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    return GAGE_DONE;
}

static bool
dash_after(size_t byte)
{
    return byte == 3 || byte == 5 || byte == 7 || byte == 9;
}

void
uuid_format(const uint8_t uuid[UUID_LEN], char text[UUID_TEXT_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < UUID_LEN; i++) {
        *text++ = digits[uuid[i] >> 4];
        *text++ = digits[uuid[i] & 15];
        if (dash_after(i))
            *text++ = '-';
    }
    *text = '\0';
}

gage_rc
uuid_parse(gage_slice text, uint8_t uuid[UUID_LEN])
{
    uint8_t parsed[UUID_LEN];
    size_t at = 0;
    if (text.n != UUID_TEXT_LEN)
        return gage_rc_of(GAGE_E_FORMAT);
    for (size_t i = 0; i < UUID_LEN; i++, at += 2) {
        int high = hex_digit(text.p[at]), low = hex_digit(text.p[at + 1]);
        if (high < 0 || low < 0)
            return gage_rc_of(GAGE_E_FORMAT);
        parsed[i] = (uint8_t)(high << 4 | low);
        if (dash_after(i) && text.p[at++ + 2] != '-')
            return gage_rc_of(GAGE_E_FORMAT);
    }
    memcpy(uuid, parsed, UUID_LEN);
    return GAGE_DONE;
}

/* ---- UTF-8 ---- */

#define NOT_UTF8 UINT32_MAX

/* The character at the start of `text` (n > 0) and its length; NOT_UTF8 and 1 where it is malformed. */
static uint32_t
utf8_next(gage_slice text, size_t *length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = text.p[0];
    size_t n = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;
    *length = 1;
    if (n == 0 || n > text.n)
        return NOT_UTF8;
    uint32_t c = n == 1 ? first : first & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((text.p[i] & 0xc0) != 0x80)
            return NOT_UTF8;
        c = c << 6 | (text.p[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return NOT_UTF8;
    *length = n;
    return c;
}

static bool
is_printable(uint32_t c)
{
    bool control = c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
    bool bidi =
        (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f || c == 0x61c;
    return c != NOT_UTF8 && !control && !bidi;
}

bool
utf8_valid(gage_slice text)
{
    size_t length;
    for (; text.n > 0; text = gage_slice_of(text.p + length, text.n - length)) {
        uint32_t c = utf8_next(text, &length);
        if (c == NOT_UTF8 || c == 0)
            return false;
    }
    return true;
}

bool
utf8_printable(gage_slice text)
{
    size_t length;
    for (; text.n > 0; text = gage_slice_of(text.p + length, text.n - length))
        if (!is_printable(utf8_next(text, &length)))
            return false;
    return true;
}

void
put_escaped_name(gage_buf *buf, gage_slice text)
{
    size_t length;
    for (; text.n > 0; text = gage_slice_of(text.p + length, text.n - length)) {
        if (is_printable(utf8_next(text, &length))) {
            put_bytes(buf, gage_slice_of(text.p, length));
            continue;
        }
        put_bytes(buf, SLICE_LITERAL("\\x"));
        put_hex(buf, gage_slice_of(text.p, 1));
        length = 1;
    }
}

void
put_printable(gage_buf *buf, gage_slice text)
{
    size_t length;
    for (; text.n > 0; text = gage_slice_of(text.p + length, text.n - length)) {
        for (length = 0; length < text.n && text.p[length] >= 0x20 && text.p[length] < 0x7f; length++)
            continue;
        if (length > 0) { /* a run of ASCII goes as one */
            put_bytes(buf, gage_slice_of(text.p, length));
            continue;
        }
        if (is_printable(utf8_next(text, &length)))
            put_bytes(buf, gage_slice_of(text.p, length));
        else
            put_u8(buf, '?');
    }
}
