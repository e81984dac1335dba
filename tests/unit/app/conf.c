#include "unit/test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/conf.h"
#include "base/file.h"

struct settings {
    char *name;
    int64_t count, time, size;
    bool flag;
};

static const struct conf_key keys[] = {
    {"main", "name", CONF_TEXT, offsetof(struct settings, name), NULL, 0, 0, "A name."},
    {"main", "count", CONF_INT, offsetof(struct settings, count), "3", 1, 10, "A count."},
    {"main", "time", CONF_SECONDS, offsetof(struct settings, time), "5m", 1, 86400, "A time."},
    {"limits", "size", CONF_BYTES, offsetof(struct settings, size), "64K", 0, 1 << 30, "A size."},
    {"limits", "flag", CONF_BOOL, offsetof(struct settings, flag), "no", 0, 0, "A flag."},
};
static const struct conf_table table = {keys, sizeof keys / sizeof keys[0]};

static gage_rc
load(struct settings *settings, const char *text, struct gage_err *err)
{
    char path[] = "/tmp/gage-test-conf-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_ok(file_write_fd(fd, path, slice_str(text), NULL));
    close(fd);
    gage_rc rc = conf_load(&table, settings, path, err);
    unlink(path);
    return rc;
}

TEST(takes_defaults_from_the_table)
{
    struct settings s;
    assert_ok(conf_defaults(&table, &s, NULL));
    assert_null(s.name);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.time, 300);
    assert_int_equal(s.size, 65536);
    assert_false(s.flag);
}

TEST(a_file_overrides_the_defaults)
{
    struct settings s;
    assert_ok(conf_defaults(&table, &s, NULL));
    assert_ok(load(&s, "# comment\n[main]\nname = a b\n count = 7\n[limits]\nsize=1M\nflag=Yes\n", NULL));
    assert_string_equal(s.name, "a b");
    assert_int_equal(s.count, 7);
    assert_int_equal(s.size, 1 << 20);
    assert_true(s.flag);
    conf_free(&table, &s);
}

TEST(an_empty_file_changes_nothing)
{
    struct settings s;
    assert_ok(conf_defaults(&table, &s, NULL));
    assert_ok(load(&s, "", NULL));
    assert_ok(load(&s, "# nothing but a comment\n", NULL));
    assert_int_equal(s.count, 3);
    conf_free(&table, &s);
}

TEST(a_wrong_file_changes_nothing_and_is_told_with_line_and_nearest_key)
{
    static const struct {
        const char *text, *expect;
    } rows[] = {
        {"[main]\ncount = 4\ncuont = 5\n", ":3: there is no key cuont in [main]; did you mean count?"},
        {"[main]\ncount = 11\n", ":2: count must be from 1 to 10"},
        {"[main]\ncount = 5x\n", ":2: count must be a whole number"},
        {"[main]\ntime = soon\n", ":2: time must be a time"},
        {"[limits]\nsize = 1T\n", ":2: size must be a size"},
        {"[limits]\nflag = perhaps\n", ":2: flag must be yes or no"},
        {"[other]\nflag = yes\n", ":2: there is no section [other]"},
        {"[main]\ncount = 4\ncount = 5\n", ""},
        {"[main\ncount = 4\n", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings s;
        struct gage_err err = {0};
        assert_ok(conf_defaults(&table, &s, NULL));
        assert_code(load(&s, rows[i].text, &err), GAGE_E_CONFIG);
        assert_int_equal(s.count, 3);
        if (strstr(err.text, rows[i].expect) == NULL)
            fail_msg("%s lacks %s", err.text, rows[i].expect);
        conf_free(&table, &s);
    }
}

TEST(a_missing_file_is_not_found)
{
    struct settings s;
    assert_ok(conf_defaults(&table, &s, NULL));
    assert_code(conf_load(&table, &s, "/nonexistent/gage.conf", NULL), GAGE_E_NOT_FOUND);
}

/* Makes the file long and short in turn until it is killed. */
static pid_t
rewrite_for_ever(int fd)
{
    static const char long_text[] =
        "[main]\nname = a name that is long\ncount = 7\ntime = 1h\n[limits]\nsize = 1M\nflag = yes\n";
    pid_t pid = fork();
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (pid == 0 && pwrite(fd, long_text, sizeof long_text - 1, 0) > 0 && ftruncate(fd, 7) == 0)
        continue;
    if (pid == 0)
        _exit(1);
    return pid;
}

TEST(a_file_that_is_made_shorter_meanwhile_is_read_to_an_end)
{
    char path[] = "/tmp/gage-test-conf-XXXXXX";
    int fd = mkstemp(path), status;
    assert_true(fd >= 0);
    pid_t writer = rewrite_for_ever(fd);
    assert_true(writer > 0);
    for (int i = 0; i < 20000; i++) {
        struct settings s;
        assert_ok(conf_defaults(&table, &s, NULL));
        (void)conf_load(&table, &s, path, NULL);
        conf_free(&table, &s);
    }
    assert_int_equal(waitpid(writer, &status, WNOHANG), 0);
    kill(writer, SIGKILL);
    waitpid(writer, &status, 0);
    close(fd);
    unlink(path);
}

TEST(prints_what_reads_back_the_same)
{
    struct settings s, back;
    AUTO(gage_buf) out = GAGE_BUF(1000);
    assert_ok(conf_defaults(&table, &s, NULL));
    assert_ok(conf_set(&keys[0], &s, "x", "--name", NULL));
    conf_print(&table, &s, &out);
    put_u8(&out, '\0');
    assert_ok(conf_defaults(&table, &back, NULL));
    assert_ok(load(&back, (const char *)out.p, NULL));
    assert_string_equal(back.name, "x");
    assert_int_equal(back.size, s.size);
    conf_free(&table, &s);
    conf_free(&table, &back);
}

TEST(names_the_nearest_word_or_none)
{
    static const char *const words[] = {"share", "accept", "list"};
    assert_string_equal(nearest_word("shaer", words, 3), "share");
    assert_string_equal(nearest_word("acept", words, 3), "accept");
    assert_null(nearest_word("xyzzy", words, 3));
}

TEST_MAIN(CASE(takes_defaults_from_the_table), CASE(a_file_overrides_the_defaults), CASE(an_empty_file_changes_nothing),
          CASE(a_wrong_file_changes_nothing_and_is_told_with_line_and_nearest_key), CASE(a_missing_file_is_not_found),
          CASE(a_file_that_is_made_shorter_meanwhile_is_read_to_an_end), CASE(prints_what_reads_back_the_same),
          CASE(names_the_nearest_word_or_none))
