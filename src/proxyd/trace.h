/* trace.h - libkrb5's trace in the daemon's log, from debug_level 3 on. */
#ifndef GAGE_PROXYD_TRACE_H
#define GAGE_PROXYD_TRACE_H

#include <stdbool.h>

/* Makes room for $KRB5_TRACE, unless it is set: then the trace goes where that says, at any level. Before there are other threads. */
void trace_prepare(void);
/* Whether $KRB5_TRACE is ours, a pipe and no path. */
bool trace_ours(void);
/* From now on calls are traced, or no more. */
void trace_set(bool on);

#endif
