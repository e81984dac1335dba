/* audit.h - one structured line for each use of a credential, and never a secret in it, and the daemon's counters.
 *
 * A line for a plain file is written before the thread goes on. One for whoever reads standard error or a pipe is handed on by a thread; where
 * the reader is slow, callers wait for it, and only where it has stopped are lines lost, counted and said (app/lines.h). */
#ifndef GAGE_PROXYD_AUDIT_H
#define GAGE_PROXYD_AUDIT_H

#include "proxyd/call.h"

/* Where lines go: "stderr", "off" or a file's path (appended to). GAGE_E_IO where it cannot be opened, or is a pipe that nobody reads. */
gage_rc audit_open(const char *where, struct gage_err *err);
/* Begins the thread that hands lines on; after audit_open. */
gage_rc audit_begin(struct gage_err *err);
/* Standard error has become something else. */
gage_rc audit_follow_stderr(struct gage_err *err);
/* Lines lost so far. */
uint64_t audit_lost(void);
/* Hands on what is left, as long as somebody takes it: before the process ends. */
void audit_finish(void);
/* The line of a finished call; nothing where it used no credential. `took_us`: microseconds it took. */
void audit_call(const struct call *call, uint32_t procedure, int64_t took_us);
/* A principal was mapped to a uid by machine_uid. */
void audit_machine(const struct call *call, const char *principal, uid_t uid);
/* The line itself, without its end. */
void audit_format(const struct call *call, uint32_t procedure, int64_t took_us, gage_buf *line);

#endif
