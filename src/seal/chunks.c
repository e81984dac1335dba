#include "seal/chunks.h"

#include <string.h>

uint64_t
seal_padded(uint64_t length)
{
    unsigned exponent, mantissa;
    if (length <= SEAL_FLOOR)
        return SEAL_FLOOR;
    exponent = 63 - (unsigned)__builtin_clzll(length);
    mantissa = 32 - (unsigned)__builtin_clz(exponent); /* floor(log2 exponent) + 1 */
    uint64_t low = (UINT64_C(1) << (exponent - mantissa)) - 1;
    return (length + low) & ~low;
}

static gage_rc
aad_of(const uint8_t header[SEAL_HEADER_LEN], uint8_t aad[SHA256_LEN])
{
    return sha256_of(gage_slice_of(header, SEAL_HEADER_LEN), aad);
}

static void
chunk_iv(uint32_t index, bool last, uint8_t iv[GCM_IV_LEN])
{
    memset(iv, 0, GCM_IV_LEN);
    for (int i = 0; i < 4; i++)
        iv[7 + i] = (uint8_t)(index >> (24 - 8 * i));
    iv[11] = last ? 1 : 0;
}

/* ---- sealing ---- */

gage_rc
chunk_writer_init(struct chunk_writer *w, const gage_secret *key, const uint8_t header[SEAL_HEADER_LEN])
{
    memset(w, 0, sizeof *w);
    TRY(aad_of(header, w->aad));
    return gcm_init(&w->gcm, secret_slice(key), true);
}

/* Seals the first n bytes of the frame as the next chunk and starts an empty frame. */
static gage_rc
write_chunk(struct chunk_writer *w, size_t n, bool last, gage_buf *out)
{
    uint8_t iv[GCM_IV_LEN];
    if (w->index == UINT32_MAX && !last)
        return gage_rc_of(GAGE_E_LIMIT);
    uint8_t *to = put_space(out, n + GCM_TAG_LEN);
    if (to == NULL)
        return gage_rc_of(GAGE_E_LIMIT);
    w->frame[0] = (uint8_t)(w->used >> 8);
    if (n > 1)
        w->frame[1] = (uint8_t)w->used;
    chunk_iv(w->index, last, iv);
    TRY(gcm_seal(&w->gcm, iv, SLICE_OF(w->aad), gage_slice_of(w->frame, n), to, to + n));
    w->index++;
    w->written += n;
    gage_wipe(w->frame, w->used + 2);
    w->used = 0;
    return GAGE_DONE;
}

gage_rc
chunk_writer_put(struct chunk_writer *w, gage_slice data, gage_buf *out)
{
    if (w->ended)
        return gage_rc_of(GAGE_E_STATE);
    while (data.n > 0) {
        if (w->used == FRAME_DATA)
            TRY(write_chunk(w, CHUNK_TEXT, false, out));
        size_t n = data.n < FRAME_DATA - w->used ? data.n : FRAME_DATA - w->used;
        memcpy(w->frame + 2 + w->used, data.p, n);
        w->used += n;
        data = gage_slice_of(data.p + n, data.n - n);
    }
    return GAGE_DONE;
}

gage_rc
chunk_writer_pad(struct chunk_writer *w, gage_buf *out, bool *more)
{
    if (w->ended && w->left == 0)
        return gage_rc_of(GAGE_E_STATE);
    if (!w->ended)
        w->left = seal_padded(w->written + 2 + w->used) - w->written;
    w->ended = true;
    *more = w->left > CHUNK_TEXT;
    size_t n = *more ? CHUNK_TEXT : (size_t)w->left;
    TRY(write_chunk(w, n, !*more, out));
    w->left -= n;
    return GAGE_DONE;
}

gage_rc
chunk_writer_end(struct chunk_writer *w, gage_buf *out)
{
    bool more = true;
    if (w->ended)
        return gage_rc_of(GAGE_E_STATE);
    while (more)
        TRY(chunk_writer_pad(w, out, &more));
    return GAGE_DONE;
}

void
chunk_writer_cleanup(struct chunk_writer *w)
{
    gcm_cleanup(&w->gcm);
    gage_wipe(w, sizeof *w);
}

/* ---- opening ---- */

gage_rc
chunk_reader_init(struct chunk_reader *r, const gage_secret *key, const uint8_t header[SEAL_HEADER_LEN])
{
    memset(r, 0, sizeof *r);
    TRY(aad_of(header, r->aad));
    return gcm_init(&r->gcm, secret_slice(key), false);
}

static bool
all_zero(gage_slice bytes)
{
    uint8_t any = 0;
    for (size_t i = 0; i < bytes.n; i++)
        any |= bytes.p[i];
    return any == 0;
}

/* Appends a verified frame's data. After the first frame that is not full only zeros may follow. */
static gage_rc
take_frame(struct chunk_reader *r, gage_slice frame, gage_buf *out, struct gage_err *err)
{
    size_t used = frame.n < 2 ? 0 : (size_t)frame.p[0] << 8 | frame.p[1];
    size_t from = frame.n < 2 ? 0 : 2;
    bool good = used <= frame.n - from && (!r->padding || used == 0) &&
                all_zero(gage_slice_of(frame.p + from + used, frame.n - from - used));
    REQUIRE(good, err, GAGE_E_AUTH, "the seal is authentic but malformed: it was made by a faulty program");
    if (!r->padding)
        r->framed = r->length + from + used;
    r->padding = used < FRAME_DATA;
    r->length += frame.n;
    put_bytes(out, gage_slice_of(frame.p + from, used));
    return buf_check(out, err);
}

static gage_rc
open_chunk(struct chunk_reader *r, bool last, gage_buf *out, struct gage_err *err)
{
    uint8_t iv[GCM_IV_LEN];
    REQUIRE(r->held > GCM_TAG_LEN && (last || r->index < UINT32_MAX), err, GAGE_E_AUTH,
            "the seal is truncated: nothing of it can be trusted");
    size_t n = r->held - GCM_TAG_LEN;
    uint8_t tag[GCM_TAG_LEN];
    memcpy(tag, r->sealed + n, sizeof tag);
    chunk_iv(r->index, last, iv);
    gage_rc rc = gcm_open(&r->gcm, iv, SLICE_OF(r->aad), gage_slice_of(r->sealed, n), r->sealed, tag);
    REQUIRE(rc.code != GAGE_E_AUTH, err, GAGE_E_AUTH,
            "the seal was damaged, cut or put together from others: nothing of it can be trusted");
    TRY(rc);
    rc = take_frame(r, gage_slice_of(r->sealed, n), out, err);
    gage_wipe(r->sealed, n);
    r->held = 0;
    r->index++;
    return rc;
}

gage_rc
chunk_reader_put(struct chunk_reader *r, gage_slice sealed, gage_buf *out, struct gage_err *err)
{
    REQUIRE(!r->ended, err, GAGE_E_STATE, "the seal has ended");
    while (sealed.n > 0) {
        if (r->held == CHUNK_SEALED) {
            gage_rc rc = open_chunk(r, false, out, err);
            r->ended = !gage_ok(rc);
            TRY(rc);
        }
        size_t n = sealed.n < CHUNK_SEALED - r->held ? sealed.n : CHUNK_SEALED - r->held;
        memcpy(r->sealed + r->held, sealed.p, n);
        r->held += n;
        sealed = gage_slice_of(sealed.p + n, sealed.n - n);
    }
    return GAGE_DONE;
}

gage_rc
chunk_reader_end(struct chunk_reader *r, gage_buf *out, struct gage_err *err)
{
    REQUIRE(!r->ended, err, GAGE_E_STATE, "the seal has ended");
    r->ended = true;
    TRY(open_chunk(r, true, out, err));
    REQUIRE(r->length == seal_padded(r->framed), err, GAGE_E_AUTH,
            "the seal is authentic but wrongly padded: it was made by a faulty program");
    return GAGE_DONE;
}

void
chunk_reader_cleanup(struct chunk_reader *r)
{
    gcm_cleanup(&r->gcm);
    gage_wipe(r, sizeof *r);
}
