/* frame.h - the frame of an initial token (RFC 2743 section 3.1). */
#ifndef GAGE_OTC_FRAME_H
#define GAGE_OTC_FRAME_H

#include "base/bytes.h"

#define OTC_TOKEN1_MAX 4096 /* bytes, frame included */

/* Appends 0x60, length, DER(OID), inner. inner.n is at most OTC_TOKEN1_MAX. */
void put_frame(gage_buf *buf, gage_slice inner);
/* The inner token, borrowed; FOREIGN for other bytes or another mechanism's OID, TRUNCATED where bytes are missing, DAMAGED for
 * bytes left over or a length not in its shortest form. */
gage_rc read_frame(gage_slice token, gage_slice *inner, struct gage_err *err);

#endif
