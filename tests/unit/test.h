/* test.h - what every unit test includes: cmocka in the order it wants, our result type, TAP output. */
#ifndef GAGE_TEST_H
#define GAGE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

/* A test's name is its claim: refuses_the_byte_past_max. */
#define TEST(name) static void name(void **state __attribute__((unused)))

/* The call succeeds; prints the sentence in `err` (a struct gage_err) where it does not. */
#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        gage_rc ok_rc_ = (call);                                                                                       \
        if (!gage_ok(ok_rc_))                                                                                          \
            fail_msg("%s: %s", #call, gage_code_name(ok_rc_.code));                                                    \
    } while (0)

/* The call fails with exactly this code. */
#define assert_code(call, expected)                                                                                    \
    do {                                                                                                               \
        gage_rc code_rc_ = (call);                                                                                     \
        if (code_rc_.code != (expected))                                                                               \
            fail_msg("%s: %s, not %s", #call, gage_code_name(code_rc_.code), gage_code_name(expected));                \
    } while (0)

#define assert_slice_equal(a, b)                                                                                       \
    do {                                                                                                               \
        gage_slice slice_a_ = (a), slice_b_ = (b);                                                                     \
        assert_int_equal(slice_a_.n, slice_b_.n);                                                                      \
        if (slice_a_.n > 0)                                                                                            \
            assert_memory_equal(slice_a_.p, slice_b_.p, slice_a_.n);                                                   \
    } while (0)

/* int main: runs the listed cases, each as one TAP line. */
#define TEST_MAIN(...)                                                                                                 \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                                               \
        cmocka_set_message_output(CM_OUTPUT_TAP);                                                                      \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                              \
    }
#define CASE(name) cmocka_unit_test(name)

#endif
