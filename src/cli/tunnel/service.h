/* service.h - the loop of connect, listen and forward: taking connections, bringing peer and application together, limits, drain. */
#ifndef GAGE_CLI_TUNNEL_SERVICE_H
#define GAGE_CLI_TUNNEL_SERVICE_H

#include "cli/tunnel/options.h"

/* Which side of a tunnel is accepted here, and what is on the other. */
struct tunnel_plan {
    const char *listen_at; /* NULL: nothing is accepted, one connection is made */
    bool accept_wire;      /* what is accepted is the peer (listen), not the application (forward) */
    const char *wire_to;   /* where the peer is, unless accepted */
    const char *
        application; /* where the application is; NULL: accepted, or --exec's program, or standard input and output (one connection) */
};

/* Runs until the one connection is over, or SIGTERM or SIGINT drained the service. */
gage_rc tunnel_service_run(const struct tunnel_options *options, const struct tunnel_plan *plan, struct gage_err *err);

#endif
