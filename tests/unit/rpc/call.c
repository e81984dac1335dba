#include "unit/test.h"

#include <malloc.h>

#include "rpc/proc.h"

static gage_buf
call_of(uint32_t rpc_version, uint32_t program, uint32_t version, uint32_t procedure, uint32_t flavor)
{
    gage_buf buf = GAGE_BUF(4096);
    const uint32_t words[] = {7, 0, rpc_version, program, version, procedure, flavor, 0, 0, 0};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        put_u32(&buf, words[i]);
    return buf;
}

TEST(refuses_each_wrong_header_with_its_own_answer)
{
    static const struct {
        uint32_t word[5];
        enum rpc_answer answer;
    } rows[] = {
        {{2, 400112, 1, 0, 0}, ANSWER_SUCCESS},       {{2, 400112, 1, 15, 0}, ANSWER_SUCCESS},
        {{2, 400112, 1, 16, 0}, ANSWER_PROC_UNAVAIL}, {{2, 400112, 2, 1, 0}, ANSWER_PROG_MISMATCH},
        {{2, 412345, 1, 1, 0}, ANSWER_PROG_UNAVAIL},  {{3, 400112, 1, 1, 0}, ANSWER_VERSION_MISMATCH},
        {{2, 400112, 1, 1, 1}, ANSWER_AUTH_FAILED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const uint32_t *w = rows[i].word;
        AUTO(gage_buf) buf = call_of(w[0], w[1], w[2], w[3], w[4]);
        struct rpc_call call;
        assert_ok(rpc_call_parse(gage_buf_slice(&buf), &call, NULL));
        assert_int_equal(call.xid, 7);
        assert_int_equal(rpc_call_check(&call), rows[i].answer);
    }
}

TEST(a_message_that_is_no_call_is_refused)
{
    AUTO(gage_buf) buf = call_of(2, 400112, 1, 1, 0);
    struct rpc_call call;
    for (size_t n = 0; n < buf.n; n++)
        assert_code(rpc_call_parse(gage_slice_of(buf.p, n), &call, NULL), GAGE_E_FORMAT);
    buf.p[7] = 1; /* REPLY */
    assert_code(rpc_call_parse(gage_buf_slice(&buf), &call, NULL), GAGE_E_FORMAT);
}

TEST(replies_read_back_as_written)
{
    for (enum rpc_answer a = 0; a < ANSWER_ANSWERS; a++) {
        AUTO(gage_buf) buf = GAGE_BUF(256);
        rpc_put_reply(&buf, 0xfeed, a);
        if (a == ANSWER_SUCCESS) {
            assert_int_equal(buf.n, RPC_REPLY_HEADER_LEN);
            put_bytes(&buf, SLICE_LITERAL("results"));
        }
        uint32_t xid;
        enum rpc_answer answer;
        gage_slice results;
        assert_ok(rpc_reply_parse(gage_buf_slice(&buf), &xid, &answer, &results, NULL));
        assert_int_equal(xid, 0xfeed);
        assert_int_equal(answer, a);
        if (a == ANSWER_SUCCESS)
            assert_slice_equal(results, SLICE_LITERAL("results"));
    }
}

TEST(the_denials_are_those_of_the_reference_to_the_byte)
{
    AUTO(gage_buf) buf = GAGE_BUF(256);
    rpc_put_reply(&buf, 1, ANSWER_AUTH_FAILED);
    assert_slice_equal(gage_buf_slice(&buf), SLICE_LITERAL("\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\7"));
    buf_reset(&buf);
    rpc_put_reply(&buf, 1, ANSWER_VERSION_MISMATCH);
    assert_slice_equal(gage_buf_slice(&buf), SLICE_LITERAL("\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\2"));
    buf_reset(&buf);
    rpc_put_reply(&buf, 1, ANSWER_PROG_MISMATCH);
    assert_slice_equal(gage_buf_slice(&buf),
                       SLICE_LITERAL("\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\1\0\0\0\1"));
}

TEST(a_short_message_that_claims_2_to_26_elements_allocates_nothing)
{
    /* INDICATE_MECHS: an empty locale and server context, then 2^26 options that are not there. */
    static const uint8_t args[] = {0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0};
    struct mallinfo2 before = mallinfo2();
    union gssx_arg arg;
    assert_code(proc_decode_args(1, SLICE_OF(args), &arg), GAGE_E_FORMAT);
    struct mallinfo2 after = mallinfo2();
    assert_int_equal(after.uordblks + after.hblkhd, before.uordblks + before.hblkhd);
    proc_free_args(1, &arg);
}

TEST(every_procedure_writes_and_reads_its_empty_forms)
{
    for (uint32_t p = 1; p <= GSSX_PROC_LAST; p++) {
        AUTO(gage_buf) buf = GAGE_BUF(65536);
        union gssx_arg arg = {0};
        union gssx_res res = {0};
        if (p == 6) /* an enumeration without a 0 */
            arg.acquire_cred.cred_usage = GSSX_C_BOTH;
        assert_ok(proc_encode_args(p, &arg, &buf));
        size_t n = buf.n;
        assert_ok(proc_decode_args(p, gage_buf_slice(&buf), &arg));
        proc_free_args(p, &arg);
        for (size_t cut = 0; cut < n; cut++) {
            assert_code(proc_decode_args(p, gage_slice_of(buf.p, cut), &arg), GAGE_E_FORMAT);
            proc_free_args(p, &arg);
        }
        buf_reset(&buf);
        assert_ok(proc_encode_res(p, &res, &buf));
        assert_ok(proc_decode_res(p, gage_buf_slice(&buf), &res));
        proc_free_res(p, &res);
    }
}

TEST(encodes_up_to_the_limit_and_not_past_it)
{
    static char bytes[20000];
    union gssx_res res = {0};
    res.get_mic.token_buffer.octet_string_val = bytes;
    res.get_mic.token_buffer.octet_string_len = sizeof bytes;
    AUTO(gage_buf) probe = GAGE_BUF(65536);
    assert_ok(proc_encode_res(11, &res, &probe));
    AUTO(gage_buf) fits = GAGE_BUF(probe.n), short_by_one = GAGE_BUF(probe.n - 1);
    assert_ok(proc_encode_res(11, &res, &fits));
    assert_slice_equal(gage_buf_slice(&fits), gage_buf_slice(&probe));
    assert_code(proc_encode_res(11, &res, &short_by_one), GAGE_E_LIMIT);
}

TEST_MAIN(CASE(refuses_each_wrong_header_with_its_own_answer), CASE(a_message_that_is_no_call_is_refused),
          CASE(replies_read_back_as_written), CASE(the_denials_are_those_of_the_reference_to_the_byte),
          CASE(a_short_message_that_claims_2_to_26_elements_allocates_nothing),
          CASE(every_procedure_writes_and_reads_its_empty_forms), CASE(encodes_up_to_the_limit_and_not_past_it))
