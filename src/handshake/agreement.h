/* agreement.h - context key agreement: from an established GSS context, keys of our own with forward secrecy.
 *
 * Each side sends one gss_wrap token, the confirmation. It says what the sender believes has happened so far (a label, its
 * role, a transcript hash), what it offers, and carries an X25519 share and 32 random bytes. Both confirmations
 * verified, both sides hold the same PRK, from which keys are expanded under labels of the caller's:
 *
 *   confirmation = gss_wrap(conf, label<1> role(1) transcript(32) offer<1> share(32) random(32))     role 'i' or 'a'
 *   salt = SHA-256(transcript || token_i<4> || token_a<4>)                    the two tokens as they travelled
 *   P    = gss_pseudo_random(FULL, label, 32), or random_i || random_a where the mechanism has no PRF
 *   PRK  = HKDF-Extract(salt, P || X25519(share, share))
 *
 * x<n> is a big-endian length of n bytes and then x. Byte-level description: doc/startgss.md, "Context key agreement".
 * The stream (label "gage-startgss-1") and pairing use this one routine. A *carried* agreement leaves the wrapping to its caller: where the
 * confirmations already travel inside protected messages of the context, a second gss_wrap would put its tokens out of sequence. It does no I/O, and never blocks: gss_wrap,
 * gss_unwrap and gss_pseudo_random only compute. One agreement belongs to one thread at a time. */
#ifndef GAGE_HANDSHAKE_AGREEMENT_H
#define GAGE_HANDSHAKE_AGREEMENT_H

#include "base/crypto.h"
#include "handshake/gss.h"

#define AGREEMENT_LABEL_MAX 64
#define AGREEMENT_OFFER_MAX 255
#define AGREEMENT_TRANSCRIPT_LEN SHA256_LEN
#define AGREEMENT_RANDOM_LEN 32
/* No confirmation token is longer: its plaintext is at most 418 bytes, and no mechanism adds 600. */
#define AGREEMENT_TOKEN_MAX 1024
#define AGREEMENT_RECORD_MAX 1600

/* What both sides must hold alike before they agree; borrowed for the call. */
struct agreement_input {
    gage_slice label;      /* 1 to 64 bytes; names the use, so that two uses of one context share no key */
    bool initiator;        /* this side's role in the context */
    gage_slice transcript; /* exactly 32 bytes: SHA-256 of what went before; the peer's must be equal */
    gage_slice offer;      /* 0 to 255 bytes of the caller's meaning; reaches the peer authenticated and confidential */
    const struct gage_rng *rng;
    bool
        carried; /* the caller sends and takes the confirmations inside confidential messages of this very context alone */
};

/* One run on one side. A zeroed one is valid and empty. */
struct agreement {
    gage_buf label, offer, token, peer_offer;
    bool initiator, carried, agreed;
    uint8_t transcript[AGREEMENT_TRANSCRIPT_LEN];
    uint8_t share[X25519_LEN], random[AGREEMENT_RANDOM_LEN];
    gage_secret private_key, prk;
};

/* Makes this side's confirmation: `token` (borrowed until cleanup) is to be sent to the peer, once. Demands of the context
 * that it is open and has mutual authentication, confidentiality and integrity, else GAGE_E_UNSUPPORTED: without mutual
 * authentication a replayed Kerberos AP-REQ would give the same PRF output. A token that was not encrypted
 * (conf_state 0) is GAGE_E_UNSUPPORTED too. *agreement needs agreement_cleanup whatever the result. */
gage_rc agreement_start(struct agreement *agreement, gss_ctx_id_t context, const struct agreement_input *input,
                        gage_slice *token, struct gage_err *err);

/* Takes the peer's confirmation; keys exist after that. Each refusal is final:
 *   GAGE_E_AUTH       not wrapped for this context, damaged, or a key share of low order
 *   GAGE_E_USED       a repeated or out-of-order token (the mechanism's supplementary bits count as failures here)
 *   GAGE_E_FORMAT     wrapped, but not a confirmation, or one for another use (label)
 *   GAGE_E_REFLECTED  our own role: our confirmation came back, or both sides believe the same
 *   GAGE_E_MISMATCH   the peer saw other bytes before this than we did: somebody edited them
 *   GAGE_E_UNSUPPORTED  not encrypted */
gage_rc agreement_finish(struct agreement *agreement, gss_ctx_id_t context, gage_slice peer_token,
                         struct gage_err *err);

/* A carried agreement that waits for its peer, as bytes that hold its private key, and back: for an exchange that outlives a process.
 * GAGE_E_STATE after agreement_finish; GAGE_E_FORMAT. A loaded one needs agreement_cleanup. */
gage_rc agreement_put(gage_buf *buf, const struct agreement *agreement, struct gage_err *err);
gage_rc agreement_get(gage_slice record, struct agreement *agreement, struct gage_err *err);

/* After agreement_finish: what the peer offered (borrowed until cleanup). */
gage_slice agreement_peer_offer(const struct agreement *agreement);

/* After agreement_finish: HKDF-Expand(PRK, info, n), n <= GAGE_SECRET_MAX; both sides get the same for the same info. Before it: GAGE_E_STATE. */
gage_rc agreement_expand(const struct agreement *agreement, gage_slice info, size_t n, gage_secret *out);

/* Wipes everything. A zeroed agreement is fine, and left behind. */
void agreement_cleanup(struct agreement *agreement);
typedef struct agreement agreement_t;
GAGE_AUTO_DEFINE(agreement_t, agreement_cleanup)

#endif
