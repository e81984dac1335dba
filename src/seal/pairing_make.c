/* A pairing from a finished key agreement. Keeping and using one needs no GSS library: that stands in pairing.c. */
#include "seal/pairing.h"

#include <string.h>

#define OFFER_VERSION 1

/* ---- the offer ---- */

struct offer {
    uint32_t week;
    int64_t validity;
    uint8_t names[SHA256_LEN];
};

void
pairing_offer(int64_t now, int64_t validity, const uint8_t names[SHA256_LEN], uint8_t offer[PAIRING_OFFER_LEN])
{
    AUTO(gage_buf) buf = GAGE_BUF(PAIRING_OFFER_LEN);
    put_u8(&buf, OFFER_VERSION);
    put_u32(&buf, week_of(now));
    put_u64(&buf, (uint64_t)validity);
    put_bytes(&buf, gage_slice_of(names, SHA256_LEN));
    memcpy(offer, buf.p, PAIRING_OFFER_LEN);
}

static gage_rc
read_offer(gage_slice bytes, struct offer *offer, struct gage_err *err)
{
    struct reader r = read_from(bytes);
    uint8_t version = get_u8(&r);
    offer->week = get_u32(&r);
    uint64_t validity = get_u64(&r);
    get_copy(&r, offer->names, sizeof offer->names);
    TRY(read_end(&r, err, "the peer's offer of a pairing"));
    REQUIRE(version == OFFER_VERSION, err, GAGE_E_UNSUPPORTED, "the peer offers a pairing of version %u, not 1",
            version);
    REQUIRE(validity > 0 && validity <= PAIRING_VALIDITY_MAX, err, GAGE_E_FORMAT,
            "the peer's offer of a pairing has a validity out of range");
    offer->validity = (int64_t)validity;
    return GAGE_DONE;
}

/* ---- keys ---- */

gage_rc
pairing_names(gage_slice initiator, gage_slice acceptor, uint8_t hash[SHA256_LEN])
{
    AUTO(gage_buf) both = GAGE_BUF(2 * (4 + SEAL_NAME_MAX));
    put_vec32(&both, initiator);
    put_vec32(&both, acceptor);
    if (both.bad)
        return gage_rc_of(GAGE_E_LIMIT);
    return sha256_of(gage_buf_slice(&both), hash);
}

static gage_rc
expand(const struct agreement *agreement, const char *purpose, const uint8_t names[SHA256_LEN], size_t n,
       gage_secret *out)
{
    AUTO(gage_buf) info = GAGE_BUF(96);
    put_bytes(&info, slice_str(purpose));
    put_bytes(&info, gage_slice_of(names, SHA256_LEN));
    if (info.bad)
        return gage_rc_of(GAGE_E_INTERNAL);
    return agreement_expand(agreement, gage_buf_slice(&info), n, out);
}

static gage_rc
expand_bytes(const struct agreement *agreement, const char *purpose, const uint8_t names[SHA256_LEN], uint8_t *out)
{
    AUTO(gage_secret) value = {.n = 0};
    TRY(expand(agreement, purpose, names, 16, &value));
    memcpy(out, value.b, 16);
    return GAGE_DONE;
}

static gage_rc
derive_keys(const struct agreement *agreement, bool initiator, const uint8_t names[SHA256_LEN], struct pairing *p)
{
    struct week_key *i2a = initiator ? &p->sending : &p->receiving, *a2i = initiator ? &p->receiving : &p->sending;
    TRY(expand(agreement, "gage-pair-1 seal i2a", names, SEAL_KEY_LEN, &i2a->key));
    TRY(expand(agreement, "gage-pair-1 seal a2i", names, SEAL_KEY_LEN, &a2i->key));
    TRY(expand_bytes(agreement, "gage-pair-1 hint i2a", names, initiator ? p->hint_send : p->hint_receive));
    TRY(expand_bytes(agreement, "gage-pair-1 hint a2i", names, initiator ? p->hint_receive : p->hint_send));
    return expand_bytes(agreement, "gage-pair-1 id", names, p->id);
}

gage_rc
pairing_make(const struct agreement *agreement, bool initiator, gage_slice self, gage_slice peer, int64_t now,
             int64_t validity, struct pairing *out, struct gage_err *err)
{
    struct offer theirs = {0};
    uint8_t names[SHA256_LEN];
    uint32_t week = week_of(now);
    AUTO(pairing_t) p = {.made = now};
    REQUIRE(validity > 0 && validity <= PAIRING_VALIDITY_MAX, err, GAGE_E_USAGE,
            "a pairing lasts from one second to ten years");
    REQUIRE(now >= 0 && now <= INT64_MAX - PAIRING_VALIDITY_MAX, err, GAGE_E_CLOCK,
            "the clock shows no time at which a pairing could be made");
    TRY(read_offer(agreement_peer_offer(agreement), &theirs, err));
    uint32_t first = theirs.week < week ? theirs.week : week, last = theirs.week < week ? week : theirs.week;
    REQUIRE(last - first <= 1, err, GAGE_E_MISMATCH,
            "the two clocks differ by more than a week: set the wrong one right and pair again");
    TRY(pairing_set_name(&p.self, self, err));
    TRY(pairing_set_name(&p.peer, peer, err));
    TRY(pairing_names(initiator ? self : peer, initiator ? peer : self, names));
    REQUIRE(slice_equal(SLICE_OF(names), SLICE_OF(theirs.names)), err, GAGE_E_MISMATCH,
            "the two sides know each other by different names: seals would not open, so no pairing is made");
    TRY(derive_keys(agreement, initiator, names, &p));
    p.sending.week = p.receiving.week = first;
    p.until = now + (theirs.validity < validity ? theirs.validity : validity);
    *out = p;
    memset(&p, 0, sizeof p);
    return GAGE_DONE;
}
