/* gage resume: goes on with transfers that were detached, interrupted or killed. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/mechs.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/drive.h"
#include "cli/output.h"
#include "cli/relay_options.h"
#include "cli/report.h"
#include "cli/terminal.h"

struct resume_options {
    const char *output;
    bool force, yes, json;
    struct relay_options relay_options;
};

/* A new place for the content. One that was begun with stays recorded, so that a finished install is recognised there. */
static gage_rc
change_output(const struct resume_options *o, struct drive *d, char place[PATH_MAX], struct gage_err *err)
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
        TRY(output_path(&out, place, err));
    } else
        snprintf(place, PATH_MAX, "%s", out.folder_path);
    d->new_output = place;
    if ((r->flags & RECORD_PLACED) != 0)
        return GAGE_DONE;
    memcpy(r->output, place, strlen(place) + 1);
    r->flags = (r->flags & ~(uint32_t)RECORD_OUTPUT) | (out.name[0] != '\0' ? RECORD_OUTPUT : 0);
    return GAGE_DONE;
}

static gage_rc
change_trust(const struct resume_options *o, record *r, struct gage_err *err)
{
    AUTO(settings) s = {0};
    if (o->relay_options.pin == NULL && o->relay_options.ca_file == NULL)
        return GAGE_DONE;
    TRY(settings_load(o->relay_options.config, &s, err));
    return relay_trust_note(&o->relay_options, &s, r->mailbox, "", r, err);
}

static gage_rc
resume_one(const struct resume_options *o, const char *id, bool alone, struct gage_err *err)
{
    AUTO(record) r = RECORD_EMPTY;
    AUTO(drive) d = {.record = &r, .no_questions = !alone};
    struct drive_end end;
    char place[PATH_MAX];
    TRY(record_load(id, true, &r, err));
    REQUIRE(record_open(&r), err, GAGE_E_STATE, "transfer %s has ended: %.180s", r.id, r.outcome);
    r.flags |= (o->force ? RECORD_FORCE : 0) | (o->yes ? RECORD_YES : 0);
    TRY(change_output(o, &d, place, err));
    TRY(change_trust(o, &r, err));
    TRY(record_save(&r, err));
    TRY(gage_transfer_load(gage_buf_slice(&r.state), NULL, clock_now(), &d.transfer, err));
    return drive_run(&d, &end, err);
}

/* ---- all of them ---- */

/* Each in a process of its own, so that one that waits for days holds up no other. */
static pid_t
resume_in_child(const struct resume_options *o, const char *id)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct gage_err err = {0};
    terminal_share(id);
    gage_rc rc = resume_one(o, id, false, &err);
    err.code = rc.code;
    if (!gage_ok(rc))
        say_failure(&err);
    _exit(gage_exit_status(rc.code));
}

static gage_rc
wait_for_children(size_t n, struct gage_err *err)
{
    size_t failed = 0;
    for (size_t i = 0; i < n; i++) {
        int status = -1; /* as good as killed, where the wait was interrupted */
        while (wait(&status) < 0 && !interrupted())
            ;
        failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    }
    REQUIRE(failed == 0, err, GAGE_E_UNKNOWN_OUTCOME,
            "%zu of %zu transfers did not end well: see the lines above, and gage list", failed, n);
    return GAGE_DONE;
}

static gage_rc
open_records(record_ids *open, struct gage_err *err)
{
    size_t kept = 0;
    TRY(records_list(open, err));
    for (size_t i = 0; i < open->n; i++) {
        AUTO(record) r = RECORD_EMPTY;
        struct gage_err why = {0};
        gage_rc rc = record_load(open->id[i], false, &r, &why);
        if (!gage_ok(rc))
            say("%s: %s", open->id[i], why.text);
        else if (record_open(&r))
            memmove(open->id[kept++], open->id[i], sizeof open->id[i]);
    }
    open->n = kept;
    return GAGE_DONE;
}

static gage_rc
resume_all(const struct resume_options *o, struct gage_err *err)
{
    AUTO(record_ids) open = {0};
    TRY(open_records(&open, err));
    if (open.n == 0)
        say("there is nothing to resume");
    if (open.n <= 1)
        return open.n == 0 ? GAGE_DONE : resume_one(o, open.id[0], true, err);
    REQUIRE(o->output == NULL, err, GAGE_E_USAGE, "--output is for one transfer: name it");
    for (size_t i = 0; i < open.n; i++)
        REQUIRE(resume_in_child(o, open.id[i]) > 0, err, GAGE_E_NOMEM, "cannot start a process for each transfer");
    return wait_for_children(open.n, err);
}

static gage_rc
run_resume(const void *options, const struct operands *operands, struct gage_err *err)
{
    const struct resume_options *o = options;
    report_start(o->json);
    interrupts_catch();
    TRY(mechs_find(err));
    TRY(records_open(err));
    return operands->n == 0 ? resume_all(o, err) : resume_one(o, operands->text[0], true, err);
}

static const struct opt rows[] = {
    {"output", "PATH", "where to install what is received, instead of the place chosen before", OPT_TEXT,
     offsetof(struct resume_options, output)},
    {"force", NULL, "replace a file that is there already", OPT_FLAG, offsetof(struct resume_options, force)},
    {"yes", NULL, "accept without asking; digits and contradictions are asked about all the same", OPT_FLAG,
     offsetof(struct resume_options, yes)},
    {"json", NULL, "print JSON, one object a line", OPT_FLAG, offsetof(struct resume_options, json)},
    RELAY_OPTION_ROWS(struct resume_options),
    OPT_END,
};

const struct command command_resume = {
    .name = "resume",
    .operands = "[ID]",
    .max_operands = 1,
    .summary = "go on with a transfer, or with all that are under way",
    .explanation = "Goes on with a transfer that was detached, interrupted or killed, by its id or a beginning of it; "
                   "without an id, with all at once. "
                   "Safe at any time: nothing is released, installed or reported twice.",
    .options = rows,
    .options_size = sizeof(struct resume_options),
    .run = run_resume,
};
