/* service.h - what a daemon tells and takes from its service manager: readiness, passed sockets (sd_notify(3), sd_listen_fds(3)), and
 * the settings every gage process starts with. */
#ifndef GAGE_APP_SERVICE_H
#define GAGE_APP_SERVICE_H

#include "base/rc.h"

/* No core dumps, no reading of this process's memory by others (PR_SET_DUMPABLE 0), umask 077, SIGPIPE ignored. First call of main in
 * programs that hold secrets. */
void process_harden(void);

void service_ready(const char *status); /* READY=1, STATUS=... */
void service_status(const char *status);
void service_reloading(void);
void service_stopping(void);

/* How many sockets were passed (LISTEN_FDS), from descriptor SERVICE_FIRST_FD on; 0 where none were. Clears the variables. */
#define SERVICE_FIRST_FD 3
int service_sockets(void);

#endif
