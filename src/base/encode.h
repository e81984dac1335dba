/* encode.h - text forms of bytes: base64 (RFC 4648), hexadecimal, UUID (RFC 9562), UTF-8 checks (RFC 3629). */
#ifndef GAGE_BASE_ENCODE_H
#define GAGE_BASE_ENCODE_H

#include "base/crypto.h"

/* Appends the standard, padded alphabet (RFC 4648 section 4). */
void put_base64(gage_buf *buf, gage_slice bytes);
/* Appends the URL-safe alphabet without padding (RFC 4648 section 5). */
void put_base64url(gage_buf *buf, gage_slice bytes);
/* Appends what `text` encodes. Takes both alphabets, with or without padding ("=" or "%3D"); anything else, and bits left
 * over that are not zero, is GAGE_E_FORMAT and appends nothing. Not constant time. */
gage_rc get_base64(gage_slice text, gage_buf *out);

void put_hex(gage_buf *buf, gage_slice bytes); /* lower case */
gage_rc get_hex(gage_slice text, gage_buf *out);

#define UUID_LEN 16
#define UUID_TEXT_LEN 36
/* A random UUID (version 4, RFC 9562 section 5.4) as 16 bytes; its text in lower case, NUL-terminated. */
gage_rc uuid_make(const struct gage_rng *rng, uint8_t uuid[UUID_LEN]);
void uuid_format(const uint8_t uuid[UUID_LEN], char text[UUID_TEXT_LEN + 1]);
/* Any version, either case, exactly 8-4-4-4-12; else GAGE_E_FORMAT. */
gage_rc uuid_parse(gage_slice text, uint8_t uuid[UUID_LEN]);

/* Well-formed UTF-8: no overlong forms, surrogates or NUL. */
bool utf8_valid(gage_slice text);
/* Well-formed UTF-8 without control characters (C0, DEL, C1) or bidirectional overrides: safe on a terminal and in a log. */
bool utf8_printable(gage_slice text);
/* Appends `text` for showing to a person: each byte or character that utf8_printable would refuse becomes '?'. */
void put_printable(gage_buf *buf, gage_slice text);
/* The same for names, which must stay apart: each byte that cannot be printed becomes a backslash, x and two hexadecimal digits. */
void put_escaped_name(gage_buf *buf, gage_slice text);

#endif
