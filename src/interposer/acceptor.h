/* acceptor.h - the daemon's default acceptor credential, where one has to be sent along.
 *
 * Accepting without a credential is one call, with the service's own. A service with krb5_principal then accepts that name's tickets only, while a
 * credential acquired without a name takes those of every key it has, and the packaged plugin always acquires one. So where the first is
 * refused, the second is tried, and what did it is remembered in this process for its user and used from then on. */
#ifndef GAGE_INTERPOSER_ACCEPTOR_H
#define GAGE_INTERPOSER_ACCEPTOR_H

#include "interposer/cred.h"

/* A copy of what is remembered, in zeroed *to; false where nothing is. */
bool acceptor_known(gssx_cred *to);
void acceptor_remember(const gssx_cred *from);
void acceptor_forget(void);

void acceptor_before_fork(void);
void acceptor_after_fork(void);

#endif
