/* lines.h - lines for a reader that may be slow, stop or go: whoever has one to say hands it in and goes on, a thread hands it on.
 *
 * Where too many wait already, a further line is dropped; or, where none may be lost, its writer waits as long as the reader takes anything.
 * A reader that took nothing for a second has stopped: until it takes something again, what does not fit is dropped in either case. What the
 * reader refuses (it has gone, a disk is full) is dropped. What was dropped is counted, and said in a line of its own once lines are taken
 * again. A line is handed on at once, or within about two milliseconds where there are many; whole lines in one write of at most 4,096
 * bytes (a longer line alone), which a pipe does not mix with other writers'. Thread-safe. */
#ifndef GAGE_APP_LINES_H
#define GAGE_APP_LINES_H

#include "base/log.h"

struct lines;

enum lines_kind { LINES_MAY_BE_LOST, LINES_MATTER };

/* Begins a thread that writes to what the number `fd` means, also where it comes to mean something else (dup3). At most `room` bytes wait.
 * `lost`: the event that says how many were dropped. Lives as long as the process. */
gage_rc lines_begin(int fd, enum lines_kind kind, size_t room, const struct log_event *lost, struct lines **out,
                    struct gage_err *err);
/* A line with its end. False where it was dropped. */
bool lines_put(struct lines *lines, gage_slice line);
/* How many were dropped since the beginning. */
uint64_t lines_lost(struct lines *lines);
/* Waits until everything is handed on, at most until the reader has stopped, or five seconds. NULL is fine. */
void lines_finish(struct lines *lines);

#endif
