/* The commands of PREFIX/lib/gage/gage-stream. */
#include "cli/commands.h"

static const struct command *const commands[] = {
    &command_connect, &command_listen, &command_forward, &command_secret, NULL,
};

const struct group group_stream = {.commands = commands};
