#include "unit/test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "relayd/waiters.h"

#define SECOND INT64_C(1000000000)

static int ready_calls;
static struct waiter *last_ready;

static void
on_ready(struct waiter *waiter)
{
    ready_calls++;
    last_ready = waiter;
}

static const uint8_t tag_a[STORE_TAG_LEN] = {1}, tag_b[STORE_TAG_LEN] = {1, 0, 7};

static struct waiters *
fresh(void)
{
    struct waiters *waiters = NULL;
    assert_ok(waiters_new(&waiters, NULL));
    ready_calls = 0;
    return waiters;
}

static bool
park(struct waiters *waiters, struct waiter *w, const uint8_t *tag, enum store_role role)
{
    *w = (struct waiter){.ready = on_ready, .fd = -1};
    waiters_list(waiters, w, tag, clock_monotonic_ns() + 60 * SECOND);
    return waiters_park(waiters, w, role);
}

TEST(a_wake_ends_the_waits_of_its_mailbox_only)
{
    struct waiters *waiters = fresh();
    struct waiter a, b;
    assert_true(park(waiters, &a, tag_a, STORE_INITIATOR));
    assert_true(park(waiters, &b, tag_b, STORE_INITIATOR));
    waiters_wake(waiters, tag_a);
    assert_int_equal(ready_calls, 1);
    assert_ptr_equal(last_ready, &a);
    assert_int_equal(a.end, WAIT_CHANGED);
    assert_int_equal(waiters_count(waiters), 1);
    waiters_wake(waiters, NULL);
    assert_int_equal(ready_calls, 2);
    waiters_free(&waiters);
}

TEST(a_change_while_reading_is_not_slept_through)
{
    struct waiters *waiters = fresh();
    struct waiter w = {.ready = on_ready, .fd = -1};
    waiters_list(waiters, &w, tag_a, clock_monotonic_ns() + SECOND);
    waiters_wake(waiters, tag_a);
    assert_int_equal(ready_calls, 0);
    assert_false(waiters_park(waiters, &w, STORE_INITIATOR));
    assert_true(w.woken);
    assert_int_equal(waiters_count(waiters), 0);
    waiters_free(&waiters);
}

TEST(a_newer_read_replaces_the_older_of_its_role)
{
    struct waiters *waiters = fresh();
    struct waiter one, two, other;
    assert_true(park(waiters, &one, tag_a, STORE_INITIATOR));
    assert_true(park(waiters, &other, tag_a, STORE_RECIPIENT));
    assert_true(park(waiters, &two, tag_a, STORE_INITIATOR));
    assert_int_equal(ready_calls, 1);
    assert_ptr_equal(last_ready, &one);
    assert_int_equal(one.end, WAIT_REPLACED);
    assert_int_equal(waiters_count(waiters), 2);
    waiters_free(&waiters);
}

TEST(a_deadline_ends_the_wait_and_no_earlier)
{
    struct waiters *waiters = fresh();
    struct waiter w = {.ready = on_ready, .fd = -1};
    int64_t now = clock_monotonic_ns();
    waiters_list(waiters, &w, tag_a, now + 2 * SECOND);
    assert_true(waiters_park(waiters, &w, STORE_INITIATOR));
    waiters_tick(waiters, now + SECOND);
    assert_int_equal(ready_calls, 0);
    waiters_tick(waiters, now + 3 * SECOND);
    assert_int_equal(ready_calls, 1);
    assert_int_equal(w.end, WAIT_DEADLINE);
    assert_false(waiters_unlist(waiters, &w));
    waiters_free(&waiters);
}

TEST(after_a_drain_nothing_parks)
{
    struct waiters *waiters = fresh();
    struct waiter a, b;
    assert_true(park(waiters, &a, tag_a, STORE_INITIATOR));
    waiters_drain(waiters);
    assert_int_equal(ready_calls, 1);
    assert_int_equal(a.end, WAIT_DRAINED);
    assert_false(park(waiters, &b, tag_a, STORE_INITIATOR));
    waiters_free(&waiters);
}

TEST(the_wait_of_a_client_that_left_ends_and_no_other)
{
    enum { MANY = 300 };
    struct waiters *waiters = fresh();
    static struct waiter all[MANY];
    static int pair[MANY][2];
    for (int i = 0; i < MANY; i++) {
        uint8_t tag[STORE_TAG_LEN] = {(uint8_t)i, (uint8_t)(i >> 8)};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair[i]), 0);
        all[i] = (struct waiter){.ready = on_ready, .fd = pair[i][0]};
        waiters_list(waiters, &all[i], tag, clock_monotonic_ns() + 60 * SECOND);
        assert_true(waiters_park(waiters, &all[i], STORE_INITIATOR));
    }
    assert_int_equal(write(pair[7][1], "x", 1), 1); /* bytes of a next request are no farewell */
    waiters_check_peers(waiters);
    assert_int_equal(ready_calls, 0);
    for (int i = 0; i < MANY; i += 2)
        shutdown(pair[i][1], SHUT_WR);
    waiters_check_peers(waiters);
    assert_int_equal(ready_calls, MANY / 2);
    assert_int_equal(waiters_count(waiters), MANY / 2);
    assert_int_equal(all[0].end, WAIT_LEFT);
    assert_int_equal(all[1].state, WAITER_PARKED);
    for (int i = 0; i < MANY; i++) {
        close(pair[i][0]);
        close(pair[i][1]);
    }
    waiters_free(&waiters);
}

TEST_MAIN(CASE(a_wake_ends_the_waits_of_its_mailbox_only), CASE(a_change_while_reading_is_not_slept_through),
          CASE(a_newer_read_replaces_the_older_of_its_role), CASE(a_deadline_ends_the_wait_and_no_earlier),
          CASE(after_a_drain_nothing_parks), CASE(the_wait_of_a_client_that_left_ends_and_no_other))
