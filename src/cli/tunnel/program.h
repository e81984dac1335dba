/* program.h - the program that --exec starts for a connection, and what it is told about the peer. */
#ifndef GAGE_CLI_TUNNEL_PROGRAM_H
#define GAGE_CLI_TUNNEL_PROGRAM_H

#include "cli/tunnel/tunnel.h"

/* The variables, one row each; the manual lists exactly these. GAGE_* variables of our own environment do not reach the program. */
#define PROGRAM_VARIABLES(X)                                                                                           \
    X(PROTECTED, "1, or 0 where the connection is in the clear")                                                       \
    X(PEER, "the authenticated peer, MECHANISM:NAME; empty in the clear")                                              \
    X(PEER_NAME, "its display name alone")                                                                             \
    X(PEER_MECH, "the mechanism's name")                                                                               \
    X(PEER_EXPORTED, "its exported name (RFC 2743, section 3.2) in hexadecimal")                                       \
    X(PEER_ADDRESS, "where the connection comes from or goes to")                                                      \
    X(ROLE, "this side's role: initiator or acceptor")                                                                 \
    X(RECORDS, "aead, wrap or bare; none in the clear")                                                                \
    X(EXPIRES, "end of the security context, seconds since 1970; empty: never")

/* Starts `/bin/sh -c command` with `fd` as standard input and output, in a process group of its own. The command comes from our own command line; nothing
 * that the peer says becomes part of it. */
gage_rc program_start(const char *command, const struct tunnel *tunnel, int fd, long *child, struct gage_err *err);

/* Names of records for logs and variables. */
const char *records_name(enum gage_stream_records records);

#endif
