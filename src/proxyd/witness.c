#include "proxyd/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proxyd/capabilities.h"

enum { ASK_PROGRAM, ASK_SAME };

struct question {
    int kind;
    pid_t pid;
    char path[WITNESS_PATH_MAX];
};

struct answer {
    bool same;
    char path[WITNESS_PATH_MAX];
};

static int to_witness = -1;

/* ---- looking ---- */

/* Where a link of /proc/PID leads, as we see it: "" where it cannot be read or does not fit. Returns its length. */
static size_t
read_link(pid_t pid, const char *name, char path[WITNESS_PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/%d/%s", pid, name);
    ssize_t n = readlink(link, path, WITNESS_PATH_MAX);
    size_t length = n > 0 && n < WITNESS_PATH_MAX ? (size_t)n : 0;
    path[length] = '\0';
    return length;
}

/* Whether what the link of /proc/PID leads to is what we see at the path. */
static bool
leads_to(pid_t pid, const char *name, const char *path, uint16_t type)
{
    char link[64];
    struct statx a, b;
    const unsigned asked = STATX_TYPE | STATX_INO;
    snprintf(link, sizeof link, "/proc/%d/%s", pid, name);
    return statx(AT_FDCWD, link, AT_STATX_DONT_SYNC, asked, &a) == 0 &&
           statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, asked, &b) == 0 && (a.stx_mode & S_IFMT) == type &&
           (b.stx_mode & S_IFMT) == type && a.stx_ino == b.stx_ino && a.stx_dev_major == b.stx_dev_major &&
           a.stx_dev_minor == b.stx_dev_minor;
}

/* The kernel tells a path of another mount namespace from that namespace's root, which is not where we stand when either of us was put
 * into a folder (chroot). If the client's root is ours all the same, what leads to it is no part of the path. */
static void
read_program(pid_t pid, char path[WITNESS_PATH_MAX])
{
    char root[WITNESS_PATH_MAX];
    size_t n = read_link(pid, "exe", path) > 0 ? read_link(pid, "root", root) : 0;
    if (n > 1 && strncmp(path, root, n) == 0 && path[n] == '/' && leads_to(pid, "root", "/", S_IFDIR))
        memmove(path, path + n, strlen(path + n) + 1);
}

static void
look(const struct question *q, struct answer *a)
{
    memset(a, 0, sizeof *a);
    if (q->kind == ASK_PROGRAM)
        read_program(q->pid, a->path);
    else
        a->same = leads_to(q->pid, "exe", q->path, S_IFREG);
}

/* ---- the process ---- */

/* What looking takes of root's powers. Without CAP_SYS_PTRACE (many containers) the kernel lets us look at processes of our uid that
 * have no power we lack, so there all are kept. */
static void
keep_needed_powers(void)
{
    if (capabilities_have(CAP_SYS_PTRACE))
        capabilities_keep(1u << CAP_SYS_PTRACE | 1u << CAP_DAC_READ_SEARCH);
}

static void
filter_calls(void)
{
    static const int used[] = {SCMP_SYS(read),         SCMP_SYS(write),          SCMP_SYS(readlink),
                               SCMP_SYS(readlinkat),   SCMP_SYS(statx),          SCMP_SYS(exit_group),
                               SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall)};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return;
    int failed = 0;
    for (size_t i = 0; i < sizeof used / sizeof used[0] && failed == 0; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, used[i], 0);
    if (failed == 0)
        (void)seccomp_load(filter);
    seccomp_release(filter);
}

static void
serve(int fd, bool filter)
{
    struct question q;
    struct answer a;
    static const int ignored[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP}; /* it ends when its parent does */
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        signal(ignored[i], SIG_IGN);
    dup2(fd, STDIN_FILENO);
    (void)syscall(SYS_close_range, STDIN_FILENO + 1, ~0u, 0);
    prctl(PR_SET_NAME, "gage-witness", 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    keep_needed_powers();
    if (filter)
        filter_calls();
    while (read(STDIN_FILENO, &q, sizeof q) == sizeof q) {
        q.path[sizeof q.path - 1] = '\0';
        look(&q, &a);
        if (write(STDIN_FILENO, &a, sizeof a) != sizeof a)
            break;
    }
    /* Not _exit: what a sanitizer does before it is not among the calls left here, and would be tried for ever. */
    for (;;)
        (void)syscall(SYS_exit_group, 0);
}

gage_rc
witness_start(bool filter, struct gage_err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return gage_fail_sys(err, GAGE_E_INTERNAL, errno, "cannot make a pair of sockets");
    pid_t child = fork();
    if (child == 0)
        serve(pair[1], filter);
    close(pair[1]);
    if (child < 0) {
        close(pair[0]);
        return gage_fail_sys(err, GAGE_E_INTERNAL, errno, "cannot start the process that looks at clients' programs");
    }
    to_witness = pair[0];
    return GAGE_DONE;
}

/* ---- asking ---- */

/* A witness that is gone knows nothing: no service that names a program is matched then. */
static void
ask(const struct question *q, struct answer *a)
{
    if (to_witness < 0)
        look(q, a);
    else if (write(to_witness, q, sizeof *q) != sizeof *q || read(to_witness, a, sizeof *a) != sizeof *a)
        memset(a, 0, sizeof *a);
    a->path[sizeof a->path - 1] = '\0';
}

void
witness_program(pid_t pid, char *path, size_t size)
{
    struct question q = {.kind = ASK_PROGRAM, .pid = pid};
    struct answer a;
    ask(&q, &a);
    snprintf(path, size, "%s", a.path);
}

bool
witness_same(pid_t pid, const char *path)
{
    struct question q = {.kind = ASK_SAME, .pid = pid};
    struct answer a;
    if (strlen(path) >= sizeof q.path)
        return false;
    snprintf(q.path, sizeof q.path, "%s", path);
    ask(&q, &a);
    return a.same;
}
