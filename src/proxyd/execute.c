#include <errno.h>
#include <string.h>

#include "proxyd/procs.h"

typedef bool (*procedure_function)(struct call *call, union gssx_arg *arg, union gssx_res *res);

#define PROC_WRAPPER_(number, name)                                                                                    \
    static bool run_##name(struct call *call, union gssx_arg *arg, union gssx_res *res)                                \
    {                                                                                                                  \
        return proc_##name(call, &arg->name, &res->name);                                                              \
    }
GSSX_PROCEDURES(PROC_WRAPPER_)
#undef PROC_WRAPPER_

static const procedure_function functions[GSSX_PROC_LAST + 1] = {
#define PROC_ENTRY_(number, name) [number] = run_##name,
    GSSX_PROCEDURES(PROC_ENTRY_)
#undef PROC_ENTRY_
};

static enum rpc_answer
encode(uint32_t procedure, const struct gss_status *status, union gssx_res *res, gage_buf *results)
{
    size_t start = results->n;
    if (status_to_gssx(status, &res->status) && gage_ok(proc_encode_res(procedure, res, results)))
        return ANSWER_SUCCESS;
    results->n = start;
    return ANSWER_SYSTEM_ERR;
}

enum rpc_answer
execute_refusal(uint32_t procedure, const struct gss_status *status, gage_buf *results)
{
    union gssx_res res = {0};
    if (procedure == 0)
        return ANSWER_SUCCESS;
    enum rpc_answer answer = encode(procedure, status, &res, results);
    proc_free_res(procedure, &res);
    return answer;
}

enum rpc_answer
execute(struct call *call, uint32_t procedure, gage_slice args, gage_buf *results)
{
    union gssx_arg arg;
    union gssx_res res;
    enum rpc_answer answer = ANSWER_GARBAGE_ARGS;
    status_clear(&call->status);
    if (procedure == 0)
        return ANSWER_SUCCESS;
    memset(&res, 0, sizeof res);
    if (gage_ok(proc_decode_args(procedure, args, &arg))) {
        if (!functions[procedure](call, &arg, &res) && gss_good(&call->status)) /* no failure goes out as success */
            status_fail(&call->status, GSS_S_FAILURE, EIO, "the call failed without a reason");
        answer = encode(procedure, &call->status, &res, results);
    }
    proc_free_res(procedure, &res);
    proc_free_args(procedure, &arg);
    return answer;
}
