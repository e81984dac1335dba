#include "otc/seam.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "otc/generation.h"

struct otc_env
otc_env_now(void)
{
    return (struct otc_env){&gage_system_rng, clock_now(), otc_generation()};
}

static gage_rc
take_drawn(void *context, uint8_t *out, size_t n)
{
    struct otc_drawn *drawn = context;
    if (n > drawn->left && n < sizeof drawn->bytes) {
        TRY(rng_fill(&gage_system_rng, drawn->bytes, sizeof drawn->bytes));
        drawn->left = sizeof drawn->bytes;
    }
    if (n > drawn->left)
        return rng_fill(&gage_system_rng, out, n);
    drawn->left -= n;
    memcpy(out, drawn->bytes + drawn->left, n);
    gage_wipe(drawn->bytes + drawn->left, n); /* nothing is given twice */
    return GAGE_DONE;
}

const struct gage_rng *
otc_draw_once(struct otc_drawn *drawn)
{
    drawn->rng = (struct gage_rng){.fill = take_drawn, .context = drawn};
    return &drawn->rng;
}

void
otc_drawn_cleanup(struct otc_drawn *drawn)
{
    gage_wipe(drawn, sizeof *drawn);
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
