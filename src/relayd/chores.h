/* chores.h - what a relay does by the clock: ends waits, cuts slow connections, forgets idle peers, sweeps expired mailboxes (R18). */
#ifndef GAGE_RELAYD_CHORES_H
#define GAGE_RELAYD_CHORES_H

#include "relayd/relay.h"

/* Starts the thread that does them, until chores_stop. */
gage_rc chores_start(struct relay *relay, struct gage_err *err);
void chores_stop(void);

#endif
