/* ring_file.h - where the keyring is: --keyring, else $XDG_STATE_HOME/gage/keyring, else ~/.local/state/gage/keyring. */
#ifndef GAGE_CLI_SEAL_RING_FILE_H
#define GAGE_CLI_SEAL_RING_FILE_H

#include <gage/seal.h>

#include "base/rc.h"

#define RING_HELP "the keyring (default: the state folder's)"

/* Opens it; `create` makes it and its folder. */
gage_rc ring_open(const char *given, bool create, gage_keyring **out, struct gage_err *err);
typedef gage_keyring *keyring_ptr;
GAGE_AUTO_DEFINE(keyring_ptr, gage_keyring_free)

#endif
