/* audit.h - one structured line for each use of a credential, never dropped and never a secret in it, and the daemon's counters. */
#ifndef GAGE_PROXYD_AUDIT_H
#define GAGE_PROXYD_AUDIT_H

#include "proxyd/call.h"

/* Where lines go: "stderr", "off" or a file's path (appended to). GAGE_E_IO where it cannot be opened. */
gage_rc audit_open(const char *where, struct gage_err *err);
/* The line of a finished call; nothing where it used no credential. `took_us`: microseconds it took. */
void audit_call(const struct call *call, uint32_t procedure, int64_t took_us);
/* A principal was mapped to a uid by machine_uid. */
void audit_machine(const struct call *call, const char *principal, uid_t uid);
/* The line itself, without its end. */
void audit_format(const struct call *call, uint32_t procedure, int64_t took_us, gage_buf *line);

#endif
