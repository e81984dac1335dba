#include "unit/test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "seal/keyring.h"

#define NOW INT64_C(1795000000)

static char folder[64], path[128], hints[160];

static int
set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/gage-test-keyring-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/keyring", folder);
    snprintf(hints, sizeof hints, "%s.hints", path);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    unlink(path);
    unlink(hints);
    return rmdir(folder);
}

static void
make(struct pairing *p, uint32_t number)
{
    *p = (struct pairing){.made = NOW, .until = NOW + 1000000};
    p->sending = p->receiving = (struct week_key){week_of(NOW), {.b = {9}, .n = SEAL_KEY_LEN}};
    memcpy(p->id, &number, sizeof number);
    memcpy(p->hint_receive, &number, sizeof number);
    p->hint_receive[15] = 1;
    memcpy(p->sending.key.b + 4, &number, sizeof number);
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

/* How many pairings fit a seal made for the pairing of that number; the first one's alias. */
static size_t
match(struct keyring *k, uint32_t number, char *alias)
{
    AUTO(pairing_t) p = {.made = 0};
    struct pairing found[KEYRING_MATCHES_MAX];
    char aliases[KEYRING_MATCHES_MAX][KEYRING_ALIAS_MAX + 1];
    struct seal_header header = {.nonce = {4}};
    size_t n = 99;
    unsigned keep = 0;
    make(&p, number);
    hint_of(p.hint_receive, header.nonce, header.hint);
    assert_ok(keyring_match(k, &header, NOW, &keep, found, aliases, &n, NULL));
    assert_int_equal(keep, 4);
    if (n > 0)
        strcpy(alias, aliases[0]);
    for (size_t i = 0; i < n; i++)
        pairing_cleanup(&found[i]);
    return n;
}

TEST(finds_by_hint_and_by_name_what_was_added)
{
    struct keyring *k;
    char alias[KEYRING_ALIAS_MAX + 1];
    AUTO(pairing_t) p = {.made = 0};
    struct stat st;
    assert_ok(keyring_open(path, true, &k, NULL));
    assert_ok(add(k, 1, "ann"));
    assert_ok(add(k, 2, "ben"));
    assert_int_equal(match(k, 2, alias), 1);
    assert_string_equal(alias, "ben");
    assert_int_equal(match(k, 3, alias), 0);
    assert_ok(keyring_get(k, "ann", NOW, 4, true, &p, NULL));
    assert_int_equal(p.id[0], 1);
    assert_code(keyring_get(k, "nobody", NOW, 4, true, &p, NULL), GAGE_E_NOT_FOUND);
    keyring_close(&k);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(hints, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

TEST(finds_by_exported_name_the_pairing_made_last_that_is_not_over)
{
    struct keyring *k;
    char alias[KEYRING_ALIAS_MAX + 1];
    AUTO(pairing_t) p = {.made = 0};
    AUTO(pairing_t) q = {.made = 0};
    assert_ok(keyring_open(path, true, &k, NULL));
    assert_ok(add(k, 1, "ann"));
    make(&p, 2);
    make(&q, 3);
    buf_reset(&q.peer);
    put_bytes(&q.peer, gage_buf_slice(&p.peer)); /* the same party again, later */
    q.made = NOW + 10;
    gage_slice name = gage_buf_slice(&p.peer);
    assert_ok(keyring_add(k, &q, "new", NULL));
    assert_ok(keyring_add(k, &p, "old", NULL));
    assert_ok(keyring_alias_of(k, name, NOW, alias, NULL));
    assert_string_equal(alias, "new");
    assert_ok(keyring_expire(k, "new", NOW + 20, NULL));
    assert_ok(keyring_alias_of(k, name, NOW + 20, alias, NULL));
    assert_string_equal(alias, "old");
    assert_ok(keyring_remove(k, "old", NULL));
    assert_code(keyring_alias_of(k, name, NOW + 20, alias, NULL), GAGE_E_NOT_FOUND);
    assert_ok(add(k, 2, "again")); /* into the emptied slot */
    assert_ok(keyring_alias_of(k, name, NOW + 20, alias, NULL));
    assert_string_equal(alias, "again");
    assert_code(keyring_alias_of(k, SLICE_LITERAL("nobody"), NOW, alias, NULL), GAGE_E_NOT_FOUND);
    keyring_close(&k);
}

TEST(two_open_keyrings_see_each_others_changes)
{
    struct keyring *a, *b;
    char alias[KEYRING_ALIAS_MAX + 1];
    assert_ok(keyring_open(path, true, &a, NULL));
    assert_ok(keyring_open(path, false, &b, NULL));
    for (uint32_t i = 1; i <= 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u", i);
        assert_ok(add(i % 2 ? a : b, i, name));
        assert_int_equal(match(a, i, alias), 1);
        assert_int_equal(match(b, i, alias), 1);
        assert_string_equal(alias, name);
    }
    assert_ok(keyring_remove(a, "n4", NULL));
    assert_int_equal(match(b, 4, alias), 0);
    assert_int_equal(match(b, 10, alias), 1);
    keyring_close(&a);
    keyring_close(&b);
}

TEST(a_removed_slot_is_used_again)
{
    struct keyring *k;
    char alias[KEYRING_ALIAS_MAX + 1];
    struct stat before, after;
    assert_ok(keyring_open(path, true, &k, NULL));
    assert_ok(add(k, 1, "ann"));
    assert_ok(add(k, 2, "ben"));
    stat(hints, &before);
    assert_ok(keyring_remove(k, "ann", NULL));
    assert_int_equal(match(k, 1, alias), 0);
    assert_ok(add(k, 3, "cid"));
    stat(hints, &after);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(match(k, 3, alias), 1);
    assert_int_equal(match(k, 2, alias), 1);
    assert_code(keyring_remove(k, "ann", NULL), GAGE_E_NOT_FOUND);
    keyring_close(&k);
}

TEST(names_are_unique_and_of_one_form)
{
    struct keyring *k;
    assert_ok(keyring_open(path, true, &k, NULL));
    assert_ok(add(k, 1, "ann"));
    assert_code(add(k, 2, "ann"), GAGE_E_EXISTS);
    assert_code(add(k, 1, "ben"), GAGE_E_EXISTS);
    assert_ok(add(k, 2, "ben"));
    assert_code(keyring_rename(k, "ben", "ann", NULL), GAGE_E_EXISTS);
    assert_ok(keyring_rename(k, "ben", "cid", NULL));
    assert_code(keyring_rename(k, "ben", "dan", NULL), GAGE_E_NOT_FOUND);
    assert_code(add(k, 3, ""), GAGE_E_USAGE);
    assert_code(add(k, 3, "-x"), GAGE_E_USAGE);
    assert_code(add(k, 3, "a\nb"), GAGE_E_USAGE);
    keyring_close(&k);
}

TEST(stale_or_missing_hints_are_made_anew)
{
    struct keyring *k;
    char alias[KEYRING_ALIAS_MAX + 1];
    assert_ok(keyring_open(path, true, &k, NULL));
    assert_ok(add(k, 1, "ann"));
    keyring_close(&k);
    unlink(hints);
    assert_ok(keyring_open(path, false, &k, NULL));
    assert_int_equal(match(k, 1, alias), 1);
    keyring_close(&k);
    assert_ok(file_replace(hints, SLICE_LITERAL("gage-hints 1\n rubbish"), 0600, NULL));
    assert_ok(keyring_open(path, false, &k, NULL));
    assert_int_equal(match(k, 1, alias), 1);
    keyring_close(&k);
}

/* Whether the file holds these bytes anywhere. */
static bool
file_holds(gage_slice bytes)
{
    AUTO(gage_buf) file = GAGE_BUF(1 << 20);
    assert_ok(file_read(path, &file, NULL));
    return memmem(file.p, file.n, bytes.p, bytes.n) != NULL;
}

TEST(a_stepped_key_is_gone_from_the_file)
{
    struct keyring *k;
    AUTO(pairing_t) p = {.made = 0};
    AUTO(pairing_t) later = {.made = 0};
    make(&p, 1);
    assert_ok(keyring_open(path, true, &k, NULL));
    assert_ok(keyring_add(k, &p, "ann", NULL));
    assert_true(file_holds(secret_slice(&p.sending.key)));
    assert_ok(keyring_get(k, "ann", NOW + WEEK_SECONDS, 4, false, &later, NULL));
    assert_false(file_holds(secret_slice(&p.sending.key)));
    assert_true(file_holds(secret_slice(&later.sending.key)));
    assert_ok(keyring_step_all(k, NOW + 2 * WEEK_SECONDS, 4, NULL));
    assert_false(file_holds(secret_slice(&later.sending.key)));
    assert_ok(keyring_remove(k, "ann", NULL));
    assert_false(file_holds(secret_slice(&p.receiving.key)));
    keyring_close(&k);
}

static bool
count_row(void *context, const struct keyring_row *row)
{
    assert_true(row->last_use == 0 || row->last_use == NOW + 5);
    return ++*(int *)context < 2;
}

TEST(lists_by_name_until_told_to_stop)
{
    struct keyring *k;
    AUTO(pairing_t) p = {.made = 0};
    int rows = 0;
    assert_ok(keyring_open(path, true, &k, NULL));
    assert_ok(add(k, 1, "c"));
    assert_ok(add(k, 2, "a"));
    assert_ok(add(k, 3, "b"));
    assert_ok(keyring_get(k, "a", NOW + 5, 4, true, &p, NULL));
    assert_ok(keyring_list(k, count_row, &rows, NULL));
    assert_int_equal(rows, 2);
    assert_ok(keyring_expire(k, "a", NOW + 1, NULL));
    pairing_cleanup(&p);
    assert_ok(keyring_get(k, "a", NOW + 5, 4, true, &p, NULL));
    assert_int_equal(p.until, NOW + 1);
    keyring_close(&k);
}

TEST(a_keyring_others_can_read_is_refused)
{
    struct keyring *k = NULL;
    assert_code(keyring_open(path, false, &k, NULL), GAGE_E_NOT_FOUND);
    assert_ok(keyring_open(path, true, &k, NULL));
    keyring_close(&k);
    chmod(path, 0644);
    assert_code(keyring_open(path, false, &k, NULL), GAGE_E_REFUSED);
    chmod(path, 0600);
    assert_ok(file_replace(path, SLICE_LITERAL("this is not a database, and long enough to be looked at as one"), 0600,
                           NULL));
    assert_code(keyring_open(path, false, &k, NULL), GAGE_E_FORMAT);
    assert_null(k);
}

#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
TEST_MAIN(IN_FOLDER(finds_by_hint_and_by_name_what_was_added),
          IN_FOLDER(finds_by_exported_name_the_pairing_made_last_that_is_not_over),
          IN_FOLDER(two_open_keyrings_see_each_others_changes), IN_FOLDER(a_removed_slot_is_used_again),
          IN_FOLDER(names_are_unique_and_of_one_form), IN_FOLDER(stale_or_missing_hints_are_made_anew),
          IN_FOLDER(a_stepped_key_is_gone_from_the_file), IN_FOLDER(lists_by_name_until_told_to_stop),
          IN_FOLDER(a_keyring_others_can_read_is_refused))
