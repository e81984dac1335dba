/* gage accept: receives a file. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/mechs.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/drive.h"
#include "cli/invitation.h"
#include "cli/output.h"
#include "cli/relay_options.h"
#include "cli/report.h"
#include "cli/terminal.h"

struct accept_options {
    const char *output, *exec;
    bool yes, force, json, link_in_argv;
    struct relay_options relay_options;
};

/* ---- beginning ---- */

/* Where the file is to go, as an absolute path; a file that is in the way is said now, before anything is claimed. */
static gage_rc
set_output(const struct accept_options *o, record *r, struct gage_err *err)
{
    AUTO(output) out = {.folder = -1};
    TRY(output_open(o->output, &out, err));
    if (out.name[0] == '\0') {
        snprintf(r->output, sizeof r->output, "%s", out.folder_path);
        return GAGE_DONE;
    }
    r->flags |= RECORD_OUTPUT;
    if (!o->force)
        TRY(output_check_free(&out, err));
    return output_path(&out, r->output, err);
}

static gage_rc
begin(const struct accept_options *o, const settings *s, invitation i, struct drive *d, struct gage_err *err)
{
    record *r = d->record;
    bool known;
    TRY(relay_allowed(s, gage_invitation_host(i), err));
    TRY(invitation_known(i, r, &known, err));
    if (known) {
        TRY(drive_again(d, &(struct again_options){o->output, o->force, o->yes, &o->relay_options}, err));
        return drive_exec(d, o->exec, err);
    }
    r->side = RECORD_ACCEPT;
    bool unshown = o->yes && !o->json && !terminal_can_ask();
    r->flags = (o->yes ? RECORD_YES : 0) | (o->force ? RECORD_FORCE : 0) | (unshown ? RECORD_UNSHOWN : 0);
    TRY(set_output(o, r, err));
    TRY(relay_trust_note(&o->relay_options, s, gage_invitation_url(i), gage_invitation_pin(i), r, err));
    TRY(gage_transfer_receive(i, &(struct gage_receive_options){.no_preview = unshown}, NULL, clock_now(), &d->transfer,
                              err));
    return drive_exec(d, o->exec, err);
}

static gage_rc
run_accept(const void *options, const struct operands *operands, struct gage_err *err)
{
    const struct accept_options *o = options;
    AUTO(settings) s = {0};
    AUTO(record) r = RECORD_EMPTY;
    AUTO(drive) d = {.record = &r};
    AUTO(invitation) i = NULL;
    report_start(o->json);
    interrupts_catch();
    TRY(settings_load(o->relay_options.config, &s, err));
    TRY(mechs_find(err));
    TRY(records_open(err));
    TRY(invitation_take(operands, o->link_in_argv, &i, err));
    TRY(begin(o, &s, i, &d, err));
    gage_invitation_free(&i);
    return drive_begun(&d, err);
}

static const struct opt rows[] = {
    {"output", "PATH", "the file to install as, or the folder for it; default: the sender's name in the current folder",
     OPT_TEXT, offsetof(struct accept_options, output)},
    {"force", NULL, "replace a file that is there already", OPT_FLAG, offsetof(struct accept_options, force)},
    {"exec", "COMMAND", "make the requests that a format of additional calls wants with this command", OPT_TEXT,
     offsetof(struct accept_options, exec)},
    {"yes", NULL, "accept without asking; digits and contradictions are asked about all the same", OPT_FLAG,
     offsetof(struct accept_options, yes)},
    {"json", NULL, "print JSON, one object a line", OPT_FLAG, offsetof(struct accept_options, json)},
    {"link-in-argv", NULL, "take the link as operand; for machines that nobody else uses", OPT_FLAG,
     offsetof(struct accept_options, link_in_argv)},
    RELAY_OPTION_ROWS(struct accept_options),
    OPT_END,
};

const struct command command_accept = {
    .name = "accept",
    .operands = "[-|INVITATION-FILE]",
    .max_operands = 1,
    .summary = "receive a file: asks for the link",
    .explanation = "Reads an invitation (a link, a gage: URI or an invitation file) from the terminal without showing "
                   "it, from standard input (-) or "
                   "from a file; shows what the relay says about it; asks; receives and checks the file, and puts it "
                   "in place whole or not at all. Where the sender offers a certificate, makes a key for it, and "
                   "installs both.",
    .options = rows,
    .options_size = sizeof(struct accept_options),
    .run = run_accept,
};
