#include "unit/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "seal/keyring_db.h"
#include "seal/once.h"

#define NOW INT64_C(1795000000)

static char folder[64], path[128], hints[160];
static struct keyring *keyring;

static int
set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/gage-test-once-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/keyring", folder);
    snprintf(hints, sizeof hints, "%s.hints", path);
    return gage_ok(keyring_open(path, true, &keyring, NULL)) ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    keyring_close(&keyring);
    unlink(path);
    unlink(hints);
    return rmdir(folder);
}

static gage_rc
begin(uint8_t first, int64_t sealed_at, int64_t now, const char *temporary, const char *target)
{
    uint8_t id[SEAL_ID_LEN] = {first};
    return once_begin(keyring, id, sealed_at, 600, now, temporary, target, NULL);
}

TEST(the_second_time_is_refused)
{
    assert_ok(begin(1, NOW, NOW, NULL, NULL));
    assert_code(begin(1, NOW, NOW + 1, NULL, NULL), GAGE_E_USED);
    assert_ok(begin(2, NOW, NOW + 1, NULL, NULL));
    keyring_close(&keyring);
    assert_ok(keyring_open(path, false, &keyring, NULL));
    assert_code(begin(1, NOW, NOW + 2, NULL, NULL), GAGE_E_USED);
}

TEST(an_entry_lives_as_long_as_its_seal_can_be_opened)
{
    assert_ok(begin(1, NOW, NOW, NULL, NULL));
    assert_code(begin(1, NOW, NOW + 600 + ONCE_GRACE, NULL, NULL), GAGE_E_USED);
    /* By then the age refuses it; and under a longer age it is not known any more. */
    assert_code(begin(1, NOW, NOW + 600 + ONCE_GRACE + 1, NULL, NULL), GAGE_E_FORGOTTEN);
}

TEST(a_longer_age_than_before_does_not_let_a_forgotten_seal_in_again)
{
    uint8_t one[SEAL_ID_LEN] = {1}, two[SEAL_ID_LEN] = {2}, three[SEAL_ID_LEN] = {3};
    assert_ok(once_begin(keyring, one, NOW, 60, NOW, NULL, NULL, NULL));
    assert_ok(once_begin(keyring, two, NOW + 1000, 60, NOW + 1000, NULL, NULL, NULL)); /* drops the first */
    assert_code(once_begin(keyring, one, NOW, 86400, NOW + 1001, NULL, NULL, NULL), GAGE_E_FORGOTTEN);
    assert_ok(once_begin(keyring, three, NOW + 1, 86400, NOW + 1001, NULL, NULL, NULL));
    assert_code(once_begin(keyring, three, NOW + 1, 86400, NOW + 80000, NULL, NULL, NULL), GAGE_E_USED);
}

static bool
count(void *context, int64_t *rows)
{
    return gage_ok(keyring_number(context, "SELECT count(*) FROM once", rows, NULL));
}

/* However many seals a peer sends: what cannot be opened any more is not remembered. */
TEST(what_is_remembered_is_bounded_by_the_age)
{
    int64_t rows = 0;
    for (int i = 0; i < 300; i++) {
        uint8_t id[SEAL_ID_LEN] = {(uint8_t)i, (uint8_t)(i >> 8), 9};
        int64_t now = NOW + i * 100;
        assert_ok(once_begin(keyring, id, now, 600, now, NULL, NULL, NULL));
        assert_true(count(keyring, &rows) && rows <= (600 + ONCE_GRACE) / 100 + 1);
    }
}

TEST(a_clock_set_back_refuses_everything)
{
    assert_ok(begin(1, NOW, NOW, NULL, NULL));
    assert_ok(begin(2, NOW, NOW - ONCE_CLOCK_SLACK, NULL, NULL));
    assert_code(begin(3, NOW, NOW - ONCE_CLOCK_SLACK - 1, NULL, NULL), GAGE_E_CLOCK);
    assert_ok(begin(3, NOW, NOW, NULL, NULL));
}

TEST(an_age_is_needed)
{
    uint8_t id[SEAL_ID_LEN] = {1};
    assert_code(once_begin(keyring, id, NOW, 0, NOW, NULL, NULL, NULL), GAGE_E_USAGE);
    assert_code(once_begin(keyring, id, INT64_MAX, 600, NOW, NULL, NULL, NULL), GAGE_E_USAGE);
}

static bool
note(void *context, const char *temporary, const char *target)
{
    char *seen = context;
    strcat(seen, temporary);
    strcat(seen, ">");
    strcat(seen, target);
    return strchr(temporary, '!') == NULL;
}

/* A path that means something else in another folder would make recovery take the file for moved. */
TEST(paths_of_a_file_on_its_way_are_absolute_and_both_given)
{
    assert_code(begin(1, NOW, NOW, "t", "/d/m"), GAGE_E_USAGE);
    assert_code(begin(1, NOW, NOW, "/d/t", "m"), GAGE_E_USAGE);
    assert_code(begin(1, NOW, NOW, "/d/t", NULL), GAGE_E_USAGE);
    assert_code(begin(1, NOW, NOW, NULL, "/d/m"), GAGE_E_USAGE);
    assert_ok(begin(1, NOW, NOW, "/d/t", "/d/m"));
}

TEST(what_a_crash_left_is_told_until_it_is_done_and_stays_used)
{
    char seen[200] = "";
    uint8_t two[SEAL_ID_LEN] = {2};
    assert_ok(begin(1, NOW, NOW, "/tmp/a", "/b"));
    assert_ok(begin(2, NOW, NOW, "/tmp/c", "/d"));
    assert_ok(once_end(keyring, two, NULL));
    keyring_close(&keyring);
    assert_ok(keyring_open(path, false, &keyring, NULL));
    assert_ok(once_pending(keyring, note, seen, NULL));
    assert_string_equal(seen, "/tmp/a>/b");
    assert_ok(once_pending(keyring, note, seen, NULL));
    assert_string_equal(seen, "/tmp/a>/b");
    assert_code(begin(1, NOW, NOW, NULL, NULL), GAGE_E_USED);
    assert_ok(begin(3, NOW, NOW, "/tmp/!", "/e"));
    assert_ok(once_pending(keyring, note, seen, NULL));
    assert_ok(once_pending(keyring, note, seen, NULL)); /* not finished: told again, and never dropped while pending */
    assert_string_equal(seen, "/tmp/a>/b/tmp/!>/e/tmp/!>/e");
    assert_ok(begin(4, NOW + 100000, NOW + 100000, NULL, NULL));
    assert_code(begin(3, NOW, NOW + 100000, NULL, NULL), GAGE_E_USED);
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
TEST_MAIN(IN_FOLDER(the_second_time_is_refused), IN_FOLDER(an_entry_lives_as_long_as_its_seal_can_be_opened),
          IN_FOLDER(a_longer_age_than_before_does_not_let_a_forgotten_seal_in_again),
          IN_FOLDER(what_is_remembered_is_bounded_by_the_age), IN_FOLDER(a_clock_set_back_refuses_everything),
          IN_FOLDER(an_age_is_needed), IN_FOLDER(paths_of_a_file_on_its_way_are_absolute_and_both_given),
          IN_FOLDER(what_a_crash_left_is_told_until_it_is_done_and_stays_used))
