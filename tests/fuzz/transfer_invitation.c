/* What a person may paste, and what a file may hold. */
#include <stdlib.h>

#include "transfer/invitation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    gage_invitation *in = NULL, *back = NULL;
    if (!gage_ok(gage_invitation_parse(gage_slice_of(data, n), true, &in, NULL)))
        return 0;
    for (int form = GAGE_INVITATION_LINK; form <= GAGE_INVITATION_FILE; form++) {
        AUTO(gage_buf) text = GAGE_BUF(INVITATION_TEXT_MAX);
        if (!gage_ok(gage_invitation_format(in, (enum gage_invitation_form)form, &text, NULL)) ||
            !gage_ok(gage_invitation_parse(gage_buf_slice(&text), true, &back, NULL)) ||
            !secret_equal(&in->secret, &back->secret))
            abort(); /* what was taken comes back in every form */
        gage_invitation_free(&back);
    }
    gage_invitation_free(&in);
    return 0;
}
