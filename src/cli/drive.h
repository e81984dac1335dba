/* drive.h - the loop that carries out what the transfer library asks for: HTTP, record, terminal, files. */
#ifndef GAGE_CLI_DRIVE_H
#define GAGE_CLI_DRIVE_H

#include <gage/transfer.h>

#include "cli/http.h"
#include "cli/records.h"
#include "cli/relay_options.h"

/* How the sender hands the invitation over. Members are borrowed, NULL or false where not asked for. */
struct invite_options {
    const char *file;   /* an invitation file to write, instead of printing */
    const char *qr_png; /* a PNG to write */
    bool qr;            /* a code on the terminal */
    bool uri;           /* the gage: form instead of the link */
};

struct drive {
    record *record;          /* locked once it has an id; the loop creates it with the first record to save */
    gage_transfer *transfer; /* the caller frees it */
    struct http *http;       /* opened by the loop where first needed, closed by drive_free */
    struct invite_options invite;
    bool detach;               /* sender: stop once the invitation is handed over */
    char new_output[PATH_MAX]; /* receiver, resumed: install there instead, unless the first place has it already */
    bool no_questions;         /* nobody can be asked: several transfers share the terminal */
    bool known;                /* the record is an earlier process's: it stays, whatever happens */
    /* the loop's own */
    bool sent_anything;          /* something may have reached the relay in this process */
    bool served_once, read_once; /* it answered otherwise than "not now"; the mailbox was read */
    bool clock_told;
    int64_t first_busy; /* when the relay first said "not now", 0: never */
    char trouble[160];  /* why the relay was not reached at last */
    bool answered_once, cancelling, invited, digits_told, end_told;
    int64_t first_try; /* when the relay was first not reached, 0: it was */
};
void drive_free(struct drive *d);
typedef struct drive drive;
GAGE_AUTO_DEFINE(drive, drive_free)

/* Runs to the end of the transfer, or to where it has to stop for now: detached, interrupted (GAGE_E_CANCELLED; interrupted() tells),
 * a relay never reached (GAGE_E_UNAVAILABLE), a question with nobody to ask (GAGE_E_USAGE), a name already taken
 * (GAGE_E_EXISTS). The record holds whatever is needed to go on. *result tells the end where there was one (done = true). */
struct drive_end {
    bool done;
    enum gage_outcome outcome;
};
gage_rc drive_run(struct drive *d, struct drive_end *end, struct gage_err *err);

/* The same for a transfer that this process began: where it fails before anything can have reached the relay, no record remains. */
gage_rc drive_begun(struct drive *d, struct gage_err *err);

/* ---- going on ---- */

/* What a command that goes on with a transfer says over what was said when it was begun: false and NULL leave that. */
struct again_options {
    const char *output; /* where to install what is received; GAGE_E_USAGE for a share */
    bool force, yes;
    const struct relay_options *relay;
};
/* Notes the command that makes requests (NULL: none) in d->transfer. */
gage_rc drive_exec(struct drive *d, const char *command, struct gage_err *err);
/* Loads the transfer of d->record, which is loaded and locked, and keeps the changes. */
gage_rc drive_again(struct drive *d, const struct again_options *o, struct gage_err *err);

/* ---- what the loop calls ---- */

/* drive_ask.c: puts the question to the person; *yes is the answer. */
gage_rc drive_ask(const struct drive *d, const struct gage_ask *ask, bool *yes, struct gage_err *err);
/* drive_call.c: makes a request or an answer of additional calls (kind: GAGE_ACT_REQUEST or GAGE_ACT_SUPPLY). */
gage_rc drive_call(struct drive *d, enum gage_action_kind kind, const struct gage_call *call, struct gage_err *err);
/* drive_install.c: puts the content in place as the record says, notes the path in it, and reports that to the transfer. Where it fails, the
 * content is kept. Where the transfer is to be cancelled or the format is unknown, and nothing is in place, it is given up, and the sender told. */
gage_rc drive_install(struct drive *d, const struct gage_install *install, struct gage_err *err);
/* drive_pair.c: the steps of a transfer that makes a pairing (seal/pair_note.h); drive_pairs says whether this is one. */
bool drive_pairs(const struct drive *d);
gage_rc drive_pair_request(struct drive *d, const struct gage_call *call, struct gage_err *err);
gage_rc drive_pair_supply(struct drive *d, const struct gage_call *call, struct gage_err *err);
gage_rc drive_pair_install(struct drive *d, const struct gage_install *install, struct gage_err *err);
gage_rc drive_pair_done(struct drive *d, const struct gage_result *result, struct gage_err *err);
/* drive_invite.c: hands the invitation over. */
gage_rc drive_invite(const struct drive *d, struct gage_err *err);

#endif
