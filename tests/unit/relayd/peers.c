#include "unit/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "relayd/peers.h"

#define ANY INT64_C(1000000)

static struct peers *peers;

static int
open_peers(void **state)
{
    assert_ok(peers_new(&peers, NULL));
    return 0;
}

static int
close_peers(void **state)
{
    peers_free(&peers);
    return 0;
}

static struct peer *
enter(const char *address, int64_t limit)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr_in four = {.sin_family = AF_INET};
    bool is_six = inet_pton(AF_INET6, address, &six.sin6_addr) == 1;
    assert_true(is_six || inet_pton(AF_INET, address, &four.sin_addr) == 1);
    return peers_enter(peers, is_six ? (const struct sockaddr *)&six : (const struct sockaddr *)&four, limit, false);
}

/* The n-th /56 of 2001:d00::/24. */
static struct peer *
enter_nth(unsigned n, int64_t limit)
{
    char text[64];
    snprintf(text, sizeof text, "2001:d%02x:%x:%x00::1", n >> 24, n >> 8 & 0xffff, n & 0xff);
    return enter(text, limit);
}

TEST(addresses_of_one_prefix_share_a_limit_and_others_do_not)
{
    struct peer *first = enter("192.0.2.1", 2);
    assert_non_null(first);
    assert_ptr_equal(enter("192.0.2.200", 2), first);
    assert_null(enter("192.0.2.3", 2));
    assert_non_null(enter("192.0.3.3", 2));
    assert_ptr_equal(enter("2001:db8:1:200::1", 2), enter("2001:db8:1:2ff::1", 2));
    assert_null(enter("2001:db8:1:201::1", 2));
    peers_leave(peers, first);
    assert_non_null(enter("192.0.2.3", 2));
}

TEST(a_48_has_four_times_the_limit_and_a_32_sixteen_times)
{
    struct peer *one = NULL;
    for (unsigned n = 0; n < 4; n++)
        assert_non_null(one = enter_nth(n, 1));
    assert_null(enter_nth(4, 1));
    for (unsigned n = 1; n < 13; n++)
        assert_non_null(enter_nth(n << 8, 1));
    assert_null(enter_nth(13 << 8, 1));
    assert_non_null(enter_nth(1 << 24, 1));
    peers_leave(peers, one);
    assert_non_null(enter_nth(13 << 8, 1));
}

TEST(rates_of_a_48_are_counted_too_and_a_refused_request_takes_nothing)
{
    struct peer *all[5];
    for (unsigned n = 0; n < 5; n++)
        all[n] = enter_nth(n, ANY);
    for (unsigned n = 0; n < 4; n++) {
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(peers_spend(peers, all[n], PEER_CREATES, 3), 0);
        assert_true(peers_spend(peers, all[n], PEER_CREATES, 3) > 0);
    }
    assert_true(peers_spend(peers, all[4], PEER_CREATES, 3) > 0);
    assert_int_equal(peers_spend(peers, all[4], PEER_REQUESTS, 3), 0);
    assert_int_equal(peers_spend(peers, enter("192.0.2.1", ANY), PEER_CREATES, 3), 0);
}

TEST(an_owner_of_a_40_or_a_30_takes_nobodys_place_in_the_table)
{
    for (unsigned n = 0; n < 70000; n++)
        assert_non_null(enter_nth(n, ANY));
    for (unsigned n = 0; n < 70000; n++)
        assert_non_null(enter_nth(n << 12, ANY));
    struct peer *strangers[] = {enter("192.0.2.1", 1), enter("198.51.100.1", 1), enter("2620:1:2:300::1", 1),
                                enter("2620:1:3:300::1", 1)};
    for (size_t i = 0; i < 4; i++)
        assert_non_null(strangers[i]);
}

TEST(what_was_entered_can_leave_in_any_order_and_the_sweep_keeps_who_is_here)
{
    struct peer *all[500];
    for (unsigned n = 0; n < 500; n++)
        assert_non_null(all[n] = enter_nth(n * 37, ANY));
    for (unsigned n = 0; n < 500; n += 2)
        peers_leave(peers, all[n]);
    peers_sweep(peers);
    for (unsigned n = 499; n < 500; n -= 2)
        peers_leave(peers, all[n]);
    peers_sweep(peers);
    assert_non_null(enter_nth(0, 1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(addresses_of_one_prefix_share_a_limit_and_others_do_not, open_peers,
                                        close_peers),
        cmocka_unit_test_setup_teardown(a_48_has_four_times_the_limit_and_a_32_sixteen_times, open_peers, close_peers),
        cmocka_unit_test_setup_teardown(rates_of_a_48_are_counted_too_and_a_refused_request_takes_nothing, open_peers,
                                        close_peers),
        cmocka_unit_test_setup_teardown(an_owner_of_a_40_or_a_30_takes_nobodys_place_in_the_table, open_peers,
                                        close_peers),
        cmocka_unit_test_setup_teardown(what_was_entered_can_leave_in_any_order_and_the_sweep_keeps_who_is_here,
                                        open_peers, close_peers),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
