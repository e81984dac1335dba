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
    *w = (struct chunk_writer){.frame = GAGE_BUF(CHUNK_TEXT)};
    TRY(aad_of(header, w->aad));
    return gcm_init(&w->gcm, secret_slice(key), true);
}

/* The frame with room for its data, its first two bytes to be filled in. */
static gage_rc
open_frame(struct chunk_writer *w)
{
    if (w->frame.n == 0) {
        buf_reserve(&w->frame, CHUNK_TEXT);
        put_u16(&w->frame, 0);
    }
    return w->frame.bad ? gage_rc_of(GAGE_E_NOMEM) : GAGE_DONE;
}

/* Seals the frame, cut or filled up with zeros to n bytes, as the next chunk; the next frame is empty. */
static gage_rc
write_chunk(struct chunk_writer *w, size_t n, bool last, gage_buf *out)
{
    uint8_t iv[GCM_IV_LEN];
    TRY(open_frame(w));
    uint8_t *to = w->index < UINT32_MAX || last ? put_space(out, n + GCM_TAG_LEN) : NULL;
    if (to == NULL)
        return gage_rc_of(GAGE_E_LIMIT);
    w->frame.p[0] = (uint8_t)(w->used >> 8);
    w->frame.p[1] = (uint8_t)w->used;
    if (n > w->used + 2)
        memset(w->frame.p + 2 + w->used, 0, n - 2 - w->used);
    chunk_iv(w->index, last, iv);
    TRY(gcm_seal(&w->gcm, iv, SLICE_OF(w->aad), gage_slice_of(w->frame.p, n), to, to + n));
    w->index++;
    w->written += n;
    buf_reset(&w->frame);
    w->used = 0;
    return GAGE_DONE;
}

/* Seals a full frame from where its data stands, without gathering it first. */
static gage_rc
write_full(struct chunk_writer *w, const uint8_t *data, gage_buf *out)
{
    static const uint8_t used[2] = {FRAME_DATA >> 8, FRAME_DATA & 0xff};
    uint8_t iv[GCM_IV_LEN];
    uint8_t *to = w->index < UINT32_MAX ? put_space(out, CHUNK_SEALED) : NULL;
    if (to == NULL)
        return gage_rc_of(GAGE_E_LIMIT);
    chunk_iv(w->index, false, iv);
    TRY(gcm_begin(&w->gcm, iv));
    TRY(gcm_aad(&w->gcm, SLICE_OF(w->aad)));
    TRY(gcm_text(&w->gcm, SLICE_OF(used), to));
    TRY(gcm_text(&w->gcm, gage_slice_of(data, FRAME_DATA), to + sizeof used));
    TRY(gcm_end_seal(&w->gcm, to + CHUNK_TEXT));
    w->index++;
    w->written += CHUNK_TEXT;
    return GAGE_DONE;
}

gage_rc
chunk_writer_put(struct chunk_writer *w, gage_slice data, gage_buf *out)
{
    if (w->ended)
        return gage_rc_of(GAGE_E_STATE);
    while (data.n > 0) {
        size_t n = FRAME_DATA - w->used;
        if (w->used == FRAME_DATA) {
            TRY(write_chunk(w, CHUNK_TEXT, false, out));
            continue;
        }
        if (w->used == 0 && data.n > FRAME_DATA) {
            TRY(write_full(w, data.p, out));
        } else {
            n = data.n < n ? data.n : n;
            TRY(open_frame(w));
            put_bytes(&w->frame, gage_slice_of(data.p, n));
            w->used += n;
        }
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
    gage_buf_free(&w->frame);
    gage_wipe(w, sizeof *w);
}

/* ---- opening ---- */

gage_rc
chunk_reader_init(struct chunk_reader *r, const gage_secret *key, const uint8_t header[SEAL_HEADER_LEN])
{
    *r = (struct chunk_reader){.sealed = GAGE_BUF(CHUNK_SEALED)};
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

/* Counts a verified frame. After the first one that is not full only zeros may follow. `data` is what stands behind the frame's length. */
static gage_rc
check_frame(struct chunk_reader *r, size_t prefix, size_t used, gage_slice data, struct gage_err *err)
{
    bool good = used <= data.n && (!r->padding || used == 0) && all_zero(gage_slice_of(data.p + used, data.n - used));
    REQUIRE(good, err, GAGE_E_AUTH, "the seal is authentic but malformed: it was made by a faulty program");
    if (!r->padding)
        r->framed = r->length + prefix + used;
    r->padding = used < FRAME_DATA;
    r->length += prefix + data.n;
    return GAGE_DONE;
}

static gage_rc
take_frame(struct chunk_reader *r, gage_slice frame, gage_buf *out, struct gage_err *err)
{
    size_t prefix = frame.n < 2 ? 0 : 2, used = prefix == 0 ? 0 : (size_t)frame.p[0] << 8 | frame.p[1];
    gage_slice data = gage_slice_of(frame.p + prefix, frame.n - prefix);
    TRY(check_frame(r, prefix, used, data, err));
    put_bytes(out, gage_slice_of(data.p, used));
    return buf_check(out, err);
}

static gage_rc
damaged(gage_rc rc, struct gage_err *err)
{
    REQUIRE(rc.code != GAGE_E_AUTH, err, GAGE_E_AUTH,
            "the seal was damaged, cut or put together from others: nothing of it can be trusted");
    return rc;
}

/* Opens the chunk that was gathered. */
static gage_rc
open_chunk(struct chunk_reader *r, bool last, gage_buf *out, struct gage_err *err)
{
    uint8_t iv[GCM_IV_LEN], tag[GCM_TAG_LEN], *sealed = r->sealed.p;
    REQUIRE(r->sealed.n > GCM_TAG_LEN && (last || r->index < UINT32_MAX), err, GAGE_E_AUTH,
            "the seal is truncated: nothing of it can be trusted");
    size_t n = r->sealed.n - GCM_TAG_LEN;
    memcpy(tag, sealed + n, sizeof tag);
    chunk_iv(r->index, last, iv);
    gage_rc rc = gcm_open(&r->gcm, iv, SLICE_OF(r->aad), gage_slice_of(sealed, n), sealed, tag);
    TRY(damaged(rc, err));
    rc = take_frame(r, gage_slice_of(sealed, n), out, err);
    buf_reset(&r->sealed);
    r->index++;
    return rc;
}

static gage_rc
open_steps(struct chunk_reader *r, const uint8_t *sealed, uint8_t prefix[2], uint8_t *data)
{
    uint8_t iv[GCM_IV_LEN];
    chunk_iv(r->index, false, iv);
    TRY(gcm_begin(&r->gcm, iv));
    TRY(gcm_aad(&r->gcm, SLICE_OF(r->aad)));
    TRY(gcm_text(&r->gcm, gage_slice_of(sealed, 2), prefix));
    TRY(gcm_text(&r->gcm, gage_slice_of(sealed + 2, FRAME_DATA), data));
    return gcm_end_open(&r->gcm, sealed + CHUNK_TEXT);
}

/* Opens a chunk that is certain not to be the last from where it stands, into the output itself, which has room for a full frame. */
static gage_rc
open_full(struct chunk_reader *r, const uint8_t *sealed, gage_buf *out, struct gage_err *err)
{
    uint8_t prefix[2];
    size_t before = out->n, used = 0;
    REQUIRE(r->index < UINT32_MAX, err, GAGE_E_AUTH, "the seal is longer than a seal can be: it is refused");
    uint8_t *data = put_space(out, FRAME_DATA);
    TRY(buf_check(out, err));
    gage_rc rc = damaged(open_steps(r, sealed, prefix, data), err);
    if (gage_ok(rc)) {
        size_t says = (size_t)prefix[0] << 8 | prefix[1];
        rc = check_frame(r, sizeof prefix, says, gage_slice_of(data, FRAME_DATA), err);
        used = gage_ok(rc) ? says : 0;
    }
    if (used < FRAME_DATA)
        gage_wipe(data + used, FRAME_DATA - used);
    out->n = before + used;
    r->index++;
    return rc;
}

/* Takes what comes next: a whole chunk as it stands, or a part that is gathered. Returns how many bytes were taken in *taken. */
static gage_rc
read_some(struct chunk_reader *r, gage_slice sealed, gage_buf *out, size_t *taken, struct gage_err *err)
{
    if (r->sealed.n == CHUNK_SEALED)
        TRY(open_chunk(r, false, out, err));
    if (r->sealed.n == 0 && sealed.n > CHUNK_SEALED && out->max - out->n >= FRAME_DATA) {
        *taken = CHUNK_SEALED;
        return open_full(r, sealed.p, out, err);
    }
    *taken = sealed.n < CHUNK_SEALED - r->sealed.n ? sealed.n : CHUNK_SEALED - r->sealed.n;
    buf_reserve(&r->sealed, CHUNK_SEALED - r->sealed.n);
    put_bytes(&r->sealed, gage_slice_of(sealed.p, *taken));
    return buf_check(&r->sealed, err);
}

gage_rc
chunk_reader_put(struct chunk_reader *r, gage_slice sealed, gage_buf *out, struct gage_err *err)
{
    REQUIRE(!r->ended, err, GAGE_E_STATE, "the seal has ended");
    while (sealed.n > 0) {
        size_t n = 0;
        gage_rc rc = read_some(r, sealed, out, &n, err);
        r->ended = !gage_ok(rc);
        TRY(rc);
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
    gage_buf_free(&r->sealed);
    gage_wipe(r, sizeof *r);
}
