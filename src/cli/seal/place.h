/* place.h - a file on its way: written under a temporary name in its folder, and put in place whole or not at all. */
#ifndef GAGE_CLI_SEAL_PLACE_H
#define GAGE_CLI_SEAL_PLACE_H

#include <limits.h>

#include "base/file.h"

struct place {
    int fd;
    bool placed, unnamed;
    char folder[PATH_MAX], temporary[PATH_MAX], target[PATH_MAX]; /* absolute */
};
#define PLACE_CLOSED ((struct place){.fd = -1})

/* Begins a file that is to become `target`. GAGE_E_EXISTS where that exists and not `force`. NULL: no target, a file without a name, to be read
 * again (in $TMPDIR or /tmp). */
gage_rc place_open(struct place *p, const char *target, bool force, struct gage_err *err);
gage_rc place_write(struct place *p, gage_slice bytes, struct gage_err *err);
/* Everything written is on the disk. */
gage_rc place_sync(struct place *p, struct gage_err *err);
/* Gives it its name. GAGE_E_EXISTS: something is there, and without `force` it stays. `durable`: and the folder is synced. */
gage_rc place_commit(struct place *p, bool force, bool durable, struct gage_err *err);
/* Copies an unnamed file to standard output. */
gage_rc place_copy_out(struct place *p, struct gage_err *err);
/* Removes the temporary file, unless it was placed or handed over. */
void place_drop(struct place *p);
typedef struct place place_t;
GAGE_AUTO_DEFINE(place_t, place_drop)

/* Finishes a move that a crash interrupted: true where the target is in place now, false (said) where something else is. */
bool place_finish(void *context, const char *temporary, const char *target);

#endif
