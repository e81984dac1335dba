/* landlock.h - which paths serving needs, and closing all others (Linux's Landlock). The configuration says most of them: keytabs,
 * caches, replay cache, state, sockets, logs; the rest is what the libraries read (/etc, /usr, /run, /var/lib, /proc, /dev). */
#ifndef GAGE_PROXYD_LANDLOCK_H
#define GAGE_PROXYD_LANDLOCK_H

#include "proxyd/conf.h"

/* Closes every path that serving under `conf` does not need, for this thread and those it starts; programs cannot be executed, devices
 * not made, from anywhere. Needs no_new_privs. GAGE_E_UNSUPPORTED where the kernel has no Landlock. */
gage_rc landlock_close(const struct conf *conf, const struct conf_source *source, struct gage_err *err);
/* Once closed: GAGE_E_CONFIG where a new configuration needs a path that is closed, naming it. Only a restart opens it. */
gage_rc landlock_admits(const struct conf *conf, const struct conf_source *source, struct gage_err *err);

#endif
