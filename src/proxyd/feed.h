/* feed.h - a pipe whose lines a thread of ours takes: for what libraries write to files and we want elsewhere. */
#ifndef GAGE_PROXYD_FEED_H
#define GAGE_PROXYD_FEED_H

#include "base/rc.h"

/* Begins it. What is written to *fd comes to `take` line by line, without its end, at most 2,000 bytes at once; on that thread alone. Lives as
 * long as the process. */
gage_rc feed_begin(void (*take)(char *line), int *fd, struct gage_err *err);

#endif
