#include "unit/test.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "proxyd/conf.h"
#include "proxyd/mech.h"
#include "proxyd/selinux.h"

static char folder[64];

static void
write_conf(const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(file_replace(path, slice_str(text), 0600, NULL));
}

static int
make_folder(void **state)
{
    strcpy(folder, "/tmp/gage-conf-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int
remove_folder(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static gage_rc
load(struct conf **conf, struct gage_err *err)
{
    char file[128];
    snprintf(file, sizeof file, "%s/main.conf", folder);
    struct conf_source source = {.file = file, .folder = folder};
    return conf_read(&source, conf, err);
}

#define NFS "[service/nfs]\n  mechs = krb5\n  euid = 0\n"

TEST(reads_the_packaged_configuration)
{
    write_conf("main.conf", "[gssproxy]\n");
    write_conf("24-nfs-server.conf", "[service/nfs-server]\n  mechs = krb5\n  socket = /run/gssproxy.sock\n"
                                     "  cred_store = keytab:/etc/krb5.keytab\n  trusted = yes\n"
                                     "  kernel_nfsd = yes\n  euid = 0\n");
    struct conf *conf = NULL;
    assert_ok(load(&conf, NULL));
    assert_int_equal(conf->service_count, 1);
    const struct service *s = &conf->services[0];
    assert_string_equal(s->name, "nfs-server");
    assert_string_equal(service_socket(conf, s), "/run/gssproxy.sock");
    assert_true(s->trusted && s->kernel_nfsd && s->linux_credentials && !s->allow_any_uid);
    assert_string_equal(s->store[0].key, "keytab");
    assert_string_equal(s->store[0].value, "/etc/krb5.keytab");
    assert_int_equal(s->filter_flags, GSS_C_DELEG_FLAG);
    assert_int_equal(s->min_lifetime, 15);
    assert_int_equal(s->cred_usage, GSS_C_BOTH);
    assert_true(service_has_mech(s, &mech_oid_krb5));
    conf_unref(&conf);
}

TEST(lists_of_mechanisms_and_both_spellings_of_integrity_work)
{
    write_conf("main.conf", "[service/a]\nmechs = krb5, spnego otc,1.2.3.4\neuid = 0\n"
                            "enforce_flags = +INTEGRITY +0x100\nfilter_flags = -DELEGATE +INTEGRITIY\n");
    struct conf *conf = NULL;
    assert_ok(load(&conf, NULL));
    assert_int_equal(conf->services[0].mech_count, 4);
    assert_int_equal(conf->services[0].enforce_flags, GSS_C_INTEG_FLAG | 0x100);
    assert_int_equal(conf->services[0].filter_flags, GSS_C_INTEG_FLAG);
    conf_unref(&conf);
}

TEST(the_first_section_of_a_name_counts_across_files_and_the_first_value_within_one)
{
    write_conf("main.conf", NFS "  socket = /a\n  socket = /b\n  cred_store = keytab:/1\n  cred_store = ccache:/2\n");
    write_conf("10-x.conf", "[service/nfs]\nmechs = krb5\neuid = 7\n[service/later]\nmechs = krb5\neuid = 8\n");
    struct conf *conf = NULL;
    assert_ok(load(&conf, NULL));
    assert_int_equal(conf->service_count, 2);
    assert_int_equal(conf->services[0].euid, 0);
    assert_string_equal(conf->services[0].socket, "/a");
    assert_int_equal(conf->services[0].store_count, 2);
    assert_string_equal(conf->services[1].name, "later");
    assert_int_equal(conf->warning_count, 1);
    assert_non_null(strstr(conf->warnings[0], "10-x.conf"));
    assert_non_null(strstr(conf->warnings[0], "main.conf:2"));
    conf_unref(&conf);
}

TEST(files_whose_names_do_not_fit_are_not_read)
{
    write_conf("main.conf", NFS);
    write_conf("x-1.conf", "[broken\n");
    write_conf("10-x.conf.bak", "[broken\n");
    write_conf("10-.conf", "[broken\n");
    struct conf *conf = NULL;
    assert_ok(load(&conf, NULL));
    conf_unref(&conf);
}

TEST(unknown_keys_warn_with_line_and_nearest_key)
{
    write_conf("main.conf", NFS "  trustd = yes\n");
    struct conf *conf = NULL;
    assert_ok(load(&conf, NULL));
    assert_int_equal(conf->warning_count, 1);
    assert_non_null(strstr(conf->warnings[0], "main.conf:4: there is no key trustd"));
    assert_non_null(strstr(conf->warnings[0], "did you mean trusted"));
    conf_unref(&conf);
}

TEST(each_warning_names_file_and_line_and_what_was_meant)
{
    static const struct {
        const char *text, *words, *meant;
    } rows[] = {
        {NFS "trusted = yess\n", "main.conf:4: trusted = yess is neither yes nor no", "yes"},
        {NFS "mechs2 = krb5\n", "main.conf:4: there is no key mechs2", "mechs"},
        {"[service/a]\neuid = 0\nmechs = krb5, spnegoo\n", "main.conf:3: mechs: spnegoo is neither", "spnego"},
        {NFS "[gssprox]\ndebug = yes\n", "main.conf:5: there is no section [gssprox]", "service/NAME"},
        {NFS "enforce_flags = +DELEGAT\n", "main.conf:4: enforce_flags: there is no flag DELEGAT", "DELEGATE"},
        {NFS "enforce_flags = DELEGATE\n", "main.conf:4: enforce_flags: DELEGATE lacks its + or -", "ignored"},
        {NFS "min_lifetime = 15s\n", "main.conf:4: min_lifetime = 15s is not a number", "15 is taken"},
        {NFS "min_lifetime = -1\n", "main.conf:4: min_lifetime = -1 is not a number", "15 is taken"},
        {"[gssproxy]\nworker threads = 5000\n" NFS, "main.conf:2: worker threads = 5000 is not", "1024 is taken"},
        {"[gssproxy]\ndebug_level = -1\n" NFS, "main.conf:2: debug_level = -1 is not", "0 is taken"},
        {"[gssproxy]\nmax_connection = 5\n" NFS, "main.conf:2: there is no key max_connection", "max_connections"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct conf *conf = NULL;
        write_conf("main.conf", rows[i].text);
        assert_ok(load(&conf, NULL));
        assert_int_equal(conf->warning_count, 1);
        if (strstr(conf->warnings[0], rows[i].words) == NULL || strstr(conf->warnings[0], rows[i].meant) == NULL)
            fail_msg("%s", conf->warnings[0]);
        conf_unref(&conf);
    }
    write_conf("main.conf", NFS "trusted = off\nimpersonate = False\nkeep_keys = 0\n");
    struct conf *conf = NULL;
    assert_ok(load(&conf, NULL));
    assert_int_equal(conf->warning_count, 0);
    conf_unref(&conf);
}

TEST(a_sharp_after_a_blank_begins_a_comment_and_an_empty_name_is_none)
{
    write_conf("main.conf",
               "[gssproxy]\nrun_as_user =\n[service/nfs] \n  mechs = krb5 # and no other\n  euid = 0\t# root\n"
               "  cred_store = keytab:/etc/a#b # a file\n  krb5_principal =\n");
    struct conf *conf = NULL;
    assert_ok(load(&conf, NULL));
    assert_int_equal(conf->warning_count, 0);
    assert_null(conf->settings.run_as_user);
    assert_null(conf->services[0].krb5_principal);
    assert_string_equal(conf->services[0].store[0].value, "/etc/a#b");
    conf_unref(&conf);
}

TEST(selinux_contexts_are_compared_part_by_part_and_ranges_where_both_have_one)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"system_u:system_r:httpd_t:s0", "system_u:system_r:httpd_t:s0", true},
        {"system_u:system_r:httpd_t", "system_u:system_r:httpd_t:s0-s0:c0.c1023", true},
        {"system_u:system_r:httpd_t:s0", "system_u:system_r:httpd_t:s0:c1", false},
        {"system_u:system_r:httpd_t:s0", "system_u:system_r:httpd_tt:s0", false},
        {"system_u:system_r:httpd_t", "system_u:system_r:http", false},
        {"user_u:system_r:httpd_t", "system_u:system_r:httpd_t", false},
        {"system_u:user_r:httpd_t", "system_u:system_r:httpd_t", false},
        {"system_u:system_r:httpd_t", "", false},
        {"unconfined", "unconfined", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(selinux_equal(rows[i].a, rows[i].b), rows[i].equal);
        assert_int_equal(selinux_equal(rows[i].b, rows[i].a), rows[i].equal);
    }
    assert_true(selinux_good("a:b:c") && selinux_good("a:b:c:s0:c1,c2"));
    assert_false(selinux_good("") || selinux_good("a") || selinux_good("a:b:") || selinux_good(":b:c") ||
                 selinux_good("a::c"));
}

TEST(each_error_names_file_and_line)
{
    static const struct {
        const char *text, *line, *words;
    } rows[] = {
        {"[service/a]\nmechs = krb5\n", "main.conf:2", "has no euid"},
        {"[service/a]\neuid = 0\n", "main.conf:2", "has no mechs"},
        {"[service/a]\nmechs = krb5\neuid = nobody-here\n", "main.conf:3", "there is no user nobody-here"},
        {NFS "cred_store = /etc/krb5.keytab\n", "main.conf:4", "KEY:VALUE"},
        {NFS "cred_store = ccache:FILE:/x_%q\n", "main.conf:4", "%q is not a pattern"},
        {NFS "cred_usage = acept\n", "main.conf:4", "did you mean accept"},
        {NFS "min_lifetime = soon\n", "main.conf:4", "not a number"},
        {NFS "krb5_keytab = /etc/krb5.keytab\n", "main.conf:4", "cred_store = keytab"},
        {NFS "program = sbin/x\n", "main.conf:4", "absolute"},
        {NFS "program = /a|b\n", "main.conf:4", "reserved"},
        {NFS "program =\n", "main.conf:4", "absolute"},
        {NFS "selinux_context = httpd_t\n", "main.conf:4", "USER:ROLE:TYPE"},
        {NFS "selinux_context = a:b:c\n[service/b]\nmechs = krb5\neuid = 0\nselinux_context = a:b:c:s0\n",
         "main.conf:6", "hides"},
        {NFS "socket = run/x\n", "main.conf:4", "absolute"},
        {NFS "machine_uid = host/x@Y\n", "main.conf:4", "PRINCIPAL:UID"},
        {NFS "[service/b]\nmechs = krb5\neuid = 0\n", "main.conf:5", "hides"},
        {"[service/a]\nmechs = none\neuid = 0\n", "no service", "nothing to serve"},
        {"[gssproxy]\n", "no service", "nothing to serve"},
        {"mechs krb5\n", "main.conf:1", "key = value"},
        {NFS "\n[service/b\n", "main.conf:5", "bracket"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct conf *conf = NULL;
        struct gage_err err = {0};
        write_conf("main.conf", rows[i].text);
        assert_code(load(&conf, &err), GAGE_E_CONFIG);
        assert_null(conf);
        if (strstr(err.text, rows[i].line) == NULL || strcasestr(err.text, rows[i].words) == NULL)
            fail_msg("%s", err.text);
    }
}

TEST(every_default_passes_its_own_check_and_is_shown_with_its_origin)
{
    write_conf("main.conf", NFS "  cred_store = keytab:/k\n");
    struct conf *conf = NULL;
    AUTO(gage_buf) out = GAGE_BUF(65536);
    assert_ok(load(&conf, NULL));
    conf_show(conf, &out);
    put_u8(&out, 0);
    const char *text = (const char *)out.p;
    assert_non_null(strstr(text, "cred_store = keytab:/k"));
    assert_non_null(strstr(text, "main.conf:4"));
    for (size_t i = 0; i < conf_row_count; i++)
        if (conf_rows[i].fallback != NULL)
            assert_non_null(strstr(text, conf_rows[i].name));
    assert_non_null(strstr(text, "# default"));
    conf_unref(&conf);
}

TEST(the_policy_hash_follows_what_decides_and_nothing_else)
{
    uint8_t first[SHA256_LEN];
    struct conf *conf = NULL;
    write_conf("main.conf", NFS);
    assert_ok(load(&conf, NULL));
    memcpy(first, conf->services[0].policy, sizeof first);
    assert_false(conf->services[0].user_bound);
    conf_unref(&conf);
    write_conf("main.conf", NFS "max_blocked = 4\n");
    assert_ok(load(&conf, NULL));
    assert_memory_equal(first, conf->services[0].policy, sizeof first);
    conf_unref(&conf);
    static const char *const changes[] = {"cred_store = ccache:FILE:/tmp/x_%U\n", "trusted = yes\n",
                                          "allow_any_uid = yes\n", "impersonate = on\n"};
    for (size_t i = 0; i < 4; i++) {
        char text[256];
        snprintf(text, sizeof text, NFS "%s", changes[i]);
        write_conf("main.conf", text);
        assert_ok(load(&conf, NULL));
        assert_memory_not_equal(first, conf->services[0].policy, sizeof first);
        assert_true(conf->services[0].user_bound);
        conf_unref(&conf);
    }
}

TEST(user_mode_serves_the_callers_own_uid_and_reads_no_file)
{
    struct conf_source source = {.file = "/nonexistent", .user_mode = true};
    struct conf *conf = NULL;
    assert_ok(conf_read(&source, &conf, NULL));
    assert_int_equal(conf->service_count, 1);
    assert_int_equal(conf->services[0].euid, geteuid());
    assert_int_equal(conf->services[0].filter_flags, 0);
    conf_unref(&conf);
}

TEST(object_identifiers_are_encoded_as_x690_says)
{
    AUTO(gage_buf) bytes = GAGE_BUF(256), shown = GAGE_BUF(256);
    buf_reserve(&bytes, 256);
    gss_OID_desc oid;
    enum mech_kind kind;
    assert_true(mech_parse("krb5", &bytes, &oid, &kind));
    assert_true(mech_equal(&oid, &mech_oid_krb5) && kind == MECH_KRB5);
    assert_true(mech_parse("SPNEGO", &bytes, &oid, &kind));
    assert_true(mech_equal(&oid, &mech_oid_spnego));
    assert_true(mech_parse("2.999.3", &bytes, &oid, &kind));
    assert_slice_equal(oid_slice(&oid), SLICE_LITERAL("\x88\x37\x03"));
    mech_show(&oid, &shown);
    assert_slice_equal(gage_buf_slice(&shown), SLICE_LITERAL("2.999.3"));
    static const char *const bad[] = {"", "1", "1.2", "1..2", "1.2.x", "3.1.1", "1.40.1", "krb6", "1.2.3."};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(mech_parse(bad[i], &bytes, &oid, &kind));
}

#define FOLDER_CASE(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
TEST_MAIN(FOLDER_CASE(reads_the_packaged_configuration),
          FOLDER_CASE(lists_of_mechanisms_and_both_spellings_of_integrity_work),
          FOLDER_CASE(the_first_section_of_a_name_counts_across_files_and_the_first_value_within_one),
          FOLDER_CASE(files_whose_names_do_not_fit_are_not_read),
          FOLDER_CASE(unknown_keys_warn_with_line_and_nearest_key),
          FOLDER_CASE(each_warning_names_file_and_line_and_what_was_meant), FOLDER_CASE(each_error_names_file_and_line),
          FOLDER_CASE(a_sharp_after_a_blank_begins_a_comment_and_an_empty_name_is_none),
          CASE(selinux_contexts_are_compared_part_by_part_and_ranges_where_both_have_one),
          FOLDER_CASE(every_default_passes_its_own_check_and_is_shown_with_its_origin),
          FOLDER_CASE(the_policy_hash_follows_what_decides_and_nothing_else),
          CASE(user_mode_serves_the_callers_own_uid_and_reads_no_file),
          CASE(object_identifiers_are_encoded_as_x690_says))
