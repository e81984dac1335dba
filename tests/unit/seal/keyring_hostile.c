/* A keyring under attack, and under other processes' hands: files that are not as they should be, and changes that fall between two calls. */
#include "unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "seal/keyring_db.h"
#include "seal/once.h"

#define NOW INT64_C(1795000000)

static char folder[64], path[128], other[128], hints[160];

static int
set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/gage-test-hostile-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/keyring", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    snprintf(hints, sizeof hints, "%s.hints", path);
    return 0;
}

static int
tear_down(void **state)
{
    char other_hints[160];
    (void)state;
    chmod(folder, 0700);
    snprintf(other_hints, sizeof other_hints, "%s.hints", other);
    unlink(path);
    unlink(other);
    unlink(hints);
    unlink(other_hints);
    return rmdir(folder);
}

static struct keyring *
opened(const char *name, bool create)
{
    struct keyring *k = NULL;
    assert_ok(keyring_open(name, create, &k, NULL));
    return k;
}

static void
refused(const char *name, bool create, enum gage_code code)
{
    struct keyring *k = NULL;
    struct gage_err err = {0};
    assert_code(keyring_open(name, create, &k, &err), code);
    assert_null(k);
    assert_true(err.text[0] != '\0');
}

static void
make(struct pairing *p, uint32_t number)
{
    *p = (struct pairing){.made = NOW, .until = NOW + 1000000};
    p->sending = p->receiving = (struct week_key){week_of(NOW), {.b = {9}, .n = SEAL_KEY_LEN}};
    memcpy(p->id, &number, sizeof number);
    memcpy(p->hint_receive, &number, sizeof number);
    memcpy(p->sending.key.b + 4, &number, sizeof number);
    memcpy(p->receiving.key.b + 4, &number, sizeof number);
    p->self = p->peer = GAGE_BUF(SEAL_NAME_MAX);
    put_bytes(&p->self, SLICE_LITERAL("me"));
    put_u32(&p->peer, number);
}

static gage_rc
add(struct keyring *k, uint32_t number, const char *alias)
{
    AUTO(pairing_t) p = {.made = 0};
    make(&p, number);
    return keyring_add(k, &p, alias, NULL);
}

static size_t
match(struct keyring *k, uint32_t number, int64_t now)
{
    AUTO(pairing_t) p = {.made = 0};
    struct pairing found[KEYRING_MATCHES_MAX];
    struct seal_header header = {.nonce = {4}};
    size_t n = 99;
    unsigned keep;
    make(&p, number);
    hint_of(p.hint_receive, header.nonce, header.hint);
    assert_ok(keyring_match(k, &header, now, &keep, found, NULL, &n, NULL));
    for (size_t i = 0; i < n; i++)
        pairing_cleanup(&found[i]);
    return n;
}

/* ---- what another process does just before we write ---- */

static void (*meanwhile)(struct keyring *k);
static struct keyring *theirs;

static void
interrupt(void)
{
    void (*act)(struct keyring *) = meanwhile;
    meanwhile = NULL;
    if (act != NULL)
        act(theirs);
}

gage_rc __real_keyring_run(struct keyring *keyring, const char *sql, struct gage_err *err);
gage_rc __wrap_keyring_run(struct keyring *keyring, const char *sql, struct gage_err *err);
gage_rc
__wrap_keyring_run(struct keyring *keyring, const char *sql, struct gage_err *err)
{
    if (strcmp(sql, "BEGIN IMMEDIATE") == 0 && keyring != theirs)
        interrupt();
    return __real_keyring_run(keyring, sql, err);
}

static uid_t pretend;
uid_t __real_geteuid(void);
uid_t __wrap_geteuid(void);
uid_t
__wrap_geteuid(void)
{
    return pretend != 0 ? pretend : __real_geteuid();
}

static void
add_two(struct keyring *k)
{
    assert_ok(add(k, 2, "ben"));
}

TEST(a_pairing_that_another_process_adds_first_does_no_harm)
{
    struct keyring *ours = opened(path, true);
    theirs = opened(path, false);
    assert_ok(add(ours, 1, "ann"));
    meanwhile = add_two;
    assert_ok(add(ours, 3, "cid"));
    assert_null(meanwhile);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(match(ours, i, NOW), 1);
        assert_int_equal(match(theirs, i, NOW), 1);
    }
    keyring_close(&ours);
    keyring_close(&theirs);
}

static void
remove_ann(struct keyring *k)
{
    assert_ok(keyring_remove(k, "ann", NULL));
}

static void
put_another_in_anns_place(struct keyring *k)
{
    assert_ok(keyring_remove(k, "ann", NULL));
    assert_ok(add(k, 2, "ben"));
}

static void
expire_ann(struct keyring *k)
{
    assert_ok(keyring_expire(k, "ann", NOW + 5, NULL));
}

static bool
holds(gage_slice bytes)
{
    AUTO(gage_buf) file = GAGE_BUF(1 << 20);
    assert_ok(file_read(path, &file, NULL));
    return memmem(file.p, file.n, bytes.p, bytes.n) != NULL;
}

/* The weekly step falls together with what another process does to the pairing: that must stand. */
TEST(a_step_does_not_bring_back_what_was_removed_meanwhile)
{
    AUTO(pairing_t) ann = {.made = 0};
    AUTO(pairing_t) ben = {.made = 0};
    struct keyring *ours = opened(path, true);
    make(&ann, 1);
    theirs = opened(path, false);
    assert_ok(add(ours, 1, "ann"));
    meanwhile = remove_ann;
    assert_int_equal(match(ours, 1, NOW + WEEK_SECONDS), 0);
    assert_null(meanwhile);
    assert_code(keyring_get(ours, "ann", NOW, 4, false, &ben, NULL), GAGE_E_NOT_FOUND);
    assert_false(holds(secret_slice(&ann.sending.key)));
    assert_ok(add(ours, 1, "ann"));
    meanwhile = put_another_in_anns_place;
    assert_int_equal(match(ours, 1, NOW + WEEK_SECONDS), 1); /* what has the slot now: the commitment tells it apart */
    assert_ok(keyring_get(ours, "ben", NOW + WEEK_SECONDS, 4, false, &ben, NULL));
    assert_int_equal(ben.id[0], 2);
    keyring_close(&ours);
    keyring_close(&theirs);
}

TEST(a_step_does_not_undo_an_end_that_was_set_meanwhile)
{
    AUTO(pairing_t) p = {.made = 0};
    struct keyring *ours = opened(path, true);
    theirs = opened(path, false);
    assert_ok(add(ours, 1, "ann"));
    meanwhile = expire_ann;
    assert_int_equal(match(ours, 1, NOW + WEEK_SECONDS), 1);
    assert_ok(keyring_get(ours, "ann", NOW + WEEK_SECONDS, 4, false, &p, NULL));
    assert_int_equal(p.until, NOW + 5);
    keyring_close(&ours);
    keyring_close(&theirs);
}

/* ---- files ---- */

TEST(a_keyring_behind_a_symbolic_link_or_with_a_second_name_is_refused)
{
    struct keyring *k = opened(path, true);
    keyring_close(&k);
    assert_int_equal(symlink(path, other), 0);
    refused(other, false, GAGE_E_REFUSED);
    refused(other, true, GAGE_E_REFUSED);
    unlink(other);
    assert_int_equal(link(path, other), 0);
    refused(path, false, GAGE_E_REFUSED);
    refused(other, true, GAGE_E_REFUSED);
    unlink(other);
    assert_int_equal(mkfifo(other, 0600), 0);
    refused(other, true, GAGE_E_REFUSED);
    unlink(other);
    assert_int_equal(symlink("/nowhere/at/all", other), 0);
    refused(other, true, GAGE_E_REFUSED);
}

TEST(a_keyring_of_another_user_is_refused)
{
    struct keyring *k = opened(path, true);
    keyring_close(&k);
    pretend = 4711;
    refused(path, false, GAGE_E_REFUSED);
    refused(path, true, GAGE_E_REFUSED);
    pretend = 0;
}

TEST(a_folder_in_which_others_may_write_is_refused)
{
    struct keyring *k = opened(path, true);
    keyring_close(&k);
    chmod(folder, 0777);
    refused(path, false, GAGE_E_REFUSED);
    chmod(folder, 01777);
    refused(path, false, GAGE_E_REFUSED);
    chmod(folder, 0755);
    k = opened(path, false);
    keyring_close(&k);
}

TEST(hints_that_others_may_read_or_that_have_a_second_name_are_made_anew)
{
    struct stat before, after;
    struct keyring *k = opened(path, true);
    assert_ok(add(k, 1, "ann"));
    keyring_close(&k);
    for (int way = 0; way < 2; way++) {
        if (way == 0)
            chmod(hints, 0644);
        else
            assert_int_equal(link(hints, other), 0);
        assert_int_equal(stat(hints, &before), 0);
        k = opened(path, false);
        assert_int_equal(match(k, 1, NOW), 1);
        keyring_close(&k);
        assert_int_equal(stat(hints, &after), 0);
        assert_int_equal(after.st_mode & 0777, 0600);
        assert_true(after.st_ino != before.st_ino && after.st_nlink == 1);
    }
}

TEST(the_same_pairing_again_is_no_change_and_replacing_takes_the_alias)
{
    struct keyring *k = opened(path, true);
    AUTO(pairing_t) p = {.made = 0};
    AUTO(pairing_t) q = {.made = 0};
    make(&p, 1);
    make(&q, 2);
    assert_ok(keyring_add(k, &p, "ann", NULL));
    assert_ok(keyring_add(k, &p, "ann", NULL));
    assert_code(keyring_add(k, &q, "ann", NULL), GAGE_E_EXISTS);
    assert_ok(keyring_replace(k, &q, "ann", NULL));
    assert_ok(keyring_replace(k, &q, "ann", NULL));
    assert_int_equal(match(k, 1, NOW), 0);
    assert_int_equal(match(k, 2, NOW), 1);
    assert_false(holds(secret_slice(&p.receiving.key)));
    assert_ok(keyring_add(k, &p, "ben", NULL));
    assert_code(keyring_replace(k, &p, "ann", NULL),
                GAGE_E_EXISTS); /* it is there under another name: nothing is lost */
    assert_int_equal(match(k, 2, NOW), 1);
    assert_code(add(k, 3, "krb5:ann@X"), GAGE_E_USAGE);
    keyring_close(&k);
}

/* Twenty years on, the clock is right and the pairing long over: the others step all the same. A clock that says so of a pairing in force is wrong. */
TEST(a_pairing_that_is_long_over_keeps_no_other_from_stepping)
{
    AUTO(pairing_t) old = {.made = 0};
    AUTO(pairing_t) young = {.made = 0};
    int64_t later = NOW + 1100 * (int64_t)WEEK_SECONDS;
    struct keyring *k = opened(path, true);
    make(&old, 1);
    make(&young, 2);
    young.sending.week = young.receiving.week = week_of(later) - 1;
    young.until = later + 1000;
    assert_ok(keyring_add(k, &old, "old", NULL));
    assert_ok(keyring_add(k, &young, "young", NULL));
    assert_ok(keyring_step_all(k, later, 0, NULL));
    assert_false(holds(secret_slice(&young.sending.key)));
    assert_ok(keyring_expire(k, "old", later + 1000, NULL));
    assert_code(keyring_step_all(k, later, 0, NULL), GAGE_E_CLOCK);
    keyring_close(&k);
}

static bool
stop_at_first(void *context, const struct keyring_row *row)
{
    (void)context;
    (void)row;
    return true;
}

TEST(a_row_without_a_name_is_damage_and_no_crash)
{
    struct keyring *k = opened(path, true);
    assert_ok(add(k, 1, "ann"));
    assert_ok(keyring_run(k, "UPDATE pairing SET alias = NULL", NULL));
    assert_code(keyring_list(k, stop_at_first, NULL, NULL), GAGE_E_FORMAT);
    struct pairing found[KEYRING_MATCHES_MAX];
    struct seal_header header = {.nonce = {4}};
    AUTO(pairing_t) p = {.made = 0};
    size_t n;
    unsigned keep;
    make(&p, 1);
    hint_of(p.hint_receive, header.nonce, header.hint);
    assert_code(keyring_match(k, &header, NOW, &keep, found, NULL, &n, NULL), GAGE_E_FORMAT);
    keyring_close(&k);
}

TEST(an_emptied_keyring_is_not_taken_for_a_new_one)
{
    struct keyring *k = opened(path, true);
    assert_ok(add(k, 1, "ann"));
    keyring_close(&k);
    assert_int_equal(truncate(path, 0), 0);
    refused(path, false, GAGE_E_NOT_FOUND);
    k = opened(path, true); /* who pairs anew wants one */
    keyring_close(&k);
}

TEST(a_database_that_is_something_else_is_left_alone)
{
    struct keyring *k = opened(path, true);
    assert_ok(keyring_run(k, "DROP TABLE keep; PRAGMA user_version=0", NULL));
    keyring_close(&k);
    refused(path, false, GAGE_E_FORMAT);
    refused(path, true, GAGE_E_FORMAT);
}

/* What is said of a folder's group, and of ours; an access list besides. */
static bool faked, has_acl;
static gid_t group;
int __real_stat64(const char *name, struct stat *st);
int __wrap_stat64(const char *name, struct stat *st);
int
__wrap_stat64(const char *name, struct stat *st)
{
    int rc = __real_stat64(name, st);
    if (faked)
        st->st_gid = group;
    return rc;
}

gid_t __real_getegid(void);
gid_t __wrap_getegid(void);
gid_t
__wrap_getegid(void)
{
    return faked ? group : __real_getegid();
}

ssize_t __real_getxattr(const char *file, const char *name, void *value, size_t size);
ssize_t __wrap_getxattr(const char *file, const char *name, void *value, size_t size);
ssize_t
__wrap_getxattr(const char *file, const char *name, void *value, size_t size)
{
    return has_acl ? 44 : __real_getxattr(file, name, value, size);
}

/* Our group may be one that all users share, and its bits may be the mask of an access list. */
TEST(a_folder_whose_group_may_write_is_taken_where_that_is_the_users_own_alone)
{
    struct keyring *k = opened(path, true);
    keyring_close(&k);
    chmod(folder, 0770);
    faked = true;
    group = (gid_t)__real_geteuid() + 100;
    refused(path, false, GAGE_E_REFUSED);
    group = (gid_t)__real_geteuid();
    k = opened(path, false);
    keyring_close(&k);
    has_acl = true;
    refused(path, false, GAGE_E_REFUSED);
    faked = has_acl = false;
}

static bool
others_can_write(void *context, const struct keyring_row *row)
{
    struct keyring *k = opened(path, false);
    assert_ok(keyring_expire(k, row->alias, NOW + 77, NULL));
    keyring_close(&k);
    ++*(int *)context;
    return true;
}

TEST(who_looks_at_the_list_for_long_keeps_no_other_from_writing)
{
    struct keyring *k = opened(path, true);
    int rows = 0;
    for (uint32_t i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u", i);
        assert_ok(add(k, i, name));
    }
    assert_ok(keyring_list(k, others_can_write, &rows, NULL));
    assert_int_equal(rows, 200);
    keyring_close(&k);
}

/* Whether another process sees the lock of a writer (SQLite's RESERVED byte) on the keyring. */
static bool
seen_locked(void)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0x40000001, .l_len = 1};
        int fd = open(path, O_RDWR);
        _exit(fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

TEST(opening_it_once_more_in_a_process_drops_no_lock)
{
    struct keyring *k = opened(path, true);
    assert_ok(keyring_run(k, "BEGIN IMMEDIATE", NULL));
    assert_true(seen_locked());
    struct keyring *again = opened(path, true);
    assert_true(seen_locked());
    keyring_close(&again);
    assert_true(seen_locked());
    assert_ok(keyring_run(k, "COMMIT", NULL));
    assert_false(seen_locked());
    keyring_close(&k);
}

/* In the order of calls: h for the hints written, s for the hints synced, c for a commit. */
static char calls[64];

ssize_t __real_pwrite64(int fd, const void *bytes, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t n, off_t at);
ssize_t
__wrap_pwrite64(int fd, const void *bytes, size_t n, off_t at)
{
    strncat(calls, "h", sizeof calls - 1 - strlen(calls));
    return __real_pwrite64(fd, bytes, n, at);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int
__wrap_fdatasync(int fd)
{
    strncat(calls, "s", sizeof calls - 1 - strlen(calls));
    return __real_fdatasync(fd);
}

static int
committing(void *context)
{
    (void)context;
    strncat(calls, "c", sizeof calls - 1 - strlen(calls));
    return 0;
}

TEST(a_hint_is_on_the_disk_before_the_transaction_that_counts_on_it)
{
    struct keyring *k = opened(path, true);
    sqlite3_commit_hook(k->db, committing, NULL);
    calls[0] = '\0';
    assert_ok(add(k, 1, "ann"));
    assert_ok(keyring_remove(k, "ann", NULL));
    assert_string_equal(calls, "hhschhsc");
    keyring_close(&k);
}

/* What SQLite asks of the file system: how many journals it removed, and how many of these removals it wanted on the disk. */
static int (*remove_file)(sqlite3_vfs *vfs, const char *name, int durable);
static size_t removed, removed_durably;

static int
count_removal(sqlite3_vfs *vfs, const char *name, int durable)
{
    removed++;
    removed_durably += durable != 0;
    return remove_file(vfs, name, durable);
}

/* A transaction counts once its journal is gone; a removal that a power failure undoes takes the transaction back. */
TEST(a_change_that_was_told_done_is_not_undone_by_a_power_failure)
{
    static const uint8_t id[SEAL_ID_LEN] = {1};
    sqlite3_vfs watched = *sqlite3_vfs_find(NULL);
    remove_file = watched.xDelete;
    watched.xDelete = count_removal;
    watched.zName = "watched";
    assert_int_equal(sqlite3_vfs_register(&watched, 1), SQLITE_OK);
    struct keyring *k = opened(path, true);
    assert_ok(add(k, 1, "ann"));
    assert_ok(once_begin(k, id, NOW, 600, NOW, NULL, NULL, NULL));
    assert_ok(keyring_remove(k, "ann", NULL));
    keyring_close(&k);
    assert_int_equal(sqlite3_vfs_unregister(&watched), SQLITE_OK);
    assert_true(removed >= 4);
    assert_int_equal(removed_durably, removed);
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
TEST_MAIN(IN_FOLDER(a_pairing_that_another_process_adds_first_does_no_harm),
          IN_FOLDER(a_step_does_not_bring_back_what_was_removed_meanwhile),
          IN_FOLDER(a_step_does_not_undo_an_end_that_was_set_meanwhile),
          IN_FOLDER(a_keyring_behind_a_symbolic_link_or_with_a_second_name_is_refused),
          IN_FOLDER(a_keyring_of_another_user_is_refused), IN_FOLDER(a_folder_in_which_others_may_write_is_refused),
          IN_FOLDER(hints_that_others_may_read_or_that_have_a_second_name_are_made_anew),
          IN_FOLDER(the_same_pairing_again_is_no_change_and_replacing_takes_the_alias),
          IN_FOLDER(a_pairing_that_is_long_over_keeps_no_other_from_stepping),
          IN_FOLDER(a_row_without_a_name_is_damage_and_no_crash),
          IN_FOLDER(an_emptied_keyring_is_not_taken_for_a_new_one),
          IN_FOLDER(a_database_that_is_something_else_is_left_alone),
          IN_FOLDER(a_folder_whose_group_may_write_is_taken_where_that_is_the_users_own_alone),
          IN_FOLDER(who_looks_at_the_list_for_long_keeps_no_other_from_writing),
          IN_FOLDER(opening_it_once_more_in_a_process_drops_no_lock),
          IN_FOLDER(a_hint_is_on_the_disk_before_the_transaction_that_counts_on_it),
          IN_FOLDER(a_change_that_was_told_done_is_not_undone_by_a_power_failure))
