/* A state record as a damaged disk or a stranger may leave it. A context in it is loaded as one that does nothing more: what a
 * mechanism makes of such bytes is the mechanism's affair, and tested there. */
#include <stdlib.h>
#include <string.h>

#include "transfer/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static gage_rc
no_step(struct handshake *h, gage_slice in, gage_buf *out, struct gage_err *err)
{
    return gage_fail(err, GAGE_E_GSS, "no context here");
}

static gage_rc
no_prf(struct handshake *h, gage_slice input, uint8_t *out, size_t n, struct gage_err *err)
{
    return gage_fail(err, GAGE_E_GSS, "no context here");
}

static gage_rc
put_context(struct handshake *h, gage_buf *out, struct gage_err *err)
{
    put_bytes(out, SLICE_LITERAL("context"));
    return GAGE_DONE;
}

static gage_rc
no_end(struct handshake *h, gage_slice token, struct gage_err *err)
{
    return gage_fail(err, GAGE_E_GSS, "no context here");
}

static void
destroy(struct handshake *h)
{
    free(h);
}

static const struct handshake_ops ops = {no_step,     no_step, no_step,     no_prf, put_context,
                                         put_context, no_end,  put_context, destroy};

static gage_rc
load(const struct handshake_spec *spec, gage_slice saved, bool complete, struct handshake **out, struct gage_err *err)
{
    REQUIRE(saved.n > 0, err, GAGE_E_FORMAT, "an empty context");
    struct handshake *h = calloc(1, sizeof *h);
    REQUIRE(h != NULL, err, GAGE_E_NOMEM, "no memory");
    *h =
        (struct handshake){.ops = &ops, .mechanism = spec->mechanism, .initiate = spec->initiate, .complete = complete};
    *out = h;
    return GAGE_DONE;
}

static gage_rc
start(const struct handshake_spec *spec, struct handshake **out, struct gage_err *err)
{
    return load(spec, SLICE_LITERAL("new"), false, out, err);
}

static const struct transfer_security security = {start, load};

/* The caller's part: the relay has nothing, the person agrees. */
static gage_rc
report(gage_transfer *t, int64_t now, const struct gage_action *action)
{
    switch (action->kind) {
    case GAGE_ACT_SAVE:
        return gage_transfer_saved(t, NULL);
    case GAGE_ACT_INVITE:
        return gage_transfer_invited(t, NULL);
    case GAGE_ACT_ASK:
        return gage_transfer_answer(t, true, NULL);
    case GAGE_ACT_INSTALL:
        return gage_transfer_installed(t, GAGE_INSTALL_DONE, NULL);
    case GAGE_ACT_HTTP: {
        static const char empty[] = "{}";
        struct gage_http_response response = {.status = now % 2 == 0 ? 200 : 404, .body = slice_str(empty)};
        return gage_transfer_http_result(t, now, &response, NULL);
    }
    default:
        return gage_transfer_cancel(t, NULL);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    gage_transfer *t = NULL;
    struct gage_action action;
    struct gage_transfer_status status;
    if (!gage_ok(transfer_load(&security, gage_slice_of(data, n), NULL, 1800000000, &t, NULL)))
        return 0;
    for (int i = 0; i < 8 && gage_ok(gage_transfer_next(t, 1800000000 + i, &action, NULL)); i++) {
        gage_transfer_status(t, &status);
        if (action.kind == GAGE_ACT_DONE || !gage_ok(report(t, 1800000000 + i, &action)))
            break;
    }
    gage_transfer_free(&t);
    return 0;
}
