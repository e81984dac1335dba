/* record.h - AEAD records of one direction: keys, numbers, key update (doc/startgss.md, "AEAD records"). */
#ifndef GAGE_STREAM_RECORD_H
#define GAGE_STREAM_RECORD_H

#include "base/crypto.h"
#include "stream/frame.h"

#define RECORD_DATA_MAX 65536
#define RECORD_OVERHEAD (FRAME_HEADER_LEN + GCM_TAG_LEN)
#define RECORD_UPDATE_RECORDS ((uint64_t)1 << 24)
#define RECORD_UPDATE_BYTES ((uint64_t)1 << 36)

/* One direction, one side. A zeroed one is valid for cleanup. */
struct record_keys {
    struct gcm gcm;
    gage_secret secret; /* S_n */
    uint8_t iv[GCM_IV_LEN];
    bool encrypt;
    uint64_t records, bytes;               /* made or opened under this key */
    uint64_t update_records, update_bytes; /* when to step; the constants above, less in tests */
};

/* Takes S_0. */
gage_rc record_keys_init(struct record_keys *keys, gage_secret *secret, bool encrypt);
void record_keys_cleanup(struct record_keys *keys);

/* Writes header, ciphertext and tag, data.n + RECORD_OVERHEAD bytes, to `frame`. `data` has 0 (the end) to RECORD_DATA_MAX
 * bytes; it may lie at frame + FRAME_HEADER_LEN, or apart. */
gage_rc record_seal(struct record_keys *keys, gage_slice data, uint8_t *frame);
/* Opens in place: *data points into the frame. GAGE_E_AUTH where it does not verify; its bytes are wiped then. */
gage_rc record_open(struct record_keys *keys, uint8_t *frame, size_t frame_n, gage_slice *data, struct gage_err *err);

#endif
