#include "proxyd/selinux.h"

#include <string.h>

/* The text behind USER:ROLE:TYPE, "" or ":RANGE"; NULL where one of the three is missing. */
static const char *
after_type(const char *text)
{
    for (int part = 0;; part++) {
        size_t n = strcspn(text, ":");
        if (n == 0)
            return NULL;
        text += n;
        if (part == 2)
            return text;
        if (*text++ == '\0')
            return NULL;
    }
}

bool
selinux_good(const char *text)
{
    return after_type(text) != NULL;
}

bool
selinux_equal(const char *a, const char *b)
{
    const char *range_a = after_type(a), *range_b = after_type(b);
    if (range_a == NULL || range_b == NULL || range_a - a != range_b - b || memcmp(a, b, (size_t)(range_a - a)) != 0)
        return false;
    return *range_a == '\0' || *range_b == '\0' || strcmp(range_a, range_b) == 0;
}
