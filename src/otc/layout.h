/* layout.h - the buffers of an IOV call sorted by what they are for (doc/otc.md section 7, "IOV forms"). */
#ifndef GAGE_OTC_LAYOUT_H
#define GAGE_OTC_LAYOUT_H

#include <gssapi/gssapi_ext.h>

#include "otc/message.h"

#define OTC_LAYOUT_FEW 16

struct otc_layout {
    gss_iov_buffer_desc *header, *stream, *mic; /* NULL: not there */
    gss_iov_buffer_desc *data;                  /* the first DATA buffer */
    size_t data_count;
    bool
        unfilled; /* a DATA buffer has a length without bytes: only fitting where it is to receive a STREAM's message */
    struct otc_message message; /* spans and associated data, in the caller's order; in place */
    struct otc_span few_spans[OTC_LAYOUT_FEW], *many_spans;
    gage_slice few_associated[OTC_LAYOUT_FEW], *many_associated;
};

/* Sorts the buffers; BAD_IOV for unknown types, a second HEADER, STREAM or MIC_TOKEN, or a length without bytes. `signing`: DATA and
 * SIGN_ONLY are the message of a MIC alike. *layout must not move afterwards; cleanup it in every case. */
gage_rc otc_layout_read(struct otc_layout *layout, gss_iov_buffer_desc *iov, int count, bool signing,
                        struct gage_err *err);
void otc_layout_cleanup(struct otc_layout *layout);
/* Wipes the DATA buffers and the STREAM: nothing of a token that failed is left. */
void otc_layout_wipe(const struct otc_layout *layout);
/* PADDING and TRAILER buffers are empty in this mechanism. */
void otc_layout_no_trailer(gss_iov_buffer_desc *iov, int count);

/* Room for a token of OTC_TOKEN_LEN bytes in a HEADER or MIC_TOKEN buffer: allocated where the caller asks for it. BAD_IOV where there
 * is none. */
gage_rc otc_layout_room(gss_iov_buffer_desc *buffer, struct gage_err *err);

#endif
