#include "unit/test.h"

#include "transfer/slot.h"

static void
hash_of(uint8_t fill, uint8_t hash[SHA256_LEN])
{
    memset(hash, fill, SHA256_LEN);
}

/* The sender has written 1 and 2 (hashes 0x11, 0x12), the receiver 1 (0x21). */
static enum slot_verdict
verdict(uint8_t role, uint32_t seq, uint32_t ack, uint8_t fill)
{
    struct slot_log own = SLOT_LOG_EMPTY, peer = SLOT_LOG_EMPTY;
    struct packet packet = {.role = role, .seq = seq, .ack = ack};
    uint8_t hash[SHA256_LEN];
    hash_of(0x11, hash);
    slot_log_add(&own, hash);
    hash_of(0x12, hash);
    slot_log_add(&own, hash);
    hash_of(0x21, hash);
    slot_log_add(&peer, hash);
    hash_of(fill, hash);
    enum slot_verdict v = slot_judge(PACKET_SENDER, &own, &peer, &packet, hash);
    gage_buf_free(&own.hashes);
    gage_buf_free(&peer.hashes);
    return v;
}

TEST(the_next_answer_is_new)
{
    assert_int_equal(verdict(PACKET_RECEIVER, 2, 2, 0x22), SLOT_NEW);
}

TEST(ones_own_last_payload_is_nothing_new)
{
    assert_int_equal(verdict(PACKET_SENDER, 2, 1, 0x12), SLOT_OWN);
}

TEST(what_was_known_before_is_old)
{
    assert_int_equal(verdict(PACKET_SENDER, 1, 0, 0x11), SLOT_OLD);
    assert_int_equal(verdict(PACKET_RECEIVER, 1, 1, 0x21), SLOT_OLD);
}

TEST(a_known_number_with_other_bytes_is_forked)
{
    assert_int_equal(verdict(PACKET_RECEIVER, 1, 1, 0x22), SLOT_FORKED);
}

TEST(an_answer_to_more_than_was_written_is_forked)
{
    assert_int_equal(verdict(PACKET_RECEIVER, 2, 3, 0x22), SLOT_FORKED);
}

TEST(a_gap_is_lost)
{
    assert_int_equal(verdict(PACKET_RECEIVER, 3, 2, 0x23), SLOT_LOST);
    assert_int_equal(verdict(PACKET_RECEIVER, 2, 1, 0x22), SLOT_LOST);
}

TEST(ones_own_role_with_other_bytes_is_reflected)
{
    assert_int_equal(verdict(PACKET_SENDER, 2, 1, 0x13), SLOT_REFLECTED);
    assert_int_equal(verdict(PACKET_SENDER, 3, 1, 0x12), SLOT_REFLECTED);
    assert_int_equal(verdict(PACKET_SENDER, 1, 0, 0x12), SLOT_REFLECTED);
}

TEST_MAIN(CASE(the_next_answer_is_new), CASE(ones_own_last_payload_is_nothing_new), CASE(what_was_known_before_is_old),
          CASE(a_known_number_with_other_bytes_is_forked), CASE(an_answer_to_more_than_was_written_is_forked),
          CASE(a_gap_is_lost), CASE(ones_own_role_with_other_bytes_is_reflected))
