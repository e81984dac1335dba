#include "unit/test.h"

#include <sys/stat.h>

#include "base/file.h"
#include "cli/settings.h"
#include "unit/cli/folder.h"

TEST(takes_https_addresses_only)
{
    static const char *const bad[] = {
        "http://relay.example",          "relay.example", "",         "https://",
        "https://user:pw@relay.example", "file:///etc",   "https:#x", "https://relay.example/#secret"};
    char host[300];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_code(relay_url_check(bad[i], host, sizeof host, NULL), GAGE_E_USAGE);
    assert_ok(relay_url_check("https://relay.example/", host, sizeof host, NULL));
    assert_string_equal(host, "relay.example");
    assert_ok(relay_url_check("https://[::1]:8443/base", host, sizeof host, NULL));
    assert_string_equal(host, "[::1]:8443");
    assert_ok(relay_url_check("https://relay.example:443", host, sizeof host, NULL));
    assert_string_equal(host, "relay.example");
}

TEST(the_configured_pin_is_for_the_configured_relay_alone)
{
    char url[] = "https://Relay.example", pin[] = "sha256//A";
    settings s = {.relay = url, .relay_pin = pin};
    assert_string_equal(relay_trust_for(&s, "https://relay.example:443/v1/m/1", NULL, NULL).pin, "sha256//A");
    assert_null(relay_trust_for(&s, "https://other.example", NULL, NULL).pin);
    assert_null(relay_trust_for(&s, "https://relay.example:8443", NULL, NULL).pin);
    assert_string_equal(relay_trust_for(&s, "https://relay.example", "sha256//B", NULL).pin, "sha256//B");
    assert_null(relay_trust_for(&s, "https://relay.example", NULL, "/ca").pin);
}

TEST(the_configuration_names_its_relay_and_those_it_lists)
{
    char url[] = "https://relay.example", list[] = "other.example:8443";
    settings s = {0};
    assert_false(relay_named(&s, "https://relay.example/v1/m/1"));
    s.relay = url;
    s.allow = list;
    assert_true(relay_named(&s, "https://RELAY.example/v1/m/1"));
    assert_true(relay_named(&s, "https://other.example:8443/v1/m/1"));
    assert_false(relay_named(&s, "https://other.example/v1/m/1"));
    assert_false(relay_named(&s, "not a URL"));
}

TEST(only_listed_relays_are_allowed_where_some_are_listed)
{
    char list[] = "relay.example  other.example:8443";
    settings s = {0};
    assert_ok(relay_allowed(&s, "any.example", NULL));
    s.allow = list;
    assert_ok(relay_allowed(&s, "RELAY.example", NULL));
    assert_ok(relay_allowed(&s, "other.example:8443", NULL));
    assert_code(relay_allowed(&s, "other.example", NULL), GAGE_E_REFUSED);
    assert_code(relay_allowed(&s, "relay", NULL), GAGE_E_REFUSED);
    assert_code(relay_allowed(&s, "relay.example.evil", NULL), GAGE_E_REFUSED);
}

TEST(reads_the_persons_file_and_names_what_is_wrong_in_it)
{
    char folder[PATH_MAX];
    AUTO(settings) s = {0};
    struct gage_err err = {0};
    folder_enter(folder);
    setenv("XDG_CONFIG_HOME", folder, 1);
    assert_int_equal(mkdir("gage", 0700), 0);
    assert_ok(file_install("gage/gage.conf",
                           SLICE_LITERAL("[relay]\nurl = https://relay.example\n[share]\nexpires = 2h\n"), 0600, NULL));
    assert_ok(settings_load(NULL, &s, NULL));
    assert_string_equal(s.relay, "https://relay.example");
    assert_int_equal(s.expires, 7200);
    assert_ok(file_replace("gage/gage.conf", SLICE_LITERAL("[relay]\nurI = x\n"), 0600, NULL));
    assert_code(settings_load(NULL, &s, &err), GAGE_E_CONFIG);
    assert_non_null(strstr(err.text, "gage.conf"));
    assert_code(settings_load("missing.conf", &s, NULL), GAGE_E_NOT_FOUND);
    folder_leave(folder);
}

TEST_MAIN(CASE(takes_https_addresses_only), CASE(the_configured_pin_is_for_the_configured_relay_alone),
          CASE(the_configuration_names_its_relay_and_those_it_lists),
          CASE(only_listed_relays_are_allowed_where_some_are_listed),
          CASE(reads_the_persons_file_and_names_what_is_wrong_in_it))
