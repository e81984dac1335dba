/* stopper.c - kills a program with SIGKILL just before its Nth system call that anybody outside could notice, whichever library or thread makes it:
 *   stopper N COMMAND...    N = 0: runs it to its end, and prints how many there were on descriptor 3
 * It sees the calls themselves (ptrace), so none is missed that a list of library functions would lack. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#define OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL)

static const long noticed[] = {SYS_write,     SYS_pwrite64, SYS_writev,     SYS_pwritev, SYS_rename,   SYS_renameat,
                               SYS_renameat2, SYS_link,     SYS_linkat,     SYS_unlink,  SYS_unlinkat, SYS_ftruncate,
                               SYS_fallocate, SYS_fsync,    SYS_fdatasync,  SYS_mkdir,   SYS_mkdirat,  SYS_fchmod,
                               SYS_fchown,    SYS_msync,    SYS_exit_group, SYS_sendto,  SYS_sendmsg};

static bool
counts(const struct ptrace_syscall_info *info)
{
    long number = (long)info->entry.nr;
    if (number == SYS_openat)
        return (info->entry.args[2] & (O_CREAT | O_TRUNC)) != 0;
    if (number == SYS_fcntl)
        return info->entry.args[1] == F_SETLK || info->entry.args[1] == F_SETLKW;
    for (size_t i = 0; i < sizeof noticed / sizeof *noticed; i++)
        if (noticed[i] == number)
            return true;
    return false;
}

/* The signal to hand on with the tracee's next step. */
static int
stopped(pid_t who, pid_t first, int status, long at, long *count)
{
    struct ptrace_syscall_info info;
    int signal_number = WSTOPSIG(status);
    if (signal_number == (SIGTRAP | 0x80)) {
        if (ptrace(PTRACE_GET_SYSCALL_INFO, who, sizeof info, &info) > 0 && info.op == PTRACE_SYSCALL_INFO_ENTRY &&
            counts(&info) && ++*count == at)
            kill(first, SIGKILL);
        return 0;
    }
    return signal_number == SIGTRAP || signal_number == SIGSTOP ? 0 : signal_number;
}

static int
trace(pid_t first, long at)
{
    long count = 0;
    int status, result = 99;
    pid_t who;
    if (waitpid(first, &status, 0) != first || ptrace(PTRACE_SETOPTIONS, first, NULL, (void *)(intptr_t)OPTIONS) != 0)
        return 98;
    ptrace(PTRACE_SYSCALL, first, NULL, NULL);
    while ((who = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
        if (who > 0 && WIFSTOPPED(status))
            ptrace(PTRACE_SYSCALL, who, NULL, (void *)(intptr_t)stopped(who, first, status, at, &count));
        else if (who == first)
            result = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    if (at == 0)
        dprintf(3, "%ld\n", count);
    return result;
}

int
main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execv(argv[2], argv + 2);
        _exit(127);
    }
    return child < 0 ? 97 : trace(child, strtol(argv[1], NULL, 10));
}
