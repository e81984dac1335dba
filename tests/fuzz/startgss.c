/* Whatever a peer sends: line, tokens, confirmation, records. The GSS calls are replaced (--wrap) by a mechanism that accepts every token and
 * "encrypts" nothing, so that the bytes reach the parsers behind it. First byte: configuration; second: how many bytes are given at a time. */
#include <stdlib.h>
#include <string.h>

#include "stream/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static OM_uint32
give(gss_buffer_t out, const void *bytes, size_t n)
{
    out->value = malloc(n + 1);
    out->length = n;
    if (out->value == NULL)
        abort();
    memcpy(out->value, bytes, n);
    return GSS_S_COMPLETE;
}

OM_uint32 __wrap_gss_wrap(OM_uint32 *minor, gss_ctx_id_t c, int conf, gss_qop_t qop, gss_buffer_t in, int *state,
                          gss_buffer_t out);
OM_uint32 __wrap_gss_unwrap(OM_uint32 *minor, gss_ctx_id_t c, gss_buffer_t in, gss_buffer_t out, int *state,
                            gss_qop_t *qop);
OM_uint32 __wrap_gss_pseudo_random(OM_uint32 *minor, gss_ctx_id_t c, int key, gss_buffer_t in, ssize_t n,
                                   gss_buffer_t out);
OM_uint32 __wrap_gss_inquire_context(OM_uint32 *minor, gss_ctx_id_t c, gss_name_t *s, gss_name_t *t, OM_uint32 *life,
                                     gss_OID *mech, OM_uint32 *flags, int *local, int *open);
OM_uint32 __wrap_gss_accept_sec_context(OM_uint32 *minor, gss_ctx_id_t *c, gss_cred_id_t cred, gss_buffer_t in,
                                        gss_channel_bindings_t cb, gss_name_t *name, gss_OID *mech, gss_buffer_t out,
                                        OM_uint32 *flags, OM_uint32 *life, gss_cred_id_t *delegated);
OM_uint32 __wrap_gss_export_name(OM_uint32 *minor, const gss_name_t name, gss_buffer_t out);
OM_uint32 __wrap_gss_display_name(OM_uint32 *minor, gss_name_t name, gss_buffer_t out, gss_OID *type);

OM_uint32
__wrap_gss_wrap(OM_uint32 *minor, gss_ctx_id_t c, int conf, gss_qop_t qop, gss_buffer_t in, int *state,
                gss_buffer_t out)
{
    *minor = 0;
    *state = conf;
    return give(out, in->value, in->length);
}

static gage_stream *current;

/* Nobody guesses a hash: a confirmation of the right form gets the transcript that is due, so that what comes after it is reached. */
OM_uint32
__wrap_gss_unwrap(OM_uint32 *minor, gss_ctx_id_t c, gss_buffer_t in, gss_buffer_t out, int *state, gss_qop_t *qop)
{
    *minor = 0;
    *state = 1;
    OM_uint32 major = give(out, in->value, in->length);
    uint8_t *body = out->value;
    size_t at = in->length > 0 ? 2 + (size_t)body[0] : 0;
    if (current->phase == PHASE_CONFIRM && at > 0 && at + AGREEMENT_TRANSCRIPT_LEN <= in->length)
        memcpy(body + at, current->agreement.transcript, AGREEMENT_TRANSCRIPT_LEN);
    return major;
}

OM_uint32
__wrap_gss_pseudo_random(OM_uint32 *minor, gss_ctx_id_t c, int key, gss_buffer_t in, ssize_t n, gss_buffer_t out)
{
    static const uint8_t zeros[64];
    *minor = 0;
    return give(out, zeros, (size_t)n);
}

OM_uint32
__wrap_gss_inquire_context(OM_uint32 *minor, gss_ctx_id_t c, gss_name_t *s, gss_name_t *t, OM_uint32 *life,
                           gss_OID *mech, OM_uint32 *flags, int *local, int *open)
{
    *minor = 0;
    *flags = 0xffff;
    if (open != NULL)
        *open = 1;
    if (life != NULL)
        *life = 100;
    return GSS_S_COMPLETE;
}

/* A token's first byte says how the mechanism takes it. */
OM_uint32
__wrap_gss_accept_sec_context(OM_uint32 *minor, gss_ctx_id_t *c, gss_cred_id_t cred, gss_buffer_t in,
                              gss_channel_bindings_t cb, gss_name_t *name, gss_OID *mech, gss_buffer_t out,
                              OM_uint32 *flags, OM_uint32 *life, gss_cred_id_t *delegated)
{
    uint8_t first = in->length > 0 ? *(uint8_t *)in->value : 0;
    *minor = 0;
    if (first == 'c')
        return (void)give(out, "more", 4), (OM_uint32)GSS_S_CONTINUE_NEEDED;
    return first == 'f' ? (OM_uint32)GSS_S_DEFECTIVE_TOKEN : give(out, "done", 4);
}

OM_uint32
__wrap_gss_export_name(OM_uint32 *minor, const gss_name_t name, gss_buffer_t out)
{
    *minor = 0;
    return give(out, "name", 4);
}

OM_uint32
__wrap_gss_display_name(OM_uint32 *minor, gss_name_t name, gss_buffer_t out, gss_OID *type)
{
    *minor = 0;
    return give(out, "name", 4);
}

static gage_rc
fixed(void *context, uint8_t *out, size_t n)
{
    memset(out, 7, n);
    return GAGE_DONE;
}

/* Gives what lies in `bytes`; the number taken. */
static size_t
feed(gage_stream *s, uint8_t *bytes, size_t n)
{
    size_t all = 0;
    struct gage_stream_step step = {.used = 1};
    bool worked = true;
    while (step.used > 0 || worked) {
        worked = false;
        if (!gage_ok(gage_stream_receive(s, bytes + all, n - all, 1, &step, NULL)))
            return n;
        all += step.used;
        if (step.used > n || all > n || (step.data.n > 0 && step.data.p == NULL))
            abort();
        gage_stream_work *work = gage_stream_work_due(s);
        if (work == NULL)
            continue;
        gage_stream_work_run(work);
        worked = gage_ok(gage_stream_work_done(s, 1, NULL));
    }
    return all;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct gage_rng rng = {fixed, NULL};
    struct gage_stream_config config;
    gage_stream *s = NULL;
    if (n < 2)
        return 0;
    gage_stream_config_init(&config);
    config.role = GAGE_STREAM_ACCEPTOR;
    config.policy = (enum gage_stream_policy)(data[0] % 3);
    config.records = (enum gage_stream_records)(data[0] / 4 % 4);
    config.passive = data[0] / 16 % 2;
    config.allow_self = data[0] / 32 % 2 == 0;
    config.rng = &rng;
    if (!gage_ok(gage_stream_new(&config, 0, &s, NULL)))
        abort();
    current = s;
    AUTO(gage_buf) inbox = GAGE_BUF(1 << 20);
    size_t chunk = data[1] == 0 ? n : data[1];
    for (size_t at = 2; at < n; at += chunk) {
        put_bytes(&inbox, gage_slice_of(data + at, chunk < n - at ? chunk : n - at));
        buf_drop(&inbox, feed(s, inbox.p, inbox.n));
    }
    if (!gage_ok(gage_stream_peer_closed(s, inbox.n, NULL)) && gage_stream_phase(s) != GAGE_STREAM_FAILED)
        abort();
    gage_stream_free(&s);
    return 0;
}
