#include "base/secret.h"

#include <string.h>

void
gage_wipe(void *p, size_t n)
{
    if (n > 0)
        explicit_bzero(p, n);
}

void
secret_wipe(gage_secret *secret)
{
    gage_wipe(secret, sizeof *secret);
}

gage_rc
secret_set(gage_secret *secret, gage_slice bytes)
{
    if (bytes.n > sizeof secret->b)
        return gage_rc_of(GAGE_E_LIMIT);
    secret_wipe(secret);
    if (bytes.n > 0)
        memcpy(secret->b, bytes.p, bytes.n);
    secret->n = bytes.n;
    return GAGE_DONE;
}

gage_slice
secret_slice(const gage_secret *secret)
{
    return gage_slice_of(secret->b, secret->n);
}

bool
secret_equal(const gage_secret *a, const gage_secret *b)
{
    return slice_equal_ct(secret_slice(a), secret_slice(b));
}
