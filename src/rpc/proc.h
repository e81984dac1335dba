/* proc.h - the procedures of GSS-PROXY as one table: number, name, and the XDR of arguments and results.
 *
 * Arguments and results are decoded into a union that xdr_* allocates into; free with proc_free_args/proc_free_res, whatever
 * decoding returned (libtirpc leaves pointers set when it fails half-way). */
#ifndef GAGE_RPC_PROC_H
#define GAGE_RPC_PROC_H

#include <gssx.h>

#include "base/bytes.h"
#include "rpc/call.h"

/* number, lower-case name as in gssx_arg_NAME and gssx_res_NAME */
#define GSSX_PROCEDURES(X)                                                                                             \
    X(1, indicate_mechs)                                                                                               \
    X(2, get_call_context)                                                                                             \
    X(3, import_and_canon_name)                                                                                        \
    X(4, export_cred)                                                                                                  \
    X(5, import_cred)                                                                                                  \
    X(6, acquire_cred)                                                                                                 \
    X(7, store_cred)                                                                                                   \
    X(8, init_sec_context)                                                                                             \
    X(9, accept_sec_context)                                                                                           \
    X(10, release_handle)                                                                                              \
    X(11, get_mic)                                                                                                     \
    X(12, verify_mic)                                                                                                  \
    X(13, wrap)                                                                                                        \
    X(14, unwrap)                                                                                                      \
    X(15, wrap_size_limit)

union gssx_arg {
    gssx_call_ctx call_ctx; /* what every argument begins with */
#define PROC_ARG_(number, name) gssx_arg_##name name;
    GSSX_PROCEDURES(PROC_ARG_)
#undef PROC_ARG_
};

union gssx_res {
    gssx_status status; /* what every result begins with */
#define PROC_RES_(number, name) gssx_res_##name name;
    GSSX_PROCEDURES(PROC_RES_)
#undef PROC_RES_
};

/* The procedure's name ("accept_sec_context"; "null" for 0, "unknown" past the last). Static. */
const char *proc_name(uint32_t procedure);

/* Decodes arguments (or results) of a procedure 1..15. Bytes after them are ignored, as the reference does. GAGE_E_FORMAT where
 * they do not decode. *arg is overwritten; free it in either case. */
gage_rc proc_decode_args(uint32_t procedure, gage_slice bytes, union gssx_arg *arg);
gage_rc proc_decode_res(uint32_t procedure, gage_slice bytes, union gssx_res *res);
/* Appends the XDR form; GAGE_E_LIMIT where it does not fit buf->max. Changes nothing in arg or res. */
gage_rc proc_encode_args(uint32_t procedure, union gssx_arg *arg, gage_buf *buf);
gage_rc proc_encode_res(uint32_t procedure, union gssx_res *res, gage_buf *buf);
/* Releases what they point to and zeroes them. */
void proc_free_args(uint32_t procedure, union gssx_arg *arg);
void proc_free_res(uint32_t procedure, union gssx_res *res);

/* The same for a single value of the protocol, given its xdr_* function. */
gage_rc gssx_decode(xdrproc_t xdr, gage_slice bytes, void *value);
gage_rc gssx_encode(xdrproc_t xdr, void *value, gage_buf *buf);
#define GSSX_XDR(type) ((xdrproc_t)(void (*)(void))xdr_##type)

static inline gage_slice
gssx_slice(const octet_string *s)
{
    return gage_slice_of(s->octet_string_val, s->octet_string_len);
}

#endif
