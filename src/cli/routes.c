#include "cli/routes.h"

#include <stddef.h>
#include <string.h>

const struct route routes[] = {
    {"share", "gage-transfer"},  {"accept", "gage-transfer"}, {"list", "gage-transfer"},   {"show", "gage-transfer"},
    {"cancel", "gage-transfer"}, {"resume", "gage-transfer"}, {"doctor", "gage-transfer"}, {"connect", "gage-stream"},
    {"listen", "gage-stream"},   {"forward", "gage-stream"},  {"secret", "gage-stream"},   {"pair", "gage-pair"},
    {"peers", "gage-pair"},      {"seal", "gage-seal"},       {"unseal", "gage-seal"},     {NULL, NULL},
};

const char *
route_of(const char *command)
{
    for (size_t i = 0; routes[i].command != NULL; i++)
        if (strcmp(routes[i].command, command) == 0)
            return routes[i].program;
    return routes[0].program;
}
