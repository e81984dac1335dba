/* message.h - per-message tokens: header, tag, body; one direction's keys, epochs and numbers (doc/otc.md section 7). */
#ifndef GAGE_OTC_MESSAGE_H
#define GAGE_OTC_MESSAGE_H

#include "base/crypto.h"
#include "otc/window.h"

#define OTC_HEADER_LEN 18
#define OTC_TOKEN_LEN (OTC_HEADER_LEN + GCM_TAG_LEN) /* of a token without body */
#define OTC_EPOCH_LEN 8
#define OTC_MESSAGE_MAX (((uint64_t)1 << 36) - 32) /* SP 800-38D section 5.2.1.1 */

enum otc_type { OTC_SEALED = 0x11, OTC_CLEAR = 0x12, OTC_MIC = 0x13, OTC_DELETE = 0x14 };

/* Time and randomness for one call. */
struct otc_env {
    const struct gage_rng *rng;
    int64_t now;         /* seconds since 1970 */
    uint64_t generation; /* otc_generation(): changes in a fork's child */
};

/* The bases of one direction's keys (section 4), derived from the PRK when first needed. */
struct otc_bases {
    const gage_secret *prk; /* the context's */
    uint8_t role;           /* the header's sender octet: 0 initiator, 1 acceptor */
    gage_secret wrap, mic, end;
};

/* A derived key, ready to use. */
struct otc_slot {
    uint8_t type; /* 0: empty */
    uint8_t epoch[OTC_EPOCH_LEN];
    uint64_t block; /* seq >> 16 */
    uint8_t iv[GCM_IV_LEN];
    struct gcm gcm;
    uint64_t used; /* for finding the least recently used */
};

#define OTC_SEND_SLOTS 3
#define OTC_RECEIVE_SLOTS 4

struct otc_sender {
    struct otc_bases bases;
    uint8_t epoch[OTC_EPOCH_LEN];
    uint64_t generation; /* in which the epoch was drawn; 0: not yet */
    uint64_t seq;        /* the next message's */
    struct otc_slot slot[OTC_SEND_SLOTS];
};

struct otc_receiver {
    struct otc_bases bases; /* the peer's */
    struct otc_window window;
    uint64_t ticks;
    struct otc_slot slot[OTC_RECEIVE_SLOTS];
};

void otc_sender_cleanup(struct otc_sender *sender);
void otc_receiver_cleanup(struct otc_receiver *receiver);

/* A stretch of the message: read at `in`, put out at `out` (equal to `in`: in place; NULL: nothing is put out). */
struct otc_span {
    const uint8_t *in;
    uint8_t *out;
    size_t n;
};

struct otc_message {
    const gage_slice *associated; /* authenticated beside the message, in order */
    size_t associated_count;
    const struct otc_span *span; /* the message, in order */
    size_t span_count;
};

/* Protects the message under the next number (a delete token: under the same, which it does not take) and writes header || tag.
 * SEALED puts the ciphertext out, the others the message as it is. TOO_LONG, USED_UP. */
gage_rc otc_seal(struct otc_sender *sender, const struct otc_env *env, enum otc_type type,
                 const struct otc_message *message, uint8_t token[OTC_TOKEN_LEN], struct gage_err *err);

/* A token's header, looked at before any cryptography. */
struct otc_header {
    enum otc_type type;
    uint8_t epoch[OTC_EPOCH_LEN];
    uint64_t seq;
    const uint8_t *raw; /* OTC_TOKEN_LEN bytes, borrowed */
};

/* TRUNCATED, FOREIGN, WRONG_STATE (a token of another kind), REFLECTED, DAMAGED. `types` lists the kinds wanted. */
gage_rc otc_read_header(const struct otc_receiver *receiver, gage_slice token, const enum otc_type *types, size_t count,
                        struct otc_header *header, struct gage_err *err);
/* Verifies (and decrypts). On failure every `out` is wiped and nothing has changed: DAMAGED, TOO_LONG. The window is the caller's. */
gage_rc otc_open(struct otc_receiver *receiver, const struct otc_header *header, const struct otc_message *message,
                 struct gage_err *err);

#endif
