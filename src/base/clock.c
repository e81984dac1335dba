#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t
clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

int64_t
clock_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#define YEAR_10000 INT64_C(253402300800)

void
rfc3339_format(int64_t seconds, char text[RFC3339_LEN + 1])
{
    time_t t = seconds < 0 ? 0 : seconds >= YEAR_10000 ? YEAR_10000 - 1 : seconds;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(text, RFC3339_LEN + 1, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

gage_rc
rfc3339_parse(const char *text, size_t n, int64_t *seconds)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
    int field[6] = {0};
    size_t f = 0;
    if (n != RFC3339_LEN)
        return gage_rc_of(GAGE_E_FORMAT);
    for (size_t i = 0; i < n; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (shape[i] == 'd' ? !digit : text[i] != shape[i])
            return gage_rc_of(GAGE_E_FORMAT);
        if (digit)
            field[f] = field[f] * 10 + (text[i] - '0');
        else
            f++;
    }
    struct tm tm = {.tm_year = field[0] - 1900,
                    .tm_mon = field[1] - 1,
                    .tm_mday = field[2],
                    .tm_hour = field[3],
                    .tm_min = field[4],
                    .tm_sec = field[5]};
    time_t t = timegm(&tm);
    char back[RFC3339_LEN + 1];
    if (t < 0)
        return gage_rc_of(GAGE_E_FORMAT);
    rfc3339_format(t, back); /* a date that does not exist comes back as another one */
    if (memcmp(back, text, n) != 0)
        return gage_rc_of(GAGE_E_FORMAT);
    *seconds = t;
    return GAGE_DONE;
}

gage_rc
duration_parse(const char *text, int64_t *seconds)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'\0', 1}, {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    int64_t n = 0;
    size_t digits = 0;
    for (; text[digits] >= '0' && text[digits] <= '9' && digits <= 10; digits++)
        n = n * 10 + (text[digits] - '0');
    if (digits == 0 || digits > 10)
        return gage_rc_of(GAGE_E_FORMAT);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (text[digits] == units[i].unit && (units[i].unit == '\0' || text[digits + 1] == '\0')) {
            *seconds = n * units[i].seconds;
            return GAGE_DONE;
        }
    }
    return gage_rc_of(GAGE_E_FORMAT);
}
