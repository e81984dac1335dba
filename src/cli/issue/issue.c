#include "cli/issue/issue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/secret.h"
#include "cli/issue/program.h"
#include "cli/terminal.h"

#define EXIT_MORE 10  /* of a sender's command: an answer, but not the last */
#define EXIT_LATER 75 /* of either's: not now (EX_TEMPFAIL of sysexits.h) */

void
issue_wipe(struct issue *issue)
{
    gage_wipe(issue, sizeof *issue);
}

/* ---- the note ---- */

static const struct {
    const char *name;
    size_t at, size;
} members[] = {
#define MEMBER(field)                                                                                                  \
    {                                                                                                                  \
#field, offsetof(struct issue, field), sizeof((struct issue *)0)->field                                        \
    }
    MEMBER(exec),       MEMBER(ca_key),      MEMBER(ca_cert),    MEMBER(identity),
    MEMBER(principals), MEMBER(private_key), MEMBER(public_key),
#undef MEMBER
};
#define MEMBERS (sizeof members / sizeof members[0])

static int
dump_to_buf(const char *bytes, size_t n, void *buf)
{
    put_bytes(buf, gage_slice_of(bytes, n));
    return 0;
}

gage_rc
issue_put(const struct issue *issue, gage_buf *note, struct gage_err *err)
{
    json_t *object = json_pack("{s:I}", "valid", (json_int_t)issue->valid);
    bool good = object != NULL;
    for (size_t i = 0; i < MEMBERS && good; i++) {
        const char *text = (const char *)issue + members[i].at;
        good = text[0] == '\0' || json_object_set_new(object, members[i].name, json_stringn(text, strlen(text))) == 0;
    }
    good = good && json_dump_callback(object, dump_to_buf, note, JSON_COMPACT) == 0;
    json_decref(object);
    REQUIRE(good, err, GAGE_E_USAGE, "an option is not readable text");
    return buf_check(note, err);
}

gage_rc
issue_get(gage_slice note, struct issue *issue, struct gage_err *err)
{
    *issue = (struct issue){0};
    if (note.n == 0 || note.p[0] != '{')
        return GAGE_DONE; /* another command's */
    json_t *object = json_loadb((const char *)note.p, note.n, JSON_REJECT_DUPLICATES, NULL);
    REQUIRE(json_is_object(object), err, GAGE_E_FORMAT, "the record's note is damaged or of another version of gage");
    issue->valid = json_integer_value(json_object_get(object, "valid"));
    for (size_t i = 0; i < MEMBERS; i++) {
        const char *text = json_string_value(json_object_get(object, members[i].name));
        if (text != NULL)
            snprintf((char *)issue + members[i].at, members[i].size, "%s", text);
    }
    json_decref(object);
    return GAGE_DONE;
}

/* ---- options ---- */

static gage_rc
make_absolute(char path[PATH_MAX], const char *option, struct gage_err *err)
{
    char absolute[PATH_MAX];
    if (path[0] == '\0')
        return GAGE_DONE;
    if (realpath(path, absolute) == NULL)
        return gage_fail_sys(err, errno == ENOENT ? GAGE_E_NOT_FOUND : GAGE_E_IO, errno, "cannot find --%s %.150s",
                             option, path);
    memcpy(path, absolute, sizeof absolute);
    return GAGE_DONE;
}

gage_rc
issue_check(struct issue *issue, const char *format, struct gage_err *err)
{
    bool file = format == NULL || strcmp(format, "file") == 0, exec = issue->exec[0] != '\0';
    bool ssh = !file && strcmp(format, ISSUE_SSH) == 0, x509 = !file && strcmp(format, ISSUE_X509) == 0;
    bool made = issue->ca_key[0] != '\0' || issue->ca_cert[0] != '\0' || issue->identity[0] != '\0' ||
                issue->principals[0] != '\0';
    REQUIRE(!file || (!exec && !made), err, GAGE_E_USAGE,
            "--exec, --ca-key, --ca-cert, --identity and --principals need a --format other than file");
    REQUIRE(file || exec || ssh || x509, err, GAGE_E_USAGE,
            "the format %.60s needs --exec COMMAND: only file, " ISSUE_SSH " and " ISSUE_X509 " are built in", format);
    REQUIRE(!exec || !made, err, GAGE_E_USAGE,
            "--exec makes the answer alone: without --ca-key and what belongs to it");
    if (file || exec)
        return GAGE_DONE;
    REQUIRE(issue->ca_key[0] != '\0' && issue->identity[0] != '\0', err, GAGE_E_USAGE,
            "--format %s needs --ca-key FILE and --identity TEXT", format);
    REQUIRE(!ssh || issue->principals[0] != '\0', err, GAGE_E_USAGE,
            "--format " ISSUE_SSH " needs --principals NAME,...: the accounts that the certificate is for");
    REQUIRE(!x509 || issue->ca_cert[0] != '\0', err, GAGE_E_USAGE, "--format " ISSUE_X509 " needs --ca-cert FILE");
    REQUIRE(issue->identity[0] != '-' && issue->principals[0] != '-', err, GAGE_E_USAGE,
            "--identity and --principals do not begin with a minus sign");
    TRY(make_absolute(issue->ca_key, "ca-key", err));
    return make_absolute(issue->ca_cert, "ca-cert", err);
}

/* ---- --exec ---- */

/* Runs the person's own command; *more: it wants another round. */
static gage_rc
run_command(const char *command, const char *side, const struct gage_call *call, gage_buf *out, bool *more,
            bool *refuse, struct gage_err *err)
{
    char round[16];
    int status = 0;
    snprintf(round, sizeof round, "%u", (unsigned)call->round);
    const struct program_variable variables[] = {{"GAGE_SIDE", side},
                                                 {"GAGE_FORMAT", call->format},
                                                 {"GAGE_ROUND", round},
                                                 {"GAGE_KEY", call->key},
                                                 {"GAGE_PEER", call->peer}};
    const char *const argv[] = {"/bin/sh", "-c", command, NULL};
    TRY(program_run(argv, variables, sizeof variables / sizeof variables[0], call->input, out, &status, err));
    REQUIRE(status != EXIT_LATER, err, GAGE_E_UNAVAILABLE,
            "the command of --exec says that it cannot do it now: the transfer stands, `gage resume` tries again");
    *more = status == EXIT_MORE;
    *refuse = status != 0 && !*more;
    if (*refuse)
        say("the command of --exec ended with status %d: refused", status);
    return GAGE_DONE;
}

/* ---- the calls ---- */

gage_rc
issue_request(struct issue *issue, const struct gage_call *call, gage_buf *request, bool *refuse, struct gage_err *err)
{
    bool more;
    *refuse = false;
    if (issue->exec[0] != '\0')
        return run_command(issue->exec, "receiver", call, request, &more, refuse, err);
    if (strcmp(call->format, ISSUE_SSH) == 0 && call->round <= 1) {
        say("the sender makes an ssh certificate for a key made here: its private half stays here");
        return ssh_request(issue, request, err);
    }
    if (strcmp(call->format, ISSUE_X509) == 0 && call->round <= 1) {
        say("the sender makes a certificate for a key made here: its private half stays here");
        return x509_request(issue, request, err);
    }
    *refuse = true;
    say("the sender offers a \"%.40s\" and asks for requests: `gage accept --exec COMMAND` would make them; refused",
        call->format);
    return GAGE_DONE;
}

gage_rc
issue_answer(const struct issue *issue, const struct gage_call *call, gage_buf *answer, bool *last, bool *refuse,
             struct gage_err *err)
{
    bool more = false;
    gage_rc rc;
    if (issue->exec[0] != '\0')
        rc = run_command(issue->exec, "sender", call, answer, &more, refuse, err);
    else if (strcmp(call->format, ISSUE_SSH) == 0)
        rc = ssh_answer(issue, call, answer, refuse, err);
    else
        rc = x509_answer(issue, call, answer, refuse, err);
    *last = !more;
    return rc;
}

/* ---- what is installed ---- */

bool
issue_installs(const struct issue *issue, const char *format)
{
    return strcmp(format, "file") == 0 || issue->exec[0] != '\0' || issue->private_key[0] != '\0';
}

gage_rc
issue_fits(const struct issue *issue, const char *format, gage_slice certificate, bool *fits, struct gage_err *err)
{
    AUTO(gage_buf) theirs = GAGE_BUF(65536);
    AUTO(gage_buf) ours = GAGE_BUF(65536);
    *fits = issue->private_key[0] == '\0';
    if (*fits)
        return GAGE_DONE;
    TRY((strcmp(format, ISSUE_SSH) == 0 ? ssh_identify : x509_identify)(issue, certificate, &theirs, &ours, err));
    *fits = theirs.n > 0 && slice_equal(gage_buf_slice(&theirs), gage_buf_slice(&ours));
    return GAGE_DONE;
}

const char *
issue_default_name(const char *format)
{
    return strcmp(format, ISSUE_SSH) == 0 ? "id_gage" : strcmp(format, ISSUE_X509) == 0 ? "gage" : "";
}

static gage_rc
place_one(const output *out, const char *base, const char *suffix, const char *text, mode_t mode, bool force,
          struct gage_err *err)
{
    output beside = *out; /* shares the folder's descriptor */
    int n = snprintf(beside.name, sizeof beside.name, "%s%s", base, suffix);
    REQUIRE(n > 0 && (size_t)n < sizeof beside.name, err, GAGE_E_LIMIT, "the file's name is too long");
    if (output_holds(&beside, slice_str(text)))
        return GAGE_DONE;
    return output_install(&beside, slice_str(text), mode, force, err);
}

gage_rc
issue_place(const struct issue *issue, const char *format, bool force, output *out, struct gage_err *err)
{
    bool ssh = strcmp(format, ISSUE_SSH) == 0;
    const char *ending = ssh ? "-cert.pub" : ".crt";
    char base[OUTPUT_NAME_MAX + 1];
    if (issue->private_key[0] == '\0')
        return GAGE_DONE;
    memcpy(base, out->name, sizeof base);
    size_t n = strlen(base), m = strlen(ending);
    if (n > m && strcmp(base + n - m, ending) == 0)
        base[n - m] = '\0';
    REQUIRE(strlen(base) + m < sizeof out->name, err, GAGE_E_LIMIT, "the file's name is too long");
    TRY(place_one(out, base, ssh ? "" : ".key", issue->private_key, 0600, force, err));
    if (ssh)
        TRY(place_one(out, base, ".pub", issue->public_key, 0644, force, err));
    snprintf(out->name, sizeof out->name, "%.*s%s", (int)(sizeof out->name - m - 1), base, ending);
    return GAGE_DONE;
}
