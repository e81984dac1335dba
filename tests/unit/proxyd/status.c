#include "unit/test.h"

#include <gssapi/gssapi_ext.h>

#include "proxyd/mech.h"
#include "proxyd/status.h"

#define HIS "/nowhere/keys-of-alice"
#define HERS "/nowhere/keys-of-bob"

/* Fails in the library, which keeps a text with the path. */
static OM_uint32
fail_with(const char *path, struct gss_status *status)
{
    char value[64];
    OM_uint32 minor, major;
    gss_OID_set_desc mechs = {1, (gss_OID)(uintptr_t)&mech_oid_krb5};
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    snprintf(value, sizeof value, "FILE:%s", path);
    gss_key_value_element_desc row = {"keytab", value};
    gss_key_value_set_desc store = {1, &row};
    status_clear(status);
    major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, 0, &mechs, GSS_C_ACCEPT, &store, &cred, NULL, NULL);
    assert_false(status_set(status, major, minor, &mech_oid_krb5));
    return minor;
}

TEST(a_failure_has_the_text_that_its_call_set)
{
    struct gss_status status;
    for (int i = 0; i < 40; i++) {
        const char *path = i % 2 == 0 ? HIS : HERS;
        fail_with(path, &status);
        assert_non_null(strstr(status.minor_text, path));
    }
}

TEST(a_call_that_sets_no_text_has_the_codes_own_and_not_that_of_an_earlier_failure)
{
    struct gss_status status;
    OM_uint32 minor = fail_with(HIS, &status);
    const gss_const_OID mechs[] = {&mech_oid_krb5, &mech_oid_spnego, GSS_C_NO_OID};
    for (size_t i = 0; i < 3; i++) {
        status_clear(&status);
        assert_false(status_set(&status, GSS_S_FAILURE, minor, mechs[i]));
        assert_null(strstr(status.minor_text, HIS));
        assert_non_null(strstr(status.minor_text, "Key table entry not found"));
    }
    status_clear(&status);
    assert_false(status_set(&status, GSS_S_FAILURE, minor, &mech_oid_krb5));
    assert_null(strstr(status.minor_text, "/nowhere"));
}

TEST(whom_it_is_about_stands_before_the_text_and_cuts_a_long_one)
{
    struct gss_status status;
    status_clear(&status);
    status_fail(&status, GSS_S_FAILURE, 1, "%0*d", STATUS_TEXT_MAX, 7);
    status_about(&status, "bob@REALM");
    assert_memory_equal(status.minor_text, "bob@REALM: 000", 14);
    assert_int_equal(strlen(status.minor_text), STATUS_TEXT_MAX - 1);
}

TEST_MAIN(CASE(a_failure_has_the_text_that_its_call_set),
          CASE(a_call_that_sets_no_text_has_the_codes_own_and_not_that_of_an_earlier_failure),
          CASE(whom_it_is_about_stands_before_the_text_and_cuts_a_long_one))
