/* The received content goes into its place. Every step may be the last of this process: what has happened is recognised when the
 * transfer is resumed, by the file that is there. */
#include <stdio.h>
#include <string.h>

#include "cli/drive.h"
#include "cli/issue/issue.h"
#include "cli/output.h"
#include "cli/terminal.h"

/* Where: the file that --output named, or the sender's name in the chosen folder. */
static gage_rc
find_place(const struct drive *d, const struct gage_install *install, output *out, struct gage_err *err)
{
    const record *r = d->record;
    bool again = d->new_output[0] != '\0';
    TRY(output_open(again ? d->new_output : r->output, out, err));
    if (out->name[0] != '\0')
        return GAGE_DONE;
    REQUIRE(again || (r->flags & RECORD_OUTPUT) == 0, err, GAGE_E_EXISTS, "%.150s is a folder now", r->output);
    const char *name = install->name[0] != '\0' ? install->name : issue_default_name(install->format);
    REQUIRE(name[0] != '\0', err, GAGE_E_USAGE, "the sender gave no file name");
    return output_take_name(out, slice_str(name), err);
}

/* Whether an earlier process got as far as putting the content in place. */
static bool
placed_already(const record *r, gage_slice content)
{
    AUTO(output) out = {.folder = -1};
    return (r->flags & RECORD_PLACED) != 0 && gage_ok(output_open(r->output, &out, NULL)) &&
           output_holds(&out, content);
}

static gage_rc
place(struct drive *d, const struct gage_install *install, const struct issue *issue, struct gage_err *err)
{
    char path[PATH_MAX];
    record *r = d->record;
    AUTO(output) out = {.folder = -1};
    TRY(find_place(d, install, &out, err));
    TRY(issue_place(issue, install->format, (r->flags & RECORD_FORCE) != 0, &out, err));
    TRY(output_path(&out, path, err));
    /* The place is recorded first, so that nothing makes a second copy of a file that a kill left in place. */
    snprintf(r->output, sizeof r->output, "%s", path);
    r->flags |= RECORD_OUTPUT | RECORD_PLACED;
    TRY(record_save(r, err));
    return output_install(&out, install->content, (mode_t)install->mode, (r->flags & RECORD_FORCE) != 0, err);
}

/* What failed, and that nothing is lost by it. */
static gage_rc
kept(const struct drive *d, gage_rc rc, const struct gage_err *why, struct gage_err *err)
{
    (void)gage_transfer_installed(d->transfer, GAGE_INSTALL_LATER, NULL);
    return gage_fail(err, rc.code, "%.150s; the content is kept: `gage resume --output OTHER %s`, or `gage cancel %s`",
                     why->text, d->record->id, d->record->id);
}

gage_rc
drive_install(struct drive *d, const struct gage_install *install, struct gage_err *err)
{
    struct gage_err why = {0};
    struct gage_transfer_status status;
    AUTO(issue_t) issue = {0};
    gage_transfer_status(d->transfer, &status);
    TRY(issue_get(status.note, &issue, err));
    if (placed_already(d->record, install->content))
        return gage_transfer_installed(d->transfer, GAGE_INSTALL_DONE, err);
    if (d->cancelling)
        return gage_transfer_installed(d->transfer, GAGE_INSTALL_REFUSED, err);
    if (!issue_installs(&issue, install->format)) {
        say("the sender sent a \"%.40s\", which this command cannot put in place: refused", install->format);
        return gage_transfer_installed(d->transfer, GAGE_INSTALL_REFUSED, err);
    }
    bool fits = true;
    gage_rc rc = issue_fits(&issue, install->format, install->content, &fits, &why);
    if (gage_ok(rc) && !fits) {
        say("what the sender sent is no certificate for the key made here: refused");
        return gage_transfer_installed(d->transfer, GAGE_INSTALL_REFUSED, err);
    }
    rc = gage_ok(rc) ? place(d, install, &issue, &why) : rc;
    return gage_ok(rc) ? gage_transfer_installed(d->transfer, GAGE_INSTALL_DONE, err) : kept(d, rc, &why, err);
}
