/* URLs and preview pages: what a relay or a stranger writes, and what is taken from it. */
#include "unit/test.h"

#include "transfer/relay.h"
#include "transfer/url.h"

#define ID "/v1/m/0b8c7f0e-6d1c-4a4e-9b5e-0123456789ab"

static void
mailbox_is(const char *text, bool loopback, enum gage_code code, const char *expected)
{
    struct url url = {.text = "untouched"};
    struct gage_err err = {0};
    gage_rc rc = url_parse_mailbox(slice_str(text), loopback, &url, &err);
    if (rc.code != code)
        fail_msg("%s: %s, not %s", text, gage_code_name(rc.code), gage_code_name(code));
    assert_string_equal(url.text, code == GAGE_OK ? expected : "untouched");
    if (code != GAGE_OK)
        assert_true(err.text[0] != '\0' && strstr(err.text, "host.example") == NULL); /* nothing of what was given */
}

TEST(mailboxes_are_taken_and_lower_cased_where_case_means_nothing)
{
    mailbox_is("https://relay.example" ID, false, GAGE_OK, "https://relay.example" ID);
    mailbox_is("https://RELAY.Example:8443/Pre_fix/a.b~c-d" ID, false, GAGE_OK,
               "https://relay.example:8443/Pre_fix/a.b~c-d" ID);
    mailbox_is("https://[2001:DB8::1]:443/v1/m/0B8C7F0E-6D1C-4A4E-9B5E-0123456789AB", false, GAGE_OK,
               "https://[2001:db8::1]:443" ID);
}

TEST(what_is_not_a_mailbox_is_refused)
{
    static const char *const bad[] = {"",
                                      "host.example" ID,
                                      "HTTPS://host.example" ID,
                                      "ftp://host.example" ID,
                                      "https://" ID,
                                      "https://host.example",
                                      "https://host.example/v1/m/",
                                      "https://host.example" ID "/",
                                      "https://host.example/v1/m/not-a-uuid",
                                      "https://host.example/v2/m/0b8c7f0e-6d1c-4a4e-9b5e-0123456789ab",
                                      "https://host.example" ID "?v=a",
                                      "https://host.example" ID "#secret",
                                      "https://user@host.example" ID,
                                      "https://user:pw@host.example" ID,
                                      "https://host.example:" ID,
                                      "https://host.example:0" ID,
                                      "https://host.example:65536" ID,
                                      "https://host.example:1x" ID,
                                      "https://host.example:-1" ID,
                                      "https://-host.example" ID,
                                      "https://.host.example" ID,
                                      "https://host_.example" ID,
                                      "https://host example" ID,
                                      "https://host.example\\" ID,
                                      "https://h\xc3\xb6st.example" ID,
                                      "https://[::1" ID,
                                      "https://[]" ID,
                                      "https://[::1]x" ID,
                                      "https://[v1.a]@" ID,
                                      "https://host.example//v1" ID,
                                      "https://host.example/." ID,
                                      "https://host.example/.." ID,
                                      "https://host.example/%2e%2e" ID,
                                      "https://host.example/a b" ID,
                                      "https://host.example/a\n" ID};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        mailbox_is(bad[i], true, GAGE_E_FORMAT, NULL);
}

TEST(a_nul_within_is_refused)
{
    struct url url;
    assert_code(url_parse_relay(SLICE_LITERAL("https://relay.example\0.evil.example"), false, &url, NULL),
                GAGE_E_FORMAT);
    assert_code(url_parse_relay(SLICE_LITERAL("https://relay.example/a\0b"), false, &url, NULL), GAGE_E_FORMAT);
}

TEST(http_is_taken_for_loopback_addresses_on_request_only)
{
    static const char *const loopback[] = {"localhost", "LOCALHOST:80", "127.0.0.1", "127.255.255.254:8080",
                                           "[::1]",     "[::1]:9"};
    static const char *const others[] = {"host.example",
                                         "127.evil.host.example",
                                         "127.0.0.1.host.example",
                                         "127.",
                                         "127.1",
                                         "127.0.0.256",
                                         "127.0.0.1.",
                                         "127.0.0.1.2",
                                         "128.0.0.1",
                                         "0.0.0.0",
                                         "localhost.host.example",
                                         "[::2]",
                                         "[::ffff:127.0.0.1]",
                                         "2130706433"};
    for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++) {
        char text[128];
        struct url url;
        snprintf(text, sizeof text, "http://%s" ID, loopback[i]);
        mailbox_is(text, false, GAGE_E_REFUSED, NULL);
        assert_ok(url_parse_mailbox(slice_str(text), true, &url, NULL));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char text[128];
        snprintf(text, sizeof text, "http://%s" ID, others[i]);
        mailbox_is(text, true, GAGE_E_REFUSED, NULL);
    }
}

TEST(length_ends_at_the_maximum)
{
    char text[GAGE_TRANSFER_URL_MAX + 2];
    struct url url;
    memset(text, 'a', sizeof text);
    memcpy(text, "https://relay.example/", 22);
    text[GAGE_TRANSFER_URL_MAX + 1] = '\0';
    assert_code(url_parse_relay(slice_str(text), false, &url, NULL), GAGE_E_LIMIT);
    text[GAGE_TRANSFER_URL_MAX] = '\0';
    assert_ok(url_parse_relay(slice_str(text), false, &url, NULL));
    assert_string_equal(url.text, text);
}

TEST(a_relay_may_end_in_one_slash_and_origins_are_compared_whole)
{
    struct url a, b;
    assert_ok(url_parse_relay(SLICE_LITERAL("https://Relay.example:444/x/"), false, &a, NULL));
    assert_string_equal(a.text, "https://relay.example:444/x");
    assert_slice_equal(url_authority(&a), SLICE_LITERAL("relay.example:444"));
    assert_code(url_parse_relay(SLICE_LITERAL("https://relay.example//"), false, &b, NULL), GAGE_E_FORMAT);
    assert_ok(url_parse_relay(SLICE_LITERAL("https://relay.example:444"), false, &b, NULL));
    assert_true(url_same_origin(&a, &b));
    static const char *const others[] = {"https://relay.example", "https://relay.example:44",
                                         "https://relay.example:4444", "https://relay.exampl:444",
                                         "https://relay.example.evil:444"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_ok(url_parse_relay(slice_str(others[i]), false, &b, NULL));
        assert_false(url_same_origin(&a, &b));
    }
}

/* ---- previews ---- */

static void
preview_is(gage_slice html, const char *title, const char *description)
{
    char got[2][GAGE_TRANSFER_DESCRIPTION_MAX + 1];
    memset(got, 'x', sizeof got);
    relay_read_preview(html, got[0], got[1]);
    assert_string_equal(got[0], title);
    assert_string_equal(got[1], description);
}

TEST(opengraph_elements_are_read_in_any_order_and_quotes)
{
    preview_is(SLICE_LITERAL("<html><META content='a \"key\"' property='og:title'>\n"
                             "<meta\tproperty=\"og:description\" content=\"1 > 0\"/></html>"),
               "a \"key\"", "1 > 0");
    preview_is(SLICE_LITERAL("<meta property=\"og:title\" content=\"&lt;b&gt; &amp;amp; &quot;&#39;&apos; &nbsp;\">"),
               "<b> &amp; \"'' &nbsp;", "");
    preview_is(
        SLICE_LITERAL("<meta property=\"og:title\" content=\"first\"><meta property=\"og:title\" content=\"second\">"),
        "first", "");
}

TEST(what_is_no_preview_gives_nothing)
{
    static const char *const pages[] = {"",
                                        "<",
                                        "<meta",
                                        "<meta ",
                                        "<meta property",
                                        "<meta property=\"og:title\"",
                                        "<meta property=\"og:title\" content=",
                                        "<meta property=\"og:title\" content=\"",
                                        "<meta property=\"og:title\" content=\"open",
                                        "<meta property=og:title content=bare>",
                                        "<meta xproperty=\"og:title\" content=\"a\">",
                                        "<meta property=\"og:titles\" content=\"a\">",
                                        "<title>a</title>"};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        preview_is(slice_str(pages[i]), "", "");
}

/* Whatever it is, it is shown on a terminal. */
TEST(nothing_unprintable_and_nothing_too_long_comes_through)
{
    char title[GAGE_TRANSFER_TITLE_MAX + 1], description[GAGE_TRANSFER_DESCRIPTION_MAX + 1];
    AUTO(gage_buf) html = GAGE_BUF(300000);
    put_bytes(&html, SLICE_LITERAL("<meta property=\"og:title\" content=\"\x1b[31m\xe2\x80\xae"
                                   "evil\r\n\xff\x00\">"));
    put_bytes(&html, SLICE_LITERAL("<meta property=\"og:description\" content=\""));
    for (int i = 0; i < 20000; i++)
        put_bytes(&html, SLICE_LITERAL("\xc3\xa9"));
    put_bytes(&html, SLICE_LITERAL("\">"));
    assert_false(html.bad);
    relay_read_preview(gage_buf_slice(&html), title, description);
    assert_true(utf8_printable(slice_str(title)) && strstr(title, "evil") != NULL);
    assert_int_equal(strlen(description), GAGE_TRANSFER_DESCRIPTION_MAX);
    assert_true(utf8_printable(slice_str(description))); /* cut between characters */
}

/* The text may end anywhere: no byte past it is read (the sanitizers watch). */
TEST(a_page_may_end_anywhere)
{
    static const char page[] =
        "<p><meta property='og:title' content='a &amp; b'><meta content=\"c\" property=\"og:description\">";
    for (size_t n = 0; n <= sizeof page - 1; n++) {
        char title[GAGE_TRANSFER_TITLE_MAX + 1], description[GAGE_TRANSFER_DESCRIPTION_MAX + 1];
        AUTO(gage_buf) exact = GAGE_BUF(sizeof page);
        put_bytes(&exact, gage_slice_of((const uint8_t *)page, n));
        relay_read_preview(gage_buf_slice(&exact), title, description);
        assert_true(title[0] == '\0' || strcmp(title, "a & b") == 0);
    }
}

TEST_MAIN(CASE(mailboxes_are_taken_and_lower_cased_where_case_means_nothing), CASE(what_is_not_a_mailbox_is_refused),
          CASE(a_nul_within_is_refused), CASE(http_is_taken_for_loopback_addresses_on_request_only),
          CASE(length_ends_at_the_maximum), CASE(a_relay_may_end_in_one_slash_and_origins_are_compared_whole),
          CASE(opengraph_elements_are_read_in_any_order_and_quotes), CASE(what_is_no_preview_gives_nothing),
          CASE(nothing_unprintable_and_nothing_too_long_comes_through), CASE(a_page_may_end_anywhere))
