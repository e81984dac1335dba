#include "transfer/slot.h"

#include <string.h>

void
slot_log_add(struct slot_log *log, const uint8_t hash[SHA256_LEN])
{
    put_bytes(&log->hashes, gage_slice_of(hash, SHA256_LEN));
    log->seq++;
}

/* The number is one of the log's, and the bytes are too. */
static bool
knows(const struct slot_log *log, uint32_t seq, const uint8_t hash[SHA256_LEN])
{
    return seq >= 1 && seq <= log->seq && memcmp(log->hashes.p + (seq - 1) * SHA256_LEN, hash, SHA256_LEN) == 0;
}

enum slot_verdict
slot_judge(enum packet_role own_role, const struct slot_log *own, const struct slot_log *peer,
           const struct packet *packet, const uint8_t hash[SHA256_LEN])
{
    if (packet->role == own_role) {
        if (!knows(own, packet->seq, hash))
            return SLOT_REFLECTED;
        return packet->seq == own->seq ? SLOT_OWN : SLOT_OLD;
    }
    if (packet->seq <= peer->seq)
        return knows(peer, packet->seq, hash) ? SLOT_OLD : SLOT_FORKED;
    if (packet->ack > own->seq)
        return SLOT_FORKED;
    return packet->seq == peer->seq + 1 && packet->ack == own->seq ? SLOT_NEW : SLOT_LOST;
}
