/* gage share: hands a file over. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "app/mechs.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/drive.h"
#include "cli/issue/issue.h"
#include "cli/relay_options.h"
#include "cli/report.h"
#include "cli/terminal.h"

#define VALID_DEFAULT_S 86400

struct share_options {
    const char *title, *description, *image, *relay, *invite, *qr_png;
    const char *format, *exec, *ca_key, *ca_cert, *identity, *principals;
    int64_t expires, valid;
    bool qr, uri, detach, verify, json;
    struct relay_options relay_options;
};

static bool
is_file(const struct share_options *o)
{
    return o->format == NULL || strcmp(o->format, "file") == 0;
}

/* ---- what is shared ---- */

struct content {
    gage_buf bytes;
    gage_buf note;    /* how the content is to be made, where it is not there yet */
    const char *name; /* borrowed from argv; NULL for standard input */
    uint32_t mode;
};

static gage_rc
too_large(const char *what, gage_rc rc, struct gage_err *err)
{
    if (rc.code != GAGE_E_LIMIT)
        return rc;
    return gage_fail(
        err, GAGE_E_LIMIT,
        "%s is larger than the %u bytes that a transfer can carry: nothing was sent; larger things go by gage connect",
        what, GAGE_TRANSFER_CONTENT_MAX);
}

static gage_rc
read_content(const char *path, struct content *content, struct gage_err *err)
{
    struct stat st;
    content->bytes = GAGE_BUF(GAGE_TRANSFER_CONTENT_MAX);
    content->mode = 0600;
    if (strcmp(path, "-") == 0)
        return too_large("standard input", file_read_fd(STDIN_FILENO, "standard input", &content->bytes, err), err);
    AUTO(gage_fd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0)
        return gage_fail_sys(err, errno == ENOENT ? GAGE_E_NOT_FOUND : GAGE_E_IO, errno, "cannot open %.150s", path);
    REQUIRE(!S_ISDIR(st.st_mode), err, GAGE_E_USAGE, "%.150s is a folder: share a file, or an archive of the folder",
            path);
    const char *slash = strrchr(path, '/');
    if (S_ISREG(st.st_mode)) {
        content->name = slash != NULL ? slash + 1 : path;
        content->mode = st.st_mode & 0777;
        buf_reserve(&content->bytes, st.st_size < (off_t)GAGE_TRANSFER_CONTENT_MAX ? (size_t)st.st_size : 0);
    }
    return too_large(path, file_read_fd(fd, path, &content->bytes, err), err);
}

/* ---- beginning ---- */

static gage_rc
check_folder(const char *path, const char *option, struct gage_err *err)
{
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    size_t n = slash == path ? 1 : slash != NULL ? (size_t)(slash - path) : 0;
    REQUIRE(n < sizeof folder, err, GAGE_E_LIMIT, "--%s is too long", option);
    if (n > 0)
        snprintf(folder, sizeof folder, "%.*s", (int)n, path);
    if (access(folder, W_OK | X_OK) != 0)
        return gage_fail_sys(err, errno == ENOENT ? GAGE_E_NOT_FOUND : GAGE_E_IO, errno,
                             "--%s: nothing was sent, for no file can be made in %.100s", option, folder);
    return GAGE_DONE;
}

/* A file to be written later that is there already, or cannot be made, would fail after the mailbox was made: say so now. */
static gage_rc
check_absent(const char *path, const char *option, struct gage_err *err)
{
    struct stat st;
    REQUIRE(path == NULL || lstat(path, &st) != 0, err, GAGE_E_EXISTS, "--%s %.150s exists already: nothing was sent",
            option, path);
    return path != NULL ? check_folder(path, option, err) : GAGE_DONE;
}

static gage_rc
take_text(const char *text, char *to, size_t size, const char *option, struct gage_err *err)
{
    REQUIRE(text == NULL || strlen(text) < size, err, GAGE_E_LIMIT, "--%s is too long", option);
    snprintf(to, size, "%s", text != NULL ? text : "");
    return GAGE_DONE;
}

/* What the credential is made of, as the note of the transfer. A file needs none. */
static gage_rc
make_note(const struct share_options *o, gage_buf *note, struct gage_err *err)
{
    AUTO(issue_t) issue = {.valid = o->valid > 0 ? o->valid : VALID_DEFAULT_S};
    TRY(take_text(o->exec, issue.exec, sizeof issue.exec, "exec", err));
    TRY(take_text(o->ca_key, issue.ca_key, sizeof issue.ca_key, "ca-key", err));
    TRY(take_text(o->ca_cert, issue.ca_cert, sizeof issue.ca_cert, "ca-cert", err));
    TRY(take_text(o->identity, issue.identity, sizeof issue.identity, "identity", err));
    TRY(take_text(o->principals, issue.principals, sizeof issue.principals, "principals", err));
    TRY(issue_check(&issue, o->format, err));
    return is_file(o) ? GAGE_DONE : issue_put(&issue, note, err);
}

static gage_rc
begin(const struct share_options *o, const settings *s, const struct content *content, struct drive *d,
      struct gage_err *err)
{
    const char *relay = o->relay != NULL ? o->relay : s->relay;
    char host[300];
    int64_t now = clock_now();
    REQUIRE(relay != NULL, err, GAGE_E_USAGE,
            "which relay? give --relay https://..., or set `url` in [relay] of the configuration (gage.conf(5))");
    TRY(relay_url_check(relay, host, sizeof host, err));
    TRY(relay_trust_note(&o->relay_options, s, relay, "", d->record, err));
    struct gage_send_options send = {
        .relay = relay,
        .relay_pin = d->record->pin[0] != '\0' ? d->record->pin : NULL,
        .title = o->title,
        .description = o->description,
        .image = o->image,
        .expires = now + (o->expires > 0 ? o->expires : s->expires),
        .format = o->format,
        .calls = !is_file(o),
        .note = gage_buf_slice(&content->note),
        .name = content->name,
        .mode = content->mode,
        .content = gage_buf_slice(&content->bytes),
        .verify = o->verify,
    };
    d->record->side = RECORD_SHARE;
    d->invite = (struct invite_options){o->invite, o->qr_png, o->qr, o->uri};
    d->detach = o->detach;
    return gage_transfer_send(&send, NULL, now, &d->transfer, err);
}

/* A file that is there, or how one will be made. */
static gage_rc
find_content(const struct share_options *o, const struct operands *operands, struct content *content,
             struct gage_err *err)
{
    content->note = GAGE_BUF(GAGE_TRANSFER_NOTE_MAX);
    TRY(make_note(o, &content->note, err));
    REQUIRE(!is_file(o) || operands->n == 1, err, GAGE_E_USAGE, "gage share wants FILE|-: see gage share --help");
    REQUIRE(is_file(o) || operands->n == 0, err, GAGE_E_USAGE,
            "--format %.60s makes the content when the receiver asks for it: name no FILE", o->format);
    return is_file(o) ? read_content(operands->text[0], content, err) : GAGE_DONE;
}

static gage_rc
run_share(const void *options, const struct operands *operands, struct gage_err *err)
{
    const struct share_options *o = options;
    AUTO(settings) s = {0};
    AUTO(record) r = RECORD_EMPTY;
    AUTO(drive) d = {.record = &r};
    struct content content = {0};
    report_start(o->json);
    interrupts_catch();
    TRY(settings_load(o->relay_options.config, &s, err));
    TRY(check_absent(o->invite, "invite", err));
    TRY(check_absent(o->qr_png, "qr-png", err));
    TRY(mechs_find(err));
    TRY(records_open(err));
    gage_rc rc = find_content(o, operands, &content, err);
    rc = gage_ok(rc) ? begin(o, &s, &content, &d, err) : rc;
    gage_buf_free(&content.bytes);
    gage_buf_free(&content.note);
    TRY(rc);
    return drive_begun(&d, err);
}

static const struct opt rows[] = {
    {"title", "TEXT",
     "what the relay shows the receiver before it accepts; anybody with the link's address can read it", OPT_TEXT,
     offsetof(struct share_options, title)},
    {"description", "TEXT", "a further sentence, shown in the same place", OPT_TEXT,
     offsetof(struct share_options, description)},
    {"image", "URL", "https address of a picture, shown in the same place", OPT_TEXT,
     offsetof(struct share_options, image)},
    {"relay", "URL", "the relay to use, https://HOST[:PORT]; default: the configured one", OPT_TEXT,
     offsetof(struct share_options, relay)},
    {"expires", "TIME", "how long the invitation can be accepted, such as 30m, 24h or 7d; default: 24h", OPT_DURATION,
     offsetof(struct share_options, expires)},
    {"invite", "FILE", "write the invitation to this file instead of printing the link", OPT_TEXT,
     offsetof(struct share_options, invite)},
    {"uri", NULL, "print a gage: URI, which no browser opens, instead of the link", OPT_FLAG,
     offsetof(struct share_options, uri)},
    {"qr", NULL, "print the invitation as a QR code too", OPT_FLAG, offsetof(struct share_options, qr)},
    {"qr-png", "FILE", "write the QR code to this file, as PNG", OPT_TEXT, offsetof(struct share_options, qr_png)},
    {"detach", NULL, "end once the invitation is handed over; gage resume goes on with the transfer", OPT_FLAG,
     offsetof(struct share_options, detach)},
    {"verify", NULL, "release nothing before both people have compared six digits", OPT_FLAG,
     offsetof(struct share_options, verify)},
    {"format", "FORMAT", "file, ssh-certificate, x509, or another with --exec; default: file", OPT_TEXT,
     offsetof(struct share_options, format)},
    {"ca-key", "FILE", "ssh-certificate, x509: the private key that signs", OPT_TEXT,
     offsetof(struct share_options, ca_key)},
    {"ca-cert", "FILE", "x509: the signer's certificate", OPT_TEXT, offsetof(struct share_options, ca_cert)},
    {"identity", "TEXT", "ssh-certificate: its key id; x509: its subject, a common name or /C=.../CN=...", OPT_TEXT,
     offsetof(struct share_options, identity)},
    {"principals", "LIST", "ssh-certificate: the accounts it is for, separated by commas", OPT_TEXT,
     offsetof(struct share_options, principals)},
    {"valid", "TIME", "ssh-certificate, x509: for how long, such as 8h or 30d; default: 24h", OPT_DURATION,
     offsetof(struct share_options, valid)},
    {"exec", "COMMAND", "make the answers to the receiver's requests with this command", OPT_TEXT,
     offsetof(struct share_options, exec)},
    {"json", NULL, "print JSON, one object a line, and ask nothing", OPT_FLAG, offsetof(struct share_options, json)},
    RELAY_OPTION_ROWS(struct share_options),
    OPT_END,
};

const struct command command_share = {
    .name = "share",
    .operands = "[FILE|-]",
    .min_operands = 0,
    .max_operands = 1,
    .summary = "hand a file over: prints a link that works once",
    .explanation = "Makes a mailbox at a relay, prints a link for the receiver, waits until the receiver has opened "
                   "it, sends the file (or standard "
                   "input) encrypted so that the relay can read none of it, and waits for the receipt. Ends with what "
                   "is known: delivered, not "
                   "released, or unknown. With --format ssh-certificate or x509 nothing is there yet: the receiver "
                   "makes a key, and a certificate for it is made and sent.",
    .options = rows,
    .options_size = sizeof(struct share_options),
    .run = run_share,
};
