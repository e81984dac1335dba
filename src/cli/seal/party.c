#include "cli/seal/party.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <gage/seal.h>

#include "app/mechs.h"

#define LIBRARY "libgage.so.0"

/* The library of this installation, else the system's. It stays loaded. */
static void *
load_library(void)
{
    char prefix[PATH_MAX], path[PATH_MAX + 32];
    void *library = NULL;
    if (gage_ok(install_prefix(prefix, sizeof prefix, NULL))) {
        snprintf(path, sizeof path, "%s/lib/" LIBRARY, prefix);
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return library != NULL ? library : dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
}

static gage_rc
parse(const char *text, gage_buf *name, struct gage_err *err)
{
    union {
        void *symbol;
        __typeof__(&gage_name_parse) call;
    } found = {NULL};
    void *library = load_library();
    if (library != NULL)
        found.symbol = dlsym(library, "gage_name_parse");
    REQUIRE(found.symbol != NULL, err, GAGE_E_UNSUPPORTED,
            LIBRARY " cannot be loaded, which names of the form MECHANISM:NAME need: install gage whole, or use the "
                    "peer's alias");
    return found.call(text, name, err);
}

gage_rc
party_of(const char *text, const char **alias, gage_buf *name, struct gage_err *err)
{
    if (text == NULL)
        return GAGE_DONE;
    if (strchr(text, ':') != NULL)
        return parse(text, name, err);
    *alias = text;
    return GAGE_DONE;
}
