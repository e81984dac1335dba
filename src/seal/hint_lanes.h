/* hint_lanes.h - SipHash as Aumasson and Bernstein describe it, on LANES keys at a time: the same message under many keys.
 *
 * hint.c includes it once for each width, with LANES, EVENS and ODDS (where first and second words stand among LANES keys), and PROCESSOR, the
 * attribute of what is compiled for processors of this width. So it has no guard. */

#define lanes JOIN(lanes_, LANES)
#define sip JOIN(sip_, LANES)
#define sip_round JOIN(sip_round_, LANES)
#define sip_block JOIN(sip_block_, LANES)
#define sip_finish JOIN(sip_finish_, LANES)
#define sip_low JOIN(sip_low_, LANES)
#define load_keys JOIN(load_keys_, LANES)
#define halves JOIN(halves_, LANES)
#define likely_block JOIN(likely_block_, LANES)

typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));

struct sip {
    lanes v0, v1, v2, v3;
};

/* The first and second words of keys, or the halves of their hints. */
struct halves {
    lanes low, high;
};

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

/* The hints' first half. The nonce is a whole number of words, so the last block is its length alone. */
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

/* LANES keys into lanes. */
ALWAYS_INLINE void
load_keys(const uint8_t *keys, struct halves *into)
{
#if __BYTE_ORDER == __LITTLE_ENDIAN
    lanes first, second;
    memcpy(&first, keys, sizeof first);
    memcpy(&second, keys + sizeof first, sizeof second);
    into->low = __builtin_shufflevector(first, second, EVENS);
    into->high = __builtin_shufflevector(first, second, ODDS);
#else
    for (size_t j = 0; j < LANES; j++) {
        into->low[j] = load64(keys + j * HINT_KEY_LEN);
        into->high[j] = load64(keys + j * HINT_KEY_LEN + 8);
    }
#endif
}

/* The first of `count` blocks in which keys give this first half (the second is looked at only then), and which of its keys those are, a bit
 * each; else count. */
PROCESSOR static size_t
likely_block(const uint8_t *keys, size_t count, const struct wanted *wanted, uint32_t *which)
{
    for (size_t i = 0; i < count; i++) {
        lanes hits[BLOCK / LANES], hit = {0};
        uint64_t any = 0;
        for (size_t g = 0; g < BLOCK / LANES; g++) {
            struct sip s;
            struct halves in;
            lanes out;
            load_keys(keys + (i * BLOCK + g * LANES) * HINT_KEY_LEN, &in);
            sip_low(&s, &in, wanted->message, &out);
            hits[g] = (lanes)(out == wanted->low);
            hit |= hits[g];
        }
        for (size_t j = 0; j < LANES; j++)
            any |= hit[j];
        if (any == 0)
            continue;
        for (size_t j = 0; j < BLOCK; j++)
            *which |= (uint32_t)(hits[j / LANES][j % LANES] & 1) << j;
        return i;
    }
    return count;
}

#undef lanes
#undef sip
#undef sip_round
#undef sip_block
#undef sip_finish
#undef sip_low
#undef load_keys
#undef halves
#undef likely_block
#undef LANES
#undef EVENS
#undef ODDS
#undef PROCESSOR
