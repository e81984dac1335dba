/* context.h - one security context over any mechanism: the token loop, save and load, messages.
 *
 * A handshake is either the GSS-API's (handshake_start, handshake_load) or whatever else implements the table of
 * operations: tests run the layers above over a cheap one. No I/O of its own; what the mechanism does inside is the mechanism's
 * (Kerberos asks its KDC: such calls block). One handshake belongs to one thread at a time. */
#ifndef GAGE_HANDSHAKE_CONTEXT_H
#define GAGE_HANDSHAKE_CONTEXT_H

#include "handshake/mechanism.h"

#define HANDSHAKE_TOKEN_MAX (128u * 1024) /* bytes of one context token that are taken or made */
#define HANDSHAKE_STATE_MAX (64u * 1024)  /* bytes of a saved context */
#define HANDSHAKE_NAME_MAX 1024           /* bytes of a name's text */

/* How to begin. Borrowed for the call. */
struct handshake_spec {
    bool initiate;
    const struct mechanism *mechanism;
    const char
        *target; /* initiator: host-based name "service@host" of the acceptor; NULL where the mechanism needs none */
    const char *local;                    /* acceptor: host-based name of its own; NULL: any it has keys for */
    gage_slice secret;                    /* link_secret mechanisms: the secret's bytes, or empty */
    const char *secret_file;              /* ... or the path of a secret file, or NULL */
    const char *purpose, *title, *format; /* stated in the credential where the mechanism can; NULL: nothing */
    int64_t not_after;   /* end of the time for claiming, seconds since 1970; 0: the mechanism's default */
    uint32_t flags;      /* GSS_C_*_FLAG wanted besides mutual, confidentiality, integrity, replay, sequence */
    gage_slice bindings; /* application data of channel bindings (RFC 5056, 2743 1.1.6); empty: none */
};

struct handshake;
struct handshake_ops {
    gage_rc (*step)(struct handshake *, gage_slice in, gage_buf *out, struct gage_err *);
    gage_rc (*wrap)(struct handshake *, gage_slice text, gage_buf *out, struct gage_err *);
    gage_rc (*unwrap)(struct handshake *, gage_slice token, gage_buf *out, struct gage_err *);
    gage_rc (*prf)(struct handshake *, gage_slice input, uint8_t *out, size_t n, struct gage_err *);
    gage_rc (*save)(struct handshake *, gage_buf *out, struct gage_err *);
    gage_rc (*end)(struct handshake *, gage_buf *out, struct gage_err *);
    gage_rc (*ended)(struct handshake *, gage_slice token, struct gage_err *);
    gage_rc (*peer)(struct handshake *, gage_buf *out, struct gage_err *);
    void (*destroy)(struct handshake *);
};

/* What every implementation begins with. */
struct handshake {
    const struct handshake_ops *ops;
    const struct mechanism *mechanism;
    bool initiate;
    bool complete; /* this side is established */
};

/* A context about to begin; credentials are acquired here. *out is the caller's, for handshake_free. GAGE_E_UNSUPPORTED: the
 * mechanism is not there; GAGE_E_SECRET, GAGE_E_EXPIRED, GAGE_E_GSS: no usable credential. */
gage_rc handshake_start(const struct handshake_spec *spec, struct handshake **out, struct gage_err *err);

/* One round: takes the peer's token (empty: the initiator's beginning) and appends the token to send, if any, to `out`.
 * Sets `complete`, and then has checked what was granted: mutual authentication, confidentiality, integrity, or
 * GAGE_E_UNSUPPORTED. On failure nothing is appended; where the mechanism says so the context stays as it was. */
gage_rc handshake_step(struct handshake *handshake, gage_slice in, gage_buf *out, struct gage_err *err);

/* Established contexts only (else GAGE_E_STATE). Wrap demands that the message was encrypted; unwrap too, and treats repeated,
 * old, skipped and out-of-order tokens as failures (GAGE_E_USED). Nothing is appended on failure. */
gage_rc handshake_wrap(struct handshake *handshake, gage_slice text, gage_buf *out, struct gage_err *err);
gage_rc handshake_unwrap(struct handshake *handshake, gage_slice token, gage_buf *out, struct gage_err *err);
/* gss_pseudo_random (RFC 4401), GSS_C_PRF_KEY_FULL. GAGE_E_UNSUPPORTED where the mechanism has none. */
gage_rc handshake_prf(struct handshake *handshake, gage_slice input, uint8_t *out, size_t n, struct gage_err *err);

/* Appends bytes from which handshake_load goes on, here or in another process, also between tokens where the mechanism can
 * (mechanism->half_open_export, else GAGE_E_UNSUPPORTED). The handshake goes on as well: it is exported and imported again. The bytes hold keys. */
gage_rc handshake_save(struct handshake *handshake, gage_buf *out, struct gage_err *err);
/* spec: of the same contents as at the start; the secret is needed only by an acceptor that is not complete. */
gage_rc handshake_load(const struct handshake_spec *spec, gage_slice saved, bool complete, struct handshake **out,
                       struct gage_err *err);

/* Ends the context; appends the delete token (RFC 2743 section 2.2.3) if the mechanism has one. Only handshake_free may follow. */
gage_rc handshake_end(struct handshake *handshake, gage_buf *out, struct gage_err *err);
/* Takes the peer's delete token (gss_process_context_token). */
gage_rc handshake_ended(struct handshake *handshake, gage_slice token, struct gage_err *err);

/* Appends the peer's name as "MECHANISM:NAME", printable, at most HANDSHAKE_NAME_MAX bytes. */
gage_rc handshake_peer(struct handshake *handshake, gage_buf *out, struct gage_err *err);

/* The GSS context of a handshake that handshake_start or _load made, borrowed; GSS_C_NO_CONTEXT before the first step. Pointer, because GSS
 * calls may replace it. */
gss_ctx_id_t *handshake_gss_context(struct handshake *handshake);
/* The flags granted (GSS_C_*), once complete. */
uint32_t handshake_flags(struct handshake *handshake);

/* Wipes and frees; sets the pointer to NULL. */
void handshake_free(struct handshake **handshake);
typedef struct handshake *handshake_ptr;
GAGE_AUTO_DEFINE(handshake_ptr, handshake_free)

#endif
