#include "otc/seam.h"

#include <stdlib.h>

#include "base/clock.h"
#include "otc/generation.h"

struct otc_env
otc_env_now(void)
{
    return (struct otc_env){&gage_system_rng, clock_now(), otc_generation()};
}

void
otc_clear(gss_buffer_t buffer)
{
    if (buffer != NULL)
        *buffer = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
}

void
otc_give(gage_buf *from, gss_buffer_t to)
{
    if (to == NULL || from->n == 0) {
        gage_buf_free(from);
        return;
    }
    to->value = from->p;
    to->length = from->n;
    *from = GAGE_BUF(from->max);
}

gage_slice
otc_take(const gss_buffer_desc *buffer, bool *ok)
{
    if (buffer == NULL)
        return SLICE_NONE;
    if (buffer->value == NULL && buffer->length > 0) {
        *ok = false;
        return SLICE_NONE;
    }
    return gage_slice_of(buffer->value, buffer->length);
}

gage_rc
otc_give_party(const struct otc_credential *credential, bool initiator, bool vouched, gss_name_t *out)
{
    struct otc_name *name = NULL;
    *out = GSS_C_NO_NAME;
    TRY(otc_name_party(credential, initiator, vouched, &name));
    *out = (gss_name_t)(void *)name;
    return GAGE_DONE;
}
