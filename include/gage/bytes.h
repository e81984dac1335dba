/* gage/bytes.h - bytes travel with their length, owner and limit.
 *
 * gage_slice: borrowed bytes, passed by value; valid as long as whoever lent them says.
 * gage_buf:   owned bytes with a maximum; wiped when released. */
#ifndef GAGE_BYTES_H
#define GAGE_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include <gage/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gage_slice {
    const uint8_t *p; /* may be NULL when n is 0 */
    size_t n;         /* bytes */
} gage_slice;

/* Owned, growing by copy-and-wipe up to `max` bytes. A zeroed gage_buf with `max` set is valid and empty.
 * `bad` is sticky: a put that did not fit or could not be allocated sets it and changes nothing else. */
typedef struct gage_buf {
    uint8_t *p;
    size_t n;   /* bytes in use */
    size_t cap; /* bytes allocated */
    size_t max; /* bytes it may ever hold */
    bool bad;
    bool starved; /* bad for want of memory, not for its maximum */
} gage_buf;

#ifndef __cplusplus
/* An empty buffer that may hold up to `limit` bytes. */
#define GAGE_BUF(limit) ((gage_buf){.max = (limit)})
#endif

/* Wipes and releases the contents; the buffer is empty afterwards, its maximum kept. NULL is fine. */
GAGE_API void gage_buf_free(gage_buf *buf);

static inline gage_slice
gage_slice_of(const void *p, size_t n)
{
    gage_slice s;
    s.p = (const uint8_t *)p;
    s.n = n;
    return s;
}

/* Borrows what the buffer holds, until the buffer next changes. */
static inline gage_slice
gage_buf_slice(const gage_buf *buf)
{
    return gage_slice_of(buf->p, buf->n);
}

#ifdef __cplusplus
}
#endif
#endif
