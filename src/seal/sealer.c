#include "seal/sealer.h"

#include <string.h>

/* Nonce, hint and commitment; the keys of the chunks go to *keys. */
static gage_rc
make_header(struct sealer *sealer, const struct pairing *pairing, const struct gage_rng *rng, int64_t now,
            struct seal_keys *keys, struct gage_err *err)
{
    struct seal_header header;
    AUTO(gage_secret) week_key = {.n = 0};
    gage_rc rc = week_key_at(&pairing->sending, week_of(now), &week_key);
    REQUIRE(rc.code != GAGE_E_EXPIRED, err, GAGE_E_CLOCK,
            "the clock stands before the pairing's current week: set the clock right (erased keys do not come back)");
    TRY(rc);
    TRY(rng_fill(rng, header.nonce, sizeof header.nonce));
    hint_of(pairing->hint_send, header.nonce, header.hint);
    TRY(seal_keys_of(&week_key, header.nonce, keys));
    memcpy(header.commitment, keys->commitment, sizeof header.commitment);
    seal_header_put(&header, sealer->header);
    return GAGE_DONE;
}

static gage_rc
put_inner(struct sealer *sealer, const struct pairing *pairing, const struct seal_carrier *carrier,
          const struct gage_rng *rng, int64_t now, gage_buf *out, struct gage_err *err)
{
    AUTO(gage_buf) bytes = GAGE_BUF(SEAL_INNER_MAX);
    struct seal_inner inner = {.time = now,
                               .originator = gage_buf_slice(&pairing->self),
                               .recipient = gage_buf_slice(&pairing->peer),
                               .carrier = carrier->kind,
                               .carrier_name = carrier->name};
    TRY(uuid_make(rng, sealer->id));
    memcpy(inner.id, sealer->id, sizeof inner.id);
    if (carrier->kind == CARRIER_KEY) {
        TRY(rng_fill(rng, sealer->carrier_key.b, CARRIER_KEY_LEN));
        sealer->carrier_key.n = CARRIER_KEY_LEN;
        memcpy(inner.carrier_key, sealer->carrier_key.b, CARRIER_KEY_LEN);
    }
    inner_put(&bytes, &inner);
    gage_wipe(inner.carrier_key, sizeof inner.carrier_key);
    TRY(buf_check(&bytes, err));
    return chunk_writer_put(&sealer->chunks, gage_buf_slice(&bytes), out);
}

gage_rc
sealer_begin(struct sealer *sealer, const struct pairing *pairing, const struct seal_carrier *carrier,
             const struct gage_rng *rng, int64_t now, gage_buf *out, struct gage_err *err)
{
    AUTO(seal_keys_t) keys = {.chunks = {.n = 0}};
    memset(sealer, 0, sizeof *sealer);
    REQUIRE(now < pairing->until, err, GAGE_E_PAIRING_OVER, "the pairing's time is over: pair again");
    REQUIRE(carrier->kind != CARRIER_NAME || (carrier->name.n > 0 && carrier->name.n <= SEAL_NAME_MAX), err,
            GAGE_E_LIMIT, "the carrier's exported name has %zu bytes, not 1 to %d", carrier->name.n, SEAL_NAME_MAX);
    TRY(make_header(sealer, pairing, rng, now, &keys, err));
    TRY(chunk_writer_init(&sealer->chunks, &keys.chunks, sealer->header));
    put_bytes(out, SLICE_OF(sealer->header));
    TRY(buf_check(out, err));
    return put_inner(sealer, pairing, carrier, rng, now, out, err);
}

gage_rc
sealer_put(struct sealer *sealer, gage_slice message, gage_buf *out)
{
    return chunk_writer_put(&sealer->chunks, message, out);
}

gage_rc
sealer_pad(struct sealer *sealer, gage_buf *out, bool *more)
{
    return chunk_writer_pad(&sealer->chunks, out, more);
}

gage_rc
sealer_end(struct sealer *sealer, gage_buf *out)
{
    return chunk_writer_end(&sealer->chunks, out);
}

void
sealer_cleanup(struct sealer *sealer)
{
    chunk_writer_cleanup(&sealer->chunks);
    gage_wipe(sealer, sizeof *sealer);
}
