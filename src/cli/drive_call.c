/* The rounds of additional calls: the receiver's requests and the sender's answers are made here, by what is built in or by --exec. */
#include <string.h>

#include "cli/drive.h"
#include "cli/issue/issue.h"

static gage_rc
read_note(const struct drive *d, struct issue *issue, struct gage_err *err)
{
    struct gage_transfer_status status;
    gage_transfer_status(d->transfer, &status);
    return issue_get(status.note, issue, err);
}

/* A new key is in the record before anything is asked with it. */
static gage_rc
make_request(struct drive *d, const struct gage_call *call, struct issue *issue, struct gage_err *err)
{
    bool refuse = false;
    AUTO(gage_buf) request = GAGE_BUF(GAGE_TRANSFER_CONTENT_MAX);
    AUTO(gage_buf) note = GAGE_BUF(GAGE_TRANSFER_NOTE_MAX);
    TRY(issue_request(issue, call, &request, &refuse, err));
    if (refuse)
        return gage_transfer_answer(d->transfer, false, err);
    TRY(issue_put(issue, &note, err));
    TRY(gage_transfer_set_note(d->transfer, gage_buf_slice(&note), err));
    return gage_transfer_request(d->transfer, gage_buf_slice(&request), err);
}

static gage_rc
make_answer(struct drive *d, const struct gage_call *call, const struct issue *issue, struct gage_err *err)
{
    bool last = true, refuse = false;
    AUTO(gage_buf) answer = GAGE_BUF(GAGE_TRANSFER_CONTENT_MAX);
    TRY(issue_answer(issue, call, &answer, &last, &refuse, err));
    if (refuse)
        return gage_transfer_answer(d->transfer, false, err);
    uint32_t mode = issue->exec[0] != '\0' ? 0600 : 0644;
    return gage_transfer_supply(d->transfer, gage_buf_slice(&answer), last, NULL, mode, err);
}

gage_rc
drive_call(struct drive *d, enum gage_action_kind kind, const struct gage_call *call, struct gage_err *err)
{
    AUTO(issue_t) issue = {0};
    struct gage_err why = {0};
    TRY(read_note(d, &issue, err));
    gage_rc rc = kind == GAGE_ACT_REQUEST ? make_request(d, call, &issue, &why) : make_answer(d, call, &issue, &why);
    if (gage_ok(rc) || rc.code == GAGE_E_CANCELLED)
        return gage_ok(rc) ? rc : GAGE_DONE; /* the loop looks why */
    return gage_fail(err, rc.code, "%.150s; the transfer stands: `gage resume %s` tries again, `gage cancel` ends it",
                     why.text, d->record->id);
}

gage_rc
drive_exec(struct drive *d, const char *command, struct gage_err *err)
{
    AUTO(issue_t) issue = {0};
    AUTO(gage_buf) note = GAGE_BUF(GAGE_TRANSFER_NOTE_MAX);
    if (command == NULL)
        return GAGE_DONE;
    TRY(read_note(d, &issue, err));
    REQUIRE(strlen(command) < sizeof issue.exec, err, GAGE_E_LIMIT, "--exec is too long: put it into a script");
    memcpy(issue.exec, command, strlen(command) + 1);
    TRY(issue_put(&issue, &note, err));
    return gage_transfer_set_note(d->transfer, gage_buf_slice(&note), err);
}
