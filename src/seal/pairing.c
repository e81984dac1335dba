#include "seal/pairing.h"

#include <string.h>

#define OFFER_VERSION 1
#define RECORD_VERSION 1

void
pairing_cleanup(struct pairing *pairing)
{
    gage_buf_free(&pairing->self);
    gage_buf_free(&pairing->peer);
    gage_wipe(pairing, sizeof *pairing);
}

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

static gage_rc
copy_name(gage_buf *to, gage_slice name, struct gage_err *err)
{
    REQUIRE(name.n > 0 && name.n <= SEAL_NAME_MAX, err, GAGE_E_LIMIT,
            "a party's exported name has %zu bytes, not 1 to %d", name.n, SEAL_NAME_MAX);
    *to = GAGE_BUF(SEAL_NAME_MAX);
    put_bytes(to, name);
    return buf_check(to, err);
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
    TRY(read_offer(agreement_peer_offer(agreement), &theirs, err));
    uint32_t first = theirs.week < week ? theirs.week : week, last = theirs.week < week ? week : theirs.week;
    REQUIRE(last - first <= 1, err, GAGE_E_MISMATCH,
            "the two clocks differ by more than a week: set the wrong one right and pair again");
    TRY(copy_name(&p.self, self, err));
    TRY(copy_name(&p.peer, peer, err));
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

gage_rc
pairing_step(struct pairing *pairing, int64_t now, unsigned keep, bool *changed)
{
    uint32_t week = week_of(now), oldest = week > keep ? week - keep : 0;
    uint32_t before = pairing->sending.week + pairing->receiving.week;
    TRY(week_key_step(&pairing->sending, week));
    TRY(week_key_step(&pairing->receiving, oldest));
    *changed = pairing->sending.week + pairing->receiving.week != before;
    return GAGE_DONE;
}

/* ---- the record ---- */

static void
put_week_key(gage_buf *buf, const struct week_key *key)
{
    put_u32(buf, key->week);
    put_bytes(buf, secret_slice(&key->key));
}

static void
get_week_key(struct reader *r, struct week_key *key)
{
    key->week = get_u32(r);
    get_copy(r, key->key.b, SEAL_KEY_LEN);
    key->key.n = SEAL_KEY_LEN;
}

void
pairing_put(gage_buf *buf, const struct pairing *pairing)
{
    put_u8(buf, RECORD_VERSION);
    put_bytes(buf, SLICE_OF(pairing->id));
    put_u64(buf, (uint64_t)pairing->made);
    put_u64(buf, (uint64_t)pairing->until);
    put_week_key(buf, &pairing->sending);
    put_week_key(buf, &pairing->receiving);
    put_bytes(buf, SLICE_OF(pairing->hint_send));
    put_bytes(buf, SLICE_OF(pairing->hint_receive));
    put_vec16(buf, gage_buf_slice(&pairing->self));
    put_vec16(buf, gage_buf_slice(&pairing->peer));
}

gage_rc
pairing_get(gage_slice record, struct pairing *out, struct gage_err *err)
{
    struct reader r = read_from(record);
    AUTO(pairing_t) p = {.made = 0};
    uint8_t version = get_u8(&r);
    get_copy(&r, p.id, sizeof p.id);
    p.made = (int64_t)get_u64(&r);
    p.until = (int64_t)get_u64(&r);
    get_week_key(&r, &p.sending);
    get_week_key(&r, &p.receiving);
    get_copy(&r, p.hint_send, sizeof p.hint_send);
    get_copy(&r, p.hint_receive, sizeof p.hint_receive);
    gage_slice self = get_vec16(&r), peer = get_vec16(&r);
    TRY(read_end(&r, err, "a pairing's record"));
    REQUIRE(version == RECORD_VERSION && p.made >= 0 && p.until >= p.made, err, GAGE_E_FORMAT,
            "a pairing's record is damaged or of a newer version");
    TRY(copy_name(&p.self, self, err));
    TRY(copy_name(&p.peer, peer, err));
    *out = p;
    memset(&p, 0, sizeof p);
    return GAGE_DONE;
}
