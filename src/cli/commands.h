/* commands.h - the commands of gage, one row each: who adds one adds a row to its group (group_NAME.c), one to the routes (routes.c), and a file
 * cmd_NAME.c. */
#ifndef GAGE_CLI_COMMANDS_H
#define GAGE_CLI_COMMANDS_H

#include "cli/args.h"

extern const struct command command_share, command_accept, command_list, command_show, command_cancel, command_resume,
    command_doctor, command_connect, command_listen, command_forward, command_secret, command_pair, command_peers,
    command_seal, command_unseal;

/* The commands of one program, which needs the libraries of all of them. */
struct group {
    const struct command *const *commands; /* in the order of the help; ends with a NULL */
    void (*start)(void);                   /* before anything else; may be NULL */
};
extern const struct group group_transfer, group_stream, group_pair, group_seal;

/* The group's command of this name, or NULL. */
const struct command *command_find(const struct group *group, const char *name);

#endif
