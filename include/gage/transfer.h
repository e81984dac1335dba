/* gage/transfer.h - handing a credential from one person to another through a mailbox relay, without I/O.
 *
 * A transfer is an object that says what to do next and is told how it went. The caller owns the HTTP client, the
 * files, the terminal and the clock:
 *
 *     for (;;) {
 *         gage_transfer_next(t, now, &action, &err);
 *         switch (action.kind) {
 *         case GAGE_ACT_HTTP:    send action.http;                gage_transfer_http_result / _http_failed
 *         case GAGE_ACT_SAVE:    make action.record durable;      gage_transfer_saved
 *         case GAGE_ACT_INVITE:  hand the invitation over;        gage_transfer_invited
 *         case GAGE_ACT_ASK:     ask the person;                  gage_transfer_answer
 *         case GAGE_ACT_REQUEST: make a request (receiver);       gage_transfer_request
 *         case GAGE_ACT_SUPPLY:  answer a request (sender);       gage_transfer_supply
 *         case GAGE_ACT_INSTALL: put the content in place;        gage_transfer_installed
 *         case GAGE_ACT_WAIT:    come back at action.until
 *         case GAGE_ACT_DONE:    look at action.result, stop
 *         }
 *     }
 *
 * gage_transfer_next may be called any number of times: it gives the same action until its result has been reported.
 * The caller may die between any two steps. What it must keep is the last record of a GAGE_ACT_SAVE; gage_transfer_load
 * goes on from there, sends the stored bytes again, and never releases, installs or reports anything wrongly.
 *
 * Whole transfer with a mechanism that needs nothing but the link: four writes to the mailbox (create, answer,
 * content, receipt). doc/transfer.md is the protocol to the byte; the relay speaks draft-vinokurov-tigress-http.
 *
 * All functions: no I/O, no logging, no environment, no globals, except what the GSS-API mechanism itself does inside
 * gage_transfer_next and the result calls (Kerberos contacts its KDC and reads its caches there; a mechanism that
 * needs only the link secret touches nothing). One object belongs to one thread at a time. Times are seconds
 * since 1970-01-01T00:00:00Z. `err` is optional everywhere. Strings are UTF-8, NUL-terminated.
 * Pointers inside an action stay valid until the next call on the same object other than gage_transfer_next. */
#ifndef GAGE_TRANSFER_H
#define GAGE_TRANSFER_H

#include <gssapi/gssapi.h>

#include <gage/bytes.h>
#include <gage/random.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- limits ---- */

#define GAGE_TRANSFER_CONTENT_MAX (11u << 20) /* bytes of content; the relay's own limit is usually far lower */
#define GAGE_TRANSFER_NAME_MAX 255            /* bytes of a file's base name */
#define GAGE_TRANSFER_TITLE_MAX 200           /* bytes of a title */
#define GAGE_TRANSFER_DESCRIPTION_MAX 1000    /* bytes of a description */
#define GAGE_TRANSFER_FORMAT_MAX 127          /* bytes of a format */
#define GAGE_TRANSFER_URL_MAX 1024            /* bytes of a URL */
#define GAGE_TRANSFER_NOTE_MAX 8192           /* bytes of the caller's note */
#define GAGE_TRANSFER_ANSWER_MAX (17u << 20)  /* bytes of an HTTP answer that a caller need ever accept */

/* ---- invitations ---- */

/* What the sender hands to the receiver: the mailbox's URL and the link secret. Opaque because it is a secret: wiped by
 * gage_invitation_free. */
typedef struct gage_invitation gage_invitation;

enum gage_invitation_form {
    GAGE_INVITATION_LINK, /* https://host/v1/m/{id}?v=..#{Secret}: draft-vinokurov-tigress-http, C15 */
    GAGE_INVITATION_URI,  /* gage://host/v1/m/{id}#{Secret}: no browser opens it, so no page sees the secret */
    GAGE_INVITATION_FILE  /* JSON: what a file holds */
};

/* Reads any of the three forms, leading and trailing white space ignored; the link secret may be in either base64
 * alphabet, padded or not, %-encoded '=' '+' '/' included (A23). `http:` is taken only for a loopback host and with allow_loopback_http.
 * GAGE_E_FORMAT: not an invitation, or a link without its fragment; GAGE_E_REFUSED: not https; GAGE_E_LIMIT: too long
 * (16 KiB). Error texts never contain any part of `text`. *out is the caller's, to be freed. */
GAGE_API gage_rc gage_invitation_parse(gage_slice text, bool allow_loopback_http, gage_invitation **out,
                                       struct gage_err *err);
/* Appends one of the forms, NUL not included, newline only after the file's JSON. The caller's buffer then holds a secret. */
GAGE_API gage_rc gage_invitation_format(const gage_invitation *invitation, enum gage_invitation_form form,
                                        gage_buf *out, struct gage_err *err);
/* The mailbox's URL without query and fragment, and its host with the port if one is given (for allow-lists and for showing it:
 * Q10, C17). Borrowed from the invitation. */
GAGE_API const char *gage_invitation_url(const gage_invitation *invitation);
GAGE_API const char *gage_invitation_host(const gage_invitation *invitation);
/* What the sender wrote into the invitation file or URI: a title (never NULL, "" if none), the time after which claiming is
 * refused (0 if not told), the relay's public key pin ("sha256//BASE64", "" if none). Not authenticated by themselves: as
 * trustworthy as the way the invitation came. */
GAGE_API const char *gage_invitation_title(const gage_invitation *invitation);
GAGE_API int64_t gage_invitation_expires(const gage_invitation *invitation);
GAGE_API const char *gage_invitation_pin(const gage_invitation *invitation);
/* Wipes and frees; sets the pointer to NULL. NULL and a pointer to NULL are fine. */
GAGE_API void gage_invitation_free(gage_invitation **invitation);

/* True if the text (an argument of a command, say) carries a link secret: it is a link or URI with a fragment. */
GAGE_API bool gage_text_has_secret(const char *text);

/* ---- making, saving and loading a transfer ---- */

typedef struct gage_transfer gage_transfer;

/* What the sender hands over. Everything is copied; zero the struct first. */
struct gage_send_options {
    const char *relay;        /* base URL, "https://relay.example[:port][/prefix]", without "/v1" */
    bool allow_loopback_http; /* accept http: for 127.0.0.0/8, ::1 and localhost */
    const char *relay_pin;    /* goes into the invitation's file and URI forms; NULL: none */
    const char *
        title; /* shown by the relay before the claim, in clear (C11): nothing identifying; NULL: "A shared credential" */
    const char *description; /* likewise; NULL: a general sentence */
    const char *image;       /* https URL of a picture, or NULL */
    char vertical;           /* 'a', 'h', 'c' (C15), or 0: none */
    int64_t expires;         /* when claiming ends; a relay may shorten it: gage_transfer_status tells */
    const char *format;      /* what the content is: "file" or another token of [A-Za-z0-9._+/-]; NULL: "file" */
    const char *name;        /* base name of the file; NULL or "" if it has none */
    uint32_t mode;           /* permission bits, 0777 at most */
    gage_slice content;      /* the bytes; ignored if `calls` */
    bool calls;              /* the receiver asks and the caller answers (GAGE_ACT_SUPPLY) instead of `content` */
    bool verify;             /* release only after both persons compared six digits */
    const char *mechanism; /* name or dotted OID of the GSS mechanism; NULL: the one that needs only the link secret */
    const char *target;    /* for mechanisms with names of their own: host-based name of the receiver, "service@host" */
    gage_slice note;       /* the caller's own bytes, kept in the record (where the file came from, ...) */
};

/* What the receiver decides before it starts. Everything is copied; zero the struct first. */
struct gage_receive_options {
    const char *mechanism; /* as above; a transfer of another mechanism is refused, with a sentence that names it */
    bool no_preview;       /* do not fetch what the relay says; ask at once whether to claim */
    gage_slice note;       /* the caller's own bytes, kept in the record (the chosen folder, ...) */
};

/* Begins a transfer as the sender. Nothing has left the process afterwards. GAGE_E_USAGE: an option is not of its
 * documented form (the sentence says which); GAGE_E_LIMIT: too large; GAGE_E_UNSUPPORTED: the mechanism cannot do this
 * (its half-open contexts cannot be stored, or no PRF for `verify`), or is not there. */
GAGE_API gage_rc gage_transfer_send(const struct gage_send_options *options, const struct gage_rng *rng, int64_t now,
                                    gage_transfer **out, struct gage_err *err);
/* Begins a transfer as the receiver. The invitation is copied and stays the caller's. */
GAGE_API gage_rc gage_transfer_receive(const gage_invitation *invitation, const struct gage_receive_options *options,
                                       const struct gage_rng *rng, int64_t now, gage_transfer **out,
                                       struct gage_err *err);
/* Goes on from a record that a GAGE_ACT_SAVE gave, also one of another process or machine. Two copies of a record must
 * not both go on: the other side would see "forked". GAGE_E_FORMAT: damaged, or of another version. */
GAGE_API gage_rc gage_transfer_load(gage_slice record, const struct gage_rng *rng, int64_t now, gage_transfer **out,
                                    struct gage_err *err);
/* Wipes and frees; sets the pointer to NULL. NULL and a pointer to NULL are fine. */
GAGE_API void gage_transfer_free(gage_transfer **transfer);

/* ---- what to do next ---- */

enum gage_action_kind {
    GAGE_ACT_HTTP = 1, /* make one HTTP request */
    GAGE_ACT_SAVE,     /* make the record durable before going on */
    GAGE_ACT_INVITE,   /* sender: the invitation exists (gage_transfer_invitation): hand it over */
    GAGE_ACT_ASK,      /* a person (or a policy) decides */
    GAGE_ACT_REQUEST,  /* receiver, additional calls: make the next request */
    GAGE_ACT_SUPPLY,   /* sender, additional calls: answer a request */
    GAGE_ACT_INSTALL,  /* receiver: put the authenticated content in its place, at most once */
    GAGE_ACT_WAIT,     /* nothing to do before `until` */
    GAGE_ACT_DONE      /* the end: `result` */
};

enum gage_http_purpose {
    GAGE_HTTP_CREATE = 1, /* POST /v1/m */
    GAGE_HTTP_PREVIEW,    /* GET  /v1/m/{id}: what the relay says; binds nothing */
    GAGE_HTTP_READ,       /* POST /v1/m/{id}: the receiver's first one claims the mailbox */
    GAGE_HTTP_PUT,        /* PUT  /v1/m/{id}; may wait as a read does */
    GAGE_HTTP_DELETE      /* DELETE /v1/m/{id} */
};

struct gage_http_header {
    const char *name, *value;
};

/* One request. Follow no redirects (A26), send the headers as they are, add none that identify the user. Only https,
 * unless loopback was allowed. The claim in the headers and the body's `data` are confidential: log neither. */
struct gage_http_request {
    enum gage_http_purpose purpose;
    const char *method;
    const char *url; /* never with a fragment */
    const struct gage_http_header *headers;
    size_t header_count;
    gage_slice body;   /* may be empty */
    uint32_t wait;     /* seconds the relay may hold its answer (long polling): the client's time-out must be longer */
    size_t answer_max; /* an answer's body longer than this may be cut off: report gage_transfer_http_failed */
};

/* One answer. Header names are compared without regard to case; unknown ones are ignored. */
struct gage_http_response {
    int status;
    const struct gage_http_header *headers;
    size_t header_count;
    gage_slice body;
};

enum gage_question {
    GAGE_ASK_CLAIM =
        1, /* receiver: claim what the relay shows as `title`, `description`, at `host`? "no": nothing happened */
    GAGE_ASK_MISMATCH, /* receiver: the authenticated title or format (`title`, `format`) is not what was announced
                         * (`announced_title`, `announced_format`; "" where nothing was); "no": refuses the content */
    GAGE_ASK_DIGITS    /* both: do both persons read the same six `digits`? "no": nothing is released */
};

/* Strings are never NULL and never contain control characters; those of GAGE_ASK_CLAIM are the relay's word only. */
struct gage_ask {
    enum gage_question question;
    const char *host, *title, *description, *format, *announced_title, *announced_format, *digits;
};

/* Content that is authenticated: sealed by the sender for this context. `name` is a plain base name: never empty
 * unless the sender gave none, no '/', no control characters, not "." or "..", no leading '-' or '.'. */
struct gage_install {
    gage_slice content; /* secret */
    const char *name, *format, *title;
    uint32_t mode;      /* permission bits, 0777 at most */
    uint8_t sha256[32]; /* of the content */
    const char *key;    /* idempotency key for hooks: the same text whenever this step is repeated, unique otherwise */
    const char *peer;   /* the sender's name, for display: "krb5:alice@REALM", "otc:ID/initiator" */
};

/* One round of additional calls: what the other side last sent, and the idempotency key of this step. */
struct gage_call {
    gage_slice input; /* REQUEST: the sender's last answer (empty the first time); SUPPLY: the receiver's request */
    const char *format, *key, *peer;
    uint32_t round; /* counts from 1 */
};

/* How a transfer ends. The first three are the sender's. */
#define GAGE_OUTCOMES(X)                                                                                               \
    X(DELIVERED, "delivered", "the receiver's authenticated receipt names this content")                               \
    X(NOT_RELEASED, "not released", "the content never left: it is safe to invite again")                              \
    X(UNKNOWN, "unknown",                                                                                              \
      "the content was released to one receiver, and no receipt came: it may or may not have it; "                     \
      "it was never released to anybody else")                                                                         \
    X(DECLINED, "declined",                                                                                            \
      "the content was released, and the receiver's authenticated answer says it did not keep it")                     \
    X(INSTALLED, "installed", "the content is in place")                                                               \
    X(NOT_INSTALLED, "not installed", "nothing was put in place")

enum gage_outcome {
#define GAGE_OUTCOME_ENUM_(name, word, sentence) GAGE_OUTCOME_##name,
    GAGE_OUTCOMES(GAGE_OUTCOME_ENUM_)
#undef GAGE_OUTCOME_ENUM_
};

/* Why it ended so. */
#define GAGE_REASONS(X)                                                                                                \
    X(COMPLETED, OK, "nothing went wrong")                                                                             \
    X(CANCELLED, E_CANCELLED, "cancelled here")                                                                        \
    X(REFUSED, E_REFUSED, "refused by the person or policy asked")                                                     \
    X(PEER_REFUSED, E_REFUSED, "the other side refused")                                                               \
    X(EXPIRED, E_EXPIRED, "the time for it ran out")                                                                   \
    X(GONE, E_NOT_FOUND, "the mailbox is gone: finished, cancelled by the other side, or expired")                     \
    X(TAKEN, E_USED, "somebody else opened this link first: ask the sender who it was, and for a new one")             \
    X(FORKED, E_FORKED,                                                                                                \
      "the relay showed two different messages with one number, or two copies of one side are running")                \
    X(LOST, E_LOST, "a message of the other side is missing")                                                          \
    X(REFLECTED, E_REFLECTED, "the relay showed a message in our own name that we did not write")                      \
    X(DAMAGED, E_AUTH,                                                                                                 \
      "what the relay showed cannot be opened with this link's secret: damaged, forged, or another link's")            \
    X(MISMATCH, E_MISMATCH, "what the two sides saw of this transfer differs: somebody interfered")                    \
    X(HANDSHAKE, E_GSS, "the two sides could not authenticate each other")                                             \
    X(TOO_LARGE, E_LIMIT, "too large for this relay")                                                                  \
    X(RELAY, E_UNAVAILABLE, "the relay refused the request for good")                                                  \
    X(INSTALL, E_IO, "the content could not be put in place")                                                          \
    X(PROTOCOL, E_FORMAT, "the other side sent something this protocol does not allow")

enum gage_reason {
#define GAGE_REASON_ENUM_(name, code, sentence) GAGE_REASON_##name,
    GAGE_REASONS(GAGE_REASON_ENUM_)
#undef GAGE_REASON_ENUM_
};

/* The one word ("not released") and the sentence of each; static. An unknown number gives "unknown". */
GAGE_API const char *gage_outcome_word(enum gage_outcome outcome);
GAGE_API const char *gage_outcome_text(enum gage_outcome outcome);
GAGE_API const char *gage_reason_text(enum gage_reason reason);

struct gage_result {
    enum gage_outcome outcome;
    enum gage_reason reason;
    enum gage_code
        code; /* for the exit status: GAGE_OK (delivered, installed), GAGE_E_UNKNOWN_OUTCOME, else the reason's */
    const char *text; /* one sentence with the particulars */
    bool released;    /* sender: something of the content left, or may have */
    bool unconfirmed; /* receiver, INSTALLED: the receipt could not be left; the sender will see "unknown" */
};

struct gage_action {
    enum gage_action_kind kind;
    int64_t until;                 /* WAIT */
    struct gage_http_request http; /* HTTP */
    gage_slice record;           /* SAVE: secret; replace the old one atomically, mode 0600, synced, before reporting */
    struct gage_ask ask;         /* ASK */
    struct gage_install install; /* INSTALL */
    struct gage_call call;       /* REQUEST, SUPPLY */
    struct gage_result result;   /* DONE */
};

/* What to do now. A failure is one of the caller or machine (no memory, no randomness), changes nothing and may be tried
 * again; whatever the relay or the other side did wrong ends in GAGE_ACT_DONE instead. */
GAGE_API gage_rc gage_transfer_next(gage_transfer *transfer, int64_t now, struct gage_action *action,
                                    struct gage_err *err);

/* ---- how it went: each reports on the action last given, GAGE_E_STATE (and no change) if that was of another kind ---- */

GAGE_API gage_rc gage_transfer_http_result(gage_transfer *transfer, int64_t now,
                                           const struct gage_http_response *response, struct gage_err *err);
/* The request has left whole, and no answer is there yet: where the relay may hold it, status tells from now on what is waited for of
 * the peer. Optional. No effect where no request is under way. */
GAGE_API void gage_transfer_http_sent(gage_transfer *transfer, int64_t now);
/* No answer came, or none that can be trusted (connection, TLS, time-out, cut off). It will be tried again after a while.
 * `why` is kept for status, at most one short line without secrets; NULL is fine. */
GAGE_API gage_rc gage_transfer_http_failed(gage_transfer *transfer, int64_t now, const char *why, struct gage_err *err);
/* The record is durable. */
GAGE_API gage_rc gage_transfer_saved(gage_transfer *transfer, struct gage_err *err);
GAGE_API gage_rc gage_transfer_invited(gage_transfer *transfer, struct gage_err *err);
GAGE_API gage_rc gage_transfer_answer(gage_transfer *transfer, bool yes, struct gage_err *err);
/* Receiver: the next request, at most GAGE_TRANSFER_CONTENT_MAX bytes. Copied. */
GAGE_API gage_rc gage_transfer_request(gage_transfer *transfer, gage_slice request, struct gage_err *err);
/* Sender: the answer to the request. `last`: this is the content itself, which the receiver installs under `name` (may be
 * NULL) with `mode`; else the receiver asks again. Copied. gage_transfer_answer(t, false) refuses instead. */
GAGE_API gage_rc gage_transfer_supply(gage_transfer *transfer, gage_slice answer, bool last, const char *name,
                                      uint32_t mode, struct gage_err *err);

enum gage_install_result {
    GAGE_INSTALL_DONE = 1, /* in place and durable; also where a file with this hash was already there after a crash */
    GAGE_INSTALL_REFUSED,  /* decided against it (the name is taken by something else, ...): the sender is told */
    GAGE_INSTALL_LATER     /* failed for now (disk full, ...): the same action comes again, after a crash too */
};
GAGE_API gage_rc gage_transfer_installed(gage_transfer *transfer, enum gage_install_result result,
                                         struct gage_err *err);

/* Stop, whatever it is doing: the mailbox is deleted where this side may, and the outcome says what is known. Before the
 * release: "not released". After it: looks once more for a receipt first. A receiver that has begun to install goes on.
 * Has no effect on a transfer that is done. May be called at any time; the action last given is void. */
GAGE_API gage_rc gage_transfer_cancel(gage_transfer *transfer, struct gage_err *err);

/* ---- looking at it ---- */

enum gage_transfer_role { GAGE_ROLE_SENDER = 1, GAGE_ROLE_RECEIVER = 2 };

/* Borrowed until the next call that changes the transfer. Strings are never NULL. */
struct gage_transfer_status {
    enum gage_transfer_role role;
    const char *waiting_for; /* "the receiver to open the link", "the receipt", ...: for a live line; "" when done */
    int64_t since;           /* since when it waits for that */
    const char *trouble;     /* why the relay is not answering, "" if it is */
    const char *url, *host;  /* the mailbox; "" before it exists */
    const char *title, *format, *peer;
    const char *digits;       /* "123456" once known, else "" */
    int64_t created, expires; /* expires: as the relay confirmed it; 0 where unknown */
    int64_t waits_until;      /* when this side gives up: `expires`, or 7 days after `created` where that is unknown */
    size_t size;              /* of the content, where known */
    uint32_t attempt;         /* of the handshake; more than 1 only with time-bound mechanisms */
    bool released, done;
    gage_slice note; /* the caller's */
};
GAGE_API void gage_transfer_status(const gage_transfer *transfer, struct gage_transfer_status *status);

/* The security context, established (else GAGE_E_STATE): for what is bound to it, such as gage_pair_start_carried on what is asked and answered by
 * additional calls. Borrowed until the next call on the transfer. Its per-message calls belong to the transfer. */
GAGE_API gage_rc gage_transfer_context(gage_transfer *transfer, gss_ctx_id_t *context, struct gage_err *err);

/* Replaces the caller's note; it is part of the next record. */
GAGE_API gage_rc gage_transfer_set_note(gage_transfer *transfer, gage_slice note, struct gage_err *err);

/* The invitation, sender only, once the mailbox exists (else GAGE_E_STATE). The caller's to free. */
GAGE_API gage_rc gage_transfer_invitation(const gage_transfer *transfer, gage_invitation **out, struct gage_err *err);

/* How many bytes the payload of the largest message will have (the `data` text), known before anything leaves: for
 * "too large for this relay" beforehand. */
GAGE_API size_t gage_transfer_payload_size(const gage_transfer *transfer);

#ifdef __cplusplus
}
#endif
#endif
