/* The guard: however the bytes are cut it says the same; what it lets through is a message whose end a second, simpler reader finds too. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/require.h"
#include "relayd/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Feeds in steps; returns the bytes of the first message that passed. */
static size_t
pass(struct guard *g, gage_slice bytes, size_t step)
{
    size_t total = 0;
    guard_init(g, 1 << 16);
    while (total < bytes.n && !g->complete && g->refusal == NULL) {
        size_t n = bytes.n - total < step ? bytes.n - total : step;
        total += guard_feed(g, gage_slice_of(bytes.p + total, n));
    }
    return total;
}

/* A complete head ends at the first empty line, and holds no byte that a lenient reader could take for another line end. */
static void
check_head(gage_slice message)
{
    const uint8_t *end = memmem(message.p, message.n, "\r\n\r\n", 4);
    require(end != NULL);
    for (const uint8_t *p = message.p; p < end; p++) {
        require(*p != 0 && *p < 0x7f);
        require(*p != '\n' || (p > message.p && p[-1] == '\r'));
        require(*p != '\r' || p[1] == '\n');
    }
    require(memmem(message.p, (size_t)(end - message.p), "\r\n ", 3) == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guard whole, single;
    gage_slice bytes = gage_slice_of(data, size);
    size_t a = pass(&whole, bytes, size > 0 ? size : 1);
    size_t b = pass(&single, bytes, 1);
    require(whole.refusal == single.refusal && whole.complete == single.complete);
    require(!whole.complete || a == b);
    if (whole.complete)
        check_head(gage_slice_of(data, a));
    return 0;
}
