#include "unit/test.h"

#include <stdlib.h>

#include "app/mechs.h"

TEST(leaves_a_chosen_configuration_alone)
{
    setenv("GSS_MECH_CONFIG", "/chosen", 1);
    assert_ok(mechs_find(NULL));
    assert_string_equal(getenv("GSS_MECH_CONFIG"), "/chosen");
    unsetenv("GSS_MECH_CONFIG");
}

TEST(says_where_it_looked_for_a_plugin_that_is_not_there)
{
    struct gage_err err = {0};
    assert_code(mechs_find(&err), GAGE_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "/lib/gage/gss/gage_otc.so"));
    assert_null(getenv("GSS_MECH_CONFIG"));
}

TEST_MAIN(CASE(leaves_a_chosen_configuration_alone), CASE(says_where_it_looked_for_a_plugin_that_is_not_there))
