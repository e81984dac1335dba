/* Working folders, made while others are making and clearing up. */
#include "unit/test.h"

#include <sys/stat.h>

#include "cli/issue/program.h"
#include "cli/records.h"
#include "unit/cli/folder.h"

static char folder[PATH_MAX];
static bool interrupt;

/* Another gage makes a folder, and clears up before it, in the moment between this one's making and locking. */
char *__real_mkdtemp(char *template);
char *__wrap_mkdtemp(char *template);
char *
__wrap_mkdtemp(char *template)
{
    char *made = __real_mkdtemp(template);
    if (interrupt) {
        AUTO(workshop) other = WORKSHOP_CLOSED;
        interrupt = false;
        assert_ok(workshop_open(&other, NULL));
    }
    return made;
}

static int
begin(void **state)
{
    folder_enter(folder);
    setenv("XDG_STATE_HOME", folder, 1);
    return gage_ok(records_open(NULL)) ? 0 : -1;
}

static int
end(void **state)
{
    folder_leave(folder);
    return 0;
}

static bool
is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

TEST(one_that_is_being_made_is_not_taken_for_abandoned)
{
    AUTO(workshop) w = WORKSHOP_CLOSED;
    interrupt = true;
    assert_ok(workshop_open(&w, NULL));
    assert_false(interrupt);
    assert_true(is_there(w.path));
    assert_ok(workshop_write(&w, "key", SLICE_LITERAL("secret"), NULL));
}

TEST(one_that_a_kill_left_is_removed_by_the_next_and_one_in_use_is_not)
{
    AUTO(workshop) left = WORKSHOP_CLOSED;
    AUTO(workshop) used = WORKSHOP_CLOSED;
    assert_ok(workshop_open(&left, NULL));
    assert_ok(workshop_open(&used, NULL));
    assert_ok(workshop_write(&left, "key", SLICE_LITERAL("secret"), NULL));
    gage_close_fd(&left.lock); /* as a kill does */
    AUTO(workshop) next = WORKSHOP_CLOSED;
    assert_ok(workshop_open(&next, NULL));
    assert_false(is_there(left.path));
    assert_true(is_there(used.path));
}

#define WITH_FOLDER(name) cmocka_unit_test_setup_teardown(name, begin, end)
TEST_MAIN(WITH_FOLDER(one_that_is_being_made_is_not_taken_for_abandoned),
          WITH_FOLDER(one_that_a_kill_left_is_removed_by_the_next_and_one_in_use_is_not))
