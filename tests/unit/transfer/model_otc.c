/* The model test over the GSS-API with the mechanism that transfers use: its tokens, its export of half-open contexts at each
 * crash, its refusals. Fewer schedules than model.c; GAGE_MODEL_SEEDS=FROM:COUNT runs more. */
#include "unit/test.h"

#include "unit/transfer/world.h"

TEST(an_honest_relay_delivers_over_losses_repeats_and_crashes)
{
    schedules(60, (struct world){.security = &transfer_gss}, demand_delivery);
}

TEST(a_relay_that_falls_back_is_healed_by_writing_again)
{
    schedules(30, (struct world){.security = &transfer_gss, .failing_over = true, .never_crash = true},
              demand_delivery);
}

TEST(two_receivers_and_a_lying_relay_give_the_content_to_one)
{
    delivered = released = ended = 0;
    schedules(100, (struct world){.security = &transfer_gss, .lying = true, .second = true}, count_outcomes);
    assert_true(delivered > 5 && released > delivered);
}

TEST(the_first_receiver_is_unharmed_by_a_second)
{
    schedules(40, (struct world){.security = &transfer_gss, .second = true}, demand_one);
}

TEST(digits_and_calls_survive_the_same)
{
    schedules(30, (struct world){.security = &transfer_gss, .verify = true}, demand_delivery);
    schedules(30, (struct world){.security = &transfer_gss, .verify = true, .calls = true}, demand_delivery);
    schedules(50, (struct world){.security = &transfer_gss, .verify = true, .lying = true, .second = true},
              count_outcomes);
}

TEST_MAIN(CASE(an_honest_relay_delivers_over_losses_repeats_and_crashes),
          CASE(a_relay_that_falls_back_is_healed_by_writing_again),
          CASE(two_receivers_and_a_lying_relay_give_the_content_to_one),
          CASE(the_first_receiver_is_unharmed_by_a_second), CASE(digits_and_calls_survive_the_same))
