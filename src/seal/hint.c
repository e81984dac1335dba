/* The search is compiled once for each width of the processor's vectors; the C library, which has asked it already, says which fits. */
#include "seal/hint.h"

#include <endian.h>
#include <string.h>

#include "base/secret.h"

#if defined(__x86_64__) && defined(__has_include)
#if __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>
#define WIDER_VECTORS
#endif
#endif

#define ALWAYS_INLINE __attribute__((always_inline)) static inline
#define ROTATE(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))
#define JOIN_WORDS(a, b) a##b
#define JOIN(a, b) JOIN_WORDS(a, b)

#define WORDS (SEAL_NONCE_LEN / 8)
#define BLOCK ((size_t)32) /* keys: a bit of 32 each */

/* What is searched for. */
struct wanted {
    uint64_t message[WORDS], low; /* the nonce; the hint's first half */
};

ALWAYS_INLINE uint64_t
load64(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return le64toh(x);
}

static void
store64(uint8_t *p, uint64_t x)
{
    x = htole64(x);
    memcpy(p, &x, sizeof x);
}

#define LANES 2
#define EVENS 0, 2
#define ODDS 1, 3
#define PROCESSOR
#include "seal/hint_lanes.h"

#ifdef WIDER_VECTORS
#define LANES 4
#define EVENS 0, 2, 4, 6
#define ODDS 1, 3, 5, 7
#define PROCESSOR __attribute__((target("avx2")))
#include "seal/hint_lanes.h"

#define LANES 8
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15
#define PROCESSOR __attribute__((target("avx512f")))
#include "seal/hint_lanes.h"
#endif

typedef size_t likely_block_fn(const uint8_t *keys, size_t count, const struct wanted *wanted, uint32_t *which);

static likely_block_fn *
widest(void)
{
#ifdef WIDER_VECTORS
    if (CPU_FEATURE_ACTIVE(AVX512F))
        return likely_block_8;
    if (CPU_FEATURE_ACTIVE(AVX2))
        return likely_block_4;
#endif
    return likely_block_2;
}

static void
load_message(const uint8_t nonce[SEAL_NONCE_LEN], uint64_t message[WORDS])
{
    for (size_t i = 0; i < WORDS; i++)
        message[i] = load64(nonce + 8 * i);
}

void
hint_of(const uint8_t key[HINT_KEY_LEN], const uint8_t nonce[SEAL_NONCE_LEN], uint8_t hint[HINT_LEN])
{
    struct sip_2 s;
    uint64_t message[WORDS];
    struct halves_2 keys = {{load64(key)}, {load64(key + 8)}}, out;
    load_message(nonce, message);
    sip_low_2(&s, &keys, message, &out.low);
    s.v1 ^= (uint64_t)0xdd;
    sip_finish_2(&s, &out.high);
    store64(hint, out.low[0]);
    store64(hint + 8, out.high[0]);
}

struct matches {
    size_t *found, room, n;
};

/* Compares the whole hints of those of a block's keys; the first has the index `from`. */
static void
compare(const uint8_t *keys, uint32_t which, size_t from, const uint8_t nonce[SEAL_NONCE_LEN],
        const uint8_t hint[HINT_LEN], struct matches *matches)
{
    for (; which != 0; which &= which - 1) {
        uint8_t made[HINT_LEN];
        size_t i = (size_t)__builtin_ctz(which);
        hint_of(keys + i * HINT_KEY_LEN, nonce, made);
        if (memcmp(made, hint, HINT_LEN) != 0)
            continue;
        if (matches->n < matches->room)
            matches->found[matches->n] = from + i;
        matches->n++;
    }
}

/* What does not fill a block is searched in one filled up with zeros. */
size_t
hint_search(const uint8_t *keys, size_t count, const uint8_t nonce[SEAL_NONCE_LEN], const uint8_t hint[HINT_LEN],
            size_t *found, size_t room)
{
    struct wanted wanted = {.low = load64(hint)};
    struct matches matches = {found, room, 0};
    likely_block_fn *likely = widest();
    size_t blocks = count / BLOCK, rest = count % BLOCK;
    uint8_t last[BLOCK * HINT_KEY_LEN] = {0};
    uint32_t which = 0;
    load_message(nonce, wanted.message);
    for (size_t i = 0; (i += likely(keys + i * BLOCK * HINT_KEY_LEN, blocks - i, &wanted, &which)) < blocks; i++) {
        compare(keys + i * BLOCK * HINT_KEY_LEN, which, i * BLOCK, nonce, hint, &matches);
        which = 0;
    }
    if (rest == 0)
        return matches.n;
    memcpy(last, keys + blocks * BLOCK * HINT_KEY_LEN, rest * HINT_KEY_LEN);
    likely(last, 1, &wanted, &which);
    compare(last, which & ((UINT32_C(1) << rest) - 1), blocks * BLOCK, nonce, hint, &matches);
    gage_wipe(last, sizeof last);
    return matches.n;
}
