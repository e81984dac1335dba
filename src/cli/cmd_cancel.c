/* gage cancel: ends a transfer, and says what is known of it. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/mechs.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/drive.h"
#include "cli/report.h"
#include "cli/terminal.h"

#define HANDOVER_S 60

struct cancel_options {
    bool json;
};

/* The process that works on the transfer carries the wish out; this one waits until it has. */
static gage_rc
wait_for_worker(const char *id, record *r, struct gage_err *err)
{
    int64_t end = clock_now() + HANDOVER_S, began = clock_now();
    for (;;) {
        record_free(r);
        gage_rc rc = record_load(id, true, r, err);
        if (rc.code != GAGE_E_STATE)
            return rc;
        REQUIRE(interrupted() == 0, err, GAGE_E_CANCELLED,
                "interrupted; the transfer will be cancelled by the gage that works on it");
        REQUIRE(clock_now() < end, err, GAGE_E_TIMEOUT,
                "the gage that works on transfer %s has not cancelled it yet: look again later", id);
        waiting_for("the gage that works on it", began, "");
        sleep_ms(50);
    }
}

static gage_rc
cancel_here(record *r, struct drive_end *end, struct gage_err *err)
{
    AUTO(drive) d = {.record = r};
    TRY(gage_transfer_load(gage_buf_slice(&r->state), NULL, clock_now(), &d.transfer, err));
    return drive_run(&d, end, err); /* the wish is recorded: the loop begins with it */
}

/* Cancelled is what was asked for: only another end is a failure. */
static gage_rc
judge(gage_rc rc, const record *r, struct gage_err *err)
{
    REQUIRE(!record_open(r) || !gage_ok(rc), err, GAGE_E_INTERNAL, "the transfer did not end");
    if (record_open(r))
        return rc;
    if (r->code == GAGE_OK)
        return gage_fail(err, GAGE_E_STATE, "too late to cancel: %.200s", r->outcome);
    bool given_up = r->side == RECORD_ACCEPT && r->code == GAGE_E_IO; /* content that was kept: the sender is told */
    if (r->code == GAGE_E_CANCELLED || given_up) {
        say("%s", r->outcome);
        return GAGE_DONE;
    }
    return gage_fail(err, r->code, "%.250s", r->outcome);
}

static gage_rc
run_cancel(const void *options, const struct operands *operands, struct gage_err *err)
{
    const struct cancel_options *o = options;
    AUTO(record) r = RECORD_EMPTY;
    struct drive_end end;
    report_start(o->json);
    interrupts_catch();
    TRY(mechs_find(err));
    TRY(records_open(err));
    TRY(record_load(operands->text[0], false, &r, err));
    REQUIRE(record_open(&r), err, GAGE_E_STATE, "transfer %s has ended already: %.180s", r.id, r.outcome);
    TRY(record_want_cancel(&r, err));
    TRY(wait_for_worker(operands->text[0], &r, err));
    waiting_done();
    gage_rc rc = record_open(&r) ? cancel_here(&r, &end, err) : GAGE_DONE;
    return judge(rc, &r, err);
}

static const struct opt rows[] = {
    {"json", NULL, "print JSON, one object a line", OPT_FLAG, offsetof(struct cancel_options, json)},
    OPT_END,
};

const struct command command_cancel = {
    .name = "cancel",
    .operands = "ID",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "end a transfer, and say what is known of it",
    .explanation = "Ends a transfer, also one that another gage waits on: the mailbox is deleted. What was released "
                   "stays released; the last line says "
                   "which it is.",
    .options = rows,
    .options_size = sizeof(struct cancel_options),
    .run = run_cancel,
};
