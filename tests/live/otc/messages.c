/* Messages through the public calls: forms, order, copies of a context, the end. */
#include "live/otc/kit.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOTH_FLAGS (GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG)
#define HEADER 34

TEST(messages_of_many_sizes_arrive_in_both_directions)
{
    struct kit_pair p = kit_pair(BOTH_FLAGS);
    const size_t sizes[] = {0, 1, 15, 16, 17, 255, 4096, 65535, 65536, 1 << 20};
    char *text = malloc(1 << 20);
    OM_uint32 minor;
    memset(text, 'm', 1 << 20);
    for (size_t k = 0; k < 4 * sizeof sizes / sizeof sizes[0]; k++) {
        size_t n = sizes[k / 4];
        gss_ctx_id_t from = k % 2 == 0 ? p.i.ctx : p.a.ctx, to = k % 2 == 0 ? p.a.ctx : p.i.ctx;
        int conf = k / 2 % 2 == 0, conf_state = -1;
        gss_buffer_desc in = {n, text}, token, out;
        assert_int_equal(gss_wrap(&minor, from, conf, 0, &in, &conf_state, &token), GSS_S_COMPLETE);
        assert_int_equal(conf_state, conf);
        assert_int_equal(token.length, n + HEADER);
        assert_int_equal(((uint8_t *)token.value)[0], conf ? 0x11 : 0x12);
        assert_int_equal(gss_unwrap(&minor, to, &token, &out, &conf_state, NULL), GSS_S_COMPLETE);
        assert_int_equal(conf_state, conf);
        assert_int_equal(out.length, n);
        if (n > 0)
            assert_memory_equal(out.value, text, n);
        kit_release(&token);
        kit_release(&out);
    }
    free(text);
    kit_pair_free(&p);
}

TEST(size_limits_are_exact)
{
    struct kit_pair p = kit_pair(0);
    OM_uint32 minor, limit;
    assert_int_equal(gss_wrap_size_limit(&minor, p.i.ctx, 1, 0, 1000, &limit), GSS_S_COMPLETE);
    assert_int_equal(limit, 1000 - HEADER);
    assert_int_equal(gss_wrap_size_limit(&minor, p.i.ctx, 1, 0, HEADER - 1, &limit), GSS_S_COMPLETE);
    assert_int_equal(limit, 0);
    assert_int_equal(gss_wrap_size_limit(&minor, p.i.ctx, 1, 0, 0xffffffffu, &limit), GSS_S_COMPLETE);
    assert_int_equal(limit, 0xffffffffu - HEADER);
    kit_pair_free(&p);
}

/* Lengths that have crashed mechanisms: no memory stands behind them, so they must be refused before a byte is read. */
TEST(lengths_beyond_the_cipher_are_refused_before_anything_is_read)
{
    struct kit_pair p = kit_pair(0);
    const uint64_t lengths[] = {((uint64_t)1 << 36) - 31, (uint64_t)1 << 36, SIZE_MAX - 33, SIZE_MAX};
    OM_uint32 minor;
    char byte = 0;
    for (size_t k = 0; k < 4; k++) {
        gss_buffer_desc in = {lengths[k], &byte}, out;
        OM_uint32 major = gss_wrap(&minor, p.i.ctx, 1, 0, &in, NULL, &out);
        kit_assert_status(major, minor, GSS_S_FAILURE, "longer than the mechanism can protect");
        gss_iov_buffer_desc iov[] = {{GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}},
                                     {GSS_IOV_BUFFER_TYPE_DATA, {8, &byte}},
                                     {GSS_IOV_BUFFER_TYPE_DATA, {lengths[k], &byte}}};
        assert_int_equal(gss_wrap_iov(&minor, p.i.ctx, 1, 0, NULL, iov, 3), GSS_S_FAILURE);
        gss_release_iov_buffer(&minor, iov, 3);
    }
    kit_pair_free(&p);
}

TEST(only_the_default_quality_of_protection_exists)
{
    struct kit_pair p = kit_pair(0);
    OM_uint32 minor, limit;
    gss_buffer_desc in = kit_buffer("x"), out;
    OM_uint32 major = gss_wrap(&minor, p.i.ctx, 1, 1, &in, NULL, &out);
    kit_assert_status(major, minor, GSS_S_BAD_QOP, "only the default quality");
    assert_int_equal(gss_get_mic(&minor, p.i.ctx, 1, &in, &out), GSS_S_BAD_QOP);
    assert_int_equal(gss_wrap_size_limit(&minor, p.i.ctx, 1, 1, 100, &limit), GSS_S_BAD_QOP);
    kit_pair_free(&p);
}

TEST(mics_verify_and_share_the_numbers_of_wrap)
{
    struct kit_pair p = kit_pair(BOTH_FLAGS);
    OM_uint32 minor;
    gss_buffer_desc message = kit_buffer("message"), other = kit_buffer("massage"), mic, mic2;
    assert_int_equal(gss_get_mic(&minor, p.i.ctx, 0, &message, &mic), GSS_S_COMPLETE);
    assert_int_equal(mic.length, HEADER);
    OM_uint32 major = gss_verify_mic(&minor, p.a.ctx, &other, &mic, NULL);
    kit_assert_status(major, minor, GSS_S_BAD_SIG, "the MIC does not belong");
    assert_int_equal(gss_verify_mic(&minor, p.a.ctx, &message, &mic, NULL), GSS_S_COMPLETE);
    gss_buffer_desc token = kit_wrap(p.i.ctx, "second");
    assert_int_equal(gss_get_mic(&minor, p.i.ctx, 0, &message, &mic2), GSS_S_COMPLETE);
    assert_int_equal(gss_verify_mic(&minor, p.a.ctx, &message, &mic2, NULL), GSS_S_GAP_TOKEN);
    kit_unwrap(p.a.ctx, &token, "second", GSS_S_UNSEQ_TOKEN);
    assert_int_equal(gss_verify_mic(&minor, p.a.ctx, &message, &mic, NULL), GSS_S_DUPLICATE_TOKEN);
    kit_release(&mic);
    kit_release(&mic2);
    kit_release(&token);
    kit_pair_free(&p);
}

/* ---- order ---- */

static void
send_many(gss_ctx_id_t ctx, gss_buffer_desc *tokens, size_t count)
{
    for (size_t i = 0; i < count; i++)
        tokens[i] = kit_wrap(ctx, "n");
}

TEST(order_is_reported_as_asked_for_over_a_window_of_1024)
{
    const struct {
        OM_uint32 flags, gap, unseq, duplicate, old;
    } rows[] = {
        {BOTH_FLAGS, GSS_S_GAP_TOKEN, GSS_S_UNSEQ_TOKEN, GSS_S_DUPLICATE_TOKEN, GSS_S_OLD_TOKEN},
        {GSS_C_SEQUENCE_FLAG, GSS_S_GAP_TOKEN, GSS_S_UNSEQ_TOKEN, GSS_S_DUPLICATE_TOKEN, GSS_S_OLD_TOKEN},
        {GSS_C_REPLAY_FLAG, 0, 0, GSS_S_DUPLICATE_TOKEN, GSS_S_OLD_TOKEN},
        {0, 0, 0, 0, 0},
    };
    enum { COUNT = 1030 };
    static gss_buffer_desc tokens[COUNT];
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        struct kit_pair p = kit_pair(rows[k].flags);
        send_many(p.i.ctx, tokens, COUNT);
        kit_unwrap(p.a.ctx, &tokens[0], "n", 0);
        kit_unwrap(p.a.ctx, &tokens[1], "n", 0);
        kit_unwrap(p.a.ctx, &tokens[3], "n", rows[k].gap);
        kit_unwrap(p.a.ctx, &tokens[2], "n", rows[k].unseq);
        kit_unwrap(p.a.ctx, &tokens[2], "n", rows[k].duplicate);
        kit_unwrap(p.a.ctx, &tokens[1028], "n", rows[k].gap); /* next is 1029: the window begins at 5 */
        kit_unwrap(p.a.ctx, &tokens[4], "n", rows[k].old);
        kit_unwrap(p.a.ctx, &tokens[5], "n", rows[k].unseq);
        kit_unwrap(p.a.ctx, &tokens[5], "n", rows[k].duplicate);
        kit_unwrap(p.a.ctx, &tokens[1029], "n", 0);
        for (size_t i = 0; i < COUNT; i++)
            kit_release(&tokens[i]);
        kit_pair_free(&p);
    }
}

TEST(keys_change_with_every_65536_messages_and_old_ones_still_open)
{
    struct kit_pair p = kit_pair(GSS_C_REPLAY_FLAG);
    gss_buffer_desc before = GSS_C_EMPTY_BUFFER, after;
    for (long i = 0; i < 65536; i++) {
        gss_buffer_desc token = kit_wrap(p.i.ctx, "x");
        if (i == 65535)
            before = token;
        else
            kit_release(&token);
    }
    after = kit_wrap(p.i.ctx, "new key");
    kit_unwrap(p.a.ctx, &after, "new key", 0);
    kit_unwrap(p.a.ctx, &before, "x", 0);
    kit_unwrap(p.a.ctx, &before, "x", GSS_S_DUPLICATE_TOKEN);
    kit_release(&before);
    kit_release(&after);
    kit_pair_free(&p);
}

/* ---- copies of a context ---- */

static bool
same_epoch(const gss_buffer_desc *a, const gss_buffer_desc *b)
{
    return memcmp((uint8_t *)a->value + 2, (uint8_t *)b->value + 2, 8) == 0;
}

/* One message from a child made by fork, through shared memory. */
static gss_buffer_desc
wrap_in_a_child(gss_ctx_id_t ctx)
{
    uint8_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (child == 0) {
        gss_buffer_desc token = kit_wrap(ctx, "same words");
        shared[0] = (uint8_t)token.length;
        memcpy(shared + 1, token.value, token.length);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    gss_buffer_desc borrowed = {shared[0], shared + 1};
    return kit_copy(&borrowed);
}

TEST(imported_twice_and_forked_no_key_and_nonce_repeat)
{
    enum { COPIES = 6 };
    struct kit_pair p = kit_pair(GSS_C_REPLAY_FLAG);
    OM_uint32 minor;
    gss_buffer_desc first = kit_wrap(p.i.ctx, "same words"), saved, tokens[COPIES];
    gss_ctx_id_t one = GSS_C_NO_CONTEXT, two = GSS_C_NO_CONTEXT;
    kit_unwrap(p.a.ctx, &first, "same words", 0);
    tokens[0] = wrap_in_a_child(p.i.ctx);
    assert_int_equal(gss_export_sec_context(&minor, &p.i.ctx, &saved), GSS_S_COMPLETE);
    assert_int_equal(gss_import_sec_context(&minor, &saved, &one), GSS_S_COMPLETE);
    assert_int_equal(gss_import_sec_context(&minor, &saved, &two), GSS_S_COMPLETE);
    tokens[1] = kit_wrap(one, "same words");
    tokens[2] = kit_wrap(two, "same words");
    tokens[3] = wrap_in_a_child(one); /* number 2 of copy one, in a child */
    tokens[4] = wrap_in_a_child(one); /* and in its sibling */
    tokens[5] = kit_wrap(one, "same words");
    for (int i = 0; i < COPIES; i++) {
        assert_false(same_epoch(&tokens[i], &first));
        for (int k = 0; k < i; k++) {
            bool parent_goes_on = i == 5 && k == 1;
            assert_int_equal(same_epoch(&tokens[i], &tokens[k]), parent_goes_on);
            /* Equal text under an equal key and nonce would give equal ciphertext. */
            assert_memory_not_equal((uint8_t *)tokens[i].value + HEADER, (uint8_t *)tokens[k].value + HEADER, 10);
        }
    }
    /* Each is authentic; the copies are noticed, because they go on with the same numbers. */
    kit_unwrap(p.a.ctx, &tokens[0], "same words", 0);
    kit_unwrap(p.a.ctx, &tokens[1], "same words", GSS_S_DUPLICATE_TOKEN);
    kit_unwrap(p.a.ctx, &tokens[2], "same words", GSS_S_DUPLICATE_TOKEN);
    kit_unwrap(p.a.ctx, &tokens[3], "same words", 0);
    kit_unwrap(p.a.ctx, &tokens[4], "same words", GSS_S_DUPLICATE_TOKEN);
    kit_unwrap(p.a.ctx, &tokens[5], "same words", GSS_S_DUPLICATE_TOKEN);
    for (int i = 0; i < COPIES; i++)
        free(tokens[i].value);
    kit_release(&first);
    kit_release(&saved);
    gss_delete_sec_context(&minor, &one, NULL);
    gss_delete_sec_context(&minor, &two, NULL);
    kit_pair_free(&p);
}

TEST(the_window_survives_export_and_a_restored_backup_is_noticed)
{
    struct kit_pair p = kit_pair(BOTH_FLAGS);
    OM_uint32 minor;
    gss_buffer_desc tokens[3], saved;
    send_many(p.i.ctx, tokens, 3);
    kit_unwrap(p.a.ctx, &tokens[0], "n", 0);
    kit_unwrap(p.a.ctx, &tokens[2], "n", GSS_S_GAP_TOKEN);
    assert_int_equal(gss_export_sec_context(&minor, &p.a.ctx, &saved), GSS_S_COMPLETE);
    assert_int_equal(gss_import_sec_context(&minor, &saved, &p.a.ctx), GSS_S_COMPLETE);
    kit_release(&saved);
    kit_unwrap(p.a.ctx, &tokens[2], "n", GSS_S_DUPLICATE_TOKEN);
    kit_unwrap(p.a.ctx, &tokens[1], "n", GSS_S_UNSEQ_TOKEN);
    for (int i = 0; i < 3; i++)
        kit_release(&tokens[i]);
    kit_pair_free(&p);
}

/* ---- buffers in place ---- */

TEST(iov_and_plain_forms_are_the_same_token)
{
    struct kit_pair p = kit_pair(BOTH_FLAGS);
    OM_uint32 minor;
    for (int conf = 0; conf < 2; conf++) {
        char one[] = "in two ", two[] = "pieces", joined[128];
        gss_iov_buffer_desc iov[] = {{GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}},
                                     {GSS_IOV_BUFFER_TYPE_DATA, {7, one}},
                                     {GSS_IOV_BUFFER_TYPE_DATA, {6, two}},
                                     {GSS_IOV_BUFFER_TYPE_PADDING | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}},
                                     {GSS_IOV_BUFFER_TYPE_TRAILER | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}}};
        int conf_state = -1;
        assert_int_equal(gss_wrap_iov(&minor, p.i.ctx, conf, 0, &conf_state, iov, 5), GSS_S_COMPLETE);
        assert_int_equal(conf_state, conf);
        assert_int_equal(iov[0].buffer.length, HEADER);
        assert_int_equal(iov[3].buffer.length + iov[4].buffer.length, 0);
        memcpy(joined, iov[0].buffer.value, HEADER);
        memcpy(joined + HEADER, one, 7);
        memcpy(joined + HEADER + 7, two, 6);
        gss_buffer_desc token = {HEADER + 13, joined};
        kit_unwrap(p.a.ctx, &token, "in two pieces", 0);
        gss_release_iov_buffer(&minor, iov, 5);
        token = kit_wrap(p.i.ctx, "as a stream");
        gss_iov_buffer_desc stream[] = {{GSS_IOV_BUFFER_TYPE_STREAM, token}, {GSS_IOV_BUFFER_TYPE_DATA, {0, NULL}}};
        if (conf)
            stream[1].type |= GSS_IOV_BUFFER_FLAG_ALLOCATE;
        assert_int_equal(gss_unwrap_iov(&minor, p.a.ctx, &conf_state, NULL, stream, 2), GSS_S_COMPLETE);
        assert_int_equal(stream[1].buffer.length, 11);
        assert_memory_equal(stream[1].buffer.value, "as a stream", 11);
        assert_int_equal(stream[1].buffer.value == (uint8_t *)token.value + HEADER, !conf);
        gss_release_iov_buffer(&minor, &stream[1], 1);
        kit_release(&token);
    }
    kit_pair_free(&p);
}

TEST(associated_data_is_authenticated_and_its_border_too)
{
    struct kit_pair p = kit_pair(0);
    OM_uint32 minor;
    for (int conf = 0; conf < 2; conf++) {
        char data[] = "data", header[HEADER];
        gss_iov_buffer_desc iov[] = {{GSS_IOV_BUFFER_TYPE_HEADER, {HEADER, header}},
                                     {GSS_IOV_BUFFER_TYPE_SIGN_ONLY, kit_buffer("asso")},
                                     {GSS_IOV_BUFFER_TYPE_SIGN_ONLY, kit_buffer("ciated")},
                                     {GSS_IOV_BUFFER_TYPE_DATA, {4, data}}};
        assert_int_equal(gss_wrap_iov(&minor, p.i.ctx, conf, 0, NULL, iov, 4), GSS_S_COMPLETE);
        char copy[4];
        memcpy(copy, data, 4);
        iov[1].buffer = kit_buffer("asxo");
        assert_int_equal(gss_unwrap_iov(&minor, p.a.ctx, NULL, NULL, iov, 4), GSS_S_DEFECTIVE_TOKEN);
        assert_memory_equal(data, "\0\0\0\0", 4); /* nothing of it is left */
        memcpy(data, copy, 4);
        iov[1].buffer = kit_buffer("associate");
        iov[2].buffer = kit_buffer("d");
        assert_int_equal(gss_unwrap_iov(&minor, p.a.ctx, NULL, NULL, iov, 4), GSS_S_COMPLETE);
        assert_memory_equal(data, "data", 4);
    }
    /* Moving a byte from the associated data to the message must not go unnoticed. */
    char data[] = "data", moved[] = "ddata", header[HEADER];
    gss_iov_buffer_desc iov[] = {{GSS_IOV_BUFFER_TYPE_HEADER, {HEADER, header}},
                                 {GSS_IOV_BUFFER_TYPE_SIGN_ONLY, kit_buffer("associated")},
                                 {GSS_IOV_BUFFER_TYPE_DATA, {4, data}}};
    assert_int_equal(gss_wrap_iov(&minor, p.i.ctx, 0, 0, NULL, iov, 3), GSS_S_COMPLETE);
    iov[1].buffer = kit_buffer("associate");
    iov[2].buffer = (gss_buffer_desc){5, moved};
    assert_int_equal(gss_unwrap_iov(&minor, p.a.ctx, NULL, NULL, iov, 3), GSS_S_DEFECTIVE_TOKEN);
    kit_pair_free(&p);
}

TEST(iov_lengths_and_mics)
{
    struct kit_pair p = kit_pair(BOTH_FLAGS);
    OM_uint32 minor;
    char room[HEADER];
    gss_iov_buffer_desc iov[] = {{GSS_IOV_BUFFER_TYPE_HEADER, {0, NULL}},
                                 {GSS_IOV_BUFFER_TYPE_DATA, kit_buffer("data")},
                                 {GSS_IOV_BUFFER_TYPE_PADDING, {9, NULL}},
                                 {GSS_IOV_BUFFER_TYPE_TRAILER, {9, NULL}}};
    assert_int_equal(gss_wrap_iov_length(&minor, p.i.ctx, 1, 0, NULL, iov, 4), GSS_S_COMPLETE);
    assert_int_equal(iov[0].buffer.length, HEADER);
    assert_int_equal(iov[2].buffer.length + iov[3].buffer.length, 0);
    gss_iov_buffer_desc mic[] = {{GSS_IOV_BUFFER_TYPE_DATA, kit_buffer("mess")},
                                 {GSS_IOV_BUFFER_TYPE_SIGN_ONLY, kit_buffer("age")},
                                 {GSS_IOV_BUFFER_TYPE_MIC_TOKEN, {0, NULL}}};
    assert_int_equal(gss_get_mic_iov_length(&minor, p.i.ctx, 0, mic, 3), GSS_S_COMPLETE);
    assert_int_equal(mic[2].buffer.length, HEADER);
    mic[2].buffer.value = room;
    assert_int_equal(gss_get_mic_iov(&minor, p.i.ctx, 0, mic, 3), GSS_S_COMPLETE);
    gss_buffer_desc message = kit_buffer("message");
    assert_int_equal(gss_verify_mic(&minor, p.a.ctx, &message, &mic[2].buffer, NULL), GSS_S_COMPLETE);
    assert_int_equal(gss_verify_mic_iov(&minor, p.a.ctx, NULL, mic, 3), GSS_S_DUPLICATE_TOKEN);
    mic[0].buffer = kit_buffer("mass");
    assert_int_equal(gss_verify_mic_iov(&minor, p.a.ctx, NULL, mic, 3), GSS_S_BAD_SIG);
    kit_pair_free(&p);
}

TEST(buffers_that_do_not_fit_are_refused)
{
    struct kit_pair p = kit_pair(0);
    OM_uint32 minor;
    char small[HEADER - 1], data[] = "data";
    gss_iov_buffer_desc no_header[] = {{GSS_IOV_BUFFER_TYPE_DATA, {4, data}}};
    gss_iov_buffer_desc small_header[] = {{GSS_IOV_BUFFER_TYPE_HEADER, {sizeof small, small}},
                                          {GSS_IOV_BUFFER_TYPE_DATA, {4, data}}};
    gss_iov_buffer_desc two_headers[] = {{GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}},
                                         {GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}}};
    gss_iov_buffer_desc no_bytes[] = {{GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}},
                                      {GSS_IOV_BUFFER_TYPE_DATA, {4, NULL}}};
    const struct {
        gss_iov_buffer_desc *iov;
        int count;
    } rows[] = {{no_header, 1}, {small_header, 2}, {two_headers, 2}, {no_bytes, 2}};
    for (size_t k = 0; k < 4; k++) {
        OM_uint32 major = gss_wrap_iov(&minor, p.i.ctx, 1, 0, NULL, rows[k].iov, rows[k].count);
        kit_assert_status(major, minor, GSS_S_FAILURE, "the buffers do not fit");
    }
    assert_memory_equal(data, "data", 4);
    kit_pair_free(&p);
}

/* ---- PRF, the end ---- */

TEST(the_prf_agrees_and_is_bound_to_input_and_context)
{
    struct kit_pair p = kit_pair(0), q = kit_pair(0);
    OM_uint32 minor;
    gss_buffer_desc in = kit_buffer("input"), other = kit_buffer("Input"), a, b;
    assert_int_equal(gss_pseudo_random(&minor, p.i.ctx, GSS_C_PRF_KEY_FULL, &in, 8160, &a), GSS_S_COMPLETE);
    assert_int_equal(gss_pseudo_random(&minor, p.a.ctx, GSS_C_PRF_KEY_FULL, &in, 8160, &b), GSS_S_COMPLETE);
    assert_int_equal(a.length, 8160);
    assert_memory_equal(a.value, b.value, 8160);
    kit_release(&b);
    assert_int_equal(gss_pseudo_random(&minor, p.a.ctx, GSS_C_PRF_KEY_FULL, &other, 32, &b), GSS_S_COMPLETE);
    assert_memory_not_equal(a.value, b.value, 32);
    kit_release(&b);
    assert_int_equal(gss_pseudo_random(&minor, q.a.ctx, GSS_C_PRF_KEY_FULL, &in, 32, &b), GSS_S_COMPLETE);
    assert_memory_not_equal(a.value, b.value, 32);
    kit_release(&b);
    kit_release(&a);
    assert_int_equal(gss_pseudo_random(&minor, p.i.ctx, GSS_C_PRF_KEY_PARTIAL, &in, 32, &a), GSS_S_UNAVAILABLE);
    OM_uint32 major = gss_pseudo_random(&minor, p.i.ctx, GSS_C_PRF_KEY_FULL, &in, 8161, &a);
    kit_assert_status(major, minor, GSS_S_FAILURE, "more than 8160 bytes");
    kit_pair_free(&p);
    kit_pair_free(&q);
}

TEST(a_delete_token_ends_the_context_after_its_last_message)
{
    struct kit_pair p = kit_pair(BOTH_FLAGS);
    OM_uint32 minor;
    gss_buffer_desc last = kit_wrap(p.i.ctx, "last words"), end, in = kit_buffer("x"), out;
    assert_int_equal(gss_delete_sec_context(&minor, &p.i.ctx, &end), GSS_S_COMPLETE);
    assert_int_equal(end.length, HEADER);
    for (size_t k = 0; k < end.length; k++) { /* damaged, it ends nothing */
        gss_buffer_desc bad = kit_copy(&end);
        ((uint8_t *)bad.value)[k] ^= 1;
        assert_true(GSS_ERROR(gss_process_context_token(&minor, p.a.ctx, &bad)));
        free(bad.value);
    }
    assert_int_equal(gss_wrap(&minor, p.a.ctx, 1, 0, &in, NULL, &out), GSS_S_COMPLETE);
    kit_release(&out);
    assert_int_equal(gss_process_context_token(&minor, p.a.ctx, &end), GSS_S_COMPLETE);
    kit_unwrap(p.a.ctx, &last, "last words", 0); /* on its way before the end */
    OM_uint32 major = gss_wrap(&minor, p.a.ctx, 1, 0, &in, NULL, &out);
    kit_assert_status(major, minor, GSS_S_NO_CONTEXT, "the other side ended the context");
    int open = 1;
    assert_int_equal(gss_inquire_context(&minor, p.a.ctx, NULL, NULL, NULL, NULL, NULL, NULL, &open), GSS_S_COMPLETE);
    assert_int_equal(open, 0);
    kit_release(&last);
    kit_release(&end);
    kit_pair_free(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(messages_of_many_sizes_arrive_in_both_directions),
        CASE(size_limits_are_exact),
        CASE(lengths_beyond_the_cipher_are_refused_before_anything_is_read),
        CASE(only_the_default_quality_of_protection_exists),
        CASE(mics_verify_and_share_the_numbers_of_wrap),
        CASE(order_is_reported_as_asked_for_over_a_window_of_1024),
        CASE(keys_change_with_every_65536_messages_and_old_ones_still_open),
        CASE(imported_twice_and_forked_no_key_and_nonce_repeat),
        CASE(the_window_survives_export_and_a_restored_backup_is_noticed),
        CASE(iov_and_plain_forms_are_the_same_token),
        CASE(associated_data_is_authenticated_and_its_border_too),
        CASE(iov_lengths_and_mics),
        CASE(buffers_that_do_not_fit_are_refused),
        CASE(the_prf_agrees_and_is_bound_to_input_and_context),
        CASE(a_delete_token_ends_the_context_after_its_last_message),
    };
    kit_start();
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
