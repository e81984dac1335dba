/* What serving never needs is given up. The GSS library, its plugins and NSS modules are not ours and may need much (sockets, files,
 * threads), so the filter names what is refused: running programs, other processes' memory, mounts, modules, keys of the kernel, time,
 * and the ways to new privileges. */
#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>

#include "proxyd/capabilities.h"
#include "proxyd/process.h"

static const int refused[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
#ifndef LOOK_FOR_LEAKS /* a build of script/sanitize address: LeakSanitizer stops the process's threads by it */
    SCMP_SYS(ptrace),
#endif
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsmount),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(personality),
    SCMP_SYS(syslog),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(lookup_dcookie),
    SCMP_SYS(vhangup),
    SCMP_SYS(io_uring_setup),
};

static gage_rc
filter_calls(struct gage_err *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    REQUIRE(filter != NULL, err, GAGE_E_UNSUPPORTED, "the system call filter cannot be made");
    int failed = 0;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0] && failed == 0; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (failed == 0)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    return failed == 0 ? GAGE_DONE
                       : gage_fail_sys(err, GAGE_E_UNSUPPORTED, -failed, "the system call filter was refused");
}

/* What root's daemon needs of root's powers: the files of all users, and to store as one of them (proc_misc.c). */
static const uint32_t needed = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_SETUID | 1u << CAP_SETGID;

gage_rc
process_sandbox(struct gage_err *err)
{
    capabilities_keep(needed);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return gage_fail_sys(err, GAGE_E_UNSUPPORTED, errno, "no_new_privs was refused");
    return filter_calls(err);
}
