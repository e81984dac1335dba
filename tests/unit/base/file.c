#include "unit/test.h"

#include <pthread.h>
#include <sched.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static char folder[64];
static char path[128];

static int
make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/gage-test-file-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/f", folder);
    return 0;
}

static int
remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails where a temporary file was left behind */
}

static void
assert_holds(const char *text)
{
    AUTO(gage_buf) got = GAGE_BUF(1000);
    assert_ok(file_read(path, &got, NULL));
    assert_slice_equal(gage_buf_slice(&got), slice_str(text));
}

TEST(replaces_whole_with_the_mode_asked_for)
{
    struct stat st;
    assert_ok(file_replace(path, SLICE_LITERAL("one"), 0600, NULL));
    assert_ok(file_replace(path, SLICE_LITERAL("two"), 0640, NULL));
    assert_holds("two");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

TEST(installs_once_and_never_over_another_file)
{
    struct gage_err err;
    assert_ok(file_install(path, SLICE_LITERAL("mine"), 0600, NULL));
    assert_code(file_install(path, SLICE_LITERAL("other"), 0600, &err), GAGE_E_EXISTS);
    assert_holds("mine");
    unlink(path);
    assert_int_equal(symlink("/nonexistent/target", path), 0);
    assert_code(file_install(path, SLICE_LITERAL("other"), 0600, &err), GAGE_E_EXISTS);
}

TEST(tells_missing_from_too_long)
{
    AUTO(gage_buf) got = GAGE_BUF(3);
    assert_code(file_read(path, &got, NULL), GAGE_E_NOT_FOUND);
    assert_ok(file_replace(path, SLICE_LITERAL("four"), 0600, NULL));
    assert_code(file_read(path, &got, NULL), GAGE_E_LIMIT);
}

TEST(removes_and_does_not_mind_a_second_time)
{
    assert_ok(file_replace(path, SLICE_LITERAL("x"), 0600, NULL));
    assert_ok(file_remove(path, NULL));
    assert_ok(file_remove(path, NULL));
    assert_int_not_equal(access(path, F_OK), 0);
}

TEST(a_lock_keeps_the_second_out_until_it_is_closed)
{
    AUTO(gage_fd) first = -1;
    AUTO(gage_fd) second = -1;
    assert_ok(file_lock(path, &first, NULL));
    assert_code(file_lock(path, &second, NULL), GAGE_E_STATE);
    assert_int_equal(second, -1);
    gage_close_fd(&first);
    assert_ok(file_lock(path, &second, NULL));
}

static _Atomic int inside;
static _Atomic bool shared; /* two had the lock at once */

static void *
lock_and_remove(void *context)
{
    for (int i = 0; i < 4000; i++) {
        AUTO(gage_fd) fd = -1;
        if (!gage_ok(file_lock(path, &fd, NULL)))
            continue;
        if (++inside > 1)
            shared = true;
        sched_yield();
        inside--; /* removing the file is giving the lock up */
        unlink(path);
    }
    return context;
}

TEST(a_lock_file_removed_by_its_holder_is_never_held_twice)
{
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, lock_and_remove, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    assert_false(shared);
}

TEST(makes_folders_with_their_parents)
{
    char deep[160];
    snprintf(deep, sizeof deep, "%s/a/b", folder);
    assert_ok(folder_make(deep, 0700, NULL));
    assert_ok(folder_make(deep, 0700, NULL));
    assert_ok(file_replace(path, SLICE_LITERAL("x"), 0600, NULL));
    assert_code(folder_make(path, 0700, NULL), GAGE_E_IO);
    rmdir(deep);
    snprintf(deep, sizeof deep, "%s/a", folder);
    rmdir(deep);
}

#define CASE_IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
TEST_MAIN(CASE_IN_FOLDER(replaces_whole_with_the_mode_asked_for),
          CASE_IN_FOLDER(installs_once_and_never_over_another_file), CASE_IN_FOLDER(tells_missing_from_too_long),
          CASE_IN_FOLDER(removes_and_does_not_mind_a_second_time),
          CASE_IN_FOLDER(a_lock_keeps_the_second_out_until_it_is_closed),
          CASE_IN_FOLDER(a_lock_file_removed_by_its_holder_is_never_held_twice),
          CASE_IN_FOLDER(makes_folders_with_their_parents))
