/* place.h - a file on its way: without a name (base/draft.h) until it is put in place, whole or not at all.
 *
 * The folder is opened once and all that follows happens in it: who renames it, or puts a link where it was, moves nothing to anywhere else. */
#ifndef GAGE_CLI_SEAL_PLACE_H
#define GAGE_CLI_SEAL_PLACE_H

#include <limits.h>

#include "base/draft.h"

struct place {
    int folder;
    draft file; /* file.fd: to write to */
    bool unnamed;
    char temporary[PATH_MAX], target[PATH_MAX]; /* absolute, for sentences and records; temporary: once it is kept */
};
#define PLACE_CLOSED ((struct place){.folder = -1, .file = DRAFT_CLOSED})

/* Begins a file that is to become `target`. GAGE_E_EXISTS where that exists and not `force`. NULL: no target, a file without a name, to be read
 * again (in $TMPDIR or /tmp). */
gage_rc place_open(struct place *p, const char *target, bool force, struct gage_err *err);
gage_rc place_write(struct place *p, gage_slice bytes, struct gage_err *err);
/* Everything written is on the disk. */
gage_rc place_sync(struct place *p, struct gage_err *err);
/* Everything written is on the disk under the name `temporary`, where a crash leaves it. */
gage_rc place_keep(struct place *p, struct gage_err *err);
/* Gives it its name. GAGE_E_EXISTS: something is there, and without `force` it stays. `durable`: and the folder is synced. */
gage_rc place_commit(struct place *p, bool force, bool durable, struct gage_err *err);
/* Copies an unnamed file to standard output. */
gage_rc place_copy_out(struct place *p, struct gage_err *err);
/* The file stays, under its temporary name. */
void place_leave(struct place *p);
/* Removes what was not put in place and not left. */
void place_drop(struct place *p);
typedef struct place place_t;
GAGE_AUTO_DEFINE(place_t, place_drop)

/* Finishes a move that a crash interrupted, from the absolute paths of a place that was kept: true where nothing is left to do, false (said) where
 * something stands in the way. Looks into no other folder than the one of these paths, and follows no link there. */
bool place_finish(void *context, const char *temporary, const char *target);

#endif
