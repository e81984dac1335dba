/* witness.h - which program a client runs. A process under Landlock, or without privileges, may not look at others' executables, so a
 * process of its own does: it is started before any key is read, keeps CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH of root's powers (all of
 * them where the first is not there) and the few system calls it needs, reads no byte of a client, and answers two questions of its
 * parent. It ends with its parent. */
#ifndef GAGE_PROXYD_WITNESS_H
#define GAGE_PROXYD_WITNESS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/rc.h"

#define WITNESS_PATH_MAX 512

/* Starts the process; `filter`: with a system call filter. Before any thread. */
gage_rc witness_start(bool filter, struct gage_err *err);
/* The executable of the process, as its link says, but from our root where that is the process's root, too; empty where it cannot be
 * read. Asks the witness, or looks itself where none was started. One thread at a time. */
void witness_program(pid_t pid, char *path, size_t size);
/* Whether the process runs the very file that we see at the path: in a mount namespace of its own anybody can run any file under any
 * name. */
bool witness_same(pid_t pid, const char *path);

#endif
