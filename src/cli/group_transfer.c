/* The commands of PREFIX/lib/gage/gage-transfer. */
#include "cli/commands.h"
#include "cli/json_wipe.h"

static const struct command *const commands[] = {
    &command_share,  &command_accept, &command_list,   &command_show,
    &command_cancel, &command_resume, &command_doctor, NULL,
};

const struct group group_transfer = {.commands = commands, .start = json_wipes_always};
