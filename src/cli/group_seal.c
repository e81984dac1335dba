/* The commands of PREFIX/lib/gage/gage-seal. */
#include "base/crypto.h"
#include "cli/commands.h"

static const struct command *const commands[] = {
    &command_seal,
    &command_unseal,
    NULL,
};

const struct group group_seal = {.commands = commands, .start = crypto_start_lean};
