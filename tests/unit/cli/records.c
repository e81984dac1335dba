#include "unit/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <utime.h>

#include "base/clock.h"
#include "cli/records.h"
#include "unit/cli/folder.h"

static char folder[PATH_MAX];

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

static void
fill(record *r)
{
    r->side = RECORD_ACCEPT;
    r->flags = RECORD_FORCE | RECORD_YES;
    r->expires = 1234;
    strcpy(r->mailbox, "https://relay.example/v1/m/1");
    strcpy(r->title, "a title");
    strcpy(r->pin, "sha256//AAAA");
    strcpy(r->ca_file, "/ca");
    strcpy(r->output, "/somewhere");
    buf_reset(&r->state);
    put_bytes(&r->state, SLICE_LITERAL("the state"));
}

TEST(a_record_comes_back_as_it_was_stored)
{
    AUTO(record) r = RECORD_EMPTY;
    AUTO(record) back = RECORD_EMPTY;
    fill(&r);
    assert_ok(record_create(&r, NULL));
    assert_ok(record_load(r.id, false, &back, NULL));
    assert_int_equal(back.side, RECORD_ACCEPT);
    assert_int_equal(back.flags, RECORD_FORCE | RECORD_YES);
    assert_int_equal(back.created, r.created);
    assert_int_equal(back.expires, 1234);
    assert_string_equal(back.mailbox, r.mailbox);
    assert_string_equal(back.title, r.title);
    assert_string_equal(back.pin, r.pin);
    assert_string_equal(back.ca_file, r.ca_file);
    assert_string_equal(back.output, r.output);
    assert_slice_equal(gage_buf_slice(&back.state), SLICE_LITERAL("the state"));
    assert_true(record_open(&back));
}

TEST(a_record_under_way_is_private_and_locked)
{
    AUTO(record) r = RECORD_EMPTY;
    AUTO(record) other = RECORD_EMPTY;
    struct stat st;
    char path[PATH_MAX + 32];
    fill(&r);
    assert_ok(record_create(&r, NULL));
    snprintf(path, sizeof path, "%s/%s", records_folder(), r.id);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_code(record_load(r.id, true, &other, NULL), GAGE_E_STATE);
    gage_close_fd(&r.lock);
    assert_ok(record_load(r.id, true, &other, NULL));
}

TEST(a_finished_record_keeps_its_outcome_and_no_state)
{
    AUTO(record) r = RECORD_EMPTY;
    AUTO(record) back = RECORD_EMPTY;
    fill(&r);
    assert_ok(record_create(&r, NULL));
    assert_ok(record_want_cancel(&r, NULL));
    assert_true(record_cancel_wanted(&r));
    assert_ok(record_finish(&r, GAGE_E_CANCELLED, "not released: cancelled", NULL));
    assert_ok(record_load(r.id, false, &back, NULL));
    assert_false(record_open(&back));
    assert_int_equal(back.code, GAGE_E_CANCELLED);
    assert_string_equal(back.outcome, "not released: cancelled");
    assert_int_equal(back.state.n, 0);
    assert_false(record_cancel_wanted(&back));
}

TEST(is_found_by_a_beginning_that_is_unique)
{
    AUTO(record) a = RECORD_EMPTY;
    AUTO(record) b = RECORD_EMPTY;
    AUTO(record) back = RECORD_EMPTY;
    fill(&a);
    fill(&b);
    assert_ok(record_create(&a, NULL));
    do {
        if (b.id[0] != '\0')
            assert_ok(record_remove(&b, NULL));
        gage_close_fd(&b.lock);
        assert_ok(record_create(&b, NULL));
    } while (a.id[0] == b.id[0]);
    char beginning[2] = {a.id[0], '\0'};
    assert_ok(record_load(beginning, false, &back, NULL));
    assert_string_equal(back.id, a.id);
    assert_code(record_load("", false, &back, NULL), GAGE_E_NOT_FOUND);
    assert_code(record_load("../x", false, &back, NULL), GAGE_E_NOT_FOUND);
}

TEST(finds_a_transfer_by_its_mailbox_and_side)
{
    AUTO(record) r = RECORD_EMPTY;
    AUTO(record) back = RECORD_EMPTY;
    fill(&r);
    assert_ok(record_create(&r, NULL));
    assert_ok(record_find_mailbox("https://relay.example/v1/m/1", RECORD_ACCEPT, &back, NULL));
    assert_string_equal(back.id, r.id);
    assert_code(record_find_mailbox("https://relay.example/v1/m/1", RECORD_SHARE, &back, NULL), GAGE_E_NOT_FOUND);
    assert_code(record_find_mailbox("https://relay.example/v1/m/2", RECORD_ACCEPT, &back, NULL), GAGE_E_NOT_FOUND);
}

TEST(what_a_kill_left_beside_the_record_is_removed_with_the_next_lock)
{
    AUTO(record) r = RECORD_EMPTY;
    AUTO(record) back = RECORD_EMPTY;
    char path[PATH_MAX + 32];
    fill(&r);
    assert_ok(record_create(&r, NULL));
    snprintf(path, sizeof path, "%s/%s.aBc123", records_folder(), r.id);
    assert_true(close(open(path, O_CREAT | O_WRONLY, 0600)) == 0);
    gage_close_fd(&r.lock);
    assert_ok(record_load(r.id, true, &back, NULL));
    assert_int_not_equal(access(path, F_OK), 0);
}

TEST(what_a_kill_left_of_a_record_that_never_stood_is_removed_unless_somebody_is_at_it)
{
    AUTO(gage_fd) busy = -1;
    char orphan[PATH_MAX + 32], young[PATH_MAX + 32], lock[PATH_MAX + 32];
    snprintf(orphan, sizeof orphan, "%s/0123abcd.aBc123", records_folder());
    snprintf(young, sizeof young, "%s/89abcdef.aBc123", records_folder());
    snprintf(lock, sizeof lock, "%s/89abcdef.lock", records_folder());
    assert_true(close(open(orphan, O_CREAT | O_WRONLY, 0600)) == 0);
    assert_true(close(open(young, O_CREAT | O_WRONLY, 0600)) == 0);
    assert_ok(file_lock(lock, &busy, NULL));
    assert_ok(records_open(NULL));
    assert_int_not_equal(access(orphan, F_OK), 0);
    assert_int_equal(access(young, F_OK), 0);
}

TEST(records_finished_long_ago_are_forgotten_and_open_ones_never)
{
    AUTO(record) done = RECORD_EMPTY;
    AUTO(record) open = RECORD_EMPTY;
    AUTO(record_ids) ids = {0};
    char path[PATH_MAX + 32];
    struct utimbuf old = {1000000, 1000000};
    fill(&done);
    fill(&open);
    assert_ok(record_create(&done, NULL));
    assert_ok(record_create(&open, NULL));
    assert_ok(record_finish(&done, GAGE_OK, "delivered", NULL));
    gage_close_fd(&done.lock);
    gage_close_fd(&open.lock);
    snprintf(path, sizeof path, "%s/%s", records_folder(), done.id);
    assert_int_equal(utime(path, &old), 0);
    snprintf(path, sizeof path, "%s/%s", records_folder(), open.id);
    assert_int_equal(utime(path, &old), 0);
    assert_ok(records_open(NULL));
    assert_ok(records_list(&ids, NULL));
    assert_int_equal(ids.n, 1);
    assert_string_equal(ids.at[0].id, open.id);
}

TEST(refuses_a_state_folder_that_others_can_enter)
{
    assert_int_equal(chmod(records_folder(), 0750), 0);
    assert_code(records_open(NULL), GAGE_E_CONFIG);
}

TEST(refuses_a_state_folder_that_is_a_link)
{
    char target[PATH_MAX + 32];
    snprintf(target, sizeof target, "%s/elsewhere", folder);
    assert_int_equal(rename(records_folder(), target), 0);
    assert_int_equal(symlink(target, records_folder()), 0);
    assert_code(records_open(NULL), GAGE_E_CONFIG);
}

TEST(a_damaged_record_is_refused_at_every_cut_and_does_not_crash)
{
    AUTO(record) r = RECORD_EMPTY;
    AUTO(gage_buf) bytes = GAGE_BUF(65536);
    fill(&r);
    record_encode(&r, &bytes);
    for (size_t n = 0; n < bytes.n; n++) {
        AUTO(record) back = RECORD_EMPTY;
        assert_code(record_decode(gage_slice_of(bytes.p, n), &back, NULL), GAGE_E_FORMAT);
    }
}

#define WITH_FOLDER(name) cmocka_unit_test_setup_teardown(name, begin, end)
TEST_MAIN(WITH_FOLDER(a_record_comes_back_as_it_was_stored), WITH_FOLDER(a_record_under_way_is_private_and_locked),
          WITH_FOLDER(a_finished_record_keeps_its_outcome_and_no_state),
          WITH_FOLDER(is_found_by_a_beginning_that_is_unique), WITH_FOLDER(finds_a_transfer_by_its_mailbox_and_side),
          WITH_FOLDER(what_a_kill_left_beside_the_record_is_removed_with_the_next_lock),
          WITH_FOLDER(what_a_kill_left_of_a_record_that_never_stood_is_removed_unless_somebody_is_at_it),
          WITH_FOLDER(records_finished_long_ago_are_forgotten_and_open_ones_never),
          WITH_FOLDER(refuses_a_state_folder_that_others_can_enter), WITH_FOLDER(refuses_a_state_folder_that_is_a_link),
          WITH_FOLDER(a_damaged_record_is_refused_at_every_cut_and_does_not_crash))
