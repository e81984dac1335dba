/* program.h - other programs that a credential's making needs: a private folder to work in, and one run of a program.
 *
 * A program gets bytes on standard input and answers on standard output; its standard error is ours. Nothing that the peer says becomes part of a
 * command line but as a whole argument. Our secrets never are: they are files in the folder, or standard input. */
#ifndef GAGE_CLI_ISSUE_PROGRAM_H
#define GAGE_CLI_ISSUE_PROGRAM_H

#include <limits.h>

#include "base/file.h"

/* A folder of mode 0700 in the state folder, locked as long as it is used. One that a kill left behind is removed by the next that is made. */
typedef struct {
    char path[PATH_MAX];
    gage_fd lock;
} workshop;
#define WORKSHOP_CLOSED ((workshop){.lock = -1})
gage_rc workshop_open(workshop *w, struct gage_err *err);
/* Removes the folder and all in it. */
void workshop_close(workshop *w);
GAGE_AUTO_DEFINE(workshop, workshop_close)
/* The path of a file in it. */
void workshop_file(const workshop *w, const char *name, char path[PATH_MAX]);
/* Writes, or reads and appends, a small file in it. */
gage_rc workshop_write(const workshop *w, const char *name, gage_slice bytes, struct gage_err *err);
gage_rc workshop_read(const workshop *w, const char *name, gage_buf *out, struct gage_err *err);

struct program_variable {
    const char *name, *value;
};
/* Runs argv[0] (looked for in PATH) to its end. `variables` are set over our environment, from which all other GAGE_* are taken. *status is the
 * exit status, 128 + the signal where one ended it. GAGE_E_NOT_FOUND: there is no such program; GAGE_E_LIMIT: it wrote more than out->max;
 * GAGE_E_CANCELLED: interrupted. */
gage_rc program_run(const char *const argv[], const struct program_variable *variables, size_t n, gage_slice input,
                    gage_buf *out, int *status, struct gage_err *err);
/* The same for a tool that must succeed and whose output is not wanted: GAGE_E_IO names it otherwise. */
gage_rc tool_run(const char *const argv[], struct gage_err *err);

#endif
