/* gage list and gage show: what this machine knows of its transfers. Neither changes anything. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include <gage/transfer.h>

#include "app/mechs.h"
#include "base/clock.h"
#include "base/encode.h"
#include "cli/commands.h"
#include "cli/records.h"
#include "cli/report.h"
#include "cli/terminal.h"

typedef struct gage_transfer *transfer;
static void
transfer_free(transfer *t)
{
    gage_transfer_free(t);
}
GAGE_AUTO_DEFINE(transfer, transfer_free)

static const char *
side_word(const record *r)
{
    return r->side == RECORD_SHARE ? "share" : "accept";
}

/* One sentence: how it ended, or what it waits for. */
static void
state_text(const record *r, const struct gage_transfer_status *status, char *text, size_t size)
{
    if (!record_open(r))
        snprintf(text, size, "%s", r->outcome);
    else if (status->waiting_for == NULL)
        snprintf(text, size, "its record cannot be read by this gage");
    else if (status->done || status->waiting_for[0] == '\0')
        snprintf(text, size, "to be resumed");
    else
        snprintf(text, size, "waiting for %s", status->waiting_for);
}

/* Loads the transfer of an open record; where that fails, the status stays empty. */
static void
look(const record *r, transfer *t, struct gage_transfer_status *status)
{
    if (record_open(r) && gage_ok(gage_transfer_load(gage_buf_slice(&r->state), NULL, clock_now(), t, NULL)))
        gage_transfer_status(*t, status);
}

static json_t *
as_json(const record *r, const struct gage_transfer_status *status, const char *state)
{
    char created[RFC3339_LEN + 1], changed[RFC3339_LEN + 1], expires[RFC3339_LEN + 1];
    rfc3339_format(r->created, created);
    rfc3339_format(r->changed, changed);
    rfc3339_format(r->expires, expires);
    json_t *row = json_pack("{s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:s}", "transfer", r->id, "side", side_word(r),
                            "title", r->title, "open", (int)record_open(r), "state", state, "created", created,
                            "changed", changed, "expires", expires, "mailbox", r->mailbox);
    if (row != NULL && r->side == RECORD_ACCEPT)
        json_object_set_new(row, "output", json_pack("s", r->output));
    if (row != NULL && status->waiting_for != NULL)
        json_object_set_new(row, "released", json_boolean(status->released));
    if (row != NULL && !record_open(r))
        json_object_set_new(row, "code", json_pack("s", gage_code_name(r->code)));
    return row;
}

/* Prints a cell of foreign text. */
static void
print_clean(const char *text)
{
    AUTO(gage_buf) clean = GAGE_BUF(8192);
    put_printable(&clean, slice_str(text));
    printf("%.*s", (int)clean.n, (const char *)clean.p);
}

static gage_rc
begin_looking(struct gage_err *err)
{
    (void)mechs_find(NULL); /* without the mechanism the records' own words remain */
    return records_open(err);
}

/* ---- list ---- */

struct list_options {
    bool json;
};

static void
list_one(const char *id, json_t *rows)
{
    AUTO(record) r = RECORD_EMPTY;
    AUTO(transfer) t = NULL;
    struct gage_transfer_status status = {0};
    struct gage_err err = {0};
    char state[300], age[32];
    if (!gage_ok(record_load(id, false, &r, &err))) {
        say("%s: %s", id, err.text);
        return;
    }
    look(&r, &t, &status);
    state_text(&r, &status, state, sizeof state);
    if (rows != NULL) {
        json_array_append_new(rows, as_json(&r, &status, state));
        return;
    }
    duration_text(clock_now() - r.changed, age);
    printf("%s  %-6s  %-13s  ", r.id, side_word(&r), age);
    print_clean(r.title[0] != '\0' ? r.title : "(no title)");
    printf("\n          ");
    print_clean(state);
    putchar('\n');
}

static gage_rc
run_list(const void *options, const struct operands *operands, struct gage_err *err)
{
    const struct list_options *o = options;
    AUTO(record_ids) ids = {0};
    TRY(begin_looking(err));
    TRY(records_list(&ids, err));
    json_t *rows = o->json ? json_array() : NULL;
    for (size_t i = 0; i < ids.n; i++)
        list_one(ids.at[i].id, rows);
    if (rows != NULL) {
        json_dumpf(rows, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(rows);
    } else if (ids.n == 0)
        say("there are no transfers here");
    return GAGE_DONE;
}

static const struct opt list_rows[] = {
    {"json", NULL, "print JSON", OPT_FLAG, offsetof(struct list_options, json)},
    OPT_END,
};

const struct command command_list = {
    .name = "list",
    .operands = "",
    .summary = "the transfers of this machine, oldest first",
    .explanation = "Lists the transfers under way and those that ended in the last 30 days: id, side, age and title, "
                   "and below how each ended "
                   "or what it waits for. Never shows a secret.",
    .options = list_rows,
    .options_size = sizeof(struct list_options),
    .run = run_list,
};

/* ---- show ---- */

struct show_options {
    bool json, secret, uri;
};

static void
show_line(const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    printf("%-9s ", key);
    print_clean(value);
    putchar('\n');
}

static void
show_plain(const record *r, const struct gage_transfer_status *status, const char *state)
{
    char time[RFC3339_LEN + 1];
    show_line("transfer", r->id);
    show_line("side", side_word(r));
    show_line("title", r->title);
    show_line("state", state);
    rfc3339_format(r->created, time);
    show_line("begun", time);
    rfc3339_format(r->changed, time);
    show_line("changed", time);
    rfc3339_format(r->expires, time);
    show_line("expires", r->expires > 0 ? time : "");
    show_line("mailbox", r->mailbox);
    show_line("trouble", status->trouble);
    show_line("peer", status->peer);
    show_line(r->side == RECORD_ACCEPT && r->code == GAGE_OK && !record_open(r) ? "installed" : "output", r->output);
    if (r->side == RECORD_SHARE && status->waiting_for != NULL)
        show_line("released", status->released ? "yes" : "not yet");
}

/* The invitation again, for the eyes of who sits there: never into a file or pipe. */
static gage_rc
show_secret(const record *r, transfer t, bool uri, struct gage_err *err)
{
    AUTO(gage_buf) link = GAGE_BUF(16384);
    gage_invitation *i = NULL;
    REQUIRE(isatty(STDOUT_FILENO) != 0, err, GAGE_E_REFUSED,
            "--secret shows the invitation on a terminal only, so that it is not left in a file or a log");
    REQUIRE(t != NULL && r->side == RECORD_SHARE, err, GAGE_E_STATE, "no invitation is kept for this transfer");
    TRY(gage_transfer_invitation(t, &i, err));
    gage_rc rc = gage_invitation_format(i, uri ? GAGE_INVITATION_URI : GAGE_INVITATION_LINK, &link, err);
    gage_invitation_free(&i);
    TRY(rc);
    put_u8(&link, '\n');
    return report_bytes(gage_buf_slice(&link), err);
}

static gage_rc
run_show(const void *options, const struct operands *operands, struct gage_err *err)
{
    const struct show_options *o = options;
    AUTO(record) r = RECORD_EMPTY;
    AUTO(transfer) t = NULL;
    struct gage_transfer_status status = {0};
    char state[300];
    TRY(begin_looking(err));
    TRY(record_load(operands->text[0], false, &r, err));
    look(&r, &t, &status);
    state_text(&r, &status, state, sizeof state);
    if (o->json) {
        json_t *row = as_json(&r, &status, state);
        json_dumpf(row, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(row);
    } else
        show_plain(&r, &status, state);
    return o->secret ? show_secret(&r, t, o->uri, err) : GAGE_DONE;
}

static const struct opt show_rows[] = {
    {"secret", NULL, "show the invitation of a share under way again; on a terminal only", OPT_FLAG,
     offsetof(struct show_options, secret)},
    {"uri", NULL, "with --secret: as a gage: URI", OPT_FLAG, offsetof(struct show_options, uri)},
    {"json", NULL, "print JSON", OPT_FLAG, offsetof(struct show_options, json)},
    OPT_END,
};

const struct command command_show = {
    .name = "show",
    .operands = "ID",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "everything known of one transfer",
    .explanation = "Shows what this machine knows of a transfer, by its id or a beginning of it. Shows no secret "
                   "without --secret.",
    .options = show_rows,
    .options_size = sizeof(struct show_options),
    .run = run_show,
};
