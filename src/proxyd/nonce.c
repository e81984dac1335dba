#include "proxyd/nonce.h"

#include <pthread.h>
#include <string.h>

#define BLOCK 512 /* one draw costs about as much for these as for 16 bytes */

static _Thread_local struct {
    uint64_t process; /* whose they are */
    size_t left;      /* at the beginning of bytes */
    uint8_t bytes[BLOCK];
} drawn;
static uint64_t process = 1;
static pthread_once_t watched = PTHREAD_ONCE_INIT;

static void
in_child(void)
{
    process++;
}

static void
watch_forks(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

gage_rc
nonce_fill(void *out, size_t n)
{
    pthread_once(&watched, watch_forks);
    if (n > BLOCK)
        return rng_fill(&gage_system_rng, out, n);
    if (drawn.process != process || drawn.left < n) {
        drawn.left = 0;
        TRY(rng_fill(&gage_system_rng, drawn.bytes, BLOCK));
        drawn.process = process;
        drawn.left = BLOCK;
    }
    drawn.left -= n;
    memcpy(out, drawn.bytes + drawn.left, n);
    gage_wipe(drawn.bytes + drawn.left, n);
    return GAGE_DONE;
}
