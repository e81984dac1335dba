#include "proxyd/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "proxyd/mech.h"
#include "rpc/proc.h"

#define LINE_MAX_BYTES 2048

static const struct log_event credential_use = {"credential_use", LOG_LEVEL_INFO, "a credential was used"};
static const struct log_event machine_mapped = {"machine_mapped", LOG_LEVEL_NOTICE, "machine_uid mapped a principal"};
static int audit_fd = STDERR_FILENO; /* -1: off */

gage_rc
audit_open(const char *where, struct gage_err *err)
{
    int fd = strcmp(where, "stderr") == 0 ? STDERR_FILENO : -1;
    if (fd < 0 && strcmp(where, "off") != 0) {
        fd = open(where, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            return gage_fail_sys(err, GAGE_E_IO, errno, "cannot open the audit file %s", where);
    }
    int old = __atomic_load_n(&audit_fd, __ATOMIC_ACQUIRE);
    if (old > STDERR_FILENO &&
        fd > STDERR_FILENO) { /* a writer may be using the old number: it now means the new file */
        dup3(fd, old, O_CLOEXEC);
        close(fd);
        return GAGE_DONE;
    }
    __atomic_store_n(&audit_fd, fd, __ATOMIC_RELEASE);
    return GAGE_DONE;
}

static void
write_line(gage_buf *line)
{
    int fd = __atomic_load_n(&audit_fd, __ATOMIC_ACQUIRE);
    if (fd < 0)
        return;
    ssize_t ignored = write(fd, line->p, line->n);
    (void)ignored;
}

void
audit_format(const struct call *call, uint32_t procedure, int64_t took_us, gage_buf *line)
{
    char mech[160], minor[STATUS_TEXT_MAX];
    AUTO(gage_buf) shown = GAGE_BUF(sizeof mech - 1);
    mech_show(&(gss_OID_desc){call->status.mech.length, (void *)(uintptr_t)call->status.mech_bytes}, &shown);
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
    if (!call->used_credential || __atomic_load_n(&audit_fd, __ATOMIC_RELAXED) < 0)
        return;
    AUTO(gage_buf) line = GAGE_BUF(LINE_MAX_BYTES);
    buf_reserve(&line, LINE_MAX_BYTES / 4);
    audit_format(call, procedure, took_us, &line);
    write_line(&line);
}

void
audit_machine(const struct call *call, const char *principal, uid_t uid)
{
    AUTO(gage_buf) line = GAGE_BUF(LINE_MAX_BYTES);
    const struct log_field fields[] = {F_TEXT("service", call->service->name), F_TEXT("principal", principal),
                                       F_INT("mapped_uid", uid)};
    log_format(&machine_mapped, fields, 3, &line);
    write_line(&line);
}
