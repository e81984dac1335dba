/* relay_options.h - the options that every command which talks to a relay takes, and what follows from them. */
#ifndef GAGE_CLI_RELAY_OPTIONS_H
#define GAGE_CLI_RELAY_OPTIONS_H

#include <stddef.h>

#include "cli/args.h"
#include "cli/records.h"
#include "cli/settings.h"

struct relay_options {
    const char *pin, *ca_file, *config;
};

/* The rows, for an options struct `type` with a member `relay_options`. */
/* clang-format off */
#define RELAY_OPTION_ROWS(type)                                                                                        \
    {"relay-pin", "PIN", "trust the relay by its public key, sha256//BASE64, whatever its certificate says",           \
     OPT_TEXT, offsetof(type, relay_options.pin)},                                                                     \
    {"relay-ca", "FILE", "PEM file of the authorities that may vouch for the relay, instead of the system's",          \
     OPT_TEXT, offsetof(type, relay_options.ca_file)},                                                                 \
    {"config", "FILE", "read this configuration file only", OPT_TEXT, offsetof(type, relay_options.config)}
/* clang-format on */

/* Notes in the record how the relay at `url` has to prove itself: as the command line says, else as the configuration says of this very
 * relay. Where neither says a pin, the one that the invitation brought (`told`, "" where none) must hold too; alone it is enough only for a relay
 * that the configuration does not name, for whoever wrote the invitation must not speak for one that the person chose. The
 * file is noted by its absolute path. */
gage_rc relay_trust_note(const struct relay_options *o, const settings *s, const char *url, const char *told, record *r,
                         struct gage_err *err);

#endif
