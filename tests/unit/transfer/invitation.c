#include "unit/test.h"

#include "transfer/invitation.h"

#define ID "0b8c7f0e-6d1c-4a4e-9b5e-0123456789ab"
#define MAILBOX "https://relay.example/v1/m/" ID
#define SECRET "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHvs="
#define SECRET_URL "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHvs"

static gage_invitation *
parse(const char *text)
{
    gage_invitation *in = NULL;
    struct gage_err err = {0};
    if (!gage_ok(gage_invitation_parse(slice_str(text), true, &in, &err)))
        fail_msg("%s", err.text);
    return in;
}

TEST(a_link_is_taken_as_drafted_and_as_messengers_leave_it)
{
    static const char *const links[] = {MAILBOX "#" SECRET,
                                        MAILBOX "#" SECRET_URL,
                                        MAILBOX "?v=a#" SECRET,
                                        MAILBOX "?utm=1&v=h#AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHvs%3D",
                                        "  " MAILBOX "#AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHvs%3d\r\n",
                                        "https://RELAY.example/v1/m/0B8C7F0E-6D1C-4A4E-9B5E-0123456789AB#" SECRET,
                                        "gage://relay.example/v1/m/" ID "#" SECRET};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        AUTO(gage_invitation_ptr) in = parse(links[i]);
        assert_string_equal(gage_invitation_url(in), MAILBOX);
        assert_string_equal(gage_invitation_host(in), "relay.example");
        assert_int_equal(in->secret.n, 32);
        assert_int_equal(in->secret.b[31], 0xfb);
    }
}

TEST(a_secret_of_16_bytes_is_understood)
{
    AUTO(gage_invitation_ptr) in = parse(MAILBOX "#AAECAwQFBgcICQoLDA0ODw==");
    assert_int_equal(in->secret.n, 16);
}

TEST(all_three_forms_come_back_as_they_went)
{
    AUTO(gage_invitation_ptr) in = parse("gage://relay.example:8443/x/v1/m/" ID "?v=c&pin=sha256//abc=#" SECRET_URL);
    strcpy(in->title, "a \"quoted\" key \xc3\xa4");
    strcpy(in->format, "file");
    in->expires = 1900000000;
    for (int form = GAGE_INVITATION_LINK; form <= GAGE_INVITATION_FILE; form++) {
        AUTO(gage_buf) text = GAGE_BUF(4096);
        assert_ok(gage_invitation_format(in, (enum gage_invitation_form)form, &text, NULL));
        put_u8(&text, 0);
        AUTO(gage_invitation_ptr) back = parse((const char *)text.p);
        assert_string_equal(gage_invitation_url(back), "https://relay.example:8443/x/v1/m/" ID);
        assert_true(secret_equal(&back->secret, &in->secret));
        assert_int_equal(back->vertical, form == GAGE_INVITATION_FILE ? 0 : 'c');
        assert_string_equal(gage_invitation_pin(back), form == GAGE_INVITATION_LINK ? "" : "sha256//abc=");
        assert_string_equal(gage_invitation_title(back), form == GAGE_INVITATION_FILE ? in->title : "");
        assert_int_equal(gage_invitation_expires(back), form == GAGE_INVITATION_FILE ? 1900000000 : 0);
    }
}

TEST(a_malformed_invitation_is_refused_without_showing_it)
{
    static const struct {
        const char *text;
        enum gage_code code;
    } rows[] = {
        {"", GAGE_E_FORMAT},
        {"hello", GAGE_E_FORMAT},
        {MAILBOX, GAGE_E_FORMAT},
        {MAILBOX "#", GAGE_E_FORMAT},
        {MAILBOX "#AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH", GAGE_E_FORMAT},
        {MAILBOX "#" SECRET_URL "AA", GAGE_E_FORMAT},
        {MAILBOX "?v=abc#" SECRET, GAGE_E_FORMAT},
        {MAILBOX "?pin=md5//x#" SECRET, GAGE_E_FORMAT},
        {"https://relay.example/v1/m/xyz#" SECRET, GAGE_E_FORMAT},
        {"https://relay.example/m/" ID "#" SECRET, GAGE_E_FORMAT},
        {"https://u:p@relay.example/v1/m/" ID "#" SECRET, GAGE_E_FORMAT},
        {"https://relay.example:0/v1/m/" ID "#" SECRET, GAGE_E_FORMAT},
        {"https://relay.example:99999/v1/m/" ID "#" SECRET, GAGE_E_FORMAT},
        {"https://relay.example/../v1/m/" ID "#" SECRET, GAGE_E_FORMAT},
        {"https://relay.example//v1/m/" ID "#" SECRET, GAGE_E_FORMAT},
        {"https:///v1/m/" ID "#" SECRET, GAGE_E_FORMAT},
        {"ftp://relay.example/v1/m/" ID "#" SECRET, GAGE_E_FORMAT},
        {"http://relay.example/v1/m/" ID "#" SECRET, GAGE_E_REFUSED},
        {"http://127.evil.example/v1/m/" ID "#" SECRET, GAGE_E_REFUSED},
        {"gage+http://relay.example/v1/m/" ID "#" SECRET, GAGE_E_REFUSED},
        {"{}", GAGE_E_FORMAT},
        {"{\"type\":\"gage-invitation\",\"version\":2,\"mailbox\":\"" MAILBOX "\",\"secret\":\"" SECRET "\"}",
         GAGE_E_FORMAT},
        {"{\"type\":\"gage-invitation\",\"version\":1,\"mailbox\":\"" MAILBOX "\"}", GAGE_E_FORMAT},
        {"{\"type\":\"gage-invitation\",\"version\":1,\"secret\":\"" SECRET "\"}", GAGE_E_FORMAT},
        {"{\"type\":\"gage-invitation\",\"version\":1,\"mailbox\":\"" MAILBOX "\",\"secret\":\"" SECRET
         "\",\"title\":\"a\\u001bb\"}",
         GAGE_E_FORMAT},
        {"{\"type\":\"gage-invitation\",\"version\":1,\"mailbox\":\"" MAILBOX "\",\"secret\":\"" SECRET
         "\",\"expires\":\"soon\"}",
         GAGE_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gage_invitation *in = NULL;
        struct gage_err err = {0};
        gage_rc rc = gage_invitation_parse(slice_str(rows[i].text), true, &in, &err);
        if (rc.code != rows[i].code || in != NULL)
            fail_msg("row %zu: %s", i, gage_code_name(rc.code));
        assert_null(strstr(err.text, "AAECAwQF"));
        assert_null(strstr(err.text, "relay.example"));
    }
}

TEST(http_is_taken_for_loopback_alone_and_only_if_allowed)
{
    static const char *const hosts[] = {"127.0.0.1:8080", "localhost", "[::1]:80"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char text[256];
        gage_invitation *in = NULL;
        snprintf(text, sizeof text, "http://%s/v1/m/" ID "#" SECRET, hosts[i]);
        assert_code(gage_invitation_parse(slice_str(text), false, &in, NULL), GAGE_E_REFUSED);
        assert_ok(gage_invitation_parse(slice_str(text), true, &in, NULL));
        gage_invitation_free(&in);
    }
}

TEST(every_prefix_of_an_invitation_file_is_refused)
{
    AUTO(gage_invitation_ptr) in = parse(MAILBOX "#" SECRET);
    AUTO(gage_buf) text = GAGE_BUF(4096);
    assert_ok(gage_invitation_format(in, GAGE_INVITATION_FILE, &text, NULL));
    for (size_t n = 0; n + 2 < text.n; n++) { /* the last two bytes are "}" and a newline */
        gage_invitation *back = NULL;
        assert_false(gage_ok(gage_invitation_parse(gage_slice_of(text.p, n), true, &back, NULL)));
    }
}

TEST(an_argument_with_a_secret_is_recognised)
{
    assert_true(gage_text_has_secret(MAILBOX "#" SECRET));
    assert_true(gage_text_has_secret("gage://relay.example/v1/m/" ID "#x"));
    assert_false(gage_text_has_secret(MAILBOX));
    assert_false(gage_text_has_secret("notes#1.txt"));
}

TEST_MAIN(CASE(a_link_is_taken_as_drafted_and_as_messengers_leave_it), CASE(a_secret_of_16_bytes_is_understood),
          CASE(all_three_forms_come_back_as_they_went), CASE(a_malformed_invitation_is_refused_without_showing_it),
          CASE(http_is_taken_for_loopback_alone_and_only_if_allowed),
          CASE(every_prefix_of_an_invitation_file_is_refused), CASE(an_argument_with_a_secret_is_recognised))
