#include "otc/window.h"

#include <string.h>

static void
set(struct otc_window *window, uint64_t seq)
{
    uint64_t bit = seq % OTC_WINDOW;
    window->seen[bit / 8] = (uint8_t)(window->seen[bit / 8] | 1u << (bit % 8));
}

static void
clear(struct otc_window *window, uint64_t seq)
{
    uint64_t bit = seq % OTC_WINDOW;
    window->seen[bit / 8] = (uint8_t)(window->seen[bit / 8] & ~(1u << (bit % 8)));
}

static bool
is_set(const struct otc_window *window, uint64_t seq)
{
    uint64_t bit = seq % OTC_WINDOW;
    return (window->seen[bit / 8] >> (bit % 8) & 1) != 0;
}

/* Moves the window up to a number at or beyond `next`. */
static enum otc_order
advance(struct otc_window *window, uint64_t seq)
{
    enum otc_order order = seq == window->next ? OTC_IN_ORDER : OTC_GAP;
    if (seq - window->next >= OTC_WINDOW)
        memset(window->seen, 0, sizeof window->seen);
    else
        for (uint64_t s = window->next; s < seq; s++)
            clear(window, s);
    set(window, seq);
    window->next = seq + 1;
    return order;
}

enum otc_order
otc_window_mark(struct otc_window *window, uint64_t seq)
{
    if (seq >= window->next)
        return advance(window, seq);
    if (window->next - seq > OTC_WINDOW)
        return OTC_OLD;
    if (is_set(window, seq))
        return OTC_DUPLICATE;
    set(window, seq);
    return OTC_UNSEQ;
}
