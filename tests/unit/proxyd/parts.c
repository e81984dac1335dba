/* The parts of the daemon that need no realm: credential descriptions, the store's patterns, kernel formats, advice, audit lines. */
#include "unit/test.h"

#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include <gssapi/gssapi_krb5.h>

#include "proxyd/audit.h"
#include "proxyd/linux.h"
#include "proxyd/mech.h"
#include "proxyd/spec.h"

static gss_OID_desc krb5, spnego;
static struct service service;
static struct peer peer;
static struct call call;

static char *
text(const char *constant)
{
    return (char *)(uintptr_t)constant;
}

static int
set_up(void **state)
{
    krb5 = mech_oid_krb5;
    spnego = mech_oid_spnego;
    memset(&service, 0, sizeof service);
    service.name = text("test");
    service.euid = 5;
    service.mechs[0] = krb5;
    service.mechs[1] = spnego;
    service.mech_count = 2;
    peer = (struct peer){.pid = 42, .uid = 5, .program = "/usr/bin/\"x\"\n"};
    memset(&call, 0, sizeof call);
    call.service = &service;
    call.peer = &peer;
    status_clear(&call.status);
    return 0;
}

static gssx_name
name_of(const char *display, gss_const_OID type)
{
    gssx_name n = {0};
    n.display_name = (octet_string){(u_int)strlen(display), text(display)};
    n.name_type = (octet_string){type->length, type->elements};
    return n;
}

TEST(a_wish_names_who_acts_as_gssproxy_has_it)
{
    gssx_name user = name_of("alice", GSS_C_NT_USER_NAME), uid = name_of("4711", GSS_C_NT_STRING_UID_NAME);
    static const struct {
        bool trusted, own;
        int name; /* 0 none, 1 user, 2 uid */
        uid_t acting;
        bool keytab;
    } rows[] = {
        {false, true, 0, 5, false}, {true, true, 0, 5, true},    {false, false, 0, 9, false},
        {false, true, 1, 5, true},  {false, false, 1, 9, false}, {true, true, 2, 4711, false},
        {true, false, 2, 9, false}, {false, true, 2, 5, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        AUTO(cred_spec) spec = SPEC_EMPTY;
        service.trusted = rows[i].trusted;
        peer.uid = rows[i].own ? 5 : 9;
        const gssx_name *name = rows[i].name == 0 ? NULL : rows[i].name == 1 ? &user : &uid;
        assert_true(spec_from_wish(&call, name, GSS_C_ACCEPT, NULL, &spec));
        assert_int_equal(spec.uid, rows[i].acting);
        assert_int_equal(spec.service_keytab, rows[i].keytab);
        assert_int_equal(spec.mech_count, 2);
    }
}

TEST(uids_that_are_none_are_refused)
{
    static const char *const bad[] = {"", "x", "-1", "1 ", "4294967295", "99999999999999"};
    service.trusted = true;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        AUTO(cred_spec) spec = SPEC_EMPTY;
        gssx_name name = name_of(bad[i], GSS_C_NT_STRING_UID_NAME);
        status_clear(&call.status);
        assert_false(spec_from_wish(&call, &name, GSS_C_ACCEPT, NULL, &spec));
        assert_int_equal(call.status.major, GSS_S_BAD_NAME);
    }
}

TEST(descriptions_read_back_and_nothing_else_does)
{
    AUTO(cred_spec) spec = SPEC_EMPTY;
    AUTO(gage_buf) bytes = GAGE_BUF(SPEC_BYTES_MAX), again = GAGE_BUF(SPEC_BYTES_MAX);
    gssx_name user = name_of("alice@REALM", GSS_C_NT_USER_NAME);
    assert_true(spec_from_wish(&call, &user, GSS_C_INITIATE, NULL, &spec));
    spec.default_name = true;
    spec_encode(&spec, &bytes);
    AUTO(cred_spec) back = SPEC_EMPTY;
    assert_ok(spec_decode(gage_buf_slice(&bytes), &back));
    spec_encode(&back, &again);
    assert_slice_equal(gage_buf_slice(&bytes), gage_buf_slice(&again));
    for (size_t n = 0; n < bytes.n; n++) {
        AUTO(cred_spec) cut = SPEC_EMPTY;
        assert_code(spec_decode(gage_slice_of(bytes.p, n), &cut), GAGE_E_FORMAT);
    }
}

TEST(store_patterns_are_filled_in_for_the_acting_uid)
{
    AUTO(cred_spec) spec = SPEC_EMPTY;
    AUTO(cred_store) store = {0};
    service.store[0] = (struct store_row){text("keytab"), text("/k")};
    service.store[1] = (struct store_row){text("ccache"), text("FILE:/c_%U_100%%_%u")};
    service.store_count = 2;
    spec.uid = 0;
    spec.service_keytab = true;
    assert_true(store_expand(&call, &spec, &store));
    assert_string_equal(store_find(&store, "ccache"), "FILE:/c_0_100%_root");
    assert_string_equal(store_find(&store, "client_keytab"), "/k");
    AUTO(cred_store) nobody = {0};
    spec.uid = 4000000000u;
    assert_false(store_expand(&call, &spec, &nobody));
    assert_non_null(strstr(call.status.minor_text, "4000000000"));
}

TEST(kernel_formats_are_packed_in_host_order)
{
    AUTO(gage_buf) buf = GAGE_BUF(256);
    uint8_t key[32];
    memset(key, 0xaa, sizeof key);
    linux_put_lucid(&buf, 6, 0x11223344, 0x0102030405060708u, 18, SLICE_OF(key));
    assert_int_equal(buf.n, 52);
    uint32_t word;
    uint64_t sequence;
    memcpy(&word, buf.p + 4, 4);
    memcpy(&sequence, buf.p + 8, 8);
    assert_int_equal(word, 0x11223344);
    assert_true(sequence == 0x0102030405060708u);
    assert_memory_equal(buf.p + 20, key, 32);
    buf_reset(&buf);
    linux_put_creds(&buf, (uid_t)-1, (gid_t)-1, NULL, 0);
    assert_slice_equal(gage_buf_slice(&buf), SLICE_LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"));
}

TEST(errors_of_kerberos_say_what_to_do)
{
    assert_non_null(strstr(status_advice("Cannot contact any KDC for realm 'X'"), "KDC"));
    assert_non_null(strstr(status_advice("Clock skew too great"), "clock"));
    assert_null(status_advice("Success"));
}

TEST(an_audit_line_is_one_line_whatever_it_tells)
{
    AUTO(gage_buf) line = GAGE_BUF(2048);
    call.used_credential = true;
    snprintf(call.target, sizeof call.target, "%s", "evil\nevent=fake");
    status_fail(&call.status, GSS_S_FAILURE, 5, "%s", "a \"reason\"\r\nevent=fake");
    audit_format(&call, 9, 12, &line);
    size_t ends = 0;
    for (size_t i = 0; i < line.n; i++)
        ends += line.p[i] == '\n' || line.p[i] == '\r';
    assert_int_equal(ends, 1);
    assert_int_equal(line.p[line.n - 1], '\n');
    put_u8(&line, 0);
    assert_non_null(strstr((const char *)line.p, "procedure=\"accept_sec_context\" service=\"test\" uid=5 pid=42"));
}

TEST(looking_for_a_names_attributes_leaves_no_memory_behind)
{
    OM_uint32 minor;
    gss_buffer_desc display = {5, text("alice")};
    gss_name_t name = GSS_C_NO_NAME, canonical = GSS_C_NO_NAME;
    assert_int_equal(gss_import_name(&minor, &display, GSS_C_NT_USER_NAME, &name), GSS_S_COMPLETE);
    assert_int_equal(gss_canonicalize_name(&minor, name, &krb5, &canonical), GSS_S_COMPLETE);
    size_t before = 0;
    for (int i = 0; i < 1100; i++) {
        gssx_name out = {0};
        if (i == 100)
            before = mallinfo2().uordblks;
        assert_true(name_to_gssx(canonical, true, &out, &call.status));
        xdr_free(GSSX_XDR(gssx_name), &out);
    }
    assert_true(mallinfo2().uordblks < before + 1000); /* one byte a time would be as much */
    gss_release_name(&minor, &canonical);
    gss_release_name(&minor, &name);
}

TEST(an_empty_buffer_of_the_librarys_is_released_too)
{
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 100; i++) {
        AUTO(gss_owned_buffer) empty = {0, malloc(1)}; /* as gss_localname gives an empty name */
        assert_non_null(empty.value);
    }
    assert_int_equal(mallinfo2().uordblks, before);
}

#define SET_UP(name) cmocka_unit_test_setup(name, set_up)
TEST_MAIN(SET_UP(a_wish_names_who_acts_as_gssproxy_has_it), SET_UP(uids_that_are_none_are_refused),
          SET_UP(descriptions_read_back_and_nothing_else_does), SET_UP(store_patterns_are_filled_in_for_the_acting_uid),
          SET_UP(kernel_formats_are_packed_in_host_order), SET_UP(errors_of_kerberos_say_what_to_do),
          SET_UP(an_audit_line_is_one_line_whatever_it_tells),
          SET_UP(looking_for_a_names_attributes_leaves_no_memory_behind),
          SET_UP(an_empty_buffer_of_the_librarys_is_released_too))
