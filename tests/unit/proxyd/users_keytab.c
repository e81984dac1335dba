/* Keytabs of users, read by the daemon's own reader: the keys that libkrb5 finds there, and nothing that a damaged file could do. */
#include "unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "proxyd/users_file.h"

#define COPY "MEMORY:test"

static char path[] = "/tmp/gage-keytab-XXXXXX";
static char name[64];
static krb5_context context;

static int
set_up(void **state __attribute__((unused)))
{
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    snprintf(name, sizeof name, "FILE:%s", path);
    return fd < 0 || close(fd) != 0 || unlink(path) != 0 || krb5_init_context(&context) != 0;
}

static int
tear_down(void **state __attribute__((unused)))
{
    unlink(path);
    krb5_free_context(context);
    return 0;
}

/* libkrb5 adds it to the file, or removes it. */
static void
write_key(const char *principal, krb5_kvno vno, unsigned length, bool remove)
{
    krb5_keytab keytab;
    krb5_octet bytes[32] = {(krb5_octet)vno, (krb5_octet)length};
    krb5_keytab_entry e = {.vno = vno, .timestamp = 5, .key = {.enctype = length == 16 ? 17 : 18, .length = length}};
    e.key.contents = bytes;
    assert_int_equal(krb5_parse_name(context, principal, &e.principal), 0);
    assert_int_equal(krb5_kt_resolve(context, name, &keytab), 0);
    assert_int_equal((remove ? krb5_kt_remove_entry : krb5_kt_add_entry)(context, keytab, &e), 0);
    krb5_kt_close(context, keytab);
    krb5_free_principal(context, e.principal);
}

/* How many keys the copy has; each is the one that libkrb5 finds at that place of the file, where `file` says so. Or minus the error. */
static int
copied(bool file)
{
    struct users_keytab copy;
    krb5_keytab keytab;
    krb5_kt_cursor cursor, theirs;
    krb5_keytab_entry a, b;
    int count = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    krb5_error_code code = users_file_copy_keytab(fd, COPY, &copy);
    close(fd);
    if (code != 0) {
        users_keytab_close(&copy);
        return -code;
    }
    assert_int_equal(krb5_kt_resolve(context, name, &keytab), 0);
    assert_int_equal(krb5_kt_start_seq_get(context, copy.keytab, &cursor), 0);
    assert_int_equal(file ? krb5_kt_start_seq_get(context, keytab, &theirs) : 0, 0);
    for (; krb5_kt_next_entry(context, copy.keytab, &a, &cursor) == 0; count++) {
        if (file) {
            assert_int_equal(krb5_kt_next_entry(context, keytab, &b, &theirs), 0);
            assert_true(krb5_principal_compare(context, a.principal, b.principal) && a.vno == b.vno);
            assert_int_equal(a.key.enctype, b.key.enctype);
            assert_slice_equal(gage_slice_of(a.key.contents, a.key.length),
                               gage_slice_of(b.key.contents, b.key.length));
            krb5_free_keytab_entry_contents(context, &b);
        }
        krb5_free_keytab_entry_contents(context, &a);
    }
    krb5_kt_end_seq_get(context, copy.keytab, &cursor);
    if (file)
        krb5_kt_end_seq_get(context, keytab, &theirs);
    krb5_kt_close(context, keytab);
    users_keytab_close(&copy);
    return count;
}

TEST(the_keys_are_those_that_libkrb5_finds_in_their_order)
{
    write_key("host/localhost@REALM", 1, 32, false);
    write_key("alice@REALM", 258, 16, false);
    write_key("a/b/c/d/e@OTHER.REALM", 3, 32, false);
    assert_int_equal(copied(true), 3);
    write_key("alice@REALM", 258, 16, true); /* leaves a hole */
    assert_int_equal(copied(true), 2);
    write_key("b@R", 4, 16, false); /* in the hole */
    assert_int_equal(copied(true), 3);
}

TEST(a_file_that_ends_too_early_has_the_keys_before_and_costs_no_memory)
{
    AUTO(gage_buf) file = GAGE_BUF(4096);
    size_t before = 0;
    write_key("alice@REALM", 1, 32, false);
    write_key("alice@REALM", 2, 32, false);
    assert_ok(file_read(path, &file, NULL));
    for (int round = 0; round < 2; round++) {
        for (size_t n = 2; n < file.n; n++) {
            assert_ok(file_replace(path, gage_slice_of(file.p, n), 0600, NULL));
            assert_int_equal(copied(false), n < 2 + (file.n - 2) / 2 ? 0 : 1);
        }
        before = round == 0 ? mallinfo2().uordblks : before;
    }
    assert_true(mallinfo2().uordblks < before + 100);
}

TEST(what_is_no_keytab_or_has_more_keys_than_a_user_needs_is_refused)
{
    AUTO(gage_buf) file = GAGE_BUF(2 << 20), record = GAGE_BUF(4096);
    static const char *const none[] = {"", "\5", "\5\1", "text"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_ok(file_replace(path, slice_str(none[i]), 0600, NULL));
        assert_int_equal(copied(false), -KRB5_KEYTAB_BADVNO);
    }
    unlink(path);
    write_key("alice@REALM", 1, 32, false);
    assert_ok(file_read(path, &record, NULL));
    put_bytes(&file, SLICE_LITERAL("\5\2"));
    for (int i = 0; i < 512; i++)
        put_bytes(&file, gage_slice_of(record.p + 2, record.n - 2));
    assert_ok(file_replace(path, gage_buf_slice(&file), 0600, NULL));
    assert_int_equal(copied(true), 512);
    put_bytes(&file, gage_slice_of(record.p + 2, record.n - 2));
    assert_ok(file_replace(path, gage_buf_slice(&file), 0600, NULL));
    assert_int_equal(copied(false), -E2BIG);
    put_space(&file, 1 << 20);
    assert_ok(file_replace(path, gage_buf_slice(&file), 0600, NULL));
    assert_int_equal(copied(false), -E2BIG);
}

#define FILE_CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

TEST_MAIN(FILE_CASE(the_keys_are_those_that_libkrb5_finds_in_their_order),
          FILE_CASE(a_file_that_ends_too_early_has_the_keys_before_and_costs_no_memory),
          FILE_CASE(what_is_no_keytab_or_has_more_keys_than_a_user_needs_is_refused))
