#include "interposer/acceptor.h"

#include <string.h>
#include <unistd.h>

#include "rpc/record.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static gage_buf known = {.max = RECORD_MAX}; /* as XDR */
static uid_t owner;

void
acceptor_before_fork(void)
{
    pthread_mutex_lock(&lock);
}

void
acceptor_after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

bool
acceptor_known(gssx_cred *to)
{
    pthread_mutex_lock(&lock);
    bool found =
        known.n > 0 && owner == geteuid() && gage_ok(gssx_decode(GSSX_XDR(gssx_cred), gage_buf_slice(&known), to));
    pthread_mutex_unlock(&lock);
    return found;
}

/* One that the daemon wants back is not kept: nobody would give it back. */
void
acceptor_remember(const gssx_cred *from)
{
    gssx_cred copy = *from;
    if (copy.needs_release)
        return;
    pthread_mutex_lock(&lock);
    buf_reset(&known);
    if (!gage_ok(gssx_encode(GSSX_XDR(gssx_cred), &copy, &known)))
        buf_reset(&known);
    owner = geteuid();
    pthread_mutex_unlock(&lock);
}

void
acceptor_forget(void)
{
    pthread_mutex_lock(&lock);
    gage_buf_free(&known);
    pthread_mutex_unlock(&lock);
}
