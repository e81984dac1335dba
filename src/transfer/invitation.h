/* invitation.h - what the sender hands over: the mailbox's URL and the link secret (doc/transfer.md, "Invitations"). */
#ifndef GAGE_TRANSFER_INVITATION_H
#define GAGE_TRANSFER_INVITATION_H

#include "transfer/url.h"

#define LINK_SECRET_LEN 32       /* what this library makes */
#define LINK_SECRET_LEN_SHORT 16 /* what it also understands: AEAD_AES_128_GCM of other clients */
#define PIN_MAX 95
#define INVITATION_TEXT_MAX (16u * 1024)

struct gage_invitation {
    struct url url;
    char host[GAGE_TRANSFER_URL_MAX + 1];
    gage_secret secret;
    char title[GAGE_TRANSFER_TITLE_MAX + 1];
    char format[GAGE_TRANSFER_FORMAT_MAX + 1];
    char pin[PIN_MAX + 1];
    int64_t expires;
    char vertical; /* 0: none */
    bool allow_loopback_http;
};

gage_rc invitation_new(gage_invitation **out, struct gage_err *err);
typedef gage_invitation *gage_invitation_ptr;
GAGE_AUTO_DEFINE(gage_invitation_ptr, gage_invitation_free)

/* A pin is "sha256//" and base64; a title is printable UTF-8; a format is a token; each of bounded length. */
bool pin_valid(gage_slice text);
bool title_valid(gage_slice text);
bool format_valid(gage_slice text);

/* Copies the text and a NUL into an array; GAGE_E_LIMIT if it does not fit. */
gage_rc copy_text(char *to, size_t size, gage_slice text);

#endif
