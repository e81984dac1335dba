/* require.h - what has to hold after every input. */
#ifndef GAGE_FUZZ_REQUIRE_H
#define GAGE_FUZZ_REQUIRE_H

#include <stdbool.h>
#include <stdlib.h>

static inline void
require(bool cond)
{
    if (!cond)
        abort();
}

#endif
