#include "cli/commands.h"

#include <string.h>

const struct command *const commands[] = {
    &command_share,   &command_accept, &command_list,    &command_show,
    &command_cancel,  &command_resume, &command_connect, &command_listen,
    &command_forward, &command_secret, &command_pair,    &command_peers,
    &command_seal,    &command_unseal, &command_doctor,  NULL,
};

const struct command *
command_find(const char *name)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}
