/* metrics.h - what the relay counts, and its Prometheus text (exposition format 0.0.4). Nothing here can name a client or mailbox. */
#ifndef GAGE_RELAYD_METRICS_H
#define GAGE_RELAYD_METRICS_H

#include "relayd/routes.h"

struct metrics {
    _Atomic uint64_t wakes;               /* waits that ended */
    _Atomic uint64_t connections_refused; /* for the limit of their prefix */
};
extern struct metrics metrics;

/* An answer was given; route NULL: none fitted. */
void metrics_answered(const struct route *route, unsigned status);
/* Appends all of it. */
void metrics_print(const struct relay *relay, gage_buf *out);
/* Serves /metrics and /healthz in clear on the listening socket, with one thread. */
gage_rc metrics_start(struct relay *relay, int listen_fd, struct MHD_Daemon **out, struct gage_err *err);

#endif
