/* events.h - what listen, forward and connect log, one row each; the manual's list is made from this table. */
#ifndef GAGE_CLI_TUNNEL_EVENTS_H
#define GAGE_CLI_TUNNEL_EVENTS_H

#include "base/log.h"

#define TUNNEL_EVENTS(X)                                                                                               \
    X(LISTENING, "listening", LOG_LEVEL_NOTICE, "connections are taken at this address")                               \
    X(PROTECTED, "protected", LOG_LEVEL_INFO, "a peer is authenticated and welcome; what follows is encrypted")        \
    X(CLEAR, "clear", LOG_LEVEL_WARNING,                                                                               \
      "a connection goes on in the clear, as --policy allows: anybody on the way reads and changes it")                \
    X(EXPIRING, "expiring", LOG_LEVEL_WARNING,                                                                         \
      "the security context of a connection ends soon: renew the ticket, connect again")                               \
    X(CLOSED, "closed", LOG_LEVEL_INFO, "both directions of a connection ended as they should")                        \
    X(FAILED, "failed", LOG_LEVEL_ERROR, "a connection was refused or broke: the error says why and what to do")       \
    X(LIMITED, "limited", LOG_LEVEL_WARNING,                                                                           \
      "a connection was not taken: too many unauthenticated ones of this source (--max-handshakes)")                   \
    X(FULL, "full", LOG_LEVEL_WARNING,                                                                                 \
      "as many connections as --max-connections or the descriptors allow: more wait, and strangers are cut after 2 s") \
    X(DRAINING, "draining", LOG_LEVEL_NOTICE, "told to end: no new connections, open ones may finish")                 \
    X(CUT, "cut", LOG_LEVEL_WARNING, "open connections were cut at the end of --drain-timeout")

#define TUNNEL_EVENT_ENUM_(id, name, level, meaning) TUNNEL_##id,
enum tunnel_event { TUNNEL_EVENTS(TUNNEL_EVENT_ENUM_) TUNNEL_EVENT_COUNT };
#undef TUNNEL_EVENT_ENUM_

extern const struct log_event tunnel_events[TUNNEL_EVENT_COUNT];
#define TUNNEL_LOG(id, ...) LOG(&tunnel_events[TUNNEL_##id], __VA_ARGS__)

#endif
