/* context.h - a security context: how it is made in three tokens, saved half-way, and what it says (doc/otc.md sections 3 and 11).
 * These functions do no I/O and take no lock; the exported calls hold `lock` around them. */
#ifndef GAGE_OTC_CONTEXT_H
#define GAGE_OTC_CONTEXT_H

#include <pthread.h>

#include "otc/cred.h"
#include "otc/message.h"
#include "otc/payload.h"

enum otc_state { OTC_WAIT_TOKEN2 = 1, OTC_WAIT_TOKEN3 = 2, OTC_COMPLETE = 3 };

/* Flags that are always asked for and granted, and those that may be. */
#define OTC_FLAGS_ALWAYS (GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_TRANS_FLAG)
#define OTC_FLAGS_OPTIONAL (GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG)

struct otc_context {
    uint32_t magic;
    pthread_mutex_t lock;
    enum otc_state state;
    bool initiator;
    struct otc_credential credential;
    uint32_t flags;    /* asked for while the state is WAIT_TOKEN2, then granted */
    uint32_t lifetime; /* seconds from completion, OTC_INDEFINITE; likewise */
    struct otc_bindings bindings;
    bool bound;
    struct otc_noise noise; /* h, and ck until the PRK is made */
    gage_secret e;          /* the initiator's ephemeral private key */
    struct x25519 open;     /* the same key, ready for token 2; not open after an import */
    gage_secret prk;
    uint64_t expires; /* absolute, 0: without end */
    struct otc_sender send;
    struct otc_receiver receive;
    bool ended; /* the peer's delete token came, with this number */
    uint64_t final;
};

/* The handle's type check; NULL where it is not one of ours. */
struct otc_context *otc_context_of(gss_ctx_id_t handle);
/* A zeroed context, or NULL without memory. free wipes; NULL is fine. */
struct otc_context *otc_context_new(void);
void otc_context_free(struct otc_context *context);

/* What the initiator's caller asks for. */
struct otc_ask {
    OM_uint32 flags;
    uint32_t lifetime; /* 0: the credential's */
    struct otc_bindings bindings;
};

/* Token 1: a context that waits for token 2. EXPIRED, ROLE. */
gage_rc otc_initiate(const struct otc_cred *cred, const struct otc_ask *ask, const struct otc_env *env, gage_buf *token,
                     struct otc_context **out, struct gage_err *err);

/* An accepting authority's memory: claims what the token is about, durably, or fails with USED or USED_STORE. */
struct otc_authority {
    gage_rc (*claim)(void *arg, const struct otc_credential *credential, const struct otc_psk *psk, int64_t now,
                     struct gage_err *err);
    void *arg;
};

/* Reads token 1 and makes token 2: a context that waits for token 3. On a failure `reply` may hold a token 2 that refuses, to be
 * sent; *out stays as it was. authority may be NULL. */
gage_rc otc_accept(const struct otc_cred *cred, const struct otc_bindings *bindings, gage_slice token,
                   const struct otc_authority *authority, const struct otc_env *env, gage_buf *reply,
                   struct otc_context **out, struct gage_err *err);

/* Reads token 2 and makes token 3: complete. On a failure the context waits on, unchanged, and `reply` may hold a delete token. */
gage_rc otc_answer(struct otc_context *context, gage_slice token, const struct otc_env *env, gage_buf *reply,
                   struct gage_err *err);
/* Reads token 3: complete. On a failure the context waits on, unchanged. REFUSED for a delete token that verifies. */
gage_rc otc_confirm(struct otc_context *context, gage_slice token, const struct otc_env *env, struct gage_err *err);

/* Says who sends under which name, once the PRK is there (section 4). */
void otc_schedule(struct otc_context *context);

/* Seconds left: 0 when over; for a context that is not complete, what it will have. */
uint32_t otc_context_left(const struct otc_context *context, int64_t now);
/* NO_CONTEXT before completion. */
gage_rc otc_require_complete(const struct otc_context *context, struct gage_err *err);

/* Protects the next message: as otc_seal, and ENDED, CONTEXT_EXPIRED. */
gage_rc otc_protect(struct otc_context *context, const struct otc_env *env, enum otc_type type,
                    const struct otc_message *message, uint8_t token[OTC_TOKEN_LEN], struct gage_err *err);
/* Verifies one and gives its supplementary status (section 7.1): as otc_open, and ENDED, CONTEXT_EXPIRED. */
gage_rc otc_unprotect(struct otc_context *context, const struct otc_env *env, const struct otc_header *header,
                      const struct otc_message *message, OM_uint32 *supplementary, struct gage_err *err);
/* The whole of a MIC token against a message: BAD_MIC where it does not verify. */
gage_rc otc_verify_mic(struct otc_context *context, const struct otc_env *env, gage_slice token,
                       const struct otc_message *message, OM_uint32 *supplementary, struct gage_err *err);
/* The peer's delete token, and one's own (34 bytes; only a complete context has one). */
gage_rc otc_read_delete(struct otc_context *context, gage_slice token, struct gage_err *err);
gage_rc otc_make_delete(struct otc_context *context, const struct otc_env *env, uint8_t token[OTC_TOKEN_LEN],
                        struct gage_err *err);

/* Section 8: appends n bytes. NOT_AVAILABLE before completion, PRF_LIMIT. */
#define OTC_PRF_MAX 8160
gage_rc otc_prf(const struct otc_context *context, gage_slice input, size_t n, gage_buf *out, struct gage_err *err);

/* Section 11's form. import gives BAD_IMPORT for anything else. */
void put_otc_context(gage_buf *buf, const struct otc_context *context);
gage_rc otc_context_import(gage_slice token, struct otc_context **out, struct gage_err *err);
#define OTC_CONTEXT_MAX 4096 /* bytes of an exported context */

#endif
