/* The commands of PREFIX/lib/gage/gage-pair. */
#include "cli/commands.h"
#include "cli/json_wipe.h"

static const struct command *const commands[] = {
    &command_pair,
    &command_peers,
    NULL,
};

const struct group group_pair = {.commands = commands, .start = json_wipes_always};
