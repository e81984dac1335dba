/* Seals reveal neither names nor linkage: statistics over thousands of them, from fixed randomness, so that the verdict is the same in every run. The
 * same checks are given seals with a flaw put in: each flaw must be seen, or the checks prove nothing. */
#include "unit/test.h"

#include <math.h>
#include <stdlib.h>

#include "seal/sealer.h"

#define NOW INT64_C(1795000000)
#define PEERS 4
#define EACH 1500
#define SEALS (PEERS * EACH)
#define LENGTH 609 /* of the smallest seal */
/* How far from chance something may be, in standard deviations: by chance once in 10^15 checks. */
#define FAR 8.0

static uint8_t (*seals)[LENGTH]; /* peer by peer */

static gage_rc
count_on(void *context, uint8_t *out, size_t n)
{
    uint64_t *counter = context;
    while (n > 0) {
        uint8_t hash[SHA256_LEN];
        size_t part = n < sizeof hash ? n : sizeof hash;
        if (!gage_ok(sha256_of(gage_slice_of((const uint8_t *)counter, sizeof *counter), hash)))
            return gage_rc_of(GAGE_E_INTERNAL);
        ++*counter;
        memcpy(out, hash, part);
        out += part;
        n -= part;
    }
    return GAGE_DONE;
}

/* ---- seals ---- */

static const char *const names[PEERS] = {"krb5:bob@EXAMPLE", "krb5:dan@EXAMPLE", "krb5:eve@EXAMPLE",
                                         "krb5:fay@EXAMPLE"};
#define ALICE "krb5:alice@EXAMPLE"
#define CAROL "krb5:carol@EXAMPLE"
#define TEXT "the same words to everybody, every time"

static void
make(size_t peer, struct pairing *p)
{
    *p = (struct pairing){.made = NOW, .until = NOW + 1000000, .self = GAGE_BUF(64), .peer = GAGE_BUF(64)};
    p->sending = (struct week_key){week_of(NOW), {.n = SEAL_KEY_LEN}};
    memset(p->sending.key.b, (int)peer + 1, SEAL_KEY_LEN);
    memset(p->hint_send, (int)peer + 1, HINT_KEY_LEN);
    put_bytes(&p->self, SLICE_LITERAL(ALICE));
    put_bytes(&p->peer, slice_str(names[peer]));
}

static void
seal_one(const struct pairing *p, bool named, const struct gage_rng *rng, gage_slice message, gage_buf *out)
{
    static struct sealer sealer;
    const struct seal_carrier carrier = {named ? CARRIER_NAME : CARRIER_ANY, named ? SLICE_LITERAL(CAROL) : SLICE_NONE};
    buf_reset(out);
    assert_ok(sealer_begin(&sealer, p, &carrier, rng, NOW, out, NULL));
    assert_ok(sealer_put(&sealer, message, out));
    assert_ok(sealer_end(&sealer, out));
    sealer_cleanup(&sealer);
}

static int
make_seals(void **state)
{
    uint64_t counter = 1;
    const struct gage_rng rng = {count_on, &counter};
    AUTO(gage_buf) out = GAGE_BUF(4096);
    (void)state;
    seals = calloc(SEALS, sizeof *seals);
    for (size_t i = 0; i < SEALS; i++) {
        AUTO(pairing_t) p = {.made = 0};
        make(i / EACH, &p);
        seal_one(&p, i % 3 == 0, &rng, SLICE_LITERAL(TEXT), &out);
        assert_int_equal(out.n, LENGTH);
        memcpy(seals[i], out.p, LENGTH);
    }
    return 0;
}

static int
drop_seals(void **state)
{
    (void)state;
    free(seals);
    return 0;
}

/* ---- what is looked at: NULL, or what is wrong ---- */

/* Chi-square of 256 values with `n` counts, in standard deviations from its mean. */
static double
chi_square(const unsigned counts[256], size_t n)
{
    double sum = 0, expected = (double)n / 256;
    for (int i = 0; i < 256; i++)
        sum += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
    return (sum - 255) / sqrt(2.0 * 255);
}

static const char *
bytes_are_even(void)
{
    unsigned pooled[256] = {0};
    for (size_t at = 1; at < LENGTH; at++) {
        unsigned here[256] = {0};
        for (size_t i = 0; i < SEALS; i++) {
            here[seals[i][at]]++;
            pooled[seals[i][at]]++;
        }
        if (fabs(chi_square(here, SEALS)) > FAR)
            return "the bytes at one place are not evenly spread";
    }
    return fabs(chi_square(pooled, (size_t)SEALS * (LENGTH - 1))) > FAR ? "the bytes are not evenly spread" : NULL;
}

/* The XOR of two seals of one peer must look like that of two seals of two peers: like chance. `apart`: how far apart in the list. */
static const char *
differences_are_even(size_t apart)
{
    for (size_t at = 1; at < LENGTH; at++) {
        unsigned here[256] = {0};
        for (size_t i = 0; i < SEALS; i++)
            here[seals[i][at] ^ seals[(i + apart) % SEALS][at]]++;
        if (fabs(chi_square(here, SEALS)) > FAR)
            return "the differences between seals are not evenly spread";
    }
    return NULL;
}

/* Every bit of every place: as often set in one peer's seals as in all the others'. */
static const char *
peers_are_alike(void)
{
    for (size_t bit = 8; bit < LENGTH * 8; bit++) {
        unsigned set[PEERS] = {0};
        for (size_t i = 0; i < SEALS; i++)
            set[i / EACH] += seals[i][bit / 8] >> bit % 8 & 1;
        for (size_t peer = 0; peer < PEERS; peer++)
            if (fabs((double)set[peer] - EACH / 2.0) / sqrt(EACH / 4.0) > FAR)
                return "a bit tells a peer";
    }
    return NULL;
}

static size_t sort_at;
static int
by_part(const void *a, const void *b)
{
    return memcmp(*(const uint8_t *const *)a + sort_at, *(const uint8_t *const *)b + sort_at, 8);
}

/* No eight bytes of nonce, hint, commitment, of the beginning or the end of the rest, come twice at one place. */
static const char *
nothing_comes_twice(void)
{
    static const size_t places[] = {1, 9, 17, 25, 33, 41, 49, 57, 65, 73, 81, 89, LENGTH - 16, LENGTH - 8};
    const uint8_t **sorted = calloc(SEALS, sizeof *sorted);
    const char *wrong = NULL;
    for (size_t i = 0; i < SEALS; i++)
        sorted[i] = seals[i];
    for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
        sort_at = places[p];
        qsort(sorted, SEALS, sizeof *sorted, by_part);
        for (size_t i = 1; i < SEALS; i++)
            wrong = by_part(&sorted[i - 1], &sorted[i]) == 0 ? "eight bytes come twice at one place" : wrong;
    }
    free(sorted);
    return wrong;
}

static const char *
names_are_absent(void)
{
    static const char *const words[] = {"alice", "bob", "carol", "dan", "EXAMPLE", "same words"};
    for (size_t i = 0; i < SEALS; i++)
        for (size_t w = 0; w < sizeof words / sizeof *words; w++)
            if (strlen(words[w]) > 3 && memmem(seals[i], LENGTH, words[w], strlen(words[w])) != NULL)
                return "a name stands in a seal";
    return NULL;
}

/* All of it; the first thing wrong. */
static const char *
verdict(void)
{
    const char *wrong = names_are_absent();
    wrong = wrong != NULL ? wrong : nothing_comes_twice();
    wrong = wrong != NULL ? wrong : bytes_are_even();
    wrong = wrong != NULL ? wrong : differences_are_even(1);
    wrong = wrong != NULL ? wrong : differences_are_even(EACH);
    return wrong != NULL ? wrong : peers_are_alike();
}

/* ---- flaws ---- */

static void
fixed_hint(uint8_t *seal, size_t i)
{
    memset(seal + 33, (int)(i / EACH) + 1, HINT_LEN);
}
static void
hint_with_a_mark(uint8_t *seal, size_t i)
{
    seal[33] = (uint8_t)((seal[33] & 0xfc) | i / EACH); /* two bits tell the peer */
}
static void
nonce_that_counts(uint8_t *seal, size_t i)
{
    seal[1] = (uint8_t)(i >> 8);
    seal[2] = (uint8_t)i;
}
static void
name_in_clear(uint8_t *seal, size_t i)
{
    if (i == SEALS - 1)
        memcpy(seal + 200, ALICE, strlen(ALICE));
}
static void
biased_bit(uint8_t *seal, size_t i)
{
    if (i / EACH == 2 && i % 3 != 0)
        seal[70] |= 16;
}
static void
one_mask_for_all(uint8_t *seal, size_t i)
{
    (void)i;
    memset(seal + 300, 0x5a, 9); /* as a stream cipher under a repeated nonce leaves equal texts equal */
}
static void
commitment_repeats_once(uint8_t *seal, size_t i)
{
    if (i == 4000)
        memcpy(seal + 49, seals[17] + 49, SHA256_LEN);
}

TEST(nothing_tells_the_seals_of_one_peer_from_anothers_or_from_chance)
{
    const char *wrong = verdict();
    if (wrong != NULL)
        fail_msg("%s", wrong);
}

TEST(the_same_checks_see_every_flaw_that_is_put_in)
{
    static void (*const flaws[])(uint8_t *,
                                 size_t) = {fixed_hint, hint_with_a_mark, nonce_that_counts,      name_in_clear,
                                            biased_bit, one_mask_for_all, commitment_repeats_once};
    uint8_t(*good)[LENGTH] = calloc(SEALS, sizeof *good);
    memcpy(good, seals, SEALS * sizeof *good);
    for (size_t f = 0; f < sizeof flaws / sizeof *flaws; f++) {
        for (size_t i = 0; i < SEALS; i++)
            flaws[f](seals[i], i);
        if (verdict() == NULL)
            fail_msg("flaw %zu is not seen", f);
        memcpy(seals, good, SEALS * sizeof *good);
    }
    free(good);
}

/* A seal's length is a function of its padded class alone: not of the peer, nor of the carrier, nor of the exact length. */
TEST(a_length_tells_its_class_and_nothing_more)
{
    uint64_t counter = 1;
    const struct gage_rng rng = {count_on, &counter};
    static uint8_t message[20000];
    AUTO(gage_buf) out = GAGE_BUF(65536);
    size_t classes = 0, last = 0;
    AUTO(pairing_t) p = {.made = 0};
    AUTO(pairing_t) q = {.made = 0};
    make(0, &p);
    make(3, &q);
    for (size_t n = 0; n <= sizeof message; n += 7) {
        seal_one(&p, false, &rng, gage_slice_of(message, n), &out);
        size_t length = out.n;
        seal_one(&q, false, &rng, gage_slice_of(message, n), &out);
        assert_int_equal(out.n, length);
        assert_int_equal(length - SEAL_HEADER_LEN - GCM_TAG_LEN, seal_padded(length - SEAL_HEADER_LEN - GCM_TAG_LEN));
        assert_true(length >= last);
        classes += length != last;
        last = length;
    }
    assert_true(classes < 100); /* of 20,000 lengths */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {CASE(nothing_tells_the_seals_of_one_peer_from_anothers_or_from_chance),
                                       CASE(the_same_checks_see_every_flaw_that_is_put_in),
                                       CASE(a_length_tells_its_class_and_nothing_more)};
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, make_seals, drop_seals);
}
