#include "interposer/seam.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

void
owned_buffer_free(owned_buffer *buffer)
{
    OM_uint32 minor;
    if (buffer->value != NULL)
        gage_wipe(buffer->value, buffer->length);
    gss_release_buffer(&minor, buffer);
}

void
seam_release_name(gss_name_t *name)
{
    OM_uint32 minor;
    if (*name != GSS_C_NO_NAME)
        gss_release_name(&minor, name);
}

void
seam_release_cred(gss_cred_id_t *cred)
{
    OM_uint32 minor;
    if (*cred != GSS_C_NO_CREDENTIAL)
        gss_release_cred(&minor, cred);
}

OM_uint32
seam_run(const struct sides *sides, const struct ways *ways, void *call, OM_uint32 *minor)
{
    struct outcome o, next;
    if (!ways->side[sides->side[0]](call, &o) && !o.verdict && sides->count > 1) {
        ways->side[sides->side[1]](call, &next);
        outcome_choose(&o, &next);
    }
    return outcome_end(minor, &o);
}

void
seam_clear(gss_buffer_t buffer)
{
    if (buffer != NULL)
        *buffer = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
}

bool
seam_give(gage_slice bytes, gss_buffer_t to)
{
    if (to == NULL)
        return true;
    char *copy = malloc(bytes.n + 1); /* readers of texts like a NUL after it */
    if (copy == NULL)
        return false;
    if (bytes.n > 0)
        memcpy(copy, bytes.p, bytes.n);
    copy[bytes.n] = '\0';
    *to = (gss_buffer_desc){bytes.n, copy};
    return true;
}

void
seam_move(octet_string *from, gss_buffer_t to)
{
    if (to == NULL)
        return;
    *to = (gss_buffer_desc){from->octet_string_len, from->octet_string_val};
    *from = (octet_string){0};
}

gage_slice
seam_slice(const gss_buffer_desc *buffer)
{
    return buffer == GSS_C_NO_BUFFER ? SLICE_NONE : gage_slice_of(buffer->value, buffer->length);
}

octet_string
seam_view(const gss_buffer_desc *buffer)
{
    return seam_view_slice(seam_slice(buffer));
}

octet_string
seam_view_slice(gage_slice bytes)
{
    u_int n = bytes.n < UINT32_MAX ? (u_int)bytes.n : UINT32_MAX; /* no call takes so much: its encoding refuses it */
    return (octet_string){.octet_string_len = n, .octet_string_val = (char *)(uintptr_t)bytes.p};
}

gss_buffer_desc
seam_buffer(const octet_string *from)
{
    return (gss_buffer_desc){from->octet_string_len, from->octet_string_val};
}
