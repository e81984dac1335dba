/* sealer.h - making one seal, of any length, in constant memory (doc/seal.md, section 2). */
#ifndef GAGE_SEAL_SEALER_H
#define GAGE_SEAL_SEALER_H

#include "base/encode.h"
#include "seal/chunks.h"
#include "seal/pairing.h"

/* Who may carry it. Borrowed for the call. */
struct seal_carrier {
    enum carrier_kind kind;
    gage_slice name; /* CARRIER_NAME: an exported name */
};

/* One seal, one object, one thread at a time. */
struct sealer {
    struct chunk_writer chunks;
    uint8_t header[SEAL_HEADER_LEN];
    uint8_t id[SEAL_ID_LEN];
    gage_secret carrier_key; /* CARRIER_KEY: the fresh key, for the grant */
};

/* Begins a seal under the pairing's key of this week and appends its first bytes to `out`. GAGE_E_PAIRING_OVER: the pairing's time is over;
 * GAGE_E_LIMIT: a name too long. The sealer needs sealer_cleanup whatever the result. */
gage_rc sealer_begin(struct sealer *sealer, const struct pairing *pairing, const struct seal_carrier *carrier,
                     const struct gage_rng *rng, int64_t now, gage_buf *out, struct gage_err *err);
/* Appends what is certain. GAGE_E_LIMIT where out is full: then the seal is broken and must be thrown away. */
gage_rc sealer_put(struct sealer *sealer, gage_slice message, gage_buf *out);
/* Pads and ends. */
gage_rc sealer_pad(struct sealer *sealer, gage_buf *out, bool *more); /* chunk by chunk, until *more is false */
gage_rc sealer_end(struct sealer *sealer, gage_buf *out);
void sealer_cleanup(struct sealer *sealer);

#endif
