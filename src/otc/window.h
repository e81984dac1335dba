/* window.h - which sequence numbers have been received (doc/otc.md section 7.1). */
#ifndef GAGE_OTC_WINDOW_H
#define GAGE_OTC_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define OTC_WINDOW 1024 /* numbers below `next` that are told apart */

struct otc_window {
    uint64_t next;                /* one more than the highest number seen; 0 at first */
    uint8_t seen[OTC_WINDOW / 8]; /* bit seq mod 1024, for the numbers within the window */
};

enum otc_order { OTC_IN_ORDER, OTC_GAP, OTC_UNSEQ, OTC_DUPLICATE, OTC_OLD };

/* Marks an authentic message's number as seen and says how it came. seq is below 2^64-1. */
enum otc_order otc_window_mark(struct otc_window *window, uint64_t seq);

#endif
