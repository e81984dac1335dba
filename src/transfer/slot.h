/* slot.h - what the mailbox's one overwriting slot shows, judged against what this side knows (doc/transfer.md, "The slot"). */
#ifndef GAGE_TRANSFER_SLOT_H
#define GAGE_TRANSFER_SLOT_H

#include "transfer/packet.h"

/* The envelopes of one side so far, by their SHA-256; hash[0] is that of seq 1. */
struct slot_log {
    uint32_t seq; /* of the last one, 0: none */
    gage_buf hashes;
};
#define SLOT_LOG_EMPTY ((struct slot_log){.hashes = GAGE_BUF(PACKET_SEQ_MAX * SHA256_LEN)})
void slot_log_add(struct slot_log *log, const uint8_t hash[SHA256_LEN]);

enum slot_verdict {
    SLOT_NEW,      /* the peer's next one, answering our last one */
    SLOT_OWN,      /* our last one: nothing new */
    SLOT_OLD,      /* an older one of ours, or one of the peer's that we have read: the relay went back */
    SLOT_FORKED,   /* a number we know with other bytes; or the peer has read more of us than we wrote */
    SLOT_LOST,     /* a gap */
    SLOT_REFLECTED /* our own role, but not our bytes */
};

/* Judges the packet of an envelope with this hash. */
enum slot_verdict slot_judge(enum packet_role own_role, const struct slot_log *own, const struct slot_log *peer,
                             const struct packet *packet, const uint8_t hash[SHA256_LEN]);

#endif
