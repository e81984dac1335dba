#include "cli/seal/pair_link.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/mechs.h"
#include "base/clock.h"
#include "cli/drive.h"
#include "cli/invitation.h"
#include "cli/report.h"
#include "cli/seal/pair_note.h"
#include "cli/terminal.h"

/* The keyring's path as it will still be found from another folder. */
static gage_rc
absolute(const char *given, char path[PAIR_KEYRING_MAX + 1], struct gage_err *err)
{
    char real[PATH_MAX];
    path[0] = '\0';
    if (given == NULL)
        return GAGE_DONE;
    if (realpath(given, real) == NULL)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot use the keyring %.150s", given);
    int n = snprintf(path, PAIR_KEYRING_MAX + 1, "%s", real);
    REQUIRE(n <= PAIR_KEYRING_MAX, err, GAGE_E_LIMIT, "the keyring's path is too long");
    return GAGE_DONE;
}

static gage_rc
make_note(const struct pair_plan *plan, gage_buf *bytes, struct gage_err *err)
{
    AUTO(pair_note_t) note = PAIR_NOTE_EMPTY;
    snprintf(note.alias, sizeof note.alias, "%s", plan->alias);
    note.replace = plan->replace;
    note.validity = plan->validity > 0 ? plan->validity : GAGE_PAIR_VALIDITY_DEFAULT;
    TRY(absolute(plan->keyring, note.keyring, err));
    pair_note_put(bytes, &note);
    return buf_check(bytes, err);
}

static gage_rc
start(const struct pair_link_options *o, settings *s, struct gage_err *err)
{
    report_start(o->json);
    interrupts_catch();
    TRY(settings_load(o->relay_options.config, s, err));
    TRY(mechs_find(err));
    return records_open(err);
}

/* ---- the side that makes the link ---- */

static gage_rc
check_absent(const char *path, const char *option, struct gage_err *err)
{
    struct stat st;
    REQUIRE(path == NULL || lstat(path, &st) != 0, err, GAGE_E_EXISTS, "--%s %.150s exists already: nothing was sent",
            option, path);
    return GAGE_DONE;
}

static gage_rc
begin_make(const struct pair_link_options *o, const settings *s, gage_slice note, struct drive *d, struct gage_err *err)
{
    char host[300];
    int64_t now = clock_now();
    const char *relay = o->relay != NULL ? o->relay : s->relay;
    REQUIRE(relay != NULL, err, GAGE_E_USAGE,
            "which relay? give --relay https://..., or set `url` in [relay] of the configuration (gage.conf(5))");
    TRY(relay_url_check(relay, host, sizeof host, err));
    TRY(relay_trust_note(&o->relay_options, s, relay, "", d->record, err));
    const struct gage_send_options send = {
        .relay = relay,
        .relay_pin = d->record->pin[0] != '\0' ? d->record->pin : NULL,
        .expires = now + (o->expires > 0 ? o->expires : s->expires),
        .format = PAIR_FORMAT,
        .calls = true,
        .verify = o->verify,
        .note = note,
    };
    d->record->side = RECORD_SHARE;
    d->invite = (struct invite_options){o->invite, o->qr_png, o->qr, o->uri};
    d->detach = o->detach;
    return gage_transfer_send(&send, NULL, now, &d->transfer, err);
}

gage_rc
pair_link_make(const struct pair_link_options *o, const struct pair_plan *plan, struct gage_err *err)
{
    AUTO(settings) s = {0};
    AUTO(record) r = RECORD_EMPTY;
    AUTO(drive) d = {.record = &r};
    AUTO(gage_buf) note = GAGE_BUF(GAGE_TRANSFER_NOTE_MAX);
    TRY(start(o, &s, err));
    TRY(check_absent(o->invite, "invite", err));
    TRY(check_absent(o->qr_png, "qr-png", err));
    TRY(make_note(plan, &note, err));
    TRY(begin_make(o, &s, gage_buf_slice(&note), &d, err));
    return drive_begun(&d, err);
}

/* ---- the side that is given it ---- */

/* A link that gage accept, or an earlier run, has begun with: it goes on, as what it turned out to be. */
static gage_rc
go_on(const struct pair_link_options *o, struct drive *d, gage_slice note, struct gage_err *err)
{
    TRY(drive_again(d, &(struct again_options){.yes = o->yes, .relay = &o->relay_options}, err));
    return drive_pairs(d) ? GAGE_DONE : gage_transfer_set_note(d->transfer, note, err);
}

static gage_rc
begin_take(const struct pair_link_options *o, const settings *s, invitation i, gage_slice note, struct drive *d,
           struct gage_err *err)
{
    record *r = d->record;
    bool known;
    TRY(relay_allowed(s, gage_invitation_host(i), err));
    TRY(invitation_known(i, r, &known, err));
    if (known)
        return go_on(o, d, note, err);
    r->side = RECORD_ACCEPT;
    r->flags = o->yes ? RECORD_YES : 0;
    TRY(relay_trust_note(&o->relay_options, s, gage_invitation_url(i), gage_invitation_pin(i), r, err));
    return gage_transfer_receive(i, &(struct gage_receive_options){.note = note}, NULL, clock_now(), &d->transfer, err);
}

gage_rc
pair_link_take(const struct pair_link_options *o, const struct pair_plan *plan, const struct operands *operands,
               struct gage_err *err)
{
    AUTO(settings) s = {0};
    AUTO(record) r = RECORD_EMPTY;
    AUTO(drive) d = {.record = &r};
    AUTO(invitation) i = NULL;
    AUTO(gage_buf) note = GAGE_BUF(GAGE_TRANSFER_NOTE_MAX);
    TRY(start(o, &s, err));
    TRY(make_note(plan, &note, err));
    TRY(invitation_take(operands, false, &i, err));
    TRY(begin_take(o, &s, i, gage_buf_slice(&note), &d, err));
    gage_invitation_free(&i);
    return drive_begun(&d, err);
}
