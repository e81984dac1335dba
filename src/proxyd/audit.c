#include "proxyd/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "app/lines.h"
#include "base/file.h"
#include "proxyd/mech.h"
#include "proxyd/server.h"
#include "rpc/proc.h"

#define LINE_MAX_BYTES 2048

static const struct log_event credential_use = {"credential_use", LOG_LEVEL_INFO, "a credential was used"};
static const struct log_event machine_mapped = {"machine_mapped", LOG_LEVEL_NOTICE, "machine_uid mapped a principal"};

#define ROOM (1u << 20)

/* Where lines go. The number of the descriptor stays, whatever it leads to: a writer may be using it. */
static struct {
    int fd;   /* -1: not opened yet */
    bool off; /* what follows is atomic */
    bool is_stderr;
    bool plain;       /* a plain file: written at once. What has a reader is handed to `lines` */
    bool fails, torn; /* the last line could not be written; a part of it could */
    uint64_t lost;    /* to a plain file */
    uint64_t lost_told;
    struct lines *lines; /* NULL: not begun */
} audit = {.fd = -1, .off = true};

#define GET(member) __atomic_load_n(&audit.member, __ATOMIC_ACQUIRE)
#define SET(member, value) __atomic_store_n(&audit.member, (value), __ATOMIC_RELEASE)

/* ---- where to ---- */

/* Takes the descriptor: the number means it now. */
static gage_rc
lead_to(int fd, bool is_stderr, bool off, struct gage_err *err)
{
    struct stat st;
    bool plain = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (audit.fd < 0)
        audit.fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    else if (dup3(fd, audit.fd, O_CLOEXEC) < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot keep the audit file open");
    if (audit.fd < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot keep the audit file open");
    SET(plain, plain);
    SET(is_stderr, is_stderr);
    SET(torn, false);
    SET(off, off);
    return GAGE_DONE;
}

gage_rc
audit_open(const char *where, struct gage_err *err)
{
    bool off = strcmp(where, "off") == 0;
    if (strcmp(where, "stderr") == 0)
        return lead_to(STDERR_FILENO, true, false, err);
    AUTO(gage_fd)
    fd = open(off ? "/dev/null" : where, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    if (fd < 0 && errno == ENXIO)
        return gage_fail(err, GAGE_E_IO, "nobody reads the audit pipe %s: start its reader first", where);
    if (fd < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot open the audit file %s", where);
    return lead_to(fd, false, off, err);
}

gage_rc
audit_begin(struct gage_err *err)
{
    struct lines *lines = NULL;
    TRY(lines_begin(audit.fd, LINES_MATTER, ROOM, &ev_audit_lost, &lines, err));
    SET(lines, lines);
    return GAGE_DONE;
}

gage_rc
audit_follow_stderr(struct gage_err *err)
{
    return GET(is_stderr) ? lead_to(STDERR_FILENO, true, false, err) : GAGE_DONE;
}

uint64_t
audit_lost(void)
{
    struct lines *lines = GET(lines);
    return GET(lost) + (lines != NULL ? lines_lost(lines) : 0);
}

void
audit_finish(void)
{
    lines_finish(GET(lines));
}

/* ---- writing ---- */

/* With one call, so that no other writer's line gets into it. What a full disk took of a line is ended before the next. */
static void
write_now(gage_slice line)
{
    bool torn = __atomic_exchange_n(&audit.torn, false, __ATOMIC_ACQ_REL);
    const struct iovec parts[] = {{(void *)(uintptr_t) "\n", torn ? 1 : 0}, {(void *)(uintptr_t)line.p, line.n}};
    ssize_t whole = (ssize_t)line.n + (torn ? 1 : 0), n = writev(audit.fd, parts, 2);
    int sys = n < 0 ? errno : ENOSPC;
    if (n == whole) {
        if (__atomic_exchange_n(&audit.fails, false, __ATOMIC_ACQ_REL)) {
            uint64_t lost = GET(lost), told = __atomic_exchange_n(&audit.lost_told, lost, __ATOMIC_ACQ_REL);
            LOG(&ev_audit_lost, F_INT("lines", lost - told));
        }
        return;
    }
    if (torn ? n != 1 : n > 0)
        SET(torn, true);
    __atomic_add_fetch(&audit.lost, 1, __ATOMIC_RELAXED);
    if (!__atomic_exchange_n(&audit.fails, true, __ATOMIC_ACQ_REL))
        LOG(&ev_audit_failed, F_TEXT("reason", strerrordesc_np(sys)));
}

static void
write_line(const gage_buf *line)
{
    struct lines *lines = GET(lines);
    if (GET(plain) || lines == NULL)
        write_now(gage_buf_slice(line));
    else
        (void)lines_put(lines, gage_buf_slice(line));
}

/* ---- lines ---- */

void
audit_format(const struct call *call, uint32_t procedure, int64_t took_us, gage_buf *line)
{
    char mech[160], minor[STATUS_TEXT_MAX];
    AUTO(gage_buf) shown = GAGE_BUF(sizeof mech - 1);
    mech_show(&(gss_OID_desc){call->status.mech.length, (void *)(uintptr_t)call->status.mech_bytes}, &shown);
    if (shown.n > 0)
        memcpy(mech, shown.p, shown.n);
    mech[shown.n] = '\0';
    snprintf(minor, sizeof minor, "%s", call->status.minor_text);
    bool good = gss_good(&call->status);
    const struct log_field fields[] = {
        F_TEXT("procedure", proc_name(procedure)),
        F_TEXT("service", call->service->name),
        F_INT("uid", call->peer->uid),
        F_INT("pid", call->peer->pid),
        F_TEXT("program", call->peer->program),
        F_INT("acting_uid", call->acting_uid),
        F_TEXT("mech", mech),
        F_TEXT("target", call->target),
        F_TEXT("result",
               good ? (call->status.major == GSS_S_COMPLETE ? "complete" : "continue") : call->status.major_text),
        F_INT("us", took_us),
        F_TEXT("reason", minor),
    };
    log_format(&credential_use, fields, sizeof fields / sizeof fields[0] - (good ? 1 : 0), line);
}

void
audit_call(const struct call *call, uint32_t procedure, int64_t took_us)
{
    if (!call->used_credential || GET(off))
        return;
    AUTO(gage_buf) line = GAGE_BUF(LINE_MAX_BYTES);
    buf_reserve(&line, LINE_MAX_BYTES / 4);
    audit_format(call, procedure, took_us, &line);
    write_line(&line);
}

void
audit_machine(const struct call *call, const char *principal, uid_t uid)
{
    if (GET(off))
        return;
    AUTO(gage_buf) line = GAGE_BUF(LINE_MAX_BYTES);
    const struct log_field fields[] = {F_TEXT("service", call->service->name), F_TEXT("principal", principal),
                                       F_INT("mapped_uid", uid)};
    log_format(&machine_mapped, fields, 3, &line);
    write_line(&line);
}
