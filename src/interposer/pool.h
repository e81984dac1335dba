/* pool.h - the process's connections to the daemon, and one request and its reply on one of them.
 *
 * Up to POOL_MAX connections, each one call's at a time; kept open. A child of fork has none of its parent's; a process that changed its
 * effective user or group, or closed or replaced the descriptor, gets a new one. Everything here may be called from any thread; one that is cancelled meanwhile ends
 * after the call. */
#ifndef GAGE_INTERPOSER_POOL_H
#define GAGE_INTERPOSER_POOL_H

#include "base/bytes.h"

#define POOL_MAX 8
#define POOL_SECONDS                                                                                                   \
    15 /* for a connection, for a place among the POOL_MAX, and for the reply to come: each wait, and a call in all */
#define POOL_PATH_DEFAULT "/var/lib/gssproxy/default.sock"

/* What became of a request. Only the first has a reply. */
enum fate {
    FATE_ANSWERED,
    FATE_UNREACHABLE, /* no connection came about: nobody saw it */
    FATE_UNREAD,      /* the connection ended before the daemon had read it: it was not executed */
    FATE_LOST,        /* the connection ended after that: it may have been executed */
    FATE_LATE,        /* no reply in time: it may have been executed */
    FATE_BAD, /* what came is no record of at most RECORD_MAX bytes or another call's reply, or memory is short */
};

/* Sends a whole record, a call with its number, and receives the body of the reply to it into *reply (empty, with its maximum set). Where the connection was lost, makes a new one
 * and repeats, once: always where the daemon had not read the request, and where it may have been executed if `again` says that this does
 * no harm. *error is the system's number for it. */
enum fate pool_exchange(gage_slice record, bool again, gage_buf *reply, int *error);

/* Whether the program has more privileges than its caller (AT_SECURE, getauxval(3)): set-user-ID, capabilities of its file, a change of domain. */
bool pool_is_secure(void);
/* The path that is connected to: GSSPROXY_SOCKET or the default; of a secure program the default, a dot and the name of its executable. */
const char *pool_path(void);

void pool_before_fork(void);
void pool_after_fork(bool child);

#endif
