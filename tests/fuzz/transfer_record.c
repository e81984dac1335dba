/* A state record as a damaged disk or a stranger may leave it. */
#include <string.h>

#include "transfer/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static gage_rc
no_context(const struct handshake_spec *spec, gage_slice saved, bool complete, struct handshake **out,
           struct gage_err *err)
{
    return gage_fail(err, GAGE_E_GSS, "no context here");
}

static const struct transfer_security security = {NULL, no_context};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    gage_transfer *t = NULL;
    struct gage_action action;
    struct gage_transfer_status status;
    if (!gage_ok(transfer_load(&security, gage_slice_of(data, n), NULL, 1800000000, &t, NULL)))
        return 0;
    gage_transfer_status(t, &status);
    for (int i = 0; i < 3 && gage_ok(gage_transfer_next(t, 1800000000 + i, &action, NULL)); i++)
        if (action.kind == GAGE_ACT_HTTP)
            (void)gage_ok(gage_transfer_http_failed(t, 1800000000 + i, NULL, NULL));
    gage_transfer_free(&t);
    return 0;
}
