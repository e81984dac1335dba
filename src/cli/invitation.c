#include "cli/invitation.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cli/terminal.h"

#define INVITATION_MAX 16384

/* Takes the link off the command line, where others can read it for as long as it stands there. */
static gage_rc
take_from_argv(char *text, gage_buf *out, struct gage_err *err)
{
    put_bytes(out, slice_str(text));
    gage_wipe(text, strlen(text));
    return buf_check(out, err);
}

gage_rc
invitation_take(const struct operands *operands, bool in_argv, invitation *i, struct gage_err *err)
{
    AUTO(gage_buf) text = GAGE_BUF(INVITATION_MAX);
    if (in_argv) {
        REQUIRE(operands->n == 1, err, GAGE_E_USAGE, "--link-in-argv wants the link as operand");
        TRY(take_from_argv(operands->text[0], &text, err));
    } else if (operands->n == 0) {
        REQUIRE(terminal_can_ask(), err, GAGE_E_USAGE,
                "there is no terminal to ask for the invitation on: give - to read it from standard input, or name an "
                "invitation file");
        TRY(terminal_ask("Paste the invitation (it is not shown):", true, &text, err));
    } else if (strcmp(operands->text[0], "-") == 0) {
        TRY(file_read_fd(STDIN_FILENO, "standard input", &text, err));
    } else {
        TRY(file_read(operands->text[0], &text, err));
    }
    return gage_invitation_parse(gage_buf_slice(&text), false, i, err);
}

gage_rc
invitation_known(invitation i, record *r, bool *known, struct gage_err *err)
{
    AUTO(record) found = RECORD_EMPTY;
    char when[RFC3339_LEN + 1];
    *known = gage_ok(record_find_mailbox(gage_invitation_url(i), RECORD_ACCEPT, &found, NULL)) &&
             (record_open(&found) || found.code == GAGE_OK);
    if (!*known)
        return GAGE_DONE;
    rfc3339_format(found.changed, when);
    REQUIRE(record_open(&found), err, GAGE_E_USED,
            "this invitation was used here already, at %s: it is installed as %.120s", when, found.output);
    say("this invitation is under way here already, as transfer %s: going on with it; what is chosen now replaces what "
        "was chosen then",
        found.id);
    return record_load(found.id, true, r, err);
}
