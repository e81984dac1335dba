#include "handshake/context.h"

/* The common face of every implementation: arguments and limits are checked here, once. */

static gage_rc
demand_complete(const struct handshake *handshake, struct gage_err *err)
{
    REQUIRE(handshake->complete, err, GAGE_E_STATE, "the security context is not established yet");
    return GAGE_DONE;
}

/* What every call ends with that appends to `out`: all of it, or nothing. */
static gage_rc
settle(gage_rc rc, gage_buf *out, size_t before, struct gage_err *err)
{
    if (gage_ok(rc))
        rc = buf_check(out, err);
    if (!gage_ok(rc) && out->n > before) {
        gage_wipe(out->p + before, out->n - before);
        out->n = before;
    }
    return rc;
}

gage_rc
handshake_step(struct handshake *handshake, gage_slice in, gage_buf *out, struct gage_err *err)
{
    size_t before = out->n;
    REQUIRE(!handshake->complete, err, GAGE_E_STATE, "a context token came for an established context");
    REQUIRE(in.n <= HANDSHAKE_TOKEN_MAX, err, GAGE_E_LIMIT, "a context token of more than %u bytes",
            HANDSHAKE_TOKEN_MAX);
    return settle(handshake->ops->step(handshake, in, out, err), out, before, err);
}

/* A message of an established context, in either direction. */
static gage_rc
message(struct handshake *handshake,
        gage_rc (*operation)(struct handshake *, gage_slice, gage_buf *, struct gage_err *), gage_slice in,
        gage_buf *out, struct gage_err *err)
{
    size_t before = out->n;
    TRY(demand_complete(handshake, err));
    return settle(operation(handshake, in, out, err), out, before, err);
}

gage_rc
handshake_wrap(struct handshake *handshake, gage_slice text, gage_buf *out, struct gage_err *err)
{
    return message(handshake, handshake->ops->wrap, text, out, err);
}

gage_rc
handshake_unwrap(struct handshake *handshake, gage_slice token, gage_buf *out, struct gage_err *err)
{
    return message(handshake, handshake->ops->unwrap, token, out, err);
}

gage_rc
handshake_prf(struct handshake *handshake, gage_slice input, uint8_t *out, size_t n, struct gage_err *err)
{
    TRY(demand_complete(handshake, err));
    return handshake->ops->prf(handshake, input, out, n, err);
}

gage_rc
handshake_save(struct handshake *handshake, gage_buf *out, struct gage_err *err)
{
    size_t before = out->n;
    REQUIRE(handshake->complete || handshake->mechanism->half_open_export, err, GAGE_E_UNSUPPORTED,
            "the mechanism %s cannot store a context that is not finished", handshake->mechanism->name);
    return settle(handshake->ops->save(handshake, out, err), out, before, err);
}

gage_rc
handshake_end(struct handshake *handshake, gage_buf *out, struct gage_err *err)
{
    size_t before = out->n;
    return settle(handshake->ops->end(handshake, out, err), out, before, err);
}

gage_rc
handshake_ended(struct handshake *handshake, gage_slice token, struct gage_err *err)
{
    return handshake->ops->ended(handshake, token, err);
}

gage_rc
handshake_peer(struct handshake *handshake, gage_buf *out, struct gage_err *err)
{
    TRY(demand_complete(handshake, err));
    return handshake->ops->peer(handshake, out, err);
}

void
handshake_free(struct handshake **handshake)
{
    if (handshake == NULL || *handshake == NULL)
        return;
    (*handshake)->ops->destroy(*handshake);
    *handshake = NULL;
}
