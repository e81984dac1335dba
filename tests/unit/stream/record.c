#include "unit/test.h"

#include "stream/record.h"

static struct gage_err err;

struct both {
    struct record_keys out, in;
};

static struct both
keys(uint64_t update_records, uint64_t update_bytes)
{
    struct both k;
    gage_secret one = {.b = {1, 2, 3}, .n = 32}, two = one;
    assert_ok(record_keys_init(&k.out, &one, true));
    assert_ok(record_keys_init(&k.in, &two, false));
    assert_int_equal(one.n, 0);
    if (update_records != 0) {
        k.out.update_records = k.in.update_records = update_records;
        k.out.update_bytes = k.in.update_bytes = update_bytes;
    }
    return k;
}

static void
drop(struct both *k)
{
    record_keys_cleanup(&k->out);
    record_keys_cleanup(&k->in);
}

static void
passes(struct both *k, gage_slice data)
{
    static uint8_t frame[RECORD_DATA_MAX + RECORD_OVERHEAD];
    gage_slice opened;
    assert_ok(record_seal(&k->out, data, frame));
    assert_ok(record_open(&k->in, frame, data.n + RECORD_OVERHEAD, &opened, &err));
    assert_slice_equal(opened, data);
}

TEST(opens_what_it_seals_from_nothing_to_the_longest)
{
    static uint8_t data[RECORD_DATA_MAX];
    const size_t sizes[] = {0, 1, 15, 16, 17, 4096, RECORD_DATA_MAX - 1, RECORD_DATA_MAX};
    struct both k = keys(0, 0);
    memset(data, 0x5a, sizeof data);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        passes(&k, gage_slice_of(data, sizes[i]));
    uint8_t frame[4];
    assert_code(record_seal(&k.out, gage_slice_of(data, RECORD_DATA_MAX + 1), frame), GAGE_E_LIMIT);
    drop(&k);
}

TEST(seals_in_place_the_same_bytes_as_apart)
{
    uint8_t apart[100 + RECORD_OVERHEAD], in_place[100 + RECORD_OVERHEAD] = {0}, data[100] = {7};
    struct both k = keys(0, 0), l = keys(0, 0);
    memcpy(in_place + FRAME_HEADER_LEN, data, sizeof data);
    assert_ok(record_seal(&k.out, SLICE_OF(data), apart));
    assert_ok(record_seal(&l.out, gage_slice_of(in_place + FRAME_HEADER_LEN, sizeof data), in_place));
    assert_memory_equal(apart, in_place, sizeof apart);
    drop(&k);
    drop(&l);
}

TEST(refuses_damage_at_every_bit_and_wipes_it)
{
    uint8_t frame[10 + RECORD_OVERHEAD], copy[sizeof frame];
    static const uint8_t zeros[10];
    struct both k = keys(0, 0);
    gage_slice opened;
    assert_ok(record_seal(&k.out, SLICE_LITERAL("0123456789"), frame));
    for (size_t bit = 0; bit < 8 * sizeof frame; bit++) {
        memcpy(copy, frame, sizeof frame);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_code(record_open(&k.in, copy, sizeof copy, &opened, &err), GAGE_E_AUTH);
        assert_memory_equal(copy + FRAME_HEADER_LEN, zeros, sizeof zeros);
    }
    assert_code(record_open(&k.in, frame, RECORD_OVERHEAD - 1, &opened, &err), GAGE_E_FORMAT);
    assert_ok(record_open(&k.in, frame, sizeof frame, &opened, &err));
    drop(&k);
}

TEST(refuses_replay_gap_and_the_other_direction)
{
    uint8_t one[1 + RECORD_OVERHEAD], two[1 + RECORD_OVERHEAD], copy[1 + RECORD_OVERHEAD];
    struct both k = keys(0, 0);
    gage_slice opened;
    assert_ok(record_seal(&k.out, SLICE_LITERAL("1"), one));
    assert_ok(record_seal(&k.out, SLICE_LITERAL("2"), two));
    memcpy(copy, two, sizeof two);
    assert_code(record_open(&k.in, copy, sizeof copy, &opened, &err), GAGE_E_AUTH);
    memcpy(copy, one, sizeof one);
    assert_ok(record_open(&k.in, copy, sizeof copy, &opened, &err));
    memcpy(copy, one, sizeof one);
    assert_code(record_open(&k.in, copy, sizeof copy, &opened, &err), GAGE_E_AUTH);
    drop(&k);
}

TEST(updates_keys_after_the_agreed_number_of_records)
{
    struct both k = keys(3, UINT64_MAX);
    gage_secret first = k.out.secret;
    for (int i = 0; i < 3; i++)
        passes(&k, SLICE_LITERAL("x"));
    assert_true(secret_equal(&first, &k.out.secret));
    passes(&k, SLICE_LITERAL("x"));
    assert_false(secret_equal(&first, &k.out.secret));
    assert_true(secret_equal(&k.in.secret, &k.out.secret));
    assert_int_equal(k.out.records, 1);
    for (int i = 0; i < 10; i++)
        passes(&k, SLICE_LITERAL("x"));
    assert_int_equal(k.out.records, 2);
    drop(&k);
}

TEST(updates_keys_after_the_agreed_number_of_bytes)
{
    struct both k = keys(UINT64_MAX, 10);
    gage_secret first = k.out.secret;
    passes(&k, SLICE_LITERAL("012345678"));
    passes(&k, SLICE_LITERAL("0"));
    assert_true(secret_equal(&first, &k.out.secret));
    passes(&k, SLICE_LITERAL("0123456789012345"));
    assert_false(secret_equal(&first, &k.out.secret));
    assert_int_equal(k.in.bytes, 16);
    drop(&k);
}

TEST(a_side_that_updates_at_another_time_is_not_understood)
{
    struct both k = keys(3, UINT64_MAX);
    uint8_t frame[1 + RECORD_OVERHEAD];
    gage_slice opened;
    k.in.update_records = 4;
    for (int i = 0; i < 3; i++)
        passes(&k, SLICE_LITERAL("x"));
    assert_ok(record_seal(&k.out, SLICE_LITERAL("x"), frame));
    assert_code(record_open(&k.in, frame, sizeof frame, &opened, &err), GAGE_E_AUTH);
    drop(&k);
}

TEST(no_two_records_share_key_and_nonce)
{
    struct both k = keys(2, UINT64_MAX);
    uint8_t frames[8][5 + RECORD_OVERHEAD];
    for (int i = 0; i < 8; i++)
        assert_ok(record_seal(&k.out, SLICE_LITERAL("equal"), frames[i]));
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(frames[i] + 4, frames[j] + 4, 5);
    drop(&k);
}

TEST(documented_constants_are_in_force)
{
    struct both k = keys(0, 0);
    assert_int_equal(k.out.update_records, 1ull << 24);
    assert_int_equal(k.in.update_bytes, 1ull << 36);
    drop(&k);
}

TEST_MAIN(CASE(opens_what_it_seals_from_nothing_to_the_longest), CASE(seals_in_place_the_same_bytes_as_apart),
          CASE(refuses_damage_at_every_bit_and_wipes_it), CASE(refuses_replay_gap_and_the_other_direction),
          CASE(updates_keys_after_the_agreed_number_of_records), CASE(updates_keys_after_the_agreed_number_of_bytes),
          CASE(a_side_that_updates_at_another_time_is_not_understood), CASE(no_two_records_share_key_and_nonce),
          CASE(documented_constants_are_in_force))
