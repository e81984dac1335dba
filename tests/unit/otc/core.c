/* What cannot be seen through the GSS calls: state after forged tokens, epochs, the used store's file, the documented table. */
#include "unit/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "otc/context.h"
#include "otc/frame.h"
#include "otc/generation.h"
#include "otc/secretfile.h"
#include "otc/status.h"
#include "otc/used.h"

static const struct otc_env now = {&gage_system_rng, 1800000000, 1};

/* A pair of complete contexts over one PRK. */
static void
make_pair(struct otc_context *pair[2])
{
    uint8_t prk[32];
    assert_ok(rng_fill(&gage_system_rng, prk, sizeof prk));
    for (int k = 0; k < 2; k++) {
        pair[k] = otc_context_new();
        pair[k]->state = OTC_COMPLETE;
        pair[k]->initiator = k == 0;
        pair[k]->flags = OTC_FLAGS_ALWAYS | GSS_C_REPLAY_FLAG;
        pair[k]->lifetime = OTC_INDEFINITE;
        assert_ok(secret_set(&pair[k]->prk, SLICE_OF(prk)));
        otc_schedule(pair[k]);
    }
}

static void
free_pair(struct otc_context *pair[2])
{
    otc_context_free(pair[0]);
    otc_context_free(pair[1]);
}

struct sealed {
    uint8_t token[OTC_TOKEN_LEN], body[4];
};

static struct sealed
seal(struct otc_context *from, const struct otc_env *env)
{
    struct sealed s;
    const struct otc_span span = {(const uint8_t *)"text", s.body, 4};
    const struct otc_message message = {.span = &span, .span_count = 1};
    assert_ok(otc_protect(from, env, OTC_SEALED, &message, s.token, NULL));
    return s;
}

static gage_rc
open_sealed(struct otc_context *to, const struct sealed *s)
{
    uint8_t out[4] = "full";
    const enum otc_type type = OTC_SEALED;
    const struct otc_span span = {s->body, out, 4};
    const struct otc_message message = {.span = &span, .span_count = 1};
    struct otc_header header;
    struct gage_err err = {0};
    OM_uint32 supplementary;
    TRY(otc_read_header(&to->receive, SLICE_OF(s->token), &type, 1, &header, &err));
    gage_rc rc = otc_unprotect(to, &now, &header, &message, &supplementary, &err);
    if (gage_ok(rc))
        assert_memory_equal(out, "text", 4);
    else
        assert_memory_equal(out, "\0\0\0\0", 4);
    return rc;
}

static int
slots_in_use(const struct otc_context *context)
{
    int used = 0;
    for (int k = 0; k < OTC_RECEIVE_SLOTS; k++)
        used += context->receive.slot[k].type != 0;
    return used;
}

TEST(forged_epochs_leave_no_state_and_honest_ones_at_most_four)
{
    struct otc_context *pair[2];
    make_pair(pair);
    struct otc_env env = now;
    struct sealed first = seal(pair[0], &env);
    assert_ok(open_sealed(pair[1], &first));
    for (int k = 0; k < 100; k++) { /* anybody can make up an epoch */
        struct sealed forged = first;
        forged.token[2] ^= (uint8_t)(k + 1);
        assert_code(open_sealed(pair[1], &forged), GAGE_E_GSS);
        assert_int_equal(slots_in_use(pair[1]), 1);
    }
    assert_int_equal(pair[1]->receive.window.next, 1);
    struct sealed many[10];
    for (int k = 0; k < 10; k++) {
        env.generation++; /* as if forked */
        many[k] = seal(pair[0], &env);
        assert_ok(open_sealed(pair[1], &many[k]));
        assert_true(slots_in_use(pair[1]) <= 4);
    }
    assert_ok(open_sealed(pair[1], &first)); /* a forgotten epoch's key is derived again */
    free_pair(pair);
}

TEST(a_new_generation_draws_a_new_epoch_and_the_number_goes_on)
{
    struct otc_context *pair[2];
    make_pair(pair);
    struct otc_env env = now;
    struct sealed a = seal(pair[0], &env), b = seal(pair[0], &env);
    env.generation++;
    struct sealed c = seal(pair[0], &env);
    assert_memory_equal(a.token + 2, b.token + 2, 8);
    assert_memory_not_equal(a.token + 2, c.token + 2, 8);
    assert_int_equal(c.token[17], 2);
    free_pair(pair);
}

TEST(a_fork_is_a_new_generation_for_the_child_alone)
{
    uint64_t before = otc_generation();
    int fd[2];
    assert_true(before != 0);
    assert_int_equal(otc_generation(), before);
    assert_int_equal(pipe(fd), 0);
    if (fork() == 0) {
        uint64_t there = otc_generation();
        if (there == otc_generation())
            (void)!write(fd[1], &there, sizeof there);
        _exit(0);
    }
    uint64_t there = 0;
    assert_int_equal(read(fd[0], &there, sizeof there), sizeof there);
    assert_true(there != before && there != 0);
    assert_int_equal(otc_generation(), before);
    close(fd[0]);
    close(fd[1]);
}

TEST(the_last_number_is_not_passed)
{
    struct otc_context *pair[2];
    make_pair(pair);
    struct gage_err err = {0};
    uint8_t token[OTC_TOKEN_LEN];
    const struct otc_message nothing = {0};
    pair[0]->send.seq = UINT64_MAX - 1;
    assert_ok(otc_protect(pair[0], &now, OTC_SEALED, &nothing, token, &err));
    assert_code(otc_protect(pair[0], &now, OTC_SEALED, &nothing, token, &err), GAGE_E_GSS);
    assert_int_equal(err.gss_major, GSS_S_CONTEXT_EXPIRED);
    assert_int_equal(err.gss_minor, OTC_MINOR_BASE + OTC_S_USED_UP);
    free_pair(pair);
}

static gage_rc
no_randomness(void *context, uint8_t *out, size_t n)
{
    (void)context, (void)out, (void)n;
    return gage_rc_of(GAGE_E_INTERNAL);
}

TEST(without_randomness_for_an_epoch_nothing_is_sent_and_no_number_is_taken)
{
    struct otc_context *pair[2];
    make_pair(pair);
    const struct gage_rng broken = {.fill = no_randomness};
    const struct otc_env env = {&broken, now.now, 1};
    const struct otc_message nothing = {0};
    uint8_t token[OTC_TOKEN_LEN] = {0};
    assert_code(otc_protect(pair[0], &env, OTC_SEALED, &nothing, token, NULL), GAGE_E_INTERNAL);
    assert_int_equal(token[0], 0);
    assert_int_equal(pair[0]->send.seq, 0);
    struct sealed s = seal(pair[0], &now); /* an epoch is drawn at the next attempt */
    assert_ok(open_sealed(pair[1], &s));
    free_pair(pair);
}

TEST(the_window_tells_order_over_1024_numbers_and_far_jumps)
{
    struct otc_window w = {0};
    assert_int_equal(otc_window_mark(&w, 0), OTC_IN_ORDER);
    assert_int_equal(otc_window_mark(&w, 0), OTC_DUPLICATE);
    assert_int_equal(otc_window_mark(&w, 1023), OTC_GAP);
    assert_int_equal(otc_window_mark(&w, 0), OTC_DUPLICATE);
    assert_int_equal(otc_window_mark(&w, 1), OTC_UNSEQ);
    assert_int_equal(otc_window_mark(&w, 1024), OTC_IN_ORDER);
    assert_int_equal(otc_window_mark(&w, 0), OTC_OLD);
    assert_int_equal(otc_window_mark(&w, 1), OTC_DUPLICATE);
    assert_int_equal(otc_window_mark(&w, 2), OTC_UNSEQ);
    assert_int_equal(otc_window_mark(&w, 1024 + 1024), OTC_GAP); /* all but one of the window anew */
    assert_int_equal(otc_window_mark(&w, 1024), OTC_OLD);
    assert_int_equal(otc_window_mark(&w, 1025), OTC_UNSEQ);
    assert_int_equal(otc_window_mark(&w, UINT64_MAX - 1), OTC_GAP);
    assert_int_equal(otc_window_mark(&w, UINT64_MAX - 2), OTC_UNSEQ);
    assert_int_equal(otc_window_mark(&w, UINT64_MAX - 2), OTC_DUPLICATE);
    assert_int_equal(otc_window_mark(&w, 5), OTC_OLD);
}

TEST(frames_take_only_the_shortest_lengths)
{
    for (size_t n = 0; n < 700; n += n == 92 || n == 220 ? 1 : 4) {
        AUTO(gage_buf) token = GAGE_BUF(4096);
        uint8_t inner[700] = {1};
        gage_slice back;
        put_frame(&token, gage_slice_of(inner, n));
        assert_ok(read_frame(gage_buf_slice(&token), &back, NULL));
        assert_int_equal(back.n, n);
    }
    AUTO(gage_buf) longer = GAGE_BUF(4096);
    struct gage_err err = {0};
    gage_slice back;
    put_frame(&longer, SLICE_LITERAL("x"));
    uint8_t padded[64] = {0x60, 0x81};
    memcpy(padded + 2, longer.p + 1, longer.n - 1);
    assert_code(read_frame(gage_slice_of(padded, longer.n + 1), &back, &err), GAGE_E_GSS);
    assert_int_equal(err.gss_minor, OTC_MINOR_BASE + OTC_S_DAMAGED);
}

/* ---- the used store's file ---- */

static struct otc_used_entry
entry(uint8_t first, uint8_t second, uint64_t expires)
{
    struct otc_used_entry e = {.expires = expires, .key = {first, second}};
    return e;
}

TEST(the_used_store_is_the_documented_file_and_survives_a_torn_entry)
{
    char path[] = "/tmp/gage-used-XXXXXX", lock[40];
    close(mkstemp(path));
    snprintf(lock, sizeof lock, "%s.lock", path);
    struct gage_err err = {0};
    struct otc_used_entry one = entry(1, 0, 5000), two = entry(2, 0, 0);
    assert_ok(otc_used_claim(path, &one, 1, 1000, &err));
    AUTO(gage_buf) bytes = GAGE_BUF(1 << 20);
    assert_ok(file_read(path, &bytes, &err));
    assert_int_equal(bytes.n, 16 + 40);
    assert_memory_equal(bytes.p, "gage-otc-used 1\n\0\0\0\0\0\0\x13\x88\x01\0", 26);
    put_bytes(&bytes, SLICE_LITERAL("torn"));
    assert_ok(file_replace(path, gage_buf_slice(&bytes), 0600, &err));
    assert_ok(otc_used_claim(path, &two, 1, 1000, &err));
    assert_code(otc_used_claim(path, &one, 1, 1000, &err), GAGE_E_GSS);
    assert_int_equal(err.gss_minor, OTC_MINOR_BASE + OTC_S_USED);
    assert_code(otc_used_claim(path, &two, 1, 1000, &err), GAGE_E_GSS);
    buf_reset(&bytes);
    assert_ok(file_read(path, &bytes, &err));
    assert_int_equal(bytes.n, 16 + 2 * 40);
    assert_ok(file_replace(path, SLICE_LITERAL("something else"), 0600, &err));
    assert_code(otc_used_claim(path, &one, 1, 1000, &err), GAGE_E_GSS);
    assert_int_equal(err.gss_minor, OTC_MINOR_BASE + OTC_S_USED_STORE);
    unlink(path);
    unlink(lock);
}

TEST(expired_entries_are_dropped_when_they_are_many)
{
    char path[] = "/tmp/gage-used-XXXXXX", lock[40];
    close(mkstemp(path));
    snprintf(lock, sizeof lock, "%s.lock", path);
    struct gage_err err = {0};
    AUTO(gage_buf) bytes = GAGE_BUF(1 << 20);
    put_bytes(&bytes, SLICE_LITERAL("gage-otc-used 1\n"));
    for (unsigned k = 0; k < 1100; k++) {
        struct otc_used_entry e = entry((uint8_t)k, (uint8_t)(k >> 8), k < 1050 ? 10 : 0);
        put_u64(&bytes, e.expires);
        put_bytes(&bytes, SLICE_OF(e.key));
    }
    assert_ok(file_replace(path, gage_buf_slice(&bytes), 0600, &err));
    struct otc_used_entry fresh = entry(9, 9, 0), kept = entry(1099 & 255, 1099 >> 8, 0);
    assert_ok(otc_used_claim(path, &fresh, 1, 1000, &err));
    buf_reset(&bytes);
    assert_ok(file_read(path, &bytes, &err));
    assert_int_equal(bytes.n, 16 + 51 * 40);
    assert_code(otc_used_claim(path, &kept, 1, 1000, &err), GAGE_E_GSS);
    unlink(path);
    unlink(lock);
}

/* ---- the document ---- */

TEST(the_status_table_of_the_document_is_the_one_in_the_code)
{
    static const struct {
        unsigned number;
        const char *name, *text;
    } rows[] = {
#define ROW(name, number, major, text) {number, #name, text},
        OTC_STATUSES(ROW)
#undef ROW
    };
    AUTO(gage_buf) document = GAGE_BUF(1 << 20);
    assert_ok(file_read(GAGE_SOURCE_ROOT "/doc/otc.md", &document, NULL));
    put_u8(&document, 0);
    for (size_t k = 1; k < sizeof rows / sizeof rows[0]; k++) {
        char start[60], end[300];
        snprintf(start, sizeof start, "\n| %u | %s | ", rows[k].number, rows[k].name);
        snprintf(end, sizeof end, " | %s |\n", rows[k].text);
        const char *row = strstr((const char *)document.p, start);
        assert_non_null(row);
        const char *finish = strstr(row, end);
        assert_true(finish != NULL && finish < strchr(row + 1, '\n'));
        assert_int_equal(rows[k].number, k);
    }
    assert_int_equal(rows[sizeof rows / sizeof rows[0] - 1].number, OTC_S_LAST);
}

TEST_MAIN(CASE(forged_epochs_leave_no_state_and_honest_ones_at_most_four),
          CASE(a_new_generation_draws_a_new_epoch_and_the_number_goes_on),
          CASE(a_fork_is_a_new_generation_for_the_child_alone), CASE(the_last_number_is_not_passed),
          CASE(without_randomness_for_an_epoch_nothing_is_sent_and_no_number_is_taken),
          CASE(the_window_tells_order_over_1024_numbers_and_far_jumps), CASE(frames_take_only_the_shortest_lengths),
          CASE(the_used_store_is_the_documented_file_and_survives_a_torn_entry),
          CASE(expired_entries_are_dropped_when_they_are_many),
          CASE(the_status_table_of_the_document_is_the_one_in_the_code))
