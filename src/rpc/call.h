/* call.h - ONC RPC version 2 messages (RFC 5531 sections 9 and 8.2), as far as GSS-PROXY uses them: calls with AUTH_NONE and their
 * replies. No I/O, no XDR of arguments: those are the bytes after the header (rpc/gssx.h). */
#ifndef GAGE_RPC_CALL_H
#define GAGE_RPC_CALL_H

#include "base/bytes.h"

#define GSSX_PROGRAM 400112u
#define GSSX_VERSION 1u
#define GSSX_PROC_NULL 0u
#define GSSX_PROC_LAST 15u

#define RPC_AUTH_BYTES_MAX 400 /* RFC 5531 section 8.2: an opaque_auth body */
/* Bytes of an accepted reply before its results: xid, REPLY, MSG_ACCEPTED, verifier of AUTH_NONE, accept_stat. */
#define RPC_REPLY_HEADER_LEN 24

struct rpc_call {
    uint32_t xid;
    uint32_t rpc_version;
    uint32_t program, version, procedure;
    uint32_t flavor; /* of the credential; 0 is AUTH_NONE */
    gage_slice args; /* borrowed from the message */
};

/* How a call is answered. */
enum rpc_answer {
    ANSWER_SUCCESS, /* accepted; results follow */
    ANSWER_PROG_UNAVAIL,
    ANSWER_PROG_MISMATCH, /* with versions 1..1 */
    ANSWER_PROC_UNAVAIL,
    ANSWER_GARBAGE_ARGS,
    ANSWER_SYSTEM_ERR,
    ANSWER_VERSION_MISMATCH, /* denied, with versions 2..2 */
    ANSWER_AUTH_FAILED,      /* denied: AUTH_ERROR, AUTH_FAILED (7) */
    ANSWER_ANSWERS
};

/* GAGE_E_FORMAT where the message is not a call: the connection is then to be closed. */
gage_rc rpc_call_parse(gage_slice message, struct rpc_call *call, struct gage_err *err);
/* ANSWER_SUCCESS where the call is for a procedure of ours (0..GSSX_PROC_LAST), else how it is to be refused. */
enum rpc_answer rpc_call_check(const struct rpc_call *call);
/* Appends a reply's header; after ANSWER_SUCCESS the results follow. */
void rpc_put_reply(gage_buf *buf, uint32_t xid, enum rpc_answer answer);

/* The client's side: a call's header, and a reply taken apart. GAGE_E_FORMAT where it is not a reply. */
void rpc_put_call(gage_buf *buf, uint32_t xid, uint32_t procedure);
gage_rc rpc_reply_parse(gage_slice message, uint32_t *xid, enum rpc_answer *answer, gage_slice *results,
                        struct gage_err *err);

/* The answer's name as RFC 5531 writes it. Static. */
const char *rpc_answer_name(enum rpc_answer answer);

#endif
