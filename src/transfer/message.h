/* message.h - what the two sides say to each other inside gss_wrap (doc/transfer.md, "Messages").
 *
 *   message = version u8 = 1, transcript (32), [binding record], one other record
 *   record  = type u8, vec32(body)
 *
 * The binding record comes in the first message of each direction and in no other. */
#ifndef GAGE_TRANSFER_MESSAGE_H
#define GAGE_TRANSFER_MESSAGE_H

#include <gage/transfer.h>

#include "base/crypto.h"

#define MESSAGE_VERSION 1
#define MESSAGE_OVERHEAD 1024 /* more than everything but the content takes */
#define NONCE_LEN 32

enum record_type {
    RECORD_NONE = 0,
    RECORD_BINDING = 1,  /* both, first: what this transfer is */
    RECORD_CONTENT = 2,  /* sender: the content */
    RECORD_RECEIPT = 3,  /* receiver: the content's hash; it is in place */
    RECORD_REFUSAL = 4,  /* both: the end, and why */
    RECORD_OFFER = 5,    /* sender: ask me (additional calls) */
    RECORD_REQUEST = 6,  /* receiver */
    RECORD_ANSWER = 7,   /* sender */
    RECORD_COMMIT = 8,   /* sender: SHA-256 of its nonce (digits) */
    RECORD_NONCE = 9,    /* receiver: its nonce */
    RECORD_REVEAL = 10,  /* sender: its nonce */
    RECORD_COMPARED = 11 /* receiver: its person read the same digits */
};
#define RECORD_TYPE_MAX RECORD_COMPARED

enum refusal { REFUSAL_PERSON = 1, REFUSAL_DIGITS = 2, REFUSAL_MISMATCH = 3, REFUSAL_INSTALL = 4, REFUSAL_CALL = 5 };
#define REFUSAL_MAX REFUSAL_CALL

struct binding {
    gage_slice url, format, title; /* borrowed */
    bool verify, calls;
};

struct content {
    gage_slice name; /* empty, or a plain base name */
    uint16_t mode;   /* 0777 at most */
    uint8_t sha256[SHA256_LEN];
    gage_slice bytes;
};

/* One message, decoded; slices borrowed. Which fields mean something depends on `type`. */
struct message {
    uint8_t transcript[SHA256_LEN];
    bool has_binding;
    struct binding binding;
    enum record_type type;
    struct content content;   /* CONTENT */
    uint8_t hash[SHA256_LEN]; /* RECEIPT, COMMIT; NONCE, REVEAL: the nonce */
    enum refusal refusal;     /* REFUSAL */
    gage_slice bytes;         /* REQUEST, ANSWER */
};

/* Appends the message. The content's hash is written as it stands: the caller computed it. */
void message_put(gage_buf *out, const struct message *message);
/* GAGE_E_FORMAT: malformed, an unknown record, a hash that is not the content's, or a name that is not a plain base name. */
gage_rc message_get(gage_slice text, struct message *out, struct gage_err *err);

/* What kind of end a refusal tells of, as a clause: "the person there said no". */
const char *refusal_text(enum refusal refusal);

/* A plain base name: 1 to 255 bytes of printable UTF-8, no '/', not "." or "..". */
bool name_plain(gage_slice name);
/* The name under which it may be installed: a leading '-' or '.' becomes '_' (no options, no hidden files), a backslash too. */
void name_safe(gage_slice name, char to[GAGE_TRANSFER_NAME_MAX + 1]);

#endif
