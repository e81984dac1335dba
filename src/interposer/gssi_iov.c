/* gssi_iov.c - the exported calls on messages in pieces: the real mechanism's alone. No procedure of the protocol does them, so a context whose
 * keys the daemon keeps answers that they are not available. */
#include "interposer/context.h"
#include "interposer/exports.h"

struct local_call {
    gss_ctx_id_t context; /* the real mechanism's; GSS_C_NO_CONTEXT where there is none */
    OM_uint32 minor;
    struct outcome outcome;
};

/* False where the real mechanism has no such context; the outcome says why. */
static bool
begin(gss_ctx_id_t handle, struct local_call *c)
{
    *c = (struct local_call){.context = GSS_C_NO_CONTEXT};
    return context_local(context_of(handle), &c->context, &c->outcome);
}

static OM_uint32
end(OM_uint32 *minor, struct local_call *c, OM_uint32 major)
{
    if (c->context != GSS_C_NO_CONTEXT)
        outcome_local(&c->outcome, major, c->minor);
    return outcome_end(minor, &c->outcome);
}

INTERPOSER_EXPORT OM_uint32
gssi_wrap_iov(OM_uint32 *minor, gss_ctx_id_t handle, int conf, gss_qop_t qop, int *state, gss_iov_buffer_desc *iov,
              int count)
{
    struct local_call c;
    OM_uint32 major =
        begin(handle, &c) ? gss_wrap_iov(&c.minor, c.context, conf, qop, state, iov, count) : GSS_S_FAILURE;
    return end(minor, &c, major);
}

INTERPOSER_EXPORT OM_uint32
gssi_unwrap_iov(OM_uint32 *minor, gss_ctx_id_t handle, int *state, gss_qop_t *qop, gss_iov_buffer_desc *iov, int count)
{
    struct local_call c;
    OM_uint32 major = begin(handle, &c) ? gss_unwrap_iov(&c.minor, c.context, state, qop, iov, count) : GSS_S_FAILURE;
    return end(minor, &c, major);
}

INTERPOSER_EXPORT OM_uint32
gssi_wrap_iov_length(OM_uint32 *minor, gss_ctx_id_t handle, int conf, gss_qop_t qop, int *state,
                     gss_iov_buffer_desc *iov, int count)
{
    struct local_call c;
    OM_uint32 major =
        begin(handle, &c) ? gss_wrap_iov_length(&c.minor, c.context, conf, qop, state, iov, count) : GSS_S_FAILURE;
    return end(minor, &c, major);
}

INTERPOSER_EXPORT OM_uint32
gssi_get_mic_iov(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t qop, gss_iov_buffer_desc *iov, int count)
{
    struct local_call c;
    OM_uint32 major = begin(handle, &c) ? gss_get_mic_iov(&c.minor, c.context, qop, iov, count) : GSS_S_FAILURE;
    return end(minor, &c, major);
}

INTERPOSER_EXPORT OM_uint32
gssi_get_mic_iov_length(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t qop, gss_iov_buffer_desc *iov, int count)
{
    struct local_call c;
    OM_uint32 major = begin(handle, &c) ? gss_get_mic_iov_length(&c.minor, c.context, qop, iov, count) : GSS_S_FAILURE;
    return end(minor, &c, major);
}

INTERPOSER_EXPORT OM_uint32
gssi_verify_mic_iov(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t *qop, gss_iov_buffer_desc *iov, int count)
{
    struct local_call c;
    OM_uint32 major = begin(handle, &c) ? gss_verify_mic_iov(&c.minor, c.context, qop, iov, count) : GSS_S_FAILURE;
    return end(minor, &c, major);
}

INTERPOSER_EXPORT OM_uint32
gssi_wrap_aead(OM_uint32 *minor, gss_ctx_id_t handle, int conf, gss_qop_t qop, gss_buffer_t associated,
               gss_buffer_t payload, int *state, gss_buffer_t token)
{
    struct local_call c;
    OM_uint32 major = begin(handle, &c)
                          ? gss_wrap_aead(&c.minor, c.context, conf, qop, associated, payload, state, token)
                          : GSS_S_FAILURE;
    return end(minor, &c, major);
}

INTERPOSER_EXPORT OM_uint32
gssi_unwrap_aead(OM_uint32 *minor, gss_ctx_id_t handle, gss_buffer_t token, gss_buffer_t associated,
                 gss_buffer_t payload, int *state, gss_qop_t *qop)
{
    struct local_call c;
    OM_uint32 major = begin(handle, &c) ? gss_unwrap_aead(&c.minor, c.context, token, associated, payload, state, qop)
                                        : GSS_S_FAILURE;
    return end(minor, &c, major);
}
