/* Files on their way, in a folder that somebody else renames, replaces by a link, or takes away at the worst moment. */
#include "unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "cli/seal/place.h"
#include "unit/cli/folder.h"

static char home[PATH_MAX];

static void
make_file(const char *path, const char *text)
{
    AUTO(gage_fd) fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_ok(file_write_fd(fd, path, slice_str(text), NULL));
}

static bool
holds(const char *path, const char *text)
{
    AUTO(gage_buf) there = GAGE_BUF(4096);
    return gage_ok(file_read(path, &there, NULL)) && slice_equal(gage_buf_slice(&there), slice_str(text));
}

static bool
exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* Who may write above the folder `d` puts it aside as `e`, and a link to `victim` in its place. */
static void
swap_folder(void)
{
    assert_int_equal(rename("d", "e"), 0);
    assert_int_equal(symlink("victim", "d"), 0);
}

static void
absolute(char path[PATH_MAX], const char *name)
{
    snprintf(path, PATH_MAX, "%.*s/%s", PATH_MAX - 300, home, name);
}

static int
setup(void **state)
{
    char real[PATH_MAX];
    folder_enter(home);
    assert_non_null(realpath(home, real));
    memcpy(home, real, sizeof home);
    return mkdir("d", 0700) | mkdir("victim", 0700);
}

static int
teardown(void **state)
{
    folder_leave(home);
    return 0;
}

TEST(a_folder_swapped_for_a_link_moves_nothing_elsewhere)
{
    for (int force = 0; force < 2; force++) {
        AUTO(place_t) p = PLACE_CLOSED;
        make_file("victim/out", "mine");
        assert_ok(place_open(&p, "d/out", force == 1, NULL));
        assert_ok(place_write(&p, SLICE_LITERAL("message"), NULL));
        swap_folder();
        assert_ok(place_commit(&p, force == 1, true, NULL));
        assert_true(holds("e/out", "message") && holds("victim/out", "mine"));
        assert_true(unlink("d") == 0 && rename("e", "d") == 0 && unlink("d/out") == 0);
    }
}

TEST(one_kept_for_a_crash_goes_to_its_folder_too)
{
    AUTO(place_t) p = PLACE_CLOSED;
    make_file("victim/out", "mine");
    assert_ok(place_open(&p, "d/out", true, NULL));
    assert_ok(place_write(&p, SLICE_LITERAL("message"), NULL));
    assert_ok(place_keep(&p, NULL));
    assert_true(holds(p.temporary, "message"));
    swap_folder();
    assert_ok(place_commit(&p, true, true, NULL));
    assert_true(holds("e/out", "message") && holds("victim/out", "mine"));
}

TEST(dropping_removes_nothing_of_another_folder)
{
    char name[PATH_MAX + 8];
    AUTO(place_t) p = PLACE_CLOSED;
    assert_ok(place_open(&p, "d/out", false, NULL));
    assert_ok(place_keep(&p, NULL));
    swap_folder();
    snprintf(name, sizeof name, "victim%s", strrchr(p.temporary, '/'));
    make_file(name, "mine");
    place_drop(&p);
    assert_true(holds(name, "mine"));
}

TEST(nothing_has_a_name_before_it_is_kept_or_in_place)
{
    AUTO(place_t) p = PLACE_CLOSED;
    assert_ok(place_open(&p, "d/out", false, NULL));
    assert_ok(place_write(&p, SLICE_LITERAL("message"), NULL));
    assert_false(exists("d/out"));
    make_file("d/out", "first");
    assert_code(place_commit(&p, false, false, NULL), GAGE_E_EXISTS);
    place_drop(&p);
    assert_true(holds("d/out", "first"));
    assert_int_equal(unlink("d/out"), 0);
    assert_int_equal(rmdir("d"), 0); /* it is empty */
}

TEST(finishing_follows_no_link_that_took_the_folders_place)
{
    char temporary[PATH_MAX], target[PATH_MAX];
    absolute(temporary, "d/.gage-1");
    absolute(target, "d/out");
    make_file("victim/.gage-1", "mine");
    swap_folder();
    assert_false(place_finish(NULL, temporary, target));
    assert_true(holds("victim/.gage-1", "mine") && !exists("victim/out"));
}

TEST(a_message_whose_folder_is_away_is_finished_when_it_is_back)
{
    char temporary[PATH_MAX], target[PATH_MAX];
    absolute(temporary, "d/.gage-1");
    absolute(target, "d/out");
    make_file(temporary, "message");
    assert_int_equal(rename("d", "away"), 0);
    assert_false(place_finish(NULL, temporary, target));
    assert_int_equal(rename("away", "d"), 0);
    assert_true(place_finish(NULL, temporary, target));
    assert_true(holds(target, "message") && !exists(temporary));
    assert_true(place_finish(NULL, temporary, target));
}

TEST(what_is_not_our_file_is_not_put_in_place)
{
    char temporary[PATH_MAX], target[PATH_MAX];
    absolute(temporary, "d/.gage-1");
    absolute(target, "d/out");
    make_file("victim/secret", "mine");
    assert_int_equal(symlink("../victim/secret", temporary), 0);
    assert_false(place_finish(NULL, temporary, target));
    assert_false(exists(target));
    assert_true(unlink(temporary) == 0 && mkdir(temporary, 0700) == 0);
    assert_false(place_finish(NULL, temporary, target));
    assert_false(exists(target));
}

TEST(paths_of_two_folders_are_no_record_of_ours)
{
    char temporary[PATH_MAX], target[PATH_MAX];
    absolute(temporary, "d/.gage-1");
    make_file(temporary, "message");
    static const char *const others[] = {"victim/out", "d/../victim/out", "d/", "d"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        absolute(target, others[i]);
        assert_false(place_finish(NULL, temporary, target));
    }
    assert_true(holds(temporary, "message") && !exists("victim/out"));
}

TEST(a_crash_between_link_and_unlink_leaves_one_name)
{
    char temporary[PATH_MAX], target[PATH_MAX];
    absolute(temporary, "d/.gage-1");
    absolute(target, "d/out");
    make_file(temporary, "message");
    assert_int_equal(link(temporary, target), 0);
    assert_true(place_finish(NULL, temporary, target));
    assert_true(holds(target, "message") && !exists(temporary));
}

static const char *seen_at_sync; /* looked for when something is synced */
static bool was_there;
static int sync_fails; /* with this errno */

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int
__wrap_fsync(int fd)
{
    if (seen_at_sync != NULL)
        was_there = exists(seen_at_sync);
    errno = sync_fails;
    return sync_fails != 0 ? -1 : __real_fsync(fd);
}

/* Else a power failure could take back the move of a message that nobody looks for any more. */
TEST(what_a_crash_left_is_done_once_its_move_is_on_the_disk)
{
    char temporary[PATH_MAX], target[PATH_MAX];
    absolute(temporary, "d/.gage-1");
    absolute(target, "d/out");
    make_file(temporary, "message");
    seen_at_sync = target;
    was_there = false;
    sync_fails = EIO;
    assert_false(place_finish(NULL, temporary, target)); /* moved here */
    assert_true(was_there && holds(target, "message"));
    assert_false(place_finish(NULL, temporary, target)); /* moved by another, who may not have synced yet */
    sync_fails = 0;
    was_there = false;
    assert_true(place_finish(NULL, temporary, target));
    assert_true(was_there);
    seen_at_sync = NULL;
}

#define WITH_FOLDER(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_MAIN(WITH_FOLDER(a_folder_swapped_for_a_link_moves_nothing_elsewhere),
          WITH_FOLDER(one_kept_for_a_crash_goes_to_its_folder_too),
          WITH_FOLDER(dropping_removes_nothing_of_another_folder),
          WITH_FOLDER(nothing_has_a_name_before_it_is_kept_or_in_place),
          WITH_FOLDER(finishing_follows_no_link_that_took_the_folders_place),
          WITH_FOLDER(a_message_whose_folder_is_away_is_finished_when_it_is_back),
          WITH_FOLDER(what_is_not_our_file_is_not_put_in_place),
          WITH_FOLDER(paths_of_two_folders_are_no_record_of_ours),
          WITH_FOLDER(a_crash_between_link_and_unlink_leaves_one_name),
          WITH_FOLDER(what_a_crash_left_is_done_once_its_move_is_on_the_disk))
