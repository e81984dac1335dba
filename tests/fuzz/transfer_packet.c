/* What a link-holder may put into an envelope and into a wrapped message; and the slot's judgement of it. */
#include <stdlib.h>

#include "transfer/message.h"
#include "transfer/slot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct packet packet;
    struct message message;
    gage_slice all = gage_slice_of(data, n);
    if (gage_ok(packet_get(all, &packet, NULL))) {
        AUTO(gage_buf) again = GAGE_BUF(1 << 22);
        packet_put(&again, &packet, n);
        struct packet back;
        if (!again.bad && !gage_ok(packet_get(gage_buf_slice(&again), &back, NULL)))
            abort(); /* what is taken can be made */
    }
    if (gage_ok(message_get(all, &message, NULL)) && message.type == RECORD_CONTENT) {
        char name[GAGE_TRANSFER_NAME_MAX + 1];
        name_safe(message.content.name, name);
        for (const char *c = name; *c != '\0'; c++)
            if (*c == '/' || (unsigned char)*c < 0x20)
                abort();
        if (name[0] == '-' || name[0] == '.')
            abort();
    }
    return 0;
}
