/* The three questions of a transfer, put to the person at the terminal. --yes answers the first alone. */
#include <stdio.h>
#include <string.h>

#include "cli/drive.h"
#include "cli/report.h"
#include "cli/terminal.h"

static bool
may_ask(const struct drive *d)
{
    return !d->no_questions && terminal_can_ask();
}

/* What the relay says is shown even where the answer is given already, if there is somebody to see it: it may be the reason to stop. */
static gage_rc
ask_claim(const struct drive *d, const struct gage_ask *ask, bool *yes, struct gage_err *err)
{
    *yes = (d->record->flags & RECORD_YES) != 0;
    if ((d->record->flags & RECORD_UNSHOWN) != 0)
        return GAGE_DONE;
    REQUIRE(d->answered_once || d->first_try == 0, err, GAGE_E_UNAVAILABLE,
            "%.150s; nothing was claimed, the link stays good: try again later", d->trouble);
    TRY(report_event(
        "preview", d->record,
        json_pack("{s:s, s:s, s:s}", "relay", ask->host, "title", ask->title, "description", ask->description), err));
    waiting_done();
    say("the relay %s says:", ask->host);
    say("    %s", ask->title[0] != '\0' ? ask->title : "(no title)");
    if (ask->description[0] != '\0')
        say("    %s", ask->description);
    if (*yes)
        return GAGE_DONE;
    REQUIRE(may_ask(d), err, GAGE_E_USAGE,
            "there is no terminal to ask on whether to accept: add --yes if you agree beforehand");
    return terminal_ask_yes("Accept it? The link works once.", yes, err);
}

static gage_rc
ask_mismatch(const struct drive *d, const struct gage_ask *ask, bool *yes, struct gage_err *err)
{
    char id[80];
    snprintf(id, sizeof id, "`gage resume %s` on a terminal asks again", d->record->id);
    TRY(report_event("mismatch", d->record,
                     json_pack("{s:s, s:s, s:s, s:s}", "title", ask->title, "format", ask->format, "announced_title",
                               ask->announced_title, "announced_format", ask->announced_format),
                     err));
    waiting_done();
    say("the sender's own words differ from what was announced:");
    say("    announced: \"%s\" %s", ask->announced_title, ask->announced_format);
    say("    sent:      \"%s\" %s", ask->title, ask->format);
    REQUIRE(may_ask(d), err, GAGE_E_MISMATCH, "what the sender sent is called \"%s\" (%s), not \"%s\" as announced: %s",
            ask->title, ask->format, ask->announced_title, id);
    return terminal_ask_yes("The relay or somebody else changed it on the way. Take it nevertheless?", yes, err);
}

static gage_rc
ask_digits(const struct drive *d, const struct gage_ask *ask, bool *yes, struct gage_err *err)
{
    REQUIRE(may_ask(d), err, GAGE_E_USAGE,
            "six digits are to be compared, and there is no terminal to ask on: `gage resume %s` on one asks",
            d->record->id);
    return terminal_ask_yes("Does the other person read the same six digits?", yes, err);
}

gage_rc
drive_ask(const struct drive *d, const struct gage_ask *ask, bool *yes, struct gage_err *err)
{
    switch (ask->question) {
    case GAGE_ASK_CLAIM:
        return ask_claim(d, ask, yes, err);
    case GAGE_ASK_MISMATCH:
        return ask_mismatch(d, ask, yes, err);
    case GAGE_ASK_DIGITS:
        return ask_digits(d, ask, yes, err);
    }
    return gage_fail(err, GAGE_E_INTERNAL, "the transfer asks a question that does not exist");
}
