/* gssi_iov.c - the exported calls on messages in pieces: the real mechanism's alone. No procedure of the protocol does them, so a context whose
 * keys the daemon keeps answers that they are not available. */
#include "interposer/context.h"
#include "interposer/exports.h"

INTERPOSER_EXPORT OM_uint32
gssi_wrap_iov(OM_uint32 *minor, gss_ctx_id_t handle, int conf, gss_qop_t qop, int *state, gss_iov_buffer_desc *iov,
              int count)
{
    struct outcome o;
    gss_ctx_id_t local;
    OM_uint32 m, major;
    if (context_local(context_of(handle), &local, &o)) {
        major = gss_wrap_iov(&m, local, conf, qop, state, iov, count);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_unwrap_iov(OM_uint32 *minor, gss_ctx_id_t handle, int *state, gss_qop_t *qop, gss_iov_buffer_desc *iov, int count)
{
    struct outcome o;
    gss_ctx_id_t local;
    OM_uint32 m, major;
    if (context_local(context_of(handle), &local, &o)) {
        major = gss_unwrap_iov(&m, local, state, qop, iov, count);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_wrap_iov_length(OM_uint32 *minor, gss_ctx_id_t handle, int conf, gss_qop_t qop, int *state,
                     gss_iov_buffer_desc *iov, int count)
{
    struct outcome o;
    gss_ctx_id_t local;
    OM_uint32 m, major;
    if (context_local(context_of(handle), &local, &o)) {
        major = gss_wrap_iov_length(&m, local, conf, qop, state, iov, count);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_get_mic_iov(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t qop, gss_iov_buffer_desc *iov, int count)
{
    struct outcome o;
    gss_ctx_id_t local;
    OM_uint32 m, major;
    if (context_local(context_of(handle), &local, &o)) {
        major = gss_get_mic_iov(&m, local, qop, iov, count);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_get_mic_iov_length(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t qop, gss_iov_buffer_desc *iov, int count)
{
    struct outcome o;
    gss_ctx_id_t local;
    OM_uint32 m, major;
    if (context_local(context_of(handle), &local, &o)) {
        major = gss_get_mic_iov_length(&m, local, qop, iov, count);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_verify_mic_iov(OM_uint32 *minor, gss_ctx_id_t handle, gss_qop_t *qop, gss_iov_buffer_desc *iov, int count)
{
    struct outcome o;
    gss_ctx_id_t local;
    OM_uint32 m, major;
    if (context_local(context_of(handle), &local, &o)) {
        major = gss_verify_mic_iov(&m, local, qop, iov, count);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_wrap_aead(OM_uint32 *minor, gss_ctx_id_t handle, int conf, gss_qop_t qop, gss_buffer_t associated,
               gss_buffer_t payload, int *state, gss_buffer_t token)
{
    struct outcome o;
    gss_ctx_id_t local;
    OM_uint32 m, major;
    if (context_local(context_of(handle), &local, &o)) {
        major = gss_wrap_aead(&m, local, conf, qop, associated, payload, state, token);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}

INTERPOSER_EXPORT OM_uint32
gssi_unwrap_aead(OM_uint32 *minor, gss_ctx_id_t handle, gss_buffer_t token, gss_buffer_t associated,
                 gss_buffer_t payload, int *state, gss_qop_t *qop)
{
    struct outcome o;
    gss_ctx_id_t local;
    OM_uint32 m, major;
    if (context_local(context_of(handle), &local, &o)) {
        major = gss_unwrap_aead(&m, local, token, associated, payload, state, qop);
        outcome_local(&o, major, m);
    }
    return outcome_end(minor, &o);
}
