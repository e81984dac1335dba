/* state.h - a transfer's state, what of it is stored, and the steps that both sides share. */
#ifndef GAGE_TRANSFER_STATE_H
#define GAGE_TRANSFER_STATE_H

#include "handshake/context.h"
#include "transfer/message.h"
#include "transfer/relay.h"
#include "transfer/slot.h"

/* Where a transfer stands. The numbers are stored. */
enum phase {
    PHASE_CREATE = 1,   /* sender: make the mailbox with the first payload */
    PHASE_PREVIEW,      /* receiver: fetch what the relay says */
    PHASE_ASK_CLAIM,    /* receiver: a person decides */
    PHASE_AWAIT,        /* read until the peer's next payload is there */
    PHASE_PUT,          /* write our last payload until the relay has it */
    PHASE_ASK_DIGITS,   /* a person compares */
    PHASE_ASK_MISMATCH, /* receiver: a person decides */
    PHASE_REQUEST,      /* receiver: the caller makes a request from `input` */
    PHASE_SUPPLY,       /* sender: the caller answers `input` */
    PHASE_INSTALL,      /* receiver: the caller puts `content` in place */
    PHASE_DELETE,       /* the outcome is known; delete the mailbox */
    PHASE_DONE
};
#define PHASE_MAX PHASE_DONE

#define WAIT_SECONDS 50 /* of one long poll; below the relay's maximum and usual proxies' time-outs */
#define HEAL_SECONDS 10 /* a relay that shows something older is given this long before our payload is written again */
#define RETRY_MAX_SECONDS 60
#define POLL_MAX_SECONDS 30
#define LATE_LOOKS 2               /* reads after the expiry before giving up */
#define UNTOLD_SECONDS (7 * 86400) /* a receiver whom nobody tells when the mailbox ends gives up after this long */
#define SENTENCE_MAX 400
#define DIGITS_LEN 6

/* Where contexts come from: the GSS-API, or a test's cheap stand-in. */
struct transfer_security {
    gage_rc (*start)(const struct handshake_spec *, struct handshake **, struct gage_err *);
    gage_rc (*load)(const struct handshake_spec *, gage_slice, bool, struct handshake **, struct gage_err *);
};
extern const struct transfer_security transfer_gss;

struct gage_transfer {
    /* -- stored: state_put and state_get say in which order -- */
    enum packet_role role;
    enum phase phase;
    bool verify, calls, released, invited, no_preview, allow_loopback_http;
    bool complete;                /* the context is established on this side */
    bool bound_sent, bound_got;   /* the first message of a direction has gone out, come in */
    bool ending;                  /* our last payload is our last word: `outcome` holds once the relay has it */
    bool unconfirmed, cancelling; /* cancelling: looked for once more, then deleted */
    bool agreed;                  /* sender: our person has said that the digits are the same */
    uint8_t refusing;             /* what a person's "no" to the mismatch refuses */
    uint32_t expect;              /* bits 1 << enum record_type that the peer may send next */
    uint32_t attempt;
    int64_t created, expires, since;
    enum gage_outcome outcome;
    enum gage_reason reason;
    enum gage_code code;
    char sentence[SENTENCE_MAX + 1];
    char mechanism_oid[128], target[GAGE_TRANSFER_URL_MAX + 1];
    char relay[GAGE_TRANSFER_URL_MAX + 1], url[GAGE_TRANSFER_URL_MAX + 1], host[GAGE_TRANSFER_URL_MAX + 1];
    char pin[PIN_MAX + 1], vertical[2];
    char title[GAGE_TRANSFER_TITLE_MAX + 1], format[GAGE_TRANSFER_FORMAT_MAX + 1];
    char description[GAGE_TRANSFER_DESCRIPTION_MAX + 1], image[GAGE_TRANSFER_URL_MAX + 1];
    char announced_title[GAGE_TRANSFER_TITLE_MAX + 1], announced_format[GAGE_TRANSFER_FORMAT_MAX + 1];
    char name[GAGE_TRANSFER_NAME_MAX + 1];
    uint32_t mode;
    char peer[HANDSHAKE_NAME_MAX + 1];
    char digits[DIGITS_LEN + 1];
    uint8_t nonce[NONCE_LEN], commit[SHA256_LEN]; /* digits: our nonce; receiver: the sender's commitment */
    uint8_t claim[UUID_LEN], request_id[UUID_LEN];
    uint8_t sha256[SHA256_LEN]; /* of the content */
    uint8_t transcript[SHA256_LEN];
    uint32_t round;   /* of additional calls */
    uint64_t size;    /* of the content */
    uint32_t padding; /* length to which our packets with content, and the first, are padded */
    gage_secret secret;
    gage_buf payload; /* our last envelope */
    gage_buf content; /* sender: until released; receiver: until installed */
    gage_buf input;   /* additional calls: what the peer last sent */
    gage_buf note;
    struct slot_log own, peer_log;
    /* the handshake is stored with handshake_save */

    /* -- not stored -- */
    struct handshake *handshake;
    const struct mechanism *mechanism;
    const struct transfer_security *security;
    struct gage_rng rng;
    bool dirty;    /* to be saved before anything else */
    bool stored;   /* the caller has, or was given, a record */
    bool poisoned; /* a step failed half-way for lack of memory or the like: only the last record is sound */
    bool live;     /* `request` was given to the caller and not reported on */
    bool look;     /* read at once, not waiting */
    bool asked_to_wait;
    bool sent;                /* `request` has left whole */
    struct gage_action given; /* the kind last given */
    gage_buf record;
    struct relay_request request;
    uint64_t version; /* of the slot as last seen; 0: unknown */
    int64_t now;      /* as last told */
    int64_t retry_at, heal_at, sent_at;
    unsigned failures, polls, late;
    char trouble[RELAY_TEXT_MAX + 1];
    char key[2 * 16 + 1], shown_name[GAGE_TRANSFER_NAME_MAX + 1], shown_digits[DIGITS_LEN + 1];
    char shown_description[GAGE_TRANSFER_DESCRIPTION_MAX + 1];
};

/* ---- state.c: making, storing ---- */

gage_rc transfer_new(const struct transfer_security *security, const struct gage_rng *rng, int64_t now,
                     gage_transfer **out, struct gage_err *err);
typedef gage_transfer *gage_transfer_ptr;
GAGE_AUTO_DEFINE(gage_transfer_ptr, gage_transfer_free)
/* Appends the record; a context under way goes on. */
gage_rc state_put(gage_transfer *t, gage_buf *out, struct gage_err *err);
gage_rc transfer_load(const struct transfer_security *security, gage_slice record, const struct gage_rng *rng,
                      int64_t now, gage_transfer **out, struct gage_err *err);
/* The public constructors with another source of contexts. */
gage_rc transfer_send(const struct transfer_security *security, const struct gage_send_options *options,
                      const struct gage_rng *rng, int64_t now, gage_transfer **out, struct gage_err *err);
gage_rc transfer_receive(const struct transfer_security *security, const gage_invitation *invitation,
                         const struct gage_receive_options *options, const struct gage_rng *rng, int64_t now,
                         gage_transfer **out, struct gage_err *err);

/* ---- steps.c: what both sides do ---- */

void set_phase(gage_transfer *t, enum phase phase);
void make_dirty(gage_transfer *t);
/* The end, now. `detail`: the particulars, or NULL for the reason's own sentence. Wipes the secrets. */
void finish(gage_transfer *t, enum gage_outcome outcome, enum gage_reason reason, const char *detail);
/* The end because something went wrong: what the outcome is follows from the state. */
void stop(gage_transfer *t, enum gage_reason reason, const char *detail);
/* stop, with the code and sentence of *err; memory and internal failures are handed on instead. */
gage_rc stop_for(gage_transfer *t, enum gage_reason reason, gage_rc rc, const struct gage_err *err);
/* stop for an answer of the relay: in its own words; because the content is too large for it. */
void relay_said_no(gage_transfer *t, const struct gage_http_response *response);
void too_large(gage_transfer *t, const struct gage_http_response *response);
/* The outcome is known; delete the mailbox, then finish. */
void finish_and_delete(gage_transfer *t, enum gage_outcome outcome, enum gage_reason reason, const char *detail);

/* Once nothing more will be sent: everything but what a list of past transfers shows. */
void wipe_secrets(gage_transfer *t);
void wipe_claim(gage_transfer *t);

/* Begins a context for this transfer (both sides). */
gage_rc begin_handshake(gage_transfer *t, struct gage_err *err);
void handshake_spec_of(const gage_transfer *t, struct handshake_spec *spec);
/* Makes our next payload of a context token (may be empty) and a message (may be NULL), and turns to writing it. */
gage_rc compose(gage_transfer *t, gage_slice context_token, struct message *message, struct gage_err *err);
/* The same for our last word: what holds once the relay has it is outcome and reason. A receipt brings the delete token along. */
gage_rc compose_last(gage_transfer *t, struct message *message, enum gage_outcome outcome, enum gage_reason reason,
                     const char *detail, struct gage_err *err);
gage_rc compose_refusal(gage_transfer *t, enum refusal refusal, struct gage_err *err);
/* The peer's payload as read: tokens processed, message verified. */
struct incoming {
    const struct packet *packet;
    const uint8_t *hash;
    gage_buf token; /* our context token in answer */
    gage_buf text;  /* holds the message's bytes */
    bool has_message;
    struct message message;
};
/* Takes the peer's context token, if there is one. *stopped: the transfer was stopped. */
gage_rc take_context(gage_transfer *t, struct incoming *in, struct gage_err *err);
/* Takes the peer's message, if there is one; verifies transcript and binding. May stop the transfer. */
gage_rc take_message(gage_transfer *t, struct incoming *in, struct gage_err *err);
/* T = SHA-256(T || role || seq || hash of the envelope). */
gage_rc transcript_add(gage_transfer *t, uint8_t role, uint32_t seq, const uint8_t hash[SHA256_LEN]);
/* Counts the payload as read. */
gage_rc acknowledge(gage_transfer *t, const struct incoming *in);
/* Six digits from the context and both nonces. */
gage_rc make_digits(gage_transfer *t, const uint8_t sender[NONCE_LEN], const uint8_t receiver[NONCE_LEN],
                    struct gage_err *err);
/* The idempotency key of the present step, into t->key. */
void make_key(gage_transfer *t);
static inline bool
is_done(const gage_transfer *t)
{
    return t->phase == PHASE_DONE || t->phase == PHASE_DELETE;
}

/* ---- sender.c, receiver.c ---- */

gage_rc sender_take(gage_transfer *t, struct incoming *in, struct gage_err *err);
gage_rc receiver_take(gage_transfer *t, struct incoming *in, struct gage_err *err);
gage_rc sender_first_payload(gage_transfer *t, struct gage_err *err);
/* Both persons are asked at once: ours as soon as the relay has our reveal. */
bool sender_asks_digits(const gage_transfer *t);
gage_rc sender_digits_agree(gage_transfer *t, struct gage_err *err);
void sender_digits_differ(gage_transfer *t);
gage_rc sender_supply(gage_transfer *t, gage_slice answer, bool last, struct gage_err *err);
gage_rc receiver_digits_agree(gage_transfer *t, struct gage_err *err);
gage_rc receiver_request(gage_transfer *t, gage_slice request, struct gage_err *err);
gage_rc receiver_installed(gage_transfer *t, struct gage_err *err);

/* ---- http.c: requests and answers ---- */

gage_rc next_create(gage_transfer *t, struct gage_action *action, struct gage_err *err);
gage_rc next_preview(gage_transfer *t, struct gage_action *action, struct gage_err *err);
gage_rc next_await(gage_transfer *t, struct gage_action *action, struct gage_err *err);
gage_rc next_put(gage_transfer *t, struct gage_action *action, struct gage_err *err);
gage_rc next_delete(gage_transfer *t, struct gage_action *action, struct gage_err *err);
/* After this, what the peer has not written is waited for no more. */
static inline int64_t
waits_until(const gage_transfer *t)
{
    return t->expires > 0 ? t->expires : t->created + UNTOLD_SECONDS;
}
void give_wait(gage_transfer *t, int64_t until, struct gage_action *action);

/* ---- outcome.c ---- */

enum gage_code reason_code(enum gage_reason reason);

#endif
