/* SipHash as Aumasson and Bernstein describe it, here on eight keys at a time: the same message under many keys. The compiler makes a
 * version for each vector width and the loader takes the one that fits the processor. */
#include "seal/hint.h"

#include <endian.h>
#include <string.h>

#define LANES 8
typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));

#define WORDS (SEAL_NONCE_LEN / 8)
#define ALWAYS_INLINE __attribute__((always_inline)) static inline
#define EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#if !defined(__x86_64__) || !defined(__GNUC__) || defined(__clang__) || defined(__SANITIZE_ADDRESS__) ||               \
    defined(__SANITIZE_THREAD__)
#undef EACH_PROCESSOR
#define EACH_PROCESSOR
#endif

struct sip {
    lanes v0, v1, v2, v3;
};

#define ROTATE(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))

ALWAYS_INLINE void
sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = ROTATE(s->v1, 13) ^ s->v0;
    s->v3 = ROTATE(s->v3, 16) ^ s->v2;
    s->v0 = ROTATE(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = ROTATE(s->v1, 17) ^ s->v2;
    s->v3 = ROTATE(s->v3, 21) ^ s->v0;
    s->v2 = ROTATE(s->v2, 32);
}

/* A mask or a message word goes into every lane: a scalar operand does that. */
ALWAYS_INLINE void
sip_block(struct sip *s, uint64_t m)
{
    s->v3 ^= m;
    sip_round(s);
    sip_round(s);
    s->v0 ^= m;
}

ALWAYS_INLINE void
sip_finish(struct sip *s, lanes *out)
{
    for (int i = 0; i < 4; i++)
        sip_round(s);
    *out = s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

struct halves {
    lanes low, high;
};

/* The output's first half for LANES keys, given as their first and second words. The nonce is a whole number of words, so the last block is
 * its length alone. */
ALWAYS_INLINE void
sip_low(struct sip *s, const struct halves *keys, const uint64_t message[WORDS], lanes *low)
{
    *s = (struct sip){keys->low ^ 0x736f6d6570736575, keys->high ^ 0x646f72616e646f6d ^ 0xee,
                      keys->low ^ 0x6c7967656e657261, keys->high ^ 0x7465646279746573};
    for (size_t i = 0; i < WORDS; i++)
        sip_block(s, message[i]);
    sip_block(s, (uint64_t)SEAL_NONCE_LEN << 56);
    s->v2 ^= (uint64_t)0xee;
    sip_finish(s, low);
}

ALWAYS_INLINE void
sip_high(struct sip *s, lanes *high)
{
    s->v1 ^= (uint64_t)0xdd;
    sip_finish(s, high);
}

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

static void
load_message(const uint8_t nonce[SEAL_NONCE_LEN], uint64_t message[WORDS])
{
    for (size_t i = 0; i < WORDS; i++)
        message[i] = load64(nonce + 8 * i);
}

void
hint_of(const uint8_t key[HINT_KEY_LEN], const uint8_t nonce[SEAL_NONCE_LEN], uint8_t hint[HINT_LEN])
{
    struct sip s;
    uint64_t message[WORDS];
    struct halves keys = {{load64(key)}, {load64(key + 8)}}, out;
    load_message(nonce, message);
    sip_low(&s, &keys, message, &out.low);
    sip_high(&s, &out.high);
    store64(hint, out.low[0]);
    store64(hint + 8, out.high[0]);
}

/* LANES keys into lanes. */
ALWAYS_INLINE void
load_keys(const uint8_t *keys, struct halves *into)
{
#if __BYTE_ORDER == __LITTLE_ENDIAN
    lanes first, second;
    memcpy(&first, keys, sizeof first);
    memcpy(&second, keys + sizeof first, sizeof second);
    into->low = __builtin_shufflevector(first, second, 0, 2, 4, 6, 8, 10, 12, 14);
    into->high = __builtin_shufflevector(first, second, 1, 3, 5, 7, 9, 11, 13, 15);
#else
    for (size_t j = 0; j < LANES; j++) {
        into->low[j] = load64(keys + j * HINT_KEY_LEN);
        into->high[j] = load64(keys + j * HINT_KEY_LEN + 8);
    }
#endif
}

#define GROUPS 4
#define BLOCK ((size_t)LANES * GROUPS)

/* From `from`, in whole blocks, the first block in which a key gives this first half (the second is looked at only then); else where the last
 * whole block ends. */
EACH_PROCESSOR static size_t
first_likely(const uint8_t *keys, size_t from, size_t count, const uint64_t message[WORDS], uint64_t low)
{
    size_t i = from;
    for (; i + BLOCK <= count; i += BLOCK) {
        lanes hit = {0};
        uint64_t any = 0;
        for (size_t g = 0; g < GROUPS; g++) {
            struct sip s;
            struct halves in;
            lanes out;
            load_keys(keys + (i + g * LANES) * HINT_KEY_LEN, &in);
            sip_low(&s, &in, message, &out);
            hit |= (lanes)(out == low);
        }
        for (size_t j = 0; j < LANES; j++)
            any |= hit[j];
        if (any != 0)
            break;
    }
    return i;
}

size_t
hint_search(const uint8_t *keys, size_t count, const uint8_t nonce[SEAL_NONCE_LEN], const uint8_t hint[HINT_LEN],
            size_t *found, size_t room)
{
    uint64_t message[WORDS];
    size_t matches = 0;
    load_message(nonce, message);
    for (size_t i = 0; i < count;) {
        i = first_likely(keys, i, count, message, load64(hint));
        size_t end = count - i < BLOCK ? count : i + BLOCK;
        for (; i < end; i++) {
            uint8_t made[HINT_LEN];
            hint_of(keys + i * HINT_KEY_LEN, nonce, made);
            if (memcmp(made, hint, HINT_LEN) != 0)
                continue;
            if (matches < room)
                found[matches] = i;
            matches++;
        }
    }
    return matches;
}
