/* chunks.h - a seal's body: frames, padding and the STREAM construction (doc/seal.md, section 2), in constant memory.
 *
 * Both directions work chunk by chunk, on a buffer of their own or, where a whole chunk is there, on the caller's; they know nothing of pairings or what the bytes mean. One object belongs
 * to one thread at a time. */
#ifndef GAGE_SEAL_CHUNKS_H
#define GAGE_SEAL_CHUNKS_H

#include "base/crypto.h"
#include "seal/keys.h"

#define CHUNK_TEXT 65536                        /* plaintext of every chunk but the last */
#define CHUNK_SEALED (CHUNK_TEXT + GCM_TAG_LEN) /* and its ciphertext */
#define FRAME_DATA (CHUNK_TEXT - 2)             /* data of a full frame */
#define SEAL_FLOOR 512                          /* least padded plaintext */

/* The padded length of `length` bytes of frames: Padme with the floor. */
uint64_t seal_padded(uint64_t length);

/* ---- sealing ---- */

struct chunk_writer {
    struct gcm gcm;
    uint8_t aad[SHA256_LEN];
    uint32_t index;
    uint64_t written; /* plaintext of the chunks that went out */
    size_t used;      /* data in the frame being filled */
    uint64_t left;    /* once ended: plaintext still to go out */
    bool ended;
    gage_buf frame; /* being filled; no memory before there is data */
};
gage_rc chunk_writer_init(struct chunk_writer *w, const gage_secret *key, const uint8_t header[SEAL_HEADER_LEN]);
/* Takes data; appends every chunk that is certain not to be the last to `out`. GAGE_E_LIMIT beyond 2^32 chunks or out->max. */
gage_rc chunk_writer_put(struct chunk_writer *w, gage_slice data, gage_buf *out);
/* Pads, and appends the remaining chunks. Nothing can be put afterwards. Padding may be 12 % of a long message: chunk_writer_pad appends one
 * chunk of it a call, until *more is false. */
gage_rc chunk_writer_pad(struct chunk_writer *w, gage_buf *out, bool *more);
gage_rc chunk_writer_end(struct chunk_writer *w, gage_buf *out);
void chunk_writer_cleanup(struct chunk_writer *w);

/* ---- opening ---- */

struct chunk_reader {
    struct gcm gcm;
    uint8_t aad[SHA256_LEN];
    uint32_t index;
    uint64_t length; /* plaintext of the chunks so far, and of those the part that is frames with data */
    uint64_t framed;
    bool padding; /* the message has ended */
    bool ended;
    gage_buf sealed; /* the chunk being gathered; no memory before it begins */
};
gage_rc chunk_reader_init(struct chunk_reader *r, const gage_secret *key, const uint8_t header[SEAL_HEADER_LEN]);
/* Takes sealed bytes in any pieces; appends to `out` the data of every chunk that verified. GAGE_E_AUTH where one did not, or its frame
 * is not of the documented form: then nothing more comes, and what came before must not be trusted as a whole message. */
gage_rc chunk_reader_put(struct chunk_reader *r, gage_slice sealed, gage_buf *out, struct gage_err *err);
/* No more bytes come: the last chunk must verify as such, and the length be a padded one. */
gage_rc chunk_reader_end(struct chunk_reader *r, gage_buf *out, struct gage_err *err);
void chunk_reader_cleanup(struct chunk_reader *r);

#endif
