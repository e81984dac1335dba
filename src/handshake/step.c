#include "handshake/step.h"

void
gss_step_init(struct gss_step *step, bool initiator)
{
    *step = (struct gss_step){.initiator = initiator,
                              .in = GAGE_BUF(STEP_TOKEN_MAX),
                              .context = GSS_C_NO_CONTEXT,
                              .major = GSS_S_CONTINUE_NEEDED};
}

void
gss_step_cleanup(struct gss_step *step)
{
    gage_buf_free(&step->in);
    gss_buffer_wipe(&step->out);
    gss_ctx_drop(&step->context);
}

static void
initiate(struct gss_step *step, gss_buffer_t in)
{
    void *use = NULL;
    gss_cred_id_t cred = step->take != NULL ? step->take(step->context_of_take, &use) : step->cred;
    step->major = gss_init_sec_context(&step->minor, cred, &step->context, step->target, step->mech, step->want, 0,
                                       GSS_C_NO_CHANNEL_BINDINGS, in, &step->used_mech, &step->out, NULL, NULL);
    if (step->take != NULL)
        step->give(step->context_of_take, use);
}

static void
accept_token(struct gss_step *step, gss_buffer_t in)
{
    step->major = gss_accept_sec_context(&step->minor, &step->context, step->cred, in, GSS_C_NO_CHANNEL_BINDINGS, NULL,
                                         &step->used_mech, &step->out, NULL, NULL, NULL);
}

void
gss_step_run(struct gss_step *step)
{
    gss_buffer_desc in = gss_buffer_of(gage_buf_slice(&step->in));
    gss_buffer_wipe(&step->out);
    if (step->initiator)
        initiate(step, step->in.n > 0 ? &in : GSS_C_NO_BUFFER);
    else
        accept_token(step, &in);
    gage_buf_free(&step->in);
}

gage_rc
gss_step_result(const struct gss_step *step, bool *complete, struct gage_err *err)
{
    *complete = step->major == GSS_S_COMPLETE;
    if (*complete || step->major == GSS_S_CONTINUE_NEEDED)
        return GAGE_DONE;
    gss_OID mech = step->used_mech != GSS_C_NO_OID ? step->used_mech : step->mech;
    return gss_fail(err, step->major, step->minor, mech,
                    step->initiator ? "the security context cannot be initiated" : "the peer's token is not accepted");
}
