#include "unit/test.h"

#include <sys/stat.h>

#include "cli/output.h"
#include "unit/cli/folder.h"

static char folder[PATH_MAX];

static int
begin(void **state)
{
    folder_enter(folder);
    return 0;
}

static int
end(void **state)
{
    folder_leave(folder);
    return 0;
}

static void
expect_file(const char *name, const char *content, mode_t mode)
{
    AUTO(gage_buf) there = GAGE_BUF(1000);
    struct stat st;
    assert_ok(file_read(name, &there, NULL));
    assert_slice_equal(gage_buf_slice(&there), slice_str(content));
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static size_t
count_files(void)
{
    char listing[64] = "";
    FILE *ls = popen("ls -A | wc -l", "r");
    assert_non_null(fgets(listing, sizeof listing, ls));
    pclose(ls);
    return strtoul(listing, NULL, 10);
}

TEST(installs_whole_with_its_mode_but_without_set_id_bits)
{
    AUTO(output) out = {.folder = -1};
    assert_ok(output_open(NULL, &out, NULL));
    assert_ok(output_take_name(&out, SLICE_LITERAL("key"), NULL));
    assert_ok(output_install(&out, SLICE_LITERAL("content"), 06640, false, NULL));
    expect_file("key", "content", 0640);
    assert_int_equal(count_files(), 1);
}

TEST(never_overwrites_without_force)
{
    AUTO(output) out = {.folder = -1};
    assert_ok(output_open("key", &out, NULL));
    assert_ok(output_install(&out, SLICE_LITERAL("first"), 0600, false, NULL));
    assert_code(output_check_free(&out, NULL), GAGE_E_EXISTS);
    assert_code(output_install(&out, SLICE_LITERAL("second"), 0600, false, NULL), GAGE_E_EXISTS);
    expect_file("key", "first", 0600);
    assert_ok(output_install(&out, SLICE_LITERAL("third"), 0644, true, NULL));
    expect_file("key", "third", 0644);
    assert_int_equal(count_files(), 1);
}

TEST(a_link_in_the_way_is_neither_followed_nor_replaced)
{
    AUTO(output) out = {.folder = -1};
    assert_int_equal(symlink("/nonexistent/elsewhere", "key"), 0);
    assert_ok(output_open("key", &out, NULL));
    assert_code(output_check_free(&out, NULL), GAGE_E_EXISTS);
    assert_code(output_install(&out, SLICE_LITERAL("x"), 0600, false, NULL), GAGE_E_EXISTS);
    assert_false(output_holds(&out, SLICE_LITERAL("x")));
}

TEST(force_replaces_a_link_and_not_what_it_points_to)
{
    AUTO(output) out = {.folder = -1};
    assert_ok(file_install("target", SLICE_LITERAL("kept"), 0600, NULL));
    assert_int_equal(symlink("target", "key"), 0);
    assert_ok(output_open("key", &out, NULL));
    assert_ok(output_install(&out, SLICE_LITERAL("new"), 0600, true, NULL));
    expect_file("target", "kept", 0600);
    expect_file("key", "new", 0600);
}

TEST(force_does_not_replace_a_folder)
{
    AUTO(output) out = {.folder = -1};
    assert_ok(output_open("key", &out, NULL));
    assert_int_equal(mkdir("key", 0700), 0);
    assert_code(output_install(&out, SLICE_LITERAL("new"), 0600, true, NULL), GAGE_E_EXISTS);
    assert_int_equal(count_files(), 1);
}

TEST(stays_in_the_folder_that_was_opened)
{
    AUTO(output) out = {.folder = -1};
    assert_int_equal(mkdir("chosen", 0700), 0);
    assert_int_equal(mkdir("trap", 0700), 0);
    assert_ok(output_open("chosen", &out, NULL));
    assert_ok(output_take_name(&out, SLICE_LITERAL("key"), NULL));
    assert_int_equal(rename("chosen", "moved"), 0);
    assert_int_equal(symlink("trap", "chosen"), 0);
    assert_ok(output_install(&out, SLICE_LITERAL("x"), 0600, false, NULL));
    expect_file("moved/key", "x", 0600);
    assert_int_not_equal(access("trap/key", F_OK), 0);
}

TEST(recognises_what_it_installed_and_nothing_else)
{
    AUTO(output) out = {.folder = -1};
    assert_ok(output_open("key", &out, NULL));
    assert_false(output_holds(&out, SLICE_LITERAL("content")));
    assert_ok(output_install(&out, SLICE_LITERAL("content"), 0600, false, NULL));
    assert_true(output_holds(&out, SLICE_LITERAL("content")));
    assert_false(output_holds(&out, SLICE_LITERAL("contenT")));
    assert_false(output_holds(&out, SLICE_LITERAL("content and more")));
    assert_false(output_holds(&out, SLICE_NONE));
}

TEST(installs_an_empty_file)
{
    AUTO(output) out = {.folder = -1};
    assert_ok(output_open("empty", &out, NULL));
    assert_ok(output_install(&out, SLICE_NONE, 0600, false, NULL));
    expect_file("empty", "", 0600);
    assert_true(output_holds(&out, SLICE_NONE));
}

TEST(refuses_names_that_are_no_plain_file_names)
{
    static const char *const bad[] = {"",
                                      ".",
                                      "..",
                                      "a/b",
                                      "/etc/passwd",
                                      "../x",
                                      ".profile",
                                      "a\033[2Jb",
                                      "a\nb",
                                      "\xff",
                                      "a\xe2\x80\xae"
                                      "b"};
    char longest[OUTPUT_NAME_MAX + 2];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_code(output_check_name(slice_str(bad[i]), NULL), GAGE_E_REFUSED);
    memset(longest, 'x', sizeof longest);
    assert_ok(output_check_name(gage_slice_of(longest, OUTPUT_NAME_MAX), NULL));
    assert_code(output_check_name(gage_slice_of(longest, OUTPUT_NAME_MAX + 1), NULL), GAGE_E_REFUSED);
    assert_ok(output_check_name(SLICE_LITERAL("schl\xc3\xbcssel 1.pem"), NULL));
}

TEST(refuses_places_that_cannot_be)
{
    AUTO(output) out = {.folder = -1};
    assert_code(output_open("-", &out, NULL), GAGE_E_USAGE);
    assert_code(output_open("missing/key", &out, NULL), GAGE_E_NOT_FOUND);
    assert_code(output_open("missing/", &out, NULL), GAGE_E_NOT_FOUND);
    assert_code(output_open("", &out, NULL), GAGE_E_NOT_FOUND);
}

#define WITH_FOLDER(name) cmocka_unit_test_setup_teardown(name, begin, end)
TEST_MAIN(WITH_FOLDER(installs_whole_with_its_mode_but_without_set_id_bits),
          WITH_FOLDER(never_overwrites_without_force), WITH_FOLDER(a_link_in_the_way_is_neither_followed_nor_replaced),
          WITH_FOLDER(force_replaces_a_link_and_not_what_it_points_to), WITH_FOLDER(force_does_not_replace_a_folder),
          WITH_FOLDER(stays_in_the_folder_that_was_opened), WITH_FOLDER(recognises_what_it_installed_and_nothing_else),
          WITH_FOLDER(installs_an_empty_file), WITH_FOLDER(refuses_names_that_are_no_plain_file_names),
          WITH_FOLDER(refuses_places_that_cannot_be))
