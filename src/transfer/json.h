/* json.h - a strict reader of JSON (RFC 8259) that copies nothing, and what the library writes of it.
 *
 * Why not a library's tree: an invitation file holds the link secret, and a tree leaves copies of it in freed memory. Here
 * members are slices of the caller's own buffer, which wipes itself; a 16 MiB payload is not copied either. */
#ifndef GAGE_TRANSFER_JSON_H
#define GAGE_TRANSFER_JSON_H

#include "base/encode.h"

#define JSON_MEMBERS_MAX 32 /* of one object */
#define JSON_DEPTH_MAX 16

enum json_type { JSON_NONE, JSON_OBJECT, JSON_ARRAY, JSON_STRING, JSON_NUMBER, JSON_TRUE, JSON_FALSE, JSON_NULL };

/* A value: its text as it stands, strings with their quotes. */
struct json {
    enum json_type type;
    gage_slice text;
};

/* An object's members, borrowed from the parsed text. Names are compared as they stand: a name written with escapes is none of ours. */
struct json_object {
    size_t count;
    struct {
        gage_slice name; /* without quotes */
        struct json value;
    } member[JSON_MEMBERS_MAX];
};

/* The whole text is one object (white space around it is fine), well-formed down to its leaves, UTF-8, no name twice in one object
 * of those looked at (A29); else GAGE_E_FORMAT. More members than JSON_MEMBERS_MAX or deeper than JSON_DEPTH_MAX: GAGE_E_LIMIT. */
gage_rc json_parse_object(gage_slice text, struct json_object *out, struct gage_err *err);
/* The member of that name; type JSON_NONE if there is none. */
struct json json_get(const struct json_object *object, const char *name);

/* Appends a string's characters, escapes resolved; GAGE_E_FORMAT if the value is not a string, GAGE_E_LIMIT if it does not fit. */
gage_rc json_read_string(struct json value, gage_buf *out);
/* A string without escapes, borrowed; empty slice with p == NULL where it is something else. */
gage_slice json_plain(struct json value);
/* A non-negative integer below 2^53 without fraction or exponent; GAGE_E_FORMAT otherwise. */
gage_rc json_read_integer(struct json value, int64_t *out);

/* Appends the text as a quoted JSON string: UTF-8 stays, quotes, backslash and control characters are escaped. */
void put_json_string(gage_buf *buf, gage_slice text);

#endif
