/* The places of a service: turns by uid, shares of places and of the queue. */
#include "unit/test.h"

#include "proxyd/gate.h"

#define CALLS 256

static const struct gate_rules shared = {.places = 8, .queue = 64, .shared = true},
                               own = {.places = 8, .queue = 64, .shared = false};
static struct gate *gate;
static struct turn turns[CALLS];
static int used;
static struct turn *inside[CALLS]; /* in the order in which they came in */
static int inside_count;
static uid_t uid_of[CALLS];

static int
set_up(void **state __attribute__((unused)))
{
    gate = gate_new("test");
    used = inside_count = 0;
    return gate == NULL;
}

static int
tear_down(void **state __attribute__((unused)))
{
    gate_free(&gate);
    return 0;
}

static enum admission
come(const struct gate_rules *rules, uid_t uid)
{
    assert_true(used < CALLS);
    uid_of[used] = uid;
    enum admission result = gate_enter(gate, rules, uid, &turns[used++]);
    if (result == ADMITTED)
        inside[inside_count++] = &turns[used - 1];
    return result;
}

/* The one that came in first leaves; the uid of the one that gets its place, -1 for none. */
static int
go(void)
{
    assert_true(inside_count > 0);
    struct turn *next = gate_leave(gate, inside[0]);
    memmove(inside, inside + 1, (size_t)--inside_count * sizeof inside[0]);
    if (next == NULL)
        return -1;
    inside[inside_count++] = next;
    return (int)uid_of[next - turns];
}

/* Everybody leaves; nothing may be left behind. */
static void
empty(void)
{
    while (inside_count > 0)
        go();
    assert_int_equal(gate->inside, 0);
    assert_int_equal(gate->queued, 0);
    for (int i = 0; i < GATE_BUCKETS; i++)
        assert_null(gate->lines[i]);
}

TEST(a_service_of_one_uid_fills_all_places_and_keeps_the_order_in_which_calls_came)
{
    for (int i = 0; i < 8; i++)
        assert_int_equal(come(&own, 5), ADMITTED);
    for (int i = 0; i < 20; i++)
        assert_int_equal(come(&own, 5), QUEUED);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(go(), 5);
        assert_ptr_equal(inside[inside_count - 1], &turns[8 + i]);
    }
    assert_int_equal(go(), -1);
    empty();
}

TEST(who_has_one_call_waiting_is_next_however_many_another_has)
{
    for (int i = 0; i < 4; i++)
        assert_int_equal(come(&shared, 1), ADMITTED);
    for (int i = 0; i < 30; i++)
        assert_int_equal(come(&shared, 1), QUEUED);
    for (uid_t uid = 2; uid <= 5; uid++) /* the places left */
        assert_int_equal(come(&shared, uid), ADMITTED);
    assert_int_equal(come(&shared, 9), QUEUED);
    int before = 0;
    while (go() != 9)
        before++;
    assert_in_range(before, 0, 1);
    empty();
}

TEST(uids_that_wait_take_turns)
{
    static const struct gate_rules one = {.places = 1, .queue = 64, .shared = true};
    int got[4] = {0};
    assert_int_equal(come(&one, 1), ADMITTED);
    for (int i = 0; i < 12; i++)
        for (uid_t uid = 1; uid <= (i < 4 ? 3 : 1); uid++)
            assert_int_equal(come(&one, uid), QUEUED);
    for (int i = 0; i < 12; i++)
        got[go()]++;
    for (uid_t uid = 1; uid <= 3; uid++)
        assert_int_equal(got[uid], 4);
    empty();
}

TEST(calls_that_never_end_leave_room_for_another_uid)
{
    int held = 0;
    while (come(&shared, 1) == ADMITTED)
        held++;
    assert_int_equal(held, 4);
    assert_int_equal(come(&shared, 2), ADMITTED);
    inside_count--; /* the other's ends, again and again; the four stay */
    struct turn *other = inside[inside_count];
    for (int i = 0; i < 10; i++) {
        assert_null(gate_leave(gate, other));
        assert_int_equal(gate_enter(gate, &shared, 2, other), ADMITTED);
    }
    assert_null(gate_leave(gate, other));
    empty();
}

TEST(a_full_queue_of_one_uid_leaves_room_for_another)
{
    int waiting = 0;
    while (come(&shared, 1) == ADMITTED)
        ;
    while (come(&shared, 1) == QUEUED)
        waiting++;
    assert_in_range(waiting, 30, 33);
    for (uid_t uid = 2; uid <= 5; uid++)
        assert_int_equal(come(&shared, uid), ADMITTED);
    assert_int_equal(come(&shared, 2), QUEUED);
    empty();
}

TEST(the_queue_is_bounded)
{
    int waiting = 0;
    while (come(&own, 1) == ADMITTED)
        ;
    while (come(&own, 1) == QUEUED)
        waiting++;
    assert_int_equal(waiting, 63);
    assert_int_equal(gate->queued, 64);
    empty();
}

TEST(whoever_comes_and_goes_everybody_is_served_and_no_more_than_the_places_are_inside)
{
    uint32_t random = 1;
    int served[6] = {0}, came[6] = {0};
    for (int round = 0; round < 20; round++) {
        used = 0;
        while (used < 100) {
            random = random * 1103515245 + 12345;
            uid_t uid = (random >> 16) % 6;
            if ((random >> 24) % 3 == 0 && inside_count > 0) {
                int next = go();
                if (next >= 0)
                    served[next]++;
                continue;
            }
            enum admission result = come(&shared, uid);
            came[uid] += result != REFUSED;
            served[uid] += result == ADMITTED;
            assert_in_range(gate->inside, 0, 8);
            assert_int_equal(gate->inside, inside_count);
        }
        while (inside_count > 0) {
            int next = go();
            if (next >= 0)
                served[next]++;
        }
        empty();
    }
    assert_memory_equal(served, came, sizeof came);
}

#define GATE_CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(GATE_CASE(a_service_of_one_uid_fills_all_places_and_keeps_the_order_in_which_calls_came),
          GATE_CASE(who_has_one_call_waiting_is_next_however_many_another_has), GATE_CASE(uids_that_wait_take_turns),
          GATE_CASE(calls_that_never_end_leave_room_for_another_uid),
          GATE_CASE(a_full_queue_of_one_uid_leaves_room_for_another), GATE_CASE(the_queue_is_bounded),
          GATE_CASE(whoever_comes_and_goes_everybody_is_served_and_no_more_than_the_places_are_inside))
