#include "rpc/call.h"

enum { CALL = 0, REPLY = 1 };
enum { MSG_ACCEPTED = 0, MSG_DENIED = 1 };
enum { RPC_MISMATCH = 0, AUTH_ERROR = 1 };
enum { AUTH_FAILED = 7 };
enum { RPC_PROTOCOL_VERSION = 2 };

/* One row an answer: reply_stat, then accept_stat or reject_stat, then the words that follow it. */
static const struct {
    const char *name;
    uint32_t reply_stat, stat, words, word[2];
} answers[ANSWER_ANSWERS] = {
    [ANSWER_SUCCESS] = {"SUCCESS", MSG_ACCEPTED, 0, 0, {0}},
    [ANSWER_PROG_UNAVAIL] = {"PROG_UNAVAIL", MSG_ACCEPTED, 1, 0, {0}},
    [ANSWER_PROG_MISMATCH] = {"PROG_MISMATCH", MSG_ACCEPTED, 2, 2, {GSSX_VERSION, GSSX_VERSION}},
    [ANSWER_PROC_UNAVAIL] = {"PROC_UNAVAIL", MSG_ACCEPTED, 3, 0, {0}},
    [ANSWER_GARBAGE_ARGS] = {"GARBAGE_ARGS", MSG_ACCEPTED, 4, 0, {0}},
    [ANSWER_SYSTEM_ERR] = {"SYSTEM_ERR", MSG_ACCEPTED, 5, 0, {0}},
    [ANSWER_VERSION_MISMATCH] =
        {"RPC_MISMATCH", MSG_DENIED, RPC_MISMATCH, 2, {RPC_PROTOCOL_VERSION, RPC_PROTOCOL_VERSION}},
    [ANSWER_AUTH_FAILED] = {"AUTH_ERROR", MSG_DENIED, AUTH_ERROR, 1, {AUTH_FAILED}},
};

const char *
rpc_answer_name(enum rpc_answer answer)
{
    return answers[answer].name;
}

/* Skips an opaque_auth and gives its flavor. */
static uint32_t
get_auth(struct reader *r)
{
    uint32_t flavor = get_u32(r);
    uint32_t length = get_u32(r);
    if (length > RPC_AUTH_BYTES_MAX)
        r->bad = true;
    else
        get_bytes(r, (length + 3u) & ~3u);
    return flavor;
}

gage_rc
rpc_call_parse(gage_slice message, struct rpc_call *call, struct gage_err *err)
{
    struct reader r = read_from(message);
    *call = (struct rpc_call){.xid = get_u32(&r)};
    uint32_t type = get_u32(&r);
    call->rpc_version = get_u32(&r);
    call->program = get_u32(&r);
    call->version = get_u32(&r);
    call->procedure = get_u32(&r);
    call->flavor = get_auth(&r);
    get_auth(&r);
    REQUIRE(read_ok(&r) && type == CALL, err, GAGE_E_FORMAT, "the message is not an RPC call");
    call->args = get_rest(&r);
    return GAGE_DONE;
}

enum rpc_answer
rpc_call_check(const struct rpc_call *call)
{
    if (call->rpc_version != RPC_PROTOCOL_VERSION)
        return ANSWER_VERSION_MISMATCH;
    if (call->flavor != 0)
        return ANSWER_AUTH_FAILED;
    if (call->program != GSSX_PROGRAM)
        return ANSWER_PROG_UNAVAIL;
    if (call->version != GSSX_VERSION)
        return ANSWER_PROG_MISMATCH;
    return call->procedure > GSSX_PROC_LAST ? ANSWER_PROC_UNAVAIL : ANSWER_SUCCESS;
}

void
rpc_put_reply(gage_buf *buf, uint32_t xid, enum rpc_answer answer)
{
    put_u32(buf, xid);
    put_u32(buf, REPLY);
    put_u32(buf, answers[answer].reply_stat);
    if (answers[answer].reply_stat == MSG_ACCEPTED)
        put_u64(buf, 0); /* verifier: AUTH_NONE, no bytes */
    put_u32(buf, answers[answer].stat);
    for (uint32_t i = 0; i < answers[answer].words; i++)
        put_u32(buf, answers[answer].word[i]);
}

void
rpc_put_call(gage_buf *buf, uint32_t xid, uint32_t procedure)
{
    put_u32(buf, xid);
    put_u32(buf, CALL);
    put_u32(buf, RPC_PROTOCOL_VERSION);
    put_u32(buf, GSSX_PROGRAM);
    put_u32(buf, GSSX_VERSION);
    put_u32(buf, procedure);
    put_u64(buf, 0); /* credential: AUTH_NONE */
    put_u64(buf, 0); /* verifier: AUTH_NONE */
}

gage_rc
rpc_reply_parse(gage_slice message, uint32_t *xid, enum rpc_answer *answer, gage_slice *results, struct gage_err *err)
{
    struct reader r = read_from(message);
    uint32_t id = get_u32(&r);
    uint32_t type = get_u32(&r);
    uint32_t reply_stat = get_u32(&r);
    if (reply_stat == MSG_ACCEPTED)
        get_auth(&r);
    uint32_t stat = get_u32(&r);
    REQUIRE(read_ok(&r) && type == REPLY, err, GAGE_E_FORMAT, "the message is not an RPC reply");
    for (enum rpc_answer a = 0; a < ANSWER_ANSWERS; a++) {
        if (answers[a].reply_stat != reply_stat || answers[a].stat != stat)
            continue;
        *xid = id;
        *answer = a;
        *results = get_rest(&r);
        return GAGE_DONE;
    }
    return gage_fail(err, GAGE_E_FORMAT, "the RPC reply's status %u/%u is not one of RFC 5531's", reply_stat, stat);
}
