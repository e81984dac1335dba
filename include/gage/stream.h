/* gage/stream.h - STARTGSS: any byte stream, authenticated and encrypted by any GSS mechanism, without I/O.
 *
 * One object a connection and side. The caller owns sockets, clock, threads and buffers:
 *
 *     gage_stream_new(&config, now, &s, &err);
 *     loop:
 *         write gage_stream_output(s) to the peer, tell with gage_stream_sent        (line, tokens, confirmation, error text)
 *         if gage_stream_work(s): gage_stream_work_run(it), in any thread, then gage_stream_work_done(s) in this one
 *         bytes came from the peer: gage_stream_receive until it consumes nothing; step.data goes to the application
 *         the peer closed: gage_stream_peer_closed
 *         the application has data and gage_stream_may_send: gage_stream_seal, write the frame
 *         the application closed its direction: gage_stream_seal_end, write the frame
 *         gage_stream_next_time passed: gage_stream_tick
 *
 * A call that fails ends the stream (GAGE_STREAM_FAILED): write what gage_stream_output has, as far as it goes, and
 * close with a reset. The wire protocol is doc/startgss.md, whose seed is Codec Freedom's "Connection Profiles: GSS-API Security";
 * the GSS-API is RFC 2743/2744.
 *
 * Nothing here blocks but gage_stream_work_run (a Kerberos initiator may wait for its KDC, an acceptor for its replay
 * cache). One object belongs to one thread at a time; while its work runs in another thread, every call but
 * gage_stream_free is allowed. Times are nanoseconds of any clock that never goes back. `err` is optional everywhere. */
#ifndef GAGE_STREAM_H
#define GAGE_STREAM_H

#include <gssapi/gssapi.h>

#include <gage/bytes.h>
#include <gage/random.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- limits ---- */

#define GAGE_STREAM_DATA_MAX 65536 /* bytes of the application in one record */
#define GAGE_STREAM_HEADROOM 4     /* bytes of a frame before its data */
#define GAGE_STREAM_FRAME_MAX                                                                                          \
    66564 /* bytes of the longest frame: room for gage_stream_seal, least size of a receive buffer */
#define GAGE_STREAM_ROUNDS_MAX 16     /* handshake tokens from the peer */
#define GAGE_STREAM_TOKENS_MAX 131072 /* bytes of handshake tokens from the peer, in all */

/* ---- configuration ---- */

enum gage_stream_policy {
    GAGE_STREAM_REQUIRE, /* protected or not at all: the only one with security against an active attacker */
    GAGE_STREAM_PREFER,  /* protected where the peer takes part, else in the clear */
    GAGE_STREAM_PLAIN    /* in the clear; a STARTGSS line of the peer is refused */
};

enum gage_stream_role { GAGE_STREAM_ANY_ROLE, GAGE_STREAM_INITIATOR, GAGE_STREAM_ACCEPTOR };

enum gage_stream_records {
    GAGE_STREAM_ANY_RECORDS, /* AEAD where the peer offers it, else wrap */
    GAGE_STREAM_AEAD,
    GAGE_STREAM_WRAP,
    GAGE_STREAM_BARE /* for peers that know the line and tokens alone: no confirmation, no authenticated end */
};

/* Who the peer is, once the context is complete. Pointers live as long as the stream. */
struct gage_stream_peer {
    const char *name;    /* display name, printable UTF-8, at most 1024 bytes: for people */
    gage_slice exported; /* exported name (RFC 2743 section 3.2), with the mechanism's OID: for comparing */
    gss_OID mech;        /* static storage of the GSS library */
    OM_uint32 flags;     /* GSS_C_..._FLAG of the context */
    bool initiator;      /* this side is the initiator */
    enum gage_stream_records records; /* what the connection uses; GAGE_STREAM_ANY_RECORDS until that is agreed */
    int64_t expires;                  /* on the caller's clock; INT64_MAX: never */
};

/* Whether this peer is welcome: GAGE_OK, or the reason (GAGE_E_REFUSED). Called once, before anything of the application moves. */
typedef gage_rc gage_stream_authorise(void *context, const struct gage_stream_peer *peer, struct gage_err *err);

/* Everything borrowed must outlive the stream; credentials and names may be shared by streams and threads. */
struct gage_stream_config {
    enum gage_stream_policy policy;
    bool passive; /* look at the peer's first bytes before speaking: see doc/startgss.md for when that is right */
    enum gage_stream_role role;
    enum gage_stream_records records;
    gss_OID mech;                /* for the initiator; GSS_C_NO_OID: the library's default */
    gss_name_t target;           /* for the initiator; needed unless the role is acceptor or the policy plain */
    gss_cred_id_t initiate_with; /* GSS_C_NO_CREDENTIAL: the default one */
    /* Unless NULL, asked before each step of an initiator instead, and told after it, in the thread that runs the step, several at once: for a
     * credential that changes while streams come and go. What it gives is borrowed in between; *use is for the giving back. */
    gss_cred_id_t (*initiate_take)(void *context, void **use);
    void (*initiate_give)(void *context, void *use);
    void *initiate_context;
    gss_cred_id_t accept_with;
    gage_stream_authorise *authorise; /* NULL: everybody who authenticates */
    void *authorise_context;
    bool allow_self;      /* a peer of our own name is welcome */
    bool outlive;         /* go on after the context's lifetime */
    bool keep_context;    /* gage_stream_context will be asked for: with AEAD records the context is let go otherwise */
    int64_t handshake_ns; /* from gage_stream_new to the peer's verified confirmation */
    int64_t look_ns;      /* how long a passive side looks at most */
    int64_t warn_ns;      /* how long before expiry GAGE_STREAM_EXPIRING comes */
    const struct gage_rng *rng; /* NULL: the system's */
};

/* Policy require, active, any role, any records, 30 s for the handshake, 3 s to look, 5 minutes to warn; nothing else set. */
GAGE_API void gage_stream_config_init(struct gage_stream_config *config);

/* ---- the stream ---- */

typedef struct gage_stream gage_stream;

/* Starts. GAGE_E_USAGE where the configuration lacks a target or contradicts itself. *out is the caller's, to be freed. */
GAGE_API gage_rc gage_stream_new(const struct gage_stream_config *config, int64_t now, gage_stream **out,
                                 struct gage_err *err);
/* Wipes and releases; NULL inside is fine. Not while its work runs. */
GAGE_API void gage_stream_free(gage_stream **stream);

enum gage_stream_phase {
    GAGE_STREAM_OPENING,   /* lines */
    GAGE_STREAM_HANDSHAKE, /* tokens and confirmations */
    GAGE_STREAM_PROTECTED,
    GAGE_STREAM_CLEAR, /* in the clear, as the policy allowed */
    GAGE_STREAM_FAILED
};
GAGE_API enum gage_stream_phase gage_stream_phase(const gage_stream *stream);

/* The peer, from the moment its name is known; else NULL. */
GAGE_API const struct gage_stream_peer *gage_stream_peer(const gage_stream *stream);

/* The security context, borrowed until the stream is freed; GSS_C_NO_CONTEXT unless GAGE_STREAM_PROTECTED and `keep_context`. For what is bound to it:
 * gage_pair_start_carried, gage_carrier_occasion, gss_pseudo_random under a label of one's own. Its per-message calls belong to the stream. */
GAGE_API gss_ctx_id_t gage_stream_context(const gage_stream *stream);

/* What is being waited for: a phrase for logs, static. */
GAGE_API const char *gage_stream_waiting_for(const gage_stream *stream);

/* ---- what the stream itself has to say to the peer ---- */

/* Bytes to be written before any frame of gage_stream_seal; empty when there are none. Borrowed until the next call. */
GAGE_API gage_slice gage_stream_output(const gage_stream *stream);
/* The first n of them were written. */
GAGE_API void gage_stream_sent(gage_stream *stream, size_t n);

/* ---- GSS steps ---- */

typedef struct gage_stream_work gage_stream_work;

/* A GSS step that is due and not yet running: the caller runs it once. NULL: none. */
GAGE_API gage_stream_work *gage_stream_work_due(gage_stream *stream);
/* Runs it: may block. In any one thread; touches nothing of the stream that its other calls touch. */
GAGE_API void gage_stream_work_run(gage_stream_work *work);
/* It has run: the stream goes on. Back in the stream's thread. `now` as everywhere. */
GAGE_API gage_rc gage_stream_work_done(gage_stream *stream, int64_t now, struct gage_err *err);

/* ---- from the peer ---- */

struct gage_stream_step {
    size_t used; /* bytes consumed from the start of what was given */
    gage_slice
        data;   /* for the application; points into the caller's bytes or the stream, until the next call on either */
    bool ended; /* the peer's authenticated end (once) */
};

/* Takes what it can from the start of `bytes`, at most one frame, decrypting in place. Call again with the rest until
 * used is 0: then more bytes are needed, or a GSS step is due or running. The caller keeps what was not consumed, and needs
 * a buffer of at least GAGE_STREAM_FRAME_MAX bytes for it.
 * Failures: see doc/startgss.md, "Names of the errors". */
GAGE_API gage_rc gage_stream_receive(gage_stream *stream, uint8_t *bytes, size_t n, int64_t now,
                                     struct gage_stream_step *step, struct gage_err *err);

/* The transport ended, and `left` bytes could not be consumed. GAGE_OK only after the peer's authenticated end, or in the
 * clear or bare, where nothing better is to be had: then (after one more gage_stream_receive, should bytes be left) the application may see an end of file.
 * GAGE_E_CLOSED otherwise: the application must see a failure. */
GAGE_API gage_rc gage_stream_peer_closed(gage_stream *stream, size_t left, struct gage_err *err);

/* ---- to the peer ---- */

/* Whether the application's data may go out now. */
GAGE_API bool gage_stream_may_send(const gage_stream *stream);

/* Makes one record of 1 to GAGE_STREAM_DATA_MAX bytes: *n bytes at `frame`, which has room for GAGE_STREAM_FRAME_MAX (for
 * data.n + 1028 at least). The data may lie at frame + GAGE_STREAM_HEADROOM (encrypted in place) or apart from the frame.
 * GAGE_E_STATE unless gage_stream_may_send. */
GAGE_API gage_rc gage_stream_seal(gage_stream *stream, gage_slice data, uint8_t *frame, size_t *n,
                                  struct gage_err *err);
/* Makes the end of our direction, once; *n may be 0 (in the clear and bare, where closing the transport's direction is the end). */
GAGE_API gage_rc gage_stream_seal_end(gage_stream *stream, uint8_t *frame, size_t *n, struct gage_err *err);

/* ---- time ---- */

enum gage_stream_event {
    GAGE_STREAM_NOTHING,
    GAGE_STREAM_EXPIRING /* the context ends within warn_ns (said once) */
};

/* When to call gage_stream_tick at the latest; INT64_MAX: no need. */
GAGE_API int64_t gage_stream_next_time(const gage_stream *stream);
/* GAGE_E_TIMEOUT where a deadline passed, GAGE_E_EXPIRED where the context's life is over and the stream is not to outlive it. */
GAGE_API gage_rc gage_stream_tick(gage_stream *stream, int64_t now, enum gage_stream_event *event,
                                  struct gage_err *err);

#ifdef __cplusplus
}
#endif
#endif
