/* The invitation leaves the machine in the forms asked for. It is a secret: it goes to standard output past every buffer, or into
 * files of mode 0600. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cli/drive.h"
#include "cli/qr.h"
#include "cli/report.h"
#include "cli/terminal.h"

#define INVITATION_MAX 16384

typedef gage_invitation *invitation;
static void
invitation_free(invitation *i)
{
    gage_invitation_free(i);
}
GAGE_AUTO_DEFINE(invitation, invitation_free)

/* A file that a kill left behind with the same bytes is as good as written. */
static gage_rc
write_file(const char *path, gage_slice bytes, struct gage_err *err)
{
    AUTO(gage_buf) there = GAGE_BUF(INVITATION_MAX);
    gage_rc rc = file_install(path, bytes, 0600, err);
    if (rc.code == GAGE_E_EXISTS && gage_ok(file_read(path, &there, NULL)) &&
        slice_equal(gage_buf_slice(&there), bytes))
        return GAGE_DONE;
    return rc;
}

static gage_rc
write_files(const struct drive *d, invitation i, gage_slice link, struct gage_err *err)
{
    if (d->invite.file != NULL) {
        AUTO(gage_buf) file = GAGE_BUF(INVITATION_MAX);
        TRY(gage_invitation_format(i, GAGE_INVITATION_FILE, &file, err));
        TRY(write_file(d->invite.file, gage_buf_slice(&file), err));
        say("the invitation is in %s: it is a secret, whoever has it first can open the transfer", d->invite.file);
    }
    if (d->invite.qr_png != NULL) {
        TRY(qr_png(link, d->invite.qr_png, err));
        say("the QR code is in %s", d->invite.qr_png);
    }
    return GAGE_DONE;
}

static gage_rc
print_qr(gage_slice link, struct gage_err *err)
{
    AUTO(gage_buf) code = GAGE_BUF(256 * 1024);
    TRY(qr_terminal(link, isatty(STDOUT_FILENO) != 0, &code, err));
    return report_bytes(gage_buf_slice(&code), err);
}

static gage_rc
print_link(const struct drive *d, gage_slice link, struct gage_err *err)
{
    struct gage_transfer_status status;
    char until[RFC3339_LEN + 1] = "";
    gage_transfer_status(d->transfer, &status);
    rfc3339_format(status.expires, until);
    if (d->invite.file == NULL) {
        say("give this link to the receiver over a channel you trust; it works once%s%s:",
            status.expires > 0 ? ", until " : "", status.expires > 0 ? until : "");
        AUTO(gage_buf) line = GAGE_BUF(INVITATION_MAX);
        put_bytes(&line, link);
        put_u8(&line, '\n');
        TRY(buf_check(&line, err));
        TRY(report_bytes(gage_buf_slice(&line), err));
    }
    return d->invite.qr ? print_qr(link, err) : GAGE_DONE;
}

static gage_rc
report_json(const struct drive *d, gage_slice link, struct gage_err *err)
{
    struct gage_transfer_status status;
    char until[RFC3339_LEN + 1];
    gage_transfer_status(d->transfer, &status);
    rfc3339_format(status.expires, until);
    json_t *fields = json_pack("{s:s, s:s}", "mailbox", status.url, "expires", until);
    if (d->invite.file == NULL && fields != NULL)
        json_object_set_new(fields, "link", json_stringn((const char *)link.p, link.n));
    return report_event("invitation", d->record, fields, err);
}

gage_rc
drive_invite(const struct drive *d, struct gage_err *err)
{
    AUTO(invitation) i = NULL;
    AUTO(gage_buf) link = GAGE_BUF(INVITATION_MAX);
    TRY(gage_transfer_invitation(d->transfer, &i, err));
    TRY(gage_invitation_format(i, d->invite.uri ? GAGE_INVITATION_URI : GAGE_INVITATION_LINK, &link, err));
    waiting_done();
    TRY(write_files(d, i, gage_buf_slice(&link), err));
    if (report_is_json())
        return report_json(d, gage_buf_slice(&link), err);
    return print_link(d, gage_buf_slice(&link), err);
}
