#include "rpc/proc.h"

#include <string.h>

static const struct {
    const char *name;
    xdrproc_t arg, res;
    size_t arg_size, res_size;
} procedures[GSSX_PROC_LAST + 1] = {[0] = {.name = "null"},
#define PROC_ROW_(number, text)                                                                                        \
    [number] = {#text, GSSX_XDR(gssx_arg_##text), GSSX_XDR(gssx_res_##text), sizeof(gssx_arg_##text),                  \
                sizeof(gssx_res_##text)},
                                    GSSX_PROCEDURES(PROC_ROW_)
#undef PROC_ROW_
};

const char *
proc_name(uint32_t procedure)
{
    return procedure <= GSSX_PROC_LAST ? procedures[procedure].name : "unknown";
}

/* xdrmem only reads when it decodes, but takes a char *. */
static char *
unconst(const uint8_t *p)
{
    union {
        const uint8_t *in;
        char *out;
    } u = {.in = p};
    return u.out;
}

gage_rc
gssx_decode(xdrproc_t xdr, gage_slice bytes, void *value)
{
    XDR stream;
    if (bytes.n > UINT32_MAX)
        return gage_rc_of(GAGE_E_LIMIT);
    xdrmem_create(&stream, unconst(bytes.p), (u_int)bytes.n, XDR_DECODE);
    bool_t ok = xdr(&stream, value);
    xdr_destroy(&stream);
    return ok ? GAGE_DONE : gage_rc_of(GAGE_E_FORMAT);
}

/* Encodes into room that grows until it suffices or the buffer's maximum is reached: cheaper than counting first. */
gage_rc
gssx_encode(xdrproc_t xdr, void *value, gage_buf *buf)
{
    for (size_t room = 4000;; room *= 8) { /* with what precedes it, a page */
        size_t left = buf->bad ? 0 : buf->max - buf->n;
        if (room > left)
            room = left;
        buf_reserve(buf, room);
        if (buf->bad)
            return buf_check(buf, NULL);
        XDR stream;
        xdrmem_create(&stream, (char *)buf->p + buf->n, (u_int)room, XDR_ENCODE);
        bool_t ok = xdr(&stream, value);
        size_t used = xdr_getpos(&stream);
        xdr_destroy(&stream);
        if (ok) {
            buf->n += used;
            return GAGE_DONE;
        }
        if (room == left)
            return gage_rc_of(GAGE_E_LIMIT);
    }
}

gage_rc
proc_decode_args(uint32_t procedure, gage_slice bytes, union gssx_arg *arg)
{
    memset(arg, 0, sizeof *arg);
    return gssx_decode(procedures[procedure].arg, bytes, arg);
}

gage_rc
proc_decode_res(uint32_t procedure, gage_slice bytes, union gssx_res *res)
{
    memset(res, 0, sizeof *res);
    return gssx_decode(procedures[procedure].res, bytes, res);
}

gage_rc
proc_encode_args(uint32_t procedure, union gssx_arg *arg, gage_buf *buf)
{
    return gssx_encode(procedures[procedure].arg, arg, buf);
}

gage_rc
proc_encode_res(uint32_t procedure, union gssx_res *res, gage_buf *buf)
{
    return gssx_encode(procedures[procedure].res, res, buf);
}

void
proc_free_args(uint32_t procedure, union gssx_arg *arg)
{
    xdr_free(procedures[procedure].arg, arg);
    memset(arg, 0, sizeof *arg);
}

void
proc_free_res(uint32_t procedure, union gssx_res *res)
{
    xdr_free(procedures[procedure].res, res);
    memset(res, 0, sizeof *res);
}
