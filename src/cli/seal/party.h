/* party.h - how a person names a party: by alias, or as MECHANISM:NAME. */
#ifndef GAGE_CLI_SEAL_PARTY_H
#define GAGE_CLI_SEAL_PARTY_H

#include "base/bytes.h"

/* What --from and --via mean: "MECHANISM:NAME" as an exported name appended to *name, else an alias in *alias. The GSS library, which alone
 * knows what such a name stands for, is loaded only then, by way of libgage: sealing and opening need none of it. */
gage_rc party_of(const char *text, const char **alias, gage_buf *name, struct gage_err *err);

#endif
