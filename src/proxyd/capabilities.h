/* capabilities.h - root's powers (capabilities(7)), given up one by one. They are a thread's: before there are others. */
#ifndef GAGE_PROXYD_CAPABILITIES_H
#define GAGE_PROXYD_CAPABILITIES_H

#include <stdbool.h>
#include <stdint.h>

/* Whether this thread may use the capability (CAP_*, below 32). */
bool capabilities_have(int capability);
/* Gives up for good all that are not in `kept`, a set of 1u << CAP_*. */
void capabilities_keep(uint32_t kept);

#endif
