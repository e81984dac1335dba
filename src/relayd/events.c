#include "relayd/events.h"

#define RELAY_EVENT_ROW(name, level, meaning) const struct log_event event_##name = {#name, LOG_LEVEL_##level, meaning};
RELAY_EVENTS(RELAY_EVENT_ROW)
