/* record.h - ONC RPC record marking (RFC 5531 section 11) without I/O.
 *
 * A record is one or more fragments, each a 4-byte big-endian header (bit 31: last fragment; bits 30..0: bytes that follow) and its
 * bytes. Headers may arrive split. A record without bytes is ignored. We send records of one fragment. */
#ifndef GAGE_RPC_RECORD_H
#define GAGE_RPC_RECORD_H

#include "base/bytes.h"

#define RECORD_MAX 1048576u /* bytes in a record, inclusive, in both directions */
#define RECORD_HEADER_LEN 4

/* Assembles records. A zeroed one is not valid: use record_init. */
struct record_in {
    gage_buf body;
    uint8_t header[RECORD_HEADER_LEN];
    uint8_t header_n;   /* bytes of the current header that have arrived */
    bool last;          /* the current fragment is the record's last */
    bool complete;      /* body holds a whole record */
    uint32_t remaining; /* bytes of the current fragment still to come */
};

void record_init(struct record_in *r);
void record_cleanup(struct record_in *r);

/* Where the next bytes go and how many are wanted at most: never more than the current record's, so that what follows it stays with
 * whoever delivers. *to is valid until the next call. 0 where the record is complete or memory is short. */
size_t record_want(struct record_in *r, uint8_t **to);
/* Says that n (at most what was wanted) bytes were put there. GAGE_E_LIMIT where the record would pass RECORD_MAX: the stream is
 * then useless. */
gage_rc record_got(struct record_in *r, size_t n, struct gage_err *err);
/* Where complete, gives the record away and starts the next one; else an empty buffer. */
gage_buf record_take(struct record_in *r);
/* Whether the next byte would be a record's first. */
bool record_idle(const struct record_in *r);

/* Makes a record of one fragment from what the buffer holds after its first RECORD_HEADER_LEN bytes: the caller put four bytes of
 * anything there first. GAGE_E_LIMIT where that is more than RECORD_MAX or the buffer is bad. */
gage_rc record_finish(gage_buf *buf, struct gage_err *err);

#endif
