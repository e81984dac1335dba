#include "cli/tunnel/events.h"

#define ROW_(id, name, level, meaning) {name, level, meaning},
const struct log_event tunnel_events[TUNNEL_EVENT_COUNT] = {TUNNEL_EVENTS(ROW_)};
#undef ROW_
