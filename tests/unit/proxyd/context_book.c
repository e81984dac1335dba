/* What is remembered of contexts, uid by uid. */
#include "unit/test.h"

#include "proxyd/context_book.h"

static struct context_book book;
static uint64_t births;

static int
set_up(void **state __attribute__((unused)))
{
    memset(&book, 0, sizeof book);
    book.sealed_max = 8;
    births = 0;
    return 0;
}

static int
tear_down(void **state __attribute__((unused)))
{
    for (size_t i = 0; i < CONTEXT_BUCKETS; i++)
        while (book.buckets[i] != NULL)
            book_remove(&book, book.buckets[i]);
    book_sweep(&book, INT64_MAX);
    return book.owners != NULL;
}

static const uint8_t *
id_of(uint64_t number)
{
    static uint8_t id[CONTEXT_ID_LEN];
    memcpy(id, &number, sizeof number);
    return id;
}

/* A new one whose number is its birth. */
static uint64_t
add(uid_t uid, bool resident)
{
    births++;
    assert_non_null(book_add(&book, uid, id_of(births), resident, births, 100));
    return births;
}

static bool
is_there(uint64_t number)
{
    return book_find(&book, id_of(number)) != NULL;
}

TEST(a_uid_that_uses_many_sealed_contexts_pushes_out_its_own)
{
    uint64_t others = add(2, false), unused = ++births, last = 0;
    for (int i = 0; i < 100; i++)
        last = add(1, false);
    assert_true(is_there(others) && is_there(last));
    assert_int_equal(book.sealed, 8);
    assert_false(book_forgot(&book, 2, unused));
    assert_true(book_forgot(&book, 1, last - 7));
    assert_false(book_forgot(&book, 1, last - 6));
    assert_false(book_forgot(&book, 3, 1));
}

TEST(the_least_recently_used_goes_first)
{
    uint64_t first = add(1, false);
    for (int i = 0; i < 7; i++)
        add(1, false);
    book_touch(book_find(&book, id_of(first)), 101);
    add(1, false);
    assert_true(is_there(first));
    assert_false(is_there(first + 1));
}

TEST(residents_are_counted_by_uid_and_one_in_use_stays)
{
    uint64_t first = add(1, true), second = add(1, true);
    add(2, true);
    assert_null(book_victim(&book, 1, 3));
    assert_null(book_victim(&book, 3, 1));
    assert_ptr_equal(book_victim(&book, 1, 2), book_find(&book, id_of(first)));
    book_find(&book, id_of(first))->busy = true;
    assert_ptr_equal(book_victim(&book, 1, 2), book_find(&book, id_of(second)));
    book_find(&book, id_of(second))->busy = true;
    assert_null(book_victim(&book, 1, 2));
    assert_int_equal(book.resident, 3);
    assert_int_equal(book.sealed, 0);
}

TEST(what_has_expired_leaves_nothing_behind)
{
    for (int i = 0; i < 20; i++)
        add(1, false);
    uint64_t kept = add(2, true);
    book_sweep(&book, 100);
    assert_int_equal(book.sealed, 8);
    assert_true(book_forgot(&book, 1, 1));
    book_sweep(&book, 101);
    assert_int_equal(book.sealed, 0);
    assert_false(book_forgot(&book, 1, 1));
    assert_true(is_there(kept));
    book_remove(&book, book_find(&book, id_of(kept)));
    assert_null(book.owners);
}

#define BOOK_CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(BOOK_CASE(a_uid_that_uses_many_sealed_contexts_pushes_out_its_own),
          BOOK_CASE(the_least_recently_used_goes_first), BOOK_CASE(residents_are_counted_by_uid_and_one_in_use_stays),
          BOOK_CASE(what_has_expired_leaves_nothing_behind))
