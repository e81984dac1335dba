/* folder.h - a folder of a test's own, removed with all in it at the end. */
#ifndef GAGE_TEST_CLI_FOLDER_H
#define GAGE_TEST_CLI_FOLDER_H

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline int
folder_remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    return remove(path);
}

/* Makes it and goes there. */
static inline void
folder_enter(char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "/tmp/gage-test-XXXXXX");
    if (mkdtemp(path) == NULL || chdir(path) != 0)
        abort();
}

static inline void
folder_leave(const char *path)
{
    if (chdir("/") != 0)
        abort();
    nftw(path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
