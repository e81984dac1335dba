/* Files at paths that name a user: what may lie there, and when the path itself may be used. Folders of root's and other uids' are made with
 * the process's own uid; what belongs to "another" is asked for with another acting uid. */
#include "unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxyd/users_file.h"

static char folder[] = "/tmp/gage-users-XXXXXX";
static char path[256];

/* folder/NAME in `path`. */
static const char *
at(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void
make(const char *name, mode_t mode)
{
    int fd = open(at(name), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0 && fchmod(fd, mode) == 0 && write(fd, "x", 1) == 1);
    close(fd);
}

static void
make_folder(const char *name, mode_t mode)
{
    assert_int_equal(mkdir(at(name), 0700), 0);
    assert_int_equal(chmod(at(name), mode), 0);
}

static int
set_up(void **state __attribute__((unused)))
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    umask(077);
    return mkdtemp(folder) == NULL || chmod(folder, 0755) != 0;
}

static int
tear_down(void **state __attribute__((unused)))
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

/* What is found at folder/NAME, of which folder/ is fixed; closes it. -1: refused. */
static int
found(const char *name, uid_t uid, bool is_folder)
{
    struct users_file file;
    struct gage_err err;
    gage_rc rc = users_file_open(at(name), strlen(folder) + 1, uid, is_folder, &file, &err);
    if (!gage_ok(rc)) {
        assert_int_equal(file.fd, -1);
        assert_non_null(strstr(err.text, folder));
        return -1;
    }
    int place = (int)file.place;
    assert_int_equal(file.fd >= 0, place == PLACE_USERS);
    users_file_close(&file);
    return place;
}

#define OTHER (getuid() + 1)

TEST(in_a_folder_of_ours_our_own_file_is_used_by_its_path)
{
    make("file", 0600);
    assert_int_equal(found("file", OTHER, false), PLACE_OURS);
    assert_int_equal(found("none", OTHER, false), PLACE_OURS);
    make_folder("closed", 0755);
    make("closed/file", 0600);
    assert_int_equal(found("closed/file", OTHER, false), PLACE_OURS);
}

TEST(a_file_that_others_can_read_and_so_lock_is_read_from_its_descriptor)
{
    make("file", 0640);
    assert_int_equal(found("file", OTHER, false), PLACE_USERS);
}

TEST(in_a_folder_that_others_can_write_only_the_users_own_file_is_taken)
{
    make_folder("open", 0777);
    make("open/file", 0600);
    assert_int_equal(found("open/file", getuid(), false), PLACE_USERS);
    assert_int_equal(found("open/file", OTHER, false), -1);
    assert_int_equal(found("open/none", OTHER, false), PLACE_EMPTY);
    assert_int_equal(found("open/none/file", OTHER, false), PLACE_EMPTY);
    make_folder("open/closed", 0755); /* it may be exchanged as a whole */
    make("open/closed/file", 0600);
    assert_int_equal(found("open/closed/file", OTHER, false), -1);
}

TEST(in_a_sticky_folder_the_daemons_own_file_is_taken_unless_it_has_a_second_name)
{
    make_folder("tmp", 01777);
    make("tmp/file", 0600);
    assert_int_equal(found("tmp/file", OTHER, false), PLACE_USERS);
    make("secret", 0600);
    char secret[256];
    snprintf(secret, sizeof secret, "%s", at("secret"));
    assert_int_equal(link(secret, at("tmp/linked")), 0);
    assert_int_equal(found("tmp/linked", OTHER, false), -1);
}

TEST(no_link_is_followed_after_the_administrators_words)
{
    make_folder("closed", 0755);
    make("closed/file", 0600);
    assert_int_equal(symlink("closed/file", at("link")), 0);
    assert_int_equal(symlink("closed", at("folder")), 0);
    assert_int_equal(found("link", getuid(), false), -1);
    assert_int_equal(found("folder/file", getuid(), false), -1);
    assert_int_equal(found("closed/../closed/file", getuid(), false), -1);
    assert_int_equal(found("closed/..", getuid(), true), -1);
}

TEST(what_is_no_plain_file_is_not_opened)
{
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    make_folder("folder", 0700);
    assert_int_equal(found("fifo", getuid(), true), -1);
    assert_int_equal(found("folder", getuid(), false), -1);
    assert_int_equal(found("", getuid(), false), -1);
}

/* What the file says that was opened, one byte. */
static char
opened(const char *name)
{
    struct users_file file;
    char byte = 0;
    if (!gage_ok(users_file_open(at(name), strlen(folder) + 1, getuid(), true, &file, NULL)) || file.fd < 0)
        return '-';
    assert_int_equal(read(file.fd, &byte, 1), 1);
    users_file_close(&file);
    return byte;
}

static void
set_primary(const char *text)
{
    int fd = open(at("dir/primary"), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

TEST(of_a_folder_of_caches_the_primary_one_is_opened_and_nothing_beyond)
{
    make_folder("dir", 0777);
    make("dir/tkt", 0600);
    make("dir/tktab", 0600);
    assert_int_equal(opened("dir"), 'x');
    set_primary("tktab\n");
    assert_int_equal(opened("dir"), 'x');
    static const char *const bad[] = {"tkt/../../secret\n", "other\n", "tkt", "", "tktnone\n", "tktlink\n"};
    make("secret", 0600);
    assert_int_equal(symlink("../secret", at("dir/tktlink")), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        set_primary(bad[i]);
        assert_int_equal(opened("dir"), '-');
    }
}

TEST(a_folder_that_is_not_there_is_ours_only_where_nobody_else_could_make_it)
{
    struct users_file file;
    char long_path[300];
    snprintf(long_path, sizeof long_path, "%s/none/at/all/5", folder);
    assert_ok(users_file_open(long_path, strlen(long_path) - 1, 5, false, &file, NULL));
    assert_int_equal(file.place, PLACE_OURS);
    make_folder("open", 0777);
    snprintf(long_path, sizeof long_path, "%s/open/none/5", folder);
    assert_ok(users_file_open(long_path, strlen(long_path) - 1, 5, false, &file, NULL));
    assert_int_equal(file.place, PLACE_EMPTY);
}

/* Copies the cache folder/cc into memory. */
static krb5_error_code
copy_cache(void)
{
    int fd = open(at("cc"), O_RDONLY);
    assert_true(fd >= 0);
    krb5_error_code code = users_file_copy_ccache(fd, "MEMORY:test");
    assert_int_equal(lock_until_ns, 0);
    close(fd);
    return code;
}

TEST(a_cache_of_more_tickets_or_bytes_than_a_user_needs_is_not_copied)
{
    krb5_context context;
    krb5_ccache cache;
    krb5_creds ticket = {.ticket = {.length = 1, .data = (char[]){"t"}}};
    char name[300];
    assert_int_equal(krb5_init_context(&context), 0);
    snprintf(name, sizeof name, "FILE:%s", at("cc"));
    assert_int_equal(krb5_cc_resolve(context, name, &cache), 0);
    assert_int_equal(krb5_parse_name(context, "user@REALM", &ticket.client), 0);
    ticket.server = ticket.client;
    assert_int_equal(krb5_cc_initialize(context, cache, ticket.client), 0);
    for (int i = 0; i < 4096; i++)
        assert_int_equal(krb5_cc_store_cred(context, cache, &ticket), 0);
    assert_int_equal(copy_cache(), 0);
    assert_int_equal(krb5_cc_store_cred(context, cache, &ticket), 0);
    assert_int_equal(copy_cache(), E2BIG);
    assert_int_equal(krb5_cc_initialize(context, cache, ticket.client), 0);
    assert_int_equal(copy_cache(), 0);
    ticket.ticket.length = 16 << 20;
    ticket.ticket.data = calloc(1, ticket.ticket.length);
    assert_int_equal(krb5_cc_store_cred(context, cache, &ticket), 0);
    assert_int_equal(copy_cache(), E2BIG);
    free(ticket.ticket.data);
    krb5_cc_close(context, cache);
    krb5_free_principal(context, ticket.client);
    krb5_free_context(context);
}

#define GIB ((off_t)1 << 30)

/* A cache of one ticket, which claims to be of 1.75 GiB. */
static void
make_lying_cache(void)
{
    krb5_context context;
    krb5_ccache cache;
    char name[300], bytes[4096], mark[] = "the ticket's bytes";
    krb5_creds ticket = {.ticket = {.length = sizeof mark, .data = mark}};
    snprintf(name, sizeof name, "FILE:%s", at("cc"));
    assert_int_equal(krb5_init_context(&context), 0);
    assert_int_equal(krb5_cc_resolve(context, name, &cache), 0);
    assert_int_equal(krb5_parse_name(context, "user@REALM", &ticket.client), 0);
    ticket.server = ticket.client;
    assert_int_equal(krb5_cc_initialize(context, cache, ticket.client), 0);
    assert_int_equal(krb5_cc_store_cred(context, cache, &ticket), 0);
    krb5_cc_close(context, cache);
    krb5_free_principal(context, ticket.client);
    krb5_free_context(context);
    int fd = open(at("cc"), O_RDWR);
    ssize_t n = read(fd, bytes, sizeof bytes);
    const char *found = n > 0 ? memmem(bytes, (size_t)n, mark, sizeof mark) : NULL;
    assert_non_null(found);
    assert_int_equal(pwrite(fd, "\x70\0\0\0", 4, found - bytes - 4), 4);
    close(fd);
}

TEST(of_a_file_of_gigabytes_that_takes_no_room_nothing_is_copied)
{
    make_lying_cache();
    assert_int_equal(truncate(at("cc"), 5 * GIB), 0);
    assert_int_equal(copy_cache(), E2BIG);
    struct users_keytab copy;
    int fd = open(at("cc"), O_RDONLY);
    assert_int_equal(users_file_copy_keytab(fd, "MEMORY:test", &copy), E2BIG);
    users_keytab_close(&copy);
    close(fd);
}

static int growing; /* atomic */

static void *
grow_and_shrink(void *context)
{
    const int *fd = context;
    struct stat st;
    fstat(*fd, &st);
    while (__atomic_load_n(&growing, __ATOMIC_RELAXED)) {
        (void)!ftruncate(*fd, 2 * GIB);
        (void)!ftruncate(*fd, st.st_size);
    }
    return NULL;
}

static long
most_memory_kib(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

TEST(a_cache_that_grows_while_it_is_copied_takes_no_more_memory_than_its_limit)
{
    pthread_t thread;
    make_lying_cache();
    int fd = open(at("cc"), O_RDWR);
    long before = most_memory_kib();
    growing = 1;
    assert_int_equal(pthread_create(&thread, NULL, grow_and_shrink, &fd), 0);
    for (int i = 0; i < 300; i++)
        assert_int_not_equal(copy_cache(), 0);
    __atomic_store_n(&growing, 0, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    close(fd);
    assert_true(most_memory_kib() - before < 256 * 1024);
}

#define FILE_CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(FILE_CASE(in_a_folder_of_ours_our_own_file_is_used_by_its_path),
          FILE_CASE(a_file_that_others_can_read_and_so_lock_is_read_from_its_descriptor),
          FILE_CASE(in_a_folder_that_others_can_write_only_the_users_own_file_is_taken),
          FILE_CASE(in_a_sticky_folder_the_daemons_own_file_is_taken_unless_it_has_a_second_name),
          FILE_CASE(no_link_is_followed_after_the_administrators_words), FILE_CASE(what_is_no_plain_file_is_not_opened),
          FILE_CASE(of_a_folder_of_caches_the_primary_one_is_opened_and_nothing_beyond),
          FILE_CASE(a_folder_that_is_not_there_is_ours_only_where_nobody_else_could_make_it),
          FILE_CASE(a_cache_of_more_tickets_or_bytes_than_a_user_needs_is_not_copied),
          FILE_CASE(of_a_file_of_gigabytes_that_takes_no_room_nothing_is_copied),
          FILE_CASE(a_cache_that_grows_while_it_is_copied_takes_no_more_memory_than_its_limit))
