#include "unit/test.h"

#include <stdlib.h>

#include "seal/chunks.h"

static const uint8_t header[SEAL_HEADER_LEN] = {1, 2, 3};
static const gage_secret key = {.b = {9}, .n = SEAL_KEY_LEN};

/* n bytes that differ from place to place. */
static void
put_pattern(gage_buf *buf, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put_u8(buf, (uint8_t)(i * 7 + i / 251 + 1));
}

static void
seal_all(gage_slice data, gage_buf *out)
{
    struct chunk_writer *w = malloc(sizeof *w);
    assert_ok(chunk_writer_init(w, &key, header));
    assert_ok(chunk_writer_put(w, data, out));
    assert_ok(chunk_writer_end(w, out));
    assert_code(chunk_writer_put(w, data, out), GAGE_E_STATE);
    chunk_writer_cleanup(w);
    free(w);
}

/* Opens in pieces of `piece` bytes. */
static gage_rc
open_pieces(gage_slice sealed, size_t piece, const uint8_t *with_header, gage_buf *out)
{
    struct chunk_reader *r = malloc(sizeof *r);
    assert_ok(chunk_reader_init(r, &key, with_header));
    gage_rc rc = GAGE_DONE;
    for (size_t at = 0; gage_ok(rc) && at < sealed.n; at += piece)
        rc =
            chunk_reader_put(r, gage_slice_of(sealed.p + at, sealed.n - at < piece ? sealed.n - at : piece), out, NULL);
    if (gage_ok(rc))
        rc = chunk_reader_end(r, out, NULL);
    chunk_reader_cleanup(r);
    free(r);
    return rc;
}

#define BIG (4 * CHUNK_TEXT)

TEST(opens_what_was_sealed_at_every_length_that_matters)
{
    static const size_t lengths[] = {0,
                                     1,
                                     509,
                                     510,
                                     511,
                                     512,
                                     1000,
                                     60000,
                                     65000,
                                     FRAME_DATA - 1,
                                     FRAME_DATA,
                                     FRAME_DATA + 1,
                                     CHUNK_TEXT,
                                     2 * FRAME_DATA - 1,
                                     2 * FRAME_DATA,
                                     2 * FRAME_DATA + 1,
                                     3 * CHUNK_TEXT};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        AUTO(gage_buf) data = GAGE_BUF(BIG);
        AUTO(gage_buf) sealed = GAGE_BUF(BIG * 2);
        AUTO(gage_buf) out = GAGE_BUF(BIG);
        put_pattern(&data, lengths[i]);
        seal_all(gage_buf_slice(&data), &sealed);
        assert_ok(open_pieces(gage_buf_slice(&sealed), 7777, header, &out));
        assert_slice_equal(gage_buf_slice(&out), gage_buf_slice(&data));
    }
}

TEST(takes_one_byte_at_a_time)
{
    AUTO(gage_buf) data = GAGE_BUF(BIG);
    AUTO(gage_buf) sealed = GAGE_BUF(BIG);
    AUTO(gage_buf) out = GAGE_BUF(BIG);
    put_pattern(&data, 70000);
    seal_all(gage_buf_slice(&data), &sealed);
    assert_ok(open_pieces(gage_buf_slice(&sealed), 1, header, &out));
    assert_slice_equal(gage_buf_slice(&out), gage_buf_slice(&data));
}

/* Seals in pieces of `piece` bytes. */
static void
seal_pieces(gage_slice data, size_t piece, gage_buf *out)
{
    struct chunk_writer *w = malloc(sizeof *w);
    assert_ok(chunk_writer_init(w, &key, header));
    for (size_t at = 0; at < data.n; at += piece)
        assert_ok(chunk_writer_put(w, gage_slice_of(data.p + at, data.n - at < piece ? data.n - at : piece), out));
    assert_ok(chunk_writer_end(w, out));
    chunk_writer_cleanup(w);
    free(w);
}

TEST(the_pieces_make_no_difference)
{
    static const size_t pieces[] = {4001, FRAME_DATA - 1, FRAME_DATA, FRAME_DATA + 1, 100000, 131072, 1000000};
    AUTO(gage_buf) data = GAGE_BUF(BIG);
    AUTO(gage_buf) whole = GAGE_BUF(2 * BIG);
    put_pattern(&data, 3 * FRAME_DATA + 77);
    seal_all(gage_buf_slice(&data), &whole);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        AUTO(gage_buf) sealed = GAGE_BUF(2 * BIG);
        AUTO(gage_buf) out = GAGE_BUF(BIG);
        seal_pieces(gage_buf_slice(&data), pieces[i], &sealed);
        assert_slice_equal(gage_buf_slice(&sealed), gage_buf_slice(&whole));
        assert_ok(open_pieces(gage_buf_slice(&whole), pieces[i], header, &out));
        assert_slice_equal(gage_buf_slice(&out), gage_buf_slice(&data));
    }
}

TEST(needs_no_more_room_than_the_message)
{
    AUTO(gage_buf) data = GAGE_BUF(BIG);
    AUTO(gage_buf) sealed = GAGE_BUF(2 * BIG);
    put_pattern(&data, 2 * FRAME_DATA + 1);
    seal_all(gage_buf_slice(&data), &sealed);
    AUTO(gage_buf) exact = GAGE_BUF(2 * FRAME_DATA + 1);
    assert_ok(open_pieces(gage_buf_slice(&sealed), sealed.n, header, &exact));
    assert_slice_equal(gage_buf_slice(&exact), gage_buf_slice(&data));
    AUTO(gage_buf) small = GAGE_BUF(2 * FRAME_DATA);
    assert_code(open_pieces(gage_buf_slice(&sealed), sealed.n, header, &small), GAGE_E_LIMIT);
}

/* Chunks that lie whole in what is put are opened where they stand, into the output: what fails there leaves nothing behind. */
TEST(a_damaged_chunk_leaves_nothing_of_itself)
{
    AUTO(gage_buf) data = GAGE_BUF(BIG);
    AUTO(gage_buf) sealed = GAGE_BUF(2 * BIG);
    put_pattern(&data, 3 * FRAME_DATA);
    seal_all(gage_buf_slice(&data), &sealed);
    for (size_t chunk = 0; chunk < 3; chunk++) {
        AUTO(gage_buf) out = GAGE_BUF(2 * BIG);
        sealed.p[chunk * CHUNK_SEALED + 30000] ^= 4;
        assert_code(open_pieces(gage_buf_slice(&sealed), sealed.n, header, &out), GAGE_E_AUTH);
        assert_slice_equal(gage_buf_slice(&out), gage_slice_of(data.p, chunk * FRAME_DATA));
        for (size_t i = out.n; chunk < 2 && i < out.n + FRAME_DATA; i++)
            assert_int_equal(out.p[i], 0);
        sealed.p[chunk * CHUNK_SEALED + 30000] ^= 4;
    }
}

TEST(refuses_a_flip_of_any_bit)
{
    AUTO(gage_buf) sealed = GAGE_BUF(BIG);
    seal_all(SLICE_LITERAL("hello"), &sealed);
    for (size_t i = 0; i < sealed.n * 8; i++) {
        AUTO(gage_buf) out = GAGE_BUF(BIG);
        sealed.p[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_code(open_pieces(gage_buf_slice(&sealed), 1000, header, &out), GAGE_E_AUTH);
        assert_int_equal(out.n, 0);
        sealed.p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

TEST(refuses_every_truncation_and_a_byte_too_many)
{
    AUTO(gage_buf) data = GAGE_BUF(BIG);
    AUTO(gage_buf) sealed = GAGE_BUF(BIG);
    put_pattern(&data, 2 * FRAME_DATA);
    seal_all(gage_buf_slice(&data), &sealed);
    for (size_t n = 0; n < sealed.n; n = n < 300 || n > sealed.n - 300 ? n + 1 : n + 3001) {
        AUTO(gage_buf) out = GAGE_BUF(BIG);
        assert_code(open_pieces(gage_slice_of(sealed.p, n), 65536, header, &out), GAGE_E_AUTH);
    }
    for (size_t n = CHUNK_SEALED; n < sealed.n; n += CHUNK_SEALED) { /* at the chunks' ends */
        AUTO(gage_buf) out = GAGE_BUF(BIG);
        assert_code(open_pieces(gage_slice_of(sealed.p, n), 65536, header, &out), GAGE_E_AUTH);
    }
    AUTO(gage_buf) out = GAGE_BUF(BIG);
    put_u8(&sealed, 0);
    assert_code(open_pieces(gage_buf_slice(&sealed), 65536, header, &out), GAGE_E_AUTH);
}

TEST(refuses_chunks_swapped_repeated_or_under_another_header)
{
    AUTO(gage_buf) data = GAGE_BUF(BIG);
    AUTO(gage_buf) sealed = GAGE_BUF(BIG);
    AUTO(gage_buf) spliced = GAGE_BUF(2 * BIG);
    AUTO(gage_buf) out = GAGE_BUF(BIG);
    uint8_t other[SEAL_HEADER_LEN] = {1, 2, 4};
    put_pattern(&data, 3 * FRAME_DATA);
    seal_all(gage_buf_slice(&data), &sealed);
    put_bytes(&spliced, gage_slice_of(sealed.p + CHUNK_SEALED, CHUNK_SEALED));
    put_bytes(&spliced, gage_slice_of(sealed.p, CHUNK_SEALED));
    put_bytes(&spliced, gage_slice_of(sealed.p + 2 * CHUNK_SEALED, sealed.n - 2 * CHUNK_SEALED));
    assert_code(open_pieces(gage_buf_slice(&spliced), 65536, header, &out), GAGE_E_AUTH);
    buf_reset(&spliced);
    put_bytes(&spliced, gage_slice_of(sealed.p, CHUNK_SEALED));
    put_bytes(&spliced, gage_buf_slice(&sealed));
    assert_code(open_pieces(gage_buf_slice(&spliced), 65536, header, &out), GAGE_E_AUTH);
    assert_code(open_pieces(gage_buf_slice(&sealed), 65536, other, &out), GAGE_E_AUTH);
}

TEST(pads_as_padme_does_with_a_floor)
{
    static const uint64_t rows[][2] = {{0, 512},
                                       {512, 512},
                                       {513, 544},
                                       {1000, 1024},
                                       {1024, 1024},
                                       {1025, 1088},
                                       {9000, 9216},
                                       {65536, 65536},
                                       {65537, 67584},
                                       {1000000, 1015808},
                                       {(uint64_t)1 << 40, (uint64_t)1 << 40}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(seal_padded(rows[i][0]), rows[i][1]);
    for (uint64_t n = 1; n < 300000; n += 37) {
        assert_true(seal_padded(n) >= n && seal_padded(n) <= (n <= 512 ? 512 : n + n * 12 / 100 + 1));
        assert_int_equal(seal_padded(seal_padded(n)), seal_padded(n));
    }
}

TEST(messages_of_like_length_make_seals_of_one_length)
{
    AUTO(gage_buf) data = GAGE_BUF(BIG);
    size_t first = 0;
    for (size_t n = 100; n <= 500; n += 100) {
        AUTO(gage_buf) sealed = GAGE_BUF(BIG);
        buf_reset(&data);
        put_pattern(&data, n);
        seal_all(gage_buf_slice(&data), &sealed);
        first = first == 0 ? sealed.n : first;
        assert_int_equal(sealed.n, first);
    }
}

TEST(a_key_steps_forward_and_never_back)
{
    struct week_key k = {.week = 10, .key = key};
    gage_secret at12 = {0}, again = {0};
    assert_ok(week_key_at(&k, 12, &at12));
    assert_int_equal(k.week, 10);
    assert_ok(week_key_step(&k, 12));
    assert_true(secret_equal(&k.key, &at12));
    assert_code(week_key_at(&k, 11, &again), GAGE_E_EXPIRED);
    assert_ok(week_key_step(&k, 11));
    assert_int_equal(k.week, 12);
    assert_code(week_key_step(&k, 12 + WEEKS_MAX + 1), GAGE_E_LIMIT);
    assert_false(secret_equal(&at12, &key));
}

TEST_MAIN(CASE(opens_what_was_sealed_at_every_length_that_matters), CASE(takes_one_byte_at_a_time),
          CASE(the_pieces_make_no_difference), CASE(needs_no_more_room_than_the_message),
          CASE(a_damaged_chunk_leaves_nothing_of_itself), CASE(refuses_a_flip_of_any_bit),
          CASE(refuses_every_truncation_and_a_byte_too_many),
          CASE(refuses_chunks_swapped_repeated_or_under_another_header), CASE(pads_as_padme_does_with_a_floor),
          CASE(messages_of_like_length_make_seals_of_one_length), CASE(a_key_steps_forward_and_never_back))
