/* commands.h - the commands of gage, one row each: who adds one adds a row here and a file cmd_NAME.c. */
#ifndef GAGE_CLI_COMMANDS_H
#define GAGE_CLI_COMMANDS_H

#include "cli/args.h"

extern const struct command command_share, command_accept, command_list, command_show, command_cancel, command_resume,
    command_doctor, command_connect, command_listen, command_forward, command_secret, command_pair, command_peers,
    command_seal, command_unseal;

/* All commands, in the order of the help; ends with a NULL. */
extern const struct command *const commands[];

/* The command of this name, or NULL. */
const struct command *command_find(const char *name);

#endif
