/* pump.h - a file's bytes through a transformation to a descriptor: this thread reads and transforms, a second one writes.
 *
 * A message smaller than one piece is written by this thread: a second one would cost more than it saves. Memory is the piece read and
 * PUMP_SLOTS pieces on their way, whatever the length. The order of bytes is kept; what is written is at most what was transformed. */
#ifndef GAGE_CLI_SEAL_PUMP_H
#define GAGE_CLI_SEAL_PUMP_H

#include "base/file.h"

#define PUMP_PIECE                                                                                                     \
    ((size_t)2 * 65534) /* the data of two full frames: with what was held back, two chunks at most come out */
#define PUMP_OUT (PUMP_PIECE + 1024) /* two chunks and a header */
#define PUMP_SLOTS 3

/* Turns bytes into others, a piece a call, appended to *out (at most out_max bytes). `end`: no more come; then it is called until *more is
 * false. */
struct pump_step {
    gage_rc (*piece)(void *context, gage_slice bytes, gage_buf *out, struct gage_err *err);
    gage_rc (*end)(void *context, gage_buf *out, bool *more, struct gage_err *err);
    void *context;
    size_t out_max;
};

/* A zeroed one is ready; it keeps its buffers from one file to the next. */
struct pump {
    gage_buf slots[PUMP_SLOTS];
    uint8_t piece[PUMP_PIECE];
};

/* Reads `from` (called `what` in sentences) to its end and writes to `to` (called `where`). Once it returns nothing is on its way any more. The
 * first failure ends it; `to` then holds the beginning of what would have come. */
gage_rc pump_run(struct pump *pump, int from, const char *what, int to, const char *where, const struct pump_step *step,
                 struct gage_err *err);
/* Wipes and releases the buffers. */
void pump_cleanup(struct pump *pump);

#endif
