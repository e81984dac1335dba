#include "seal/opener.h"

#include <string.h>

/* ---- finding the key ---- */

struct search {
    const struct seal_header *header;
    struct hkdf hkdf;
    size_t matches, which;
    uint32_t week;
    gage_secret k; /* what the chunks' key is made of, of the week that matched */
};

static void
search_cleanup(struct search *s)
{
    hkdf_cleanup(&s->hkdf);
    secret_wipe(&s->k);
}
typedef struct search search_t;
GAGE_AUTO_DEFINE(search_t, search_cleanup)

/* Tries one week of one pairing. Every candidate is tried, found or not, so that time tells nothing. */
static gage_rc
try_week(struct search *s, const struct week_key *at, size_t index)
{
    AUTO(gage_secret) k = {.n = 0};
    uint8_t commitment[SHA256_LEN];
    TRY(seal_commitment_of(&s->hkdf, &at->key, s->header->nonce, &k, commitment));
    if (slice_equal_ct(SLICE_OF(commitment), SLICE_OF(s->header->commitment))) {
        s->matches++;
        s->which = index;
        s->week = at->week;
        s->k = k;
    }
    return GAGE_DONE;
}

static gage_rc
try_pairing(struct search *s, const struct pairing *pairing, size_t index, unsigned keep, int64_t now)
{
    uint32_t week = week_of(now), oldest = week > keep ? week - keep : 0;
    struct week_key at = pairing->receiving;
    gage_rc rc = week_key_step(&at, oldest);
    while (gage_ok(rc) && at.week <= week + 1) {
        rc = try_week(s, &at, index);
        if (gage_ok(rc))
            rc = week_key_step(&at, at.week + 1);
    }
    secret_wipe(&at.key);
    return rc;
}

static gage_rc
find_key(struct search *s, const struct pairing *const *candidates, size_t count, unsigned keep, int64_t now,
         gage_secret *chunks, struct gage_err *err)
{
    TRY(hkdf_init(&s->hkdf));
    for (size_t i = 0; i < count; i++)
        TRY(try_pairing(s, candidates[i], i, keep, now));
    REQUIRE(s->matches > 0, err, GAGE_E_NOT_OURS,
            "this seal is not for you, or so old that its key has been erased, or made under a pairing you removed");
    REQUIRE(s->matches == 1, err, GAGE_E_CRAFTED, "this seal was crafted to fit two of your pairings: it is refused");
    return seal_chunk_key_of(&s->hkdf, &s->k, chunks);
}

/* ---- beginning ---- */

static gage_rc
copy_to(gage_buf *to, gage_slice name, struct gage_err *err)
{
    *to = GAGE_BUF(SEAL_NAME_MAX);
    put_bytes(to, name);
    return buf_check(to, err);
}

static gage_rc
adopt(struct opener *opener, const struct pairing *pairing, const gage_secret *key, struct gage_err *err)
{
    REQUIRE(opener->now < pairing->until, err, GAGE_E_PAIRING_OVER, "the pairing's time is over: pair again");
    TRY(copy_to(&opener->self, gage_buf_slice(&pairing->self), err));
    TRY(copy_to(&opener->peer, gage_buf_slice(&pairing->peer), err));
    return chunk_reader_init(&opener->chunks, key, opener->header);
}

gage_rc
opener_begin(struct opener *opener, const uint8_t header[SEAL_HEADER_LEN], const struct pairing *const *candidates,
             size_t count, const struct open_policy *policy, int64_t now, size_t *which, struct gage_err *err)
{
    struct seal_header parsed;
    AUTO(gage_secret) key = {.n = 0};
    AUTO(search_t) s = {.header = &parsed};
    memset(opener, 0, sizeof *opener);
    opener->policy = *policy;
    opener->now = now;
    opener->inner = GAGE_BUF(CHUNK_TEXT);
    memcpy(opener->header, header, SEAL_HEADER_LEN);
    TRY(seal_header_get(gage_slice_of(header, SEAL_HEADER_LEN), &parsed, err));
    TRY(seal_digest(header, opener->digest));
    TRY(find_key(&s, candidates, count, policy->keep, now, &key, err));
    TRY(adopt(opener, candidates[s.which], &key, err));
    *which = s.which;
    opener->week = s.week;
    return GAGE_DONE;
}

/* ---- what it says ---- */

static gage_rc
check_time(const struct opener *opener, struct gage_err *err)
{
    int64_t made = opener->result.inner.time, max = opener->policy.max_age;
    REQUIRE(made - SEAL_AHEAD_MAX <= opener->now, err, GAGE_E_FUTURE,
            "the seal is dated more than %d s ahead of this clock: one of the two clocks is wrong", SEAL_AHEAD_MAX);
    REQUIRE(max == 0 || opener->now - made <= max, err, GAGE_E_EXPIRED, "the seal is older than you allow");
    return GAGE_DONE;
}

static gage_rc
check_carrier_name(const struct opener *opener, struct gage_err *err)
{
    const struct seal_inner *inner = &opener->result.inner;
    REQUIRE(inner->carrier == CARRIER_NAME, err, GAGE_E_CARRIER, "the seal names no carrier to compare with");
    REQUIRE(slice_equal(inner->carrier_name, opener->policy.deliverer), err, GAGE_E_CARRIER,
            "the seal was to come by somebody else than the one who delivered it");
    return GAGE_DONE;
}

static gage_rc
check_carrier_proof(const struct opener *opener, struct gage_err *err)
{
    const struct seal_inner *inner = &opener->result.inner;
    REQUIRE(inner->carrier == CARRIER_KEY, err, GAGE_E_CARRIER,
            "the seal holds no carrier key, so no proof can fit it");
    gage_rc rc =
        proof_check(opener->digest, SLICE_OF(inner->carrier_key), opener->policy.occasion, opener->policy.proof, err);
    if (!gage_ok(rc) && err != NULL)
        err->code = GAGE_E_CARRIER;
    return gage_ok(rc) ? rc : gage_rc_of(GAGE_E_CARRIER);
}

static gage_rc
check_policy(struct opener *opener, struct gage_err *err)
{
    const struct seal_inner *inner = &opener->result.inner;
    REQUIRE(slice_equal(inner->originator, gage_buf_slice(&opener->peer)) &&
                slice_equal(inner->recipient, gage_buf_slice(&opener->self)),
            err, GAGE_E_AUTH, "the seal names other parties than the pairing it was made under: it is refused");
    REQUIRE(
        week_of(inner->time) == opener->week, err, GAGE_E_AUTH,
        "the seal is dated to another week than its key is of: it was made by a faulty program, or by who stole a key");
    TRY(check_time(opener, err));
    if (opener->policy.check_name)
        TRY(check_carrier_name(opener, err));
    if (opener->policy.check_proof)
        TRY(check_carrier_proof(opener, err));
    opener->result.carrier_checked = opener->policy.check_name || opener->policy.check_proof;
    REQUIRE(!opener->policy.check_any || opener->result.carrier_checked, err, GAGE_E_CARRIER,
            "who delivered the seal gave neither name nor proof");
    return GAGE_DONE;
}

/* The first chunk's data: what the seal says inside, then the message's beginning. */
static gage_rc
take_inner(struct opener *opener, gage_buf *out, struct gage_err *err)
{
    size_t taken = 0;
    TRY(inner_get(gage_buf_slice(&opener->inner), &opener->result.inner, &taken, err));
    TRY(check_policy(opener, err));
    put_bytes(out, gage_slice_of(opener->inner.p + taken, opener->inner.n - taken));
    opener->inner_known = true;
    return buf_check(out, err);
}

gage_rc
opener_now(struct opener *opener, int64_t now, struct gage_err *err)
{
    opener->now = now;
    return opener->inner_known ? check_time(opener, err) : GAGE_DONE;
}

/* Feeds the reader up to where the first chunk has come out, and looks into it before anything else does. */
gage_rc
opener_put(struct opener *opener, gage_slice sealed, gage_buf *out, struct gage_err *err)
{
    if (!opener->inner_known) {
        size_t room = CHUNK_SEALED + 1 - opener->chunks.sealed.n, n = sealed.n < room ? sealed.n : room;
        TRY(chunk_reader_put(&opener->chunks, gage_slice_of(sealed.p, n), &opener->inner, err));
        if (opener->chunks.index > 0)
            TRY(take_inner(opener, out, err));
        sealed = gage_slice_of(sealed.p + n, sealed.n - n);
    }
    return chunk_reader_put(&opener->chunks, sealed, out, err);
}

gage_rc
opener_end(struct opener *opener, gage_buf *out, struct gage_err *err)
{
    bool known = opener->inner_known;
    TRY(chunk_reader_end(&opener->chunks, known ? out : &opener->inner, err));
    if (!known)
        TRY(take_inner(opener, out, err));
    return GAGE_DONE;
}

void
opener_cleanup(struct opener *opener)
{
    chunk_reader_cleanup(&opener->chunks);
    gage_buf_free(&opener->inner);
    gage_buf_free(&opener->self);
    gage_buf_free(&opener->peer);
    gage_wipe(opener, sizeof *opener);
}
