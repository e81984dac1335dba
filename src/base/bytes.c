#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

/* ---- slices ---- */

gage_slice
slice_str(const char *text)
{
    return gage_slice_of(text, strlen(text));
}

bool
slice_equal(gage_slice a, gage_slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
slice_equal_ct(gage_slice a, gage_slice b)
{
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

/* ---- owned buffers ---- */

void
gage_buf_free(gage_buf *buf)
{
    if (buf == NULL)
        return;
    if (buf->p != NULL) {
        explicit_bzero(buf->p, buf->cap);
        free(buf->p);
    }
    *buf = GAGE_BUF(buf->max);
}

/* Moves the contents into an allocation of at least `need` bytes and wipes the old one: no realloc, which
 * would leave a copy of a secret behind. */
static bool
grow(gage_buf *buf, size_t need)
{
    size_t cap = buf->cap < 64 ? 64 : buf->cap;
    while (cap < need)
        cap = cap > buf->max / 2 ? buf->max : cap * 2;
    uint8_t *p = malloc(cap);
    if (p == NULL)
        return false;
    if (buf->n > 0)
        memcpy(p, buf->p, buf->n);
    if (buf->p != NULL) {
        explicit_bzero(buf->p, buf->cap);
        free(buf->p);
    }
    buf->p = p;
    buf->cap = cap;
    return true;
}

uint8_t *
put_space(gage_buf *buf, size_t n)
{
    if (buf->bad)
        return NULL;
    buf->bad = n > buf->max - buf->n;
    buf->starved = !buf->bad && buf->n + n > buf->cap && !grow(buf, buf->n + n);
    buf->bad |= buf->starved;
    if (buf->bad)
        return NULL;
    uint8_t *space = buf->p + buf->n;
    buf->n += n;
    return space;
}

void
buf_reserve(gage_buf *buf, size_t n)
{
    size_t used = buf->n;
    if (n > 0 && put_space(buf, n) != NULL)
        buf->n = used;
}

static void
put_integer(gage_buf *buf, uint64_t v, unsigned bytes)
{
    uint8_t *to = put_space(buf, bytes);
    for (unsigned i = 0; to != NULL && i < bytes; i++)
        to[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

void
put_u8(gage_buf *buf, uint8_t v)
{
    uint8_t *to = put_space(buf, 1);
    if (to != NULL)
        *to = v;
}

void
put_u16(gage_buf *buf, uint16_t v)
{
    put_integer(buf, v, 2);
}

void
put_u32(gage_buf *buf, uint32_t v)
{
    put_integer(buf, v, 4);
}

void
put_u64(gage_buf *buf, uint64_t v)
{
    put_integer(buf, v, 8);
}

void
put_bytes(gage_buf *buf, gage_slice bytes)
{
    uint8_t *to = bytes.n > 0 ? put_space(buf, bytes.n) : NULL;
    if (to != NULL)
        memcpy(to, bytes.p, bytes.n);
}

static void
put_vec(gage_buf *buf, gage_slice bytes, unsigned prefix, uint64_t longest)
{
    if (bytes.n > longest) {
        buf->bad = true;
        return;
    }
    put_integer(buf, bytes.n, prefix);
    put_bytes(buf, bytes);
}

void
put_vec8(gage_buf *buf, gage_slice bytes)
{
    put_vec(buf, bytes, 1, UINT8_MAX);
}

void
put_vec16(gage_buf *buf, gage_slice bytes)
{
    put_vec(buf, bytes, 2, UINT16_MAX);
}

void
put_vec32(gage_buf *buf, gage_slice bytes)
{
    put_vec(buf, bytes, 4, UINT32_MAX);
}

gage_rc
buf_check(const gage_buf *buf, struct gage_err *err)
{
    REQUIRE(!buf->starved, err, GAGE_E_NOMEM, "memory is short: a message of up to %zu bytes could not be held",
            buf->max);
    REQUIRE(!buf->bad, err, GAGE_E_LIMIT, "message does not fit its limit of %zu bytes", buf->max);
    return GAGE_DONE;
}

void
buf_reset(gage_buf *buf)
{
    if (buf->n > 0)
        explicit_bzero(buf->p, buf->n);
    buf->n = 0;
    buf->bad = buf->starved = false;
}

void
buf_drop(gage_buf *buf, size_t n)
{
    if (n == 0)
        return;
    size_t left = n < buf->n ? buf->n - n : 0;
    if (left > 0)
        memmove(buf->p, buf->p + n, left);
    explicit_bzero(buf->p + left, buf->n - left);
    buf->n = left;
}

gage_buf
buf_move(gage_buf *from)
{
    gage_buf to = *from;
    *from = GAGE_BUF(from->max);
    return to;
}

/* ---- reader ---- */

struct reader
read_from(gage_slice bytes)
{
    return (struct reader){.p = bytes.p, .left = bytes.n};
}

gage_slice
get_bytes(struct reader *r, size_t n)
{
    if (r->bad || n > r->left) {
        r->bad = true;
        return SLICE_NONE;
    }
    gage_slice s = {r->p, n};
    if (n > 0)
        r->p += n;
    r->left -= n;
    return s;
}

static uint64_t
get_integer(struct reader *r, size_t bytes)
{
    gage_slice s = get_bytes(r, bytes);
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++)
        v = v << 8 | s.p[i];
    return v;
}

uint8_t
get_u8(struct reader *r)
{
    return (uint8_t)get_integer(r, 1);
}

uint16_t
get_u16(struct reader *r)
{
    return (uint16_t)get_integer(r, 2);
}

uint32_t
get_u32(struct reader *r)
{
    return (uint32_t)get_integer(r, 4);
}

uint64_t
get_u64(struct reader *r)
{
    return get_integer(r, 8);
}

void
get_copy(struct reader *r, void *to, size_t n)
{
    gage_slice s = get_bytes(r, n);
    if (s.n == n && n > 0)
        memcpy(to, s.p, n);
    else
        memset(to, 0, n);
}

gage_slice
get_vec8(struct reader *r)
{
    return get_bytes(r, get_u8(r));
}

gage_slice
get_vec16(struct reader *r)
{
    return get_bytes(r, get_u16(r));
}

gage_slice
get_vec32(struct reader *r)
{
    return get_bytes(r, get_u32(r));
}

gage_slice
get_rest(struct reader *r)
{
    return get_bytes(r, r->left);
}

bool
read_ok(const struct reader *r)
{
    return !r->bad;
}

gage_rc
read_end(const struct reader *r, struct gage_err *err, const char *what)
{
    REQUIRE(!r->bad, err, GAGE_E_FORMAT, "%s is truncated", what);
    REQUIRE(r->left == 0, err, GAGE_E_FORMAT, "%s has %zu bytes too many", what, r->left);
    return GAGE_DONE;
}
