/* draft.h - a file that has no name until it is whole: where the file system can do that, a kill leaves nothing of it behind.
 *
 * O_TMPFILE, then linkat. Where that is not possible (some network file systems; no /proc), the draft is called .gage-RANDOM,
 * mode 0600, until it is released, and a kill leaves that. */
#ifndef GAGE_BASE_DRAFT_H
#define GAGE_BASE_DRAFT_H

#include "base/file.h"

#define DRAFT_NAME_MAX 48

typedef struct {
    int folder;                /* borrowed */
    int fd;                    /* to write to */
    char name[DRAFT_NAME_MAX]; /* empty: none */
} draft;
#define DRAFT_CLOSED ((draft){.folder = -1, .fd = -1})

/* A new empty file of mode 0600 in the folder, which `where` names in the sentence; GAGE_E_IO. */
gage_rc draft_open(int folder, const char *where, draft *d, struct gage_err *err);
/* Gives it a further name in its folder, never over another file: 0 or errno. */
int draft_link(const draft *d, const char *name);
/* Gives it the name of a draft, d->name, unless it has that: a kill leaves it from now on. 0 or errno. */
int draft_name(draft *d);
/* Makes it the file of this name, over another one if there is one: 0 or errno. */
int draft_rename(draft *d, const char *name);
/* Closes; what has no name but the draft's is gone. */
void draft_free(draft *d);
GAGE_AUTO_DEFINE(draft, draft_free)

#endif
