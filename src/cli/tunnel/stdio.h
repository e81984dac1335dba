/* stdio.h - standard input and output as one stream socket: files and terminals cannot be waited for in a loop, so two threads copy. */
#ifndef GAGE_CLI_TUNNEL_STDIO_H
#define GAGE_CLI_TUNNEL_STDIO_H

#include "base/rc.h"

struct stdio;

/* *fd becomes the loop's end, the caller's to close. */
gage_rc stdio_open(int *fd, struct stdio **out, struct gage_err *err);
/* After the loop's end was closed: waits until all that came is written to standard output. GAGE_E_IO where that failed. */
gage_rc stdio_finish(struct stdio *stdio, struct gage_err *err);

#endif
