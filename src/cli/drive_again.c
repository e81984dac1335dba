/* A transfer that an earlier process began goes on here, with what is said now over what was said then. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/drive.h"
#include "cli/output.h"

/* A new place for the content. One that was begun with stays recorded, so that a finished install is recognised there. */
static gage_rc
change_output(const struct again_options *o, struct drive *d, struct gage_err *err)
{
    AUTO(output) out = {.folder = -1};
    record *r = d->record;
    if (o->output == NULL)
        return GAGE_DONE;
    REQUIRE(r->side == RECORD_ACCEPT, err, GAGE_E_USAGE, "--output is for what is received: transfer %s is a share",
            r->id);
    TRY(output_open(o->output, &out, err));
    if (out.name[0] != '\0') {
        if (!o->force)
            TRY(output_check_free(&out, err));
        TRY(output_path(&out, d->new_output, err));
    } else
        memcpy(d->new_output, out.folder_path, sizeof out.folder_path);
    if ((r->flags & RECORD_PLACED) != 0)
        return GAGE_DONE;
    memcpy(r->output, d->new_output, sizeof r->output);
    r->flags = (r->flags & ~(uint32_t)RECORD_OUTPUT) | (out.name[0] != '\0' ? RECORD_OUTPUT : 0);
    return GAGE_DONE;
}

static gage_rc
change_trust(const struct relay_options *o, record *r, struct gage_err *err)
{
    AUTO(settings) s = {0};
    if (o->pin == NULL && o->ca_file == NULL)
        return GAGE_DONE;
    TRY(settings_load(o->config, &s, err));
    return relay_trust_note(o, &s, r->mailbox, "", r, err);
}

gage_rc
drive_again(struct drive *d, const struct again_options *o, struct gage_err *err)
{
    record *r = d->record;
    d->known = true;
    r->flags |= (o->force ? RECORD_FORCE : 0) | (o->yes ? RECORD_YES : 0);
    TRY(change_output(o, d, err));
    TRY(change_trust(o->relay, r, err));
    TRY(record_save(r, err));
    return gage_transfer_load(gage_buf_slice(&r->state), NULL, clock_now(), &d->transfer, err);
}
