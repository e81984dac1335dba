/* output.h - putting the received file in place: whole or not at all, never over another, never outside the folder.
 *
 * The folder is opened once and everything happens relative to that descriptor, so that a swapped path component changes
 * nothing. The content is written to a file without a name (O_TMPFILE) and linked when synced: a kill leaves nothing behind. */
#ifndef GAGE_CLI_OUTPUT_H
#define GAGE_CLI_OUTPUT_H

#include <limits.h>

#include "base/file.h"

#define OUTPUT_NAME_MAX 255

typedef struct output {
    gage_fd folder;
    char folder_path[PATH_MAX]; /* for messages and the record: absolute */
    char name[OUTPUT_NAME_MAX + 1];
} output;
void output_free(output *out);
GAGE_AUTO_DEFINE(output, output_free)

/* What --output means: nothing given: the folder "."; an existing folder: that; else a file's path, whose folder must exist.
 * Fills folder and folder_path; `name` is empty unless --output named the file itself. */
gage_rc output_open(const char *where, output *out, struct gage_err *err);

/* Takes the name that the sender gave. It must be one component: not empty, at most 255 bytes, printable UTF-8, no '/', not "." or
 * "..". A name that begins with '.' is GAGE_E_REFUSED: a hidden file could change how this account behaves. */
gage_rc output_take_name(output *out, gage_slice name, struct gage_err *err);
/* The same checks alone. */
gage_rc output_check_name(gage_slice name, struct gage_err *err);

/* GAGE_E_EXISTS where something of this name is there, a dangling link included. */
gage_rc output_check_free(const output *out, struct gage_err *err);
/* Installs: temporary file, fsync, link (or, with `force`, rename over), fsync of the folder. `mode`: permission bits;
 * set-id and sticky bits are dropped. GAGE_E_EXISTS: something is there, and without `force` it stays. */
gage_rc output_install(const output *out, gage_slice content, mode_t mode, bool force, struct gage_err *err);
/* Whether a regular file of this name holds exactly these bytes: how an install that a kill interrupted is recognised. */
bool output_holds(const output *out, gage_slice content);

/* folder_path/name */
gage_rc output_path(const output *out, char path[PATH_MAX], struct gage_err *err);

#endif
