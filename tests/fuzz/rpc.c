/* Records, call headers and the arguments of every procedure from hostile bytes. The first byte picks how the rest is delivered. */
#include <stdlib.h>
#include <string.h>

#include "rpc/proc.h"
#include "rpc/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What decodes must encode again, to bytes that decode again. */
static void
round_trip(uint32_t procedure, gage_slice bytes)
{
    union gssx_arg arg;
    if (gage_ok(proc_decode_args(procedure, bytes, &arg))) {
        AUTO(gage_buf) again = GAGE_BUF(8 * RECORD_MAX);
        if (!gage_ok(proc_encode_args(procedure, &arg, &again)))
            abort();
        proc_free_args(procedure, &arg);
        if (!gage_ok(proc_decode_args(procedure, gage_buf_slice(&again), &arg)))
            abort();
    }
    proc_free_args(procedure, &arg);
    union gssx_res res;
    (void)proc_decode_res(procedure, bytes, &res);
    proc_free_res(procedure, &res);
}

static void
one_message(gage_slice message)
{
    struct rpc_call call;
    if (gage_ok(rpc_call_parse(message, &call, NULL)) && rpc_call_check(&call) == ANSWER_SUCCESS && call.procedure > 0)
        round_trip(call.procedure, call.args);
    uint32_t xid;
    enum rpc_answer answer;
    gage_slice results;
    (void)rpc_reply_parse(message, &xid, &answer, &results, NULL);
}

static void
deliver(gage_slice stream, size_t step)
{
    struct record_in r;
    record_init(&r);
    while (stream.n > 0) {
        uint8_t *to;
        size_t n = record_want(&r, &to);
        n = n < step ? n : step;
        n = n < stream.n ? n : stream.n;
        if (n == 0)
            abort();
        memcpy(to, stream.p, n);
        stream = gage_slice_of(stream.p + n, stream.n - n);
        if (!gage_ok(record_got(&r, n, NULL)))
            break;
        AUTO(gage_buf) body = record_take(&r);
        if (body.n > 0)
            one_message(gage_buf_slice(&body));
    }
    record_cleanup(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    gage_slice rest = gage_slice_of(data + 1, size - 1);
    if (data[0] >= 1 && data[0] <= GSSX_PROC_LAST)
        round_trip(data[0], rest);
    else if (data[0] == 0)
        one_message(rest);
    else
        deliver(rest, (size_t)(data[0] - GSSX_PROC_LAST));
    return 0;
}
