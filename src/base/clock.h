/* clock.h - time, passed as an argument to everything that decides by it. */
#ifndef GAGE_BASE_CLOCK_H
#define GAGE_BASE_CLOCK_H

#include <stddef.h>

#include "base/rc.h"

/* Seconds since 1970-01-01T00:00:00Z, by the system's clock, and nanoseconds of a clock that never goes back. */
int64_t clock_now(void);
int64_t clock_monotonic_ns(void);

#define RFC3339_LEN 20 /* YYYY-MM-DDThh:mm:ssZ */
/* Formats and parses exactly that form (RFC 3339, UTC, no fraction), years 1970 to 9999. */
void rfc3339_format(int64_t seconds, char text[RFC3339_LEN + 1]);
gage_rc rfc3339_parse(const char *text, size_t n, int64_t *seconds);

/* Parses a duration: a number and one of s, m, h, d, w (no unit: seconds), e.g. "24h"; 1 to 10 digits. */
gage_rc duration_parse(const char *text, int64_t *seconds);

#endif
