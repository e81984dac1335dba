#include "unit/test.h"

#include <krb5.h>

#include "proxyd/krb_context.h"

#define TEXT "of an earlier call"

static krb5_context
begin(enum krb_context_phase phase)
{
    krb5_context context = NULL;
    krb_context_phase(phase);
    assert_int_equal(krb5_init_context(&context), 0);
    assert_non_null(context);
    return context;
}

static void
end(krb5_context context, enum krb_context_phase phase)
{
    krb_context_phase(phase);
    krb5_free_context(context);
    krb_context_phase(KRB_CONTEXT_USUAL);
}

TEST(what_an_acceptor_freed_serves_the_next_one_without_its_messages)
{
    krb5_context first = begin(KRB_CONTEXT_ACCEPTING);
    krb5_set_error_message(first, KRB5KRB_AP_ERR_SKEW, "%s", TEXT);
    end(first, KRB_CONTEXT_ENDING);
    uint64_t before = krb_context_count();
    krb5_context usual = begin(KRB_CONTEXT_USUAL);
    assert_ptr_not_equal(usual, first);
    krb5_context second = begin(KRB_CONTEXT_ACCEPTING);
    assert_ptr_equal(second, first);
    assert_int_equal(krb_context_count(), before + 1);
    const char *message = krb5_get_error_message(second, KRB5KRB_AP_ERR_SKEW);
    assert_string_not_equal(message, TEXT);
    krb5_free_error_message(second, message);
    end(second, KRB_CONTEXT_ENDING);
    end(usual, KRB_CONTEXT_USUAL);
}

TEST(what_a_failed_or_unfinished_call_had_and_what_is_forgotten_serves_nobody_again)
{
    krb_context_forget(INT64_MAX);
    uint64_t before = krb_context_count();
    end(begin(KRB_CONTEXT_ACCEPTING), KRB_CONTEXT_USUAL); /* failed: freed outside */
    krb5_context context = begin(KRB_CONTEXT_ACCEPTING);
    krb5_free_context(context); /* failed: freed by the library before it returned */
    context = begin(KRB_CONTEXT_ACCEPTING);
    krb_context_phase(KRB_CONTEXT_USUAL);
    krb_context_phase(KRB_CONTEXT_ENDING);
    krb5_free_context(context); /* another call's: it lived on */
    end(begin(KRB_CONTEXT_ACCEPTING), KRB_CONTEXT_ENDING);
    krb_context_forget(INT64_MAX);
    context = begin(KRB_CONTEXT_ACCEPTING);
    assert_int_equal(krb_context_count(), before);
    end(context, KRB_CONTEXT_ENDING);
    krb_context_forget(0); /* not that old */
    end(begin(KRB_CONTEXT_ACCEPTING), KRB_CONTEXT_ENDING);
    assert_int_equal(krb_context_count(), before + 1);
}

TEST(two_at_once_have_one_each)
{
    krb_context_forget(INT64_MAX);
    krb5_context outer = begin(KRB_CONTEXT_ACCEPTING), inner = NULL;
    assert_int_equal(krb5_init_context(&inner), 0);
    assert_ptr_not_equal(inner, outer);
    krb_context_phase(KRB_CONTEXT_ENDING);
    krb5_free_context(outer);
    end(inner, KRB_CONTEXT_ENDING);
    krb_context_forget(INT64_MAX);
}

TEST_MAIN(CASE(what_an_acceptor_freed_serves_the_next_one_without_its_messages),
          CASE(what_a_failed_or_unfinished_call_had_and_what_is_forgotten_serves_nobody_again),
          CASE(two_at_once_have_one_each))
