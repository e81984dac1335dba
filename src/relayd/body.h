/* body.h - JSON bodies: read strictly (duplicate keys, bad UTF-8 and NUL are refused, A29), written by hand. */
#ifndef GAGE_RELAYD_BODY_H
#define GAGE_RELAYD_BODY_H

#include <jansson.h>

#include "base/bytes.h"

#define TITLE_MAX 512        /* bytes of UTF-8 */
#define DESCRIPTION_MAX 2048 /* the same */
#define URL_MAX 1024
#define TOKEN_TYPE_MAX 128
#define TOKEN_DATA_MAX 2048
#define BODY_VALUES_MAX 256 /* JSON values in a body; a request needs about twenty */

/* Parses a JSON object of at most BODY_VALUES_MAX values; GAGE_E_FORMAT with a sentence for its sender. *out is the caller's to json_decref. */
gage_rc body_parse(gage_slice text, json_t **out, struct gage_err *err);

/* Pieces of a body, borrowed from it. */
struct payload {
    gage_slice type, data;
};
/* "payload": {type, data}, both strings; type [A-Za-z0-9._+-]{1,64} (A16); data is not looked into (R8, R34). */
gage_rc body_payload(json_t *document, struct payload *payload, struct gage_err *err);
/* "notificationToken": {type, tokenData}, optional: appended to `token` in the form that is kept; nothing where it is absent. */
gage_rc body_token(json_t *document, gage_buf *token, struct gage_err *err);
/* "displayInformation": {title, description, imageURL}: appended as JSON with exactly these keys. */
gage_rc body_display(json_t *document, gage_buf *display, struct gage_err *err);
/* "mailboxConfiguration": {accessRights, expiration}, optional. Rights are STORE_RIGHT_...; expires 0 where there is none. */
gage_rc body_configuration(json_t *document, uint32_t *rights, int64_t *expires, struct gage_err *err);

/* Appends a text, a number, a JSON string with quotes. */
void put_text(gage_buf *buf, const char *text);
void put_number(gage_buf *buf, uint64_t number);
void put_json_string(gage_buf *buf, gage_slice text);

#endif
