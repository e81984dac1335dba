/* gage resume: goes on with transfers that were detached, interrupted or killed. */
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/mechs.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/drive.h"
#include "cli/relay_options.h"
#include "cli/report.h"
#include "cli/terminal.h"

#define LOOK_MS 100

struct resume_options {
    const char *output;
    bool force, yes, json;
    struct relay_options relay_options;
};

static gage_rc
resume_one(const struct resume_options *o, const char *id, bool alone, struct gage_err *err)
{
    AUTO(record) r = RECORD_EMPTY;
    AUTO(drive) d = {.record = &r, .no_questions = !alone};
    struct drive_end end;
    TRY(record_load(id, true, &r, err));
    REQUIRE(record_open(&r), err, GAGE_E_STATE, "transfer %s has ended: %.180s", r.id, r.outcome);
    TRY(drive_again(&d, &(struct again_options){o->output, o->force, o->yes, &o->relay_options}, err));
    return drive_run(&d, &end, err);
}

/* ---- all of them ---- */

/* Each in a process of its own, so that one that waits for days holds up no other. It ends when the one that waits for all ends,
 * however that happens. */
static pid_t
resume_in_child(const struct resume_options *o, const char *id)
{
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    struct gage_err err = {0};
    terminal_share(id);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
        _exit(gage_exit_status(GAGE_E_CANCELLED));
    gage_rc rc = resume_one(o, id, false, &err);
    err.code = rc.code;
    if (!gage_ok(rc))
        say_failure(&err);
    _exit(gage_exit_status(rc.code));
}

/* SIGTERM, whatever the signal was: a terminal has sent its SIGINT to the children too, and a second one would kill them at once. */
static void
pass_on(const pid_t *children, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (children[i] > 0)
            kill(children[i], SIGTERM);
}

/* Waits for each; once interrupted, tells them and still waits: none outlives this process. Looks now and then, because a signal may
 * come just before a wait that it should end. */
static size_t
count_failures(pid_t *children, size_t n)
{
    size_t failed = 0;
    bool told = false;
    for (size_t i = 0; i < n;) {
        int status = 0;
        pid_t ended = waitpid(children[i], &status, WNOHANG);
        if (interrupted() != 0 && !told) {
            pass_on(children, n);
            told = true;
        }
        if (ended == 0) {
            poll(NULL, 0, LOOK_MS);
            continue;
        }
        failed += ended < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
        children[i++] = 0;
    }
    return failed;
}

static gage_rc
resume_each(const struct resume_options *o, const record_ids *open, struct gage_err *err)
{
    pid_t *children = calloc(open->n, sizeof *children);
    REQUIRE(children != NULL, err, GAGE_E_NOMEM, "out of memory");
    size_t n = 0;
    while (n < open->n && interrupted() == 0 && (children[n] = resume_in_child(o, open->at[n].id)) > 0)
        n++;
    bool all = n == open->n;
    if (!all)
        pass_on(children, n);
    size_t failed = count_failures(children, n);
    free(children);
    REQUIRE(interrupted() == 0, err, GAGE_E_CANCELLED,
            "interrupted; the transfers stand: `gage resume` goes on with them");
    REQUIRE(all, err, GAGE_E_NOMEM, "cannot start a process for each transfer: name the one to go on with");
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
        gage_rc rc = record_load(open->at[i].id, false, &r, &why);
        if (!gage_ok(rc))
            say("%s: %s", open->at[i].id, why.text);
        else if (record_open(&r))
            open->at[kept++] = open->at[i];
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
        return open.n == 0 ? GAGE_DONE : resume_one(o, open.at[0].id, true, err);
    REQUIRE(o->output == NULL, err, GAGE_E_USAGE, "--output is for one transfer: name it");
    return resume_each(o, &open, err);
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
