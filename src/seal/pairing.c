#include "seal/pairing.h"

#include <string.h>

#define RECORD_VERSION 1

void
pairing_cleanup(struct pairing *pairing)
{
    gage_buf_free(&pairing->self);
    gage_buf_free(&pairing->peer);
    gage_wipe(pairing, sizeof *pairing);
}

gage_rc
pairing_set_name(gage_buf *to, gage_slice name, struct gage_err *err)
{
    REQUIRE(name.n > 0 && name.n <= SEAL_NAME_MAX, err, GAGE_E_LIMIT,
            "a party's exported name has %zu bytes, not 1 to %d", name.n, SEAL_NAME_MAX);
    *to = GAGE_BUF(SEAL_NAME_MAX);
    put_bytes(to, name);
    return buf_check(to, err);
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
    TRY(pairing_set_name(&p.self, self, err));
    TRY(pairing_set_name(&p.peer, peer, err));
    *out = p;
    memset(&p, 0, sizeof p);
    return GAGE_DONE;
}
