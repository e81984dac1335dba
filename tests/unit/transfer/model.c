/* The model test over the cheap stand-in for contexts: many schedules, every course. world.h says what must hold. */
#include "unit/test.h"

#include "unit/transfer/world.h"

TEST(an_honest_relay_delivers_over_losses_repeats_and_crashes)
{
    brought = 0;
    schedules(120, (struct world){0}, demand_delivery);
    print_message("# brought %u\n", brought);
    assert_true(brought > 20); /* the schedules reach writes that are answered so */
}

TEST(a_relay_that_falls_back_is_healed_by_writing_again)
{
    schedules(120, (struct world){.failing_over = true, .never_crash = true}, demand_delivery);
}

TEST(a_lying_relay_breaks_no_promise)
{
    delivered = released = ended = 0;
    schedules(320, (struct world){.lying = true}, count_outcomes);
    print_message("# ended %u, released %u, delivered %u\n", ended, released, delivered);
    assert_true(delivered > 20 && released > delivered); /* the schedules reach both */
}

TEST(two_receivers_and_a_lying_relay_give_the_content_to_one)
{
    delivered = released = ended = 0;
    schedules(240, (struct world){.lying = true, .second = true}, count_outcomes);
    assert_true(delivered > 10);
}

TEST(the_first_receiver_is_unharmed_by_a_second)
{
    schedules(120, (struct world){.second = true}, demand_one);
}

TEST(digits_are_compared_before_anything_is_released)
{
    schedules(80, (struct world){.verify = true}, demand_delivery);
    schedules(120, (struct world){.verify = true, .lying = true, .second = true}, count_outcomes);
}

TEST(additional_calls_survive_the_same)
{
    schedules(80, (struct world){.calls = true}, demand_delivery);
    schedules(120, (struct world){.calls = true, .lying = true}, count_outcomes);
    schedules(40, (struct world){.calls = true, .verify = true}, demand_delivery);
}

TEST(time_bound_first_tokens_are_made_on_demand_and_again)
{
    schedules(80, (struct world){.timed = true}, demand_delivery);
    schedules(120, (struct world){.timed = true, .lying = true, .second = true}, count_outcomes);
}

TEST_MAIN(CASE(an_honest_relay_delivers_over_losses_repeats_and_crashes),
          CASE(a_relay_that_falls_back_is_healed_by_writing_again), CASE(a_lying_relay_breaks_no_promise),
          CASE(two_receivers_and_a_lying_relay_give_the_content_to_one),
          CASE(the_first_receiver_is_unharmed_by_a_second), CASE(digits_are_compared_before_anything_is_released),
          CASE(additional_calls_survive_the_same), CASE(time_bound_first_tokens_are_made_on_demand_and_again))
