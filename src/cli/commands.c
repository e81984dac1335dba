#include "cli/commands.h"

#include <string.h>

const struct command *
command_find(const struct group *group, const char *name)
{
    for (size_t i = 0; group->commands[i] != NULL; i++) {
        if (strcmp(group->commands[i]->name, name) == 0)
            return group->commands[i];
    }
    return NULL;
}
