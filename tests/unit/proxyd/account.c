/* Accounts of uids: one for each uid that has a connection, none for those that have gone. */
#include "unit/test.h"

#include "proxyd/server.h"

static struct server server;

static struct account *
get(uid_t uid)
{
    pthread_mutex_lock(&server.lock);
    struct account *a = account_get(&server, uid);
    pthread_mutex_unlock(&server.lock);
    assert_non_null(a);
    return a;
}

TEST(a_uid_has_one_account_as_long_as_somebody_holds_it)
{
    pthread_mutex_init(&server.lock, NULL);
    struct account *first = get(5), *other = get(6);
    assert_ptr_equal(get(5), first);
    assert_ptr_not_equal(first, other);
    account_put(&server, first);
    assert_ptr_equal(get(5), first);
    account_put(&server, first);
    account_put(&server, first);
    assert_ptr_equal(server.accounts, other);
    assert_null(other->next);
    account_put(&server, other);
    account_put(&server, NULL);
    assert_null(server.accounts);
}

TEST(a_hundred_thousand_uids_that_came_and_went_leave_nothing_behind)
{
    pthread_mutex_init(&server.lock, NULL);
    for (uid_t uid = 0; uid < 100000; uid++)
        account_put(&server, get(uid));
    assert_null(server.accounts);
}

TEST_MAIN(CASE(a_uid_has_one_account_as_long_as_somebody_holds_it),
          CASE(a_hundred_thousand_uids_that_came_and_went_leave_nothing_behind))
