#include "cli/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cli/terminal.h"

static bool as_json;

void
report_start(bool json)
{
    as_json = json;
    terminal_start(json);
}

bool
report_is_json(void)
{
    return as_json;
}

gage_rc
report_bytes(gage_slice bytes, struct gage_err *err)
{
    fflush(stdout);
    return file_write_fd(STDOUT_FILENO, "standard output", bytes, err);
}

static int
dump_to_buf(const char *bytes, size_t n, void *buf)
{
    put_bytes(buf, gage_slice_of(bytes, n));
    return 0;
}

gage_rc
report_event(const char *event, const record *r, json_t *fields, struct gage_err *err)
{
    AUTO(gage_buf) line = GAGE_BUF(256 * 1024);
    json_t *row = NULL;
    if (as_json) {
        row = json_pack("{s:s, s:s}", "event", event, "transfer", r->id);
        if (row == NULL || fields == NULL || json_object_update(row, fields) != 0 ||
            json_dump_callback(row, dump_to_buf, &line, JSON_COMPACT) != 0)
            line.bad = true;
        put_u8(&line, '\n');
    }
    json_decref(row);
    json_decref(fields);
    if (!as_json)
        return GAGE_DONE;
    TRY(buf_check(&line, err));
    return report_bytes(gage_buf_slice(&line), err);
}

gage_rc
report_waiting(const record *r, const struct gage_transfer_status *status, struct gage_err *err)
{
    static char last[512];
    char now[512];
    if (!as_json) {
        waiting_for(status->waiting_for, status->since, status->trouble);
        return GAGE_DONE;
    }
    snprintf(now, sizeof now, "%s|%s", status->waiting_for, status->trouble);
    if (strcmp(now, last) == 0 || status->waiting_for[0] == '\0')
        return GAGE_DONE;
    memcpy(last, now, sizeof last);
    char since[RFC3339_LEN + 1];
    rfc3339_format(status->since, since);
    return report_event(
        "waiting", r,
        json_pack("{s:s, s:s, s:s}", "for", status->waiting_for, "since", since, "trouble", status->trouble), err);
}

gage_rc
report_outcome(const record *r, const struct gage_result *result, struct gage_err *err)
{
    const char *file = result->outcome == GAGE_OUTCOME_INSTALLED ? r->output : "";
    waiting_done();
    TRY(report_event("outcome", r,
                     json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b}", "outcome", gage_outcome_word(result->outcome),
                               "reason", gage_reason_text(result->reason), "text", result->text, "code",
                               gage_code_name(result->code), "file", file, "released", (int)result->released,
                               "unconfirmed", (int)result->unconfirmed),
                     err));
    if (result->code != GAGE_OK)
        return GAGE_DONE; /* the failure's sentence is the program's last word */
    if (file[0] != '\0')
        say("installed as %s%s", file,
            result->unconfirmed ? "; the receipt could not be left, so the sender will see \"unknown\"" : "");
    else
        say("%s", r->outcome);
    return GAGE_DONE;
}
