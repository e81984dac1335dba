#include "cli/seal/ring_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static gage_rc
default_path(char path[PATH_MAX], bool create, struct gage_err *err)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    bool xdg = state != NULL && state[0] == '/';
    REQUIRE(xdg || (home != NULL && home[0] == '/'), err, GAGE_E_CONFIG,
            "neither XDG_STATE_HOME nor HOME says where state is kept: set one, or name the keyring with --keyring");
    int n = snprintf(path, PATH_MAX - 16, "%s%s", xdg ? state : home, xdg ? "/gage" : "/.local/state/gage");
    REQUIRE(n > 0 && n < PATH_MAX - 16, err, GAGE_E_LIMIT, "the path of the state folder is too long");
    if (create)
        TRY(folder_make(path, 0700, err));
    memcpy(path + n, "/keyring", sizeof "/keyring");
    return GAGE_DONE;
}

gage_rc
ring_open(const char *given, bool create, gage_keyring **out, struct gage_err *err)
{
    char path[PATH_MAX];
    if (given == NULL)
        TRY(default_path(path, create, err));
    return gage_keyring_open(given != NULL ? given : path, create, out, err);
}
