#include "transfer/packet.h"

#include <string.h>

size_t
packet_padded(size_t n)
{
    if (n <= PACKET_PAD_FLOOR)
        return PACKET_PAD_FLOOR;
    unsigned exponent = 0, significant = 0;
    while (n >> exponent > 1)
        exponent++;
    while (exponent >> significant > 0)
        significant++;
    size_t mask = ((size_t)1 << (exponent - significant)) - 1;
    return (n + mask) & ~mask;
}

void
packet_put(gage_buf *out, const struct packet *packet, size_t pad_to)
{
    size_t start = out->n;
    uint8_t count = 0;
    for (int kind = 1; kind <= PACKET_KINDS; kind++)
        count = (uint8_t)(count + (packet->token[kind].p != NULL));
    put_u8(out, PACKET_VERSION);
    put_u8(out, packet->role);
    put_u16(out, packet->attempt);
    put_u32(out, packet->seq);
    put_u32(out, packet->ack);
    put_u8(out, packet->final);
    put_u8(out, count);
    for (int kind = 1; kind <= PACKET_KINDS; kind++) {
        if (packet->token[kind].p == NULL)
            continue;
        put_u8(out, (uint8_t)kind);
        put_vec32(out, packet->token[kind]);
    }
    size_t used = out->n - start, whole = packet_padded(used);
    whole = whole < pad_to ? pad_to : whole;
    uint8_t *zeros = whole > used ? put_space(out, whole - used) : NULL;
    if (zeros != NULL)
        memset(zeros, 0, whole - used);
}

static void
get_tokens(struct reader *r, struct packet *packet)
{
    int last = 0;
    for (uint8_t count = get_u8(r); count > 0 && !r->bad; count--) {
        uint8_t kind = get_u8(r);
        gage_slice token = get_vec32(r);
        if (kind <= last || kind > PACKET_KINDS || token.n == 0) {
            r->bad = true;
            return;
        }
        packet->token[kind] = token;
        last = kind;
    }
}

static bool
all_zero(gage_slice bytes)
{
    uint8_t any = 0;
    for (size_t i = 0; i < bytes.n; i++)
        any |= bytes.p[i];
    return any == 0;
}

gage_rc
packet_get(gage_slice text, struct packet *out, struct gage_err *err)
{
    struct reader r = read_from(text);
    struct packet packet = {0};
    uint8_t version = get_u8(&r);
    REQUIRE(version == PACKET_VERSION || !read_ok(&r), err, GAGE_E_UNSUPPORTED,
            "the other side uses version %u of the transfer protocol, this one 1: update the older", version);
    packet.role = get_u8(&r);
    packet.attempt = get_u16(&r);
    packet.seq = get_u32(&r);
    packet.ack = get_u32(&r);
    uint8_t final = get_u8(&r);
    packet.final = final == 1;
    get_tokens(&r, &packet);
    gage_slice padding = get_rest(&r);
    bool good = read_ok(&r) && final <= 1 && (packet.role == PACKET_SENDER || packet.role == PACKET_RECEIVER) &&
                packet.attempt >= 1 && packet.attempt <= PACKET_ATTEMPT_MAX && packet.seq >= 1 &&
                packet.seq <= PACKET_SEQ_MAX && packet.ack <= PACKET_SEQ_MAX && all_zero(padding);
    REQUIRE(good, err, GAGE_E_FORMAT, "the message in the mailbox is malformed");
    *out = packet;
    return GAGE_DONE;
}
