/* front.h - requests as libmicrohttpd hands them over, and the daemons that do. */
#ifndef GAGE_RELAYD_FRONT_H
#define GAGE_RELAYD_FRONT_H

#include "relayd/relay.h"

struct MHD_Daemon;

/* Starts serving the listening socket (which the daemon then owns) with its threads. GAGE_E_INTERNAL where the library refuses. */
gage_rc front_start(struct relay *relay, int listen_fd, struct MHD_Daemon **out, struct gage_err *err);
/* Proves, over a socket pair, that the library's calls go through the wire: an honest request is answered, and one with two lengths
 * refused by the guard. GAGE_E_INTERNAL where not: then the relay must not serve. */
gage_rc front_check_in_path(struct relay *relay, struct gage_err *err);

#endif
