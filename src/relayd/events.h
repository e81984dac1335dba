/* events.h - what gage-relayd logs: the table from which the manual page's list of events is checked. No event carries an address, a
 * claim or an identifier of a mailbox. */
#ifndef GAGE_RELAYD_EVENTS_H
#define GAGE_RELAYD_EVENTS_H

#include "base/log.h"

/* clang-format off */
#define RELAY_EVENTS(X) \
    X(started, NOTICE, "The relay serves. Field listeners: how many addresses.") \
    X(stopping, NOTICE, "SIGTERM or SIGINT came: no new connection is taken, waiting reads are answered, requests finish.") \
    X(stopped, NOTICE, "The relay ends. Field left: connections that were cut because they did not finish within ten seconds.") \
    X(reloaded, NOTICE, "SIGHUP: certificate, key and limits were read again.") \
    X(reload_failed, ERROR, "SIGHUP: something is wrong with the new certificate, key or limits; the old ones stay in force. Mend what the reason names and send SIGHUP again.") \
    X(store_trouble, ERROR, "The store cannot write; changes are answered with 503 until it can. Look at the disk or the database.") \
    X(store_warning, WARNING, "The store works, with the limitation that the reason names.") \
    X(store_works, NOTICE, "The store works again.") \
    X(self_signed, NOTICE, "There was no certificate; a self-signed one is used. Clients need its pin (printed on standard output).") \
    X(files_limited, WARNING, "The limit on open files allows fewer connections than are configured. Field connections: how many. Raise LimitNOFILE.") \
    X(log_lost, WARNING, "Lines of the log were dropped before this one: whoever reads standard error had stopped, or refused them. Field lines: how many.") \
    X(failed, ERROR, "The relay cannot start or go on, for the reason given.")
/* clang-format on */

#define RELAY_EVENT_EXTERN(name, level, meaning) extern const struct log_event event_##name;
RELAY_EVENTS(RELAY_EVENT_EXTERN)

#endif
