#include "interposer/remote.h"

#include <errno.h>
#include <string.h>

#include "interposer/pool.h"
#include "rpc/record.h"

#define REQUEST_ROOM 4096 /* what most requests fit: encoding begins with that much */

/* What may be executed twice without harm, where a daemon ended between reading a call and answering it: what only asks or acquires, what
 * begins a context, and what releases. Not a token's acceptance, which the replay cache would refuse, nor what uses up a context's state. */
static const bool repeatable[GSSX_PROC_LAST + 1] = {
    [1] = true, [2] = true, [3] = true, [4] = true, [5] = true, [6] = true, [10] = true,
};
#define INIT_SEC_CONTEXT 8

static bool
may_repeat(uint32_t procedure, const union gssx_arg *arg)
{
    return repeatable[procedure] || (procedure == INIT_SEC_CONTEXT && arg->init_sec_context.context_handle == NULL);
}

void
answer_free(struct answer *a)
{
    if (a->procedure != 0)
        proc_free_res(a->procedure, &a->res);
    a->procedure = 0;
}

/* One row a fate: what happened, what it means, what to do. */
static const struct {
    bool unreachable;
    const char *text;
} fates[] = {
    [FATE_UNREACHABLE] =
        {true, "is not there or takes no connection; see that the daemon runs and GSSPROXY_SOCKET names its socket"},
    [FATE_UNREAD] = {true, "closed the connection before it read the call; see the daemon's log"},
    [FATE_LOST] = {true, "closed the connection without an answer: no service of its configuration is for this user "
                         "and program, or it was "
                         "restarted; try again, or ask gage doctor"},
    [FATE_LATE] = {true, "did not answer in time: its KDC or name service does not answer; see the daemon's log"},
    [FATE_BAD] = {true, "sent what is not the GSS-PROXY protocol, or memory is short; see what listens there"},
};

static bool
no_answer(struct outcome *o, enum fate fate, int error)
{
    char why[80] = "";
    outcome_fail(o, GSS_S_FAILURE, error, "the proxy daemon at %.108s %s (%s)", pool_path(), fates[fate].text,
                 strerror_r(error, why, sizeof why));
    o->unreachable = fates[fate].unreachable;
    return false;
}

/* The number that identifies a call: a reply with another's ends the connection that it came on. */
static uint32_t
next_xid(void)
{
    static uint32_t xid;
    return __atomic_add_fetch(&xid, 1, __ATOMIC_RELAXED);
}

static bool
read_reply(uint32_t procedure, gage_slice reply, struct answer *a, struct outcome *o)
{
    uint32_t xid;
    enum rpc_answer rpc = ANSWER_SUCCESS;
    gage_slice results;
    if (!gage_ok(rpc_reply_parse(reply, &xid, &rpc, &results, NULL)))
        return no_answer(o, FATE_BAD, EBADMSG);
    if (rpc != ANSWER_SUCCESS) {
        outcome_fail(o, GSS_S_FAILURE, EPROTO,
                     "the proxy daemon at %.108s refuses the call %s with %s: it is of another version", pool_path(),
                     proc_name(procedure), rpc_answer_name(rpc));
        return false;
    }
    a->procedure = procedure;
    if (!gage_ok(proc_decode_res(procedure, results, &a->res))) {
        answer_free(a);
        return no_answer(o, FATE_BAD, EBADMSG);
    }
    outcome_remote(o, &a->res.status);
    return true;
}

bool
remote_call(uint32_t procedure, union gssx_arg *arg, struct answer *a, struct outcome *o)
{
    AUTO(gage_buf) request = GAGE_BUF(RECORD_HEADER_LEN + RECORD_MAX), reply = GAGE_BUF(RECORD_MAX);
    int error = 0;
    answer_free(a);
    buf_reserve(&request, REQUEST_ROOM);
    put_u32(&request, 0);
    rpc_put_call(&request, next_xid(), procedure);
    gage_rc rc = proc_encode_args(procedure, arg, &request);
    if (gage_ok(rc))
        rc = record_finish(&request, NULL);
    if (!gage_ok(rc))
        return outcome_fail(o, GSS_S_FAILURE, EMSGSIZE,
                            "the call is longer than the %u bytes that the proxy daemon takes", RECORD_MAX);
    enum fate fate = pool_exchange(gage_buf_slice(&request), may_repeat(procedure, arg), &reply, &error);
    if (fate != FATE_ANSWERED)
        return no_answer(o, fate, error);
    return read_reply(procedure, gage_buf_slice(&reply), a, o);
}
