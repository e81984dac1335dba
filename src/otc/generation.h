/* generation.h - notices a fork: a copy of a process must not go on with the same keys and nonces (doc/otc.md section 7). */
#ifndef GAGE_OTC_GENERATION_H
#define GAGE_OTC_GENERATION_H

#include <stdint.h>

/* Never 0; the same number as long as this process lives, another one in a child made by any kind of fork. Thread-safe, a memory read.
 * Where the kernel cannot wipe a page on fork (before Linux 4.14), the process id stands in. */
uint64_t otc_generation(void);

#endif
