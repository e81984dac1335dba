/* invitation.h - how an invitation gets into a command: by the terminal, a pipe or a file; by its command line only where asked for. */
#ifndef GAGE_CLI_INVITATION_H
#define GAGE_CLI_INVITATION_H

#include <gage/transfer.h>

#include "cli/args.h"
#include "cli/records.h"

typedef gage_invitation *invitation;
static inline void
invitation_free(invitation *i)
{
    gage_invitation_free(i);
}
GAGE_AUTO_DEFINE(invitation, invitation_free)

/* No operand: asks on the terminal, without showing it; "-": standard input; else a file. With `in_argv` the operand is the link itself, and is
 * wiped off the command line. *i is the caller's. */
gage_rc invitation_take(const struct operands *operands, bool in_argv, invitation *i, struct gage_err *err);
/* An invitation that this machine knows: one under way goes on (*known: r is loaded), for one that was used GAGE_E_USED tells when. */
gage_rc invitation_known(invitation i, record *r, bool *known, struct gage_err *err);

#endif
