/* packet.h - what is inside an envelope: a header and GSS tokens (doc/transfer.md, "Packet").
 *
 *   packet = version u8 = 1, role u8, attempt u16, seq u32, ack u32, final u8, count u8,
 *            count times (kind u8, vec32(token)), zero padding */
#ifndef GAGE_TRANSFER_PACKET_H
#define GAGE_TRANSFER_PACKET_H

#include "transfer/envelope.h"

#define PACKET_VERSION 1
#define PACKET_HEADER_LEN 14
#define PACKET_SEQ_MAX 1024 /* messages of one side in one transfer; far below the 2^20 that a secret may seal */
#define PACKET_ATTEMPT_MAX 64
#define PACKET_PAD_FLOOR 512

enum packet_role { PACKET_SENDER = 1, PACKET_RECEIVER = 2 };

/* Tokens in a packet, each at most once and in this order. */
enum packet_token { PACKET_CONTEXT = 1, PACKET_MESSAGE = 2, PACKET_DELETE = 3 };
#define PACKET_KINDS 3

struct packet {
    uint8_t role; /* enum packet_role */
    uint16_t attempt;
    uint32_t seq, ack;
    bool final;
    gage_slice token[PACKET_KINDS + 1]; /* by kind; p == NULL: absent. Borrowed. */
};

/* Appends the packet, padded to the larger of `pad_to` and its Padme length (packet_padded). */
void packet_put(gage_buf *out, const struct packet *packet, size_t pad_to);
/* GAGE_E_FORMAT: damaged or not allowed; GAGE_E_UNSUPPORTED: another version. Slices point into `text`. */
gage_rc packet_get(gage_slice text, struct packet *out, struct gage_err *err);

/* The length to which n bytes are padded: Padme (at most 12 % more; leaks log log n bits), at least PACKET_PAD_FLOOR. */
size_t packet_padded(size_t n);

#endif
