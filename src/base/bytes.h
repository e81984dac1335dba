/* bytes.h - building and reading byte strings: one writer (gage_buf), one reader, both with a sticky error. */
#ifndef GAGE_BASE_BYTES_H
#define GAGE_BASE_BYTES_H

#include <gage/bytes.h>

#include "base/rc.h"

/* ---- slices ---- */

/* A slice of a C string without its NUL, and of an array. */
gage_slice slice_str(const char *text);
#define SLICE_OF(array) gage_slice_of((array), sizeof(array))
#define SLICE_LITERAL(text) gage_slice_of((text), sizeof(text) - 1)
#define SLICE_NONE ((gage_slice){NULL, 0})

bool slice_equal(gage_slice a, gage_slice b);    /* for public bytes */
bool slice_equal_ct(gage_slice a, gage_slice b); /* constant time in the contents, not in the lengths */

/* ---- owned buffers ---- */

GAGE_AUTO_DEFINE(gage_buf, gage_buf_free)

/* Each appends, big-endian. A put that would pass buf->max or cannot be allocated sets buf->bad and
 * appends nothing; later puts then do nothing. Check once, with buf_check. */
void put_u8(gage_buf *buf, uint8_t v);
void put_u16(gage_buf *buf, uint16_t v);
void put_u32(gage_buf *buf, uint32_t v);
void put_u64(gage_buf *buf, uint64_t v);
void put_bytes(gage_buf *buf, gage_slice bytes);
/* Length prefix of 1, 2 or 4 bytes, then the bytes; too long for the prefix is bad. */
void put_vec8(gage_buf *buf, gage_slice bytes);
void put_vec16(gage_buf *buf, gage_slice bytes);
void put_vec32(gage_buf *buf, gage_slice bytes);
/* Room for n bytes whose contents the caller writes; NULL (and bad) if it does not fit. Valid until the next put. */
uint8_t *put_space(gage_buf *buf, size_t n);

/* Makes room for n more bytes, so that the following puts do not move the buffer. */
void buf_reserve(gage_buf *buf, size_t n);
/* GAGE_E_LIMIT where the maximum was passed, GAGE_E_NOMEM where memory was short, else done. */
gage_rc buf_check(const gage_buf *buf, struct gage_err *err);
/* Empties it, wiping what it held; keeps the allocation; clears bad. */
void buf_reset(gage_buf *buf);
/* Drops the first n bytes (n <= buf->n). */
void buf_drop(gage_buf *buf, size_t n);
/* Gives the contents away: the source is empty afterwards. */
gage_buf buf_move(gage_buf *from);

/* ---- reader ---- */

/* Reads big-endian fields off a borrowed slice. After the first failure every get returns 0 or an empty slice
 * and `bad` stays set: read on, check once, with read_end (no bytes may be left) or read_ok. */
struct reader {
    const uint8_t *p;
    size_t left;
    bool bad;
};

struct reader read_from(gage_slice bytes);
uint8_t get_u8(struct reader *r);
uint16_t get_u16(struct reader *r);
uint32_t get_u32(struct reader *r);
uint64_t get_u64(struct reader *r);
gage_slice get_bytes(struct reader *r, size_t n);    /* borrowed from what is read */
void get_copy(struct reader *r, void *to, size_t n); /* zeroes `to` on failure */
gage_slice get_vec8(struct reader *r);
gage_slice get_vec16(struct reader *r);
gage_slice get_vec32(struct reader *r);
gage_slice get_rest(struct reader *r);
bool read_ok(const struct reader *r);
/* GAGE_E_FORMAT if a get failed or bytes are left over; `what` names the message in the sentence. */
gage_rc read_end(const struct reader *r, struct gage_err *err, const char *what);

#endif
