#include "app/service.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <systemd/sd-daemon.h>

#include "base/clock.h"

void
process_harden(void)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    umask(077);
    signal(SIGPIPE, SIG_IGN);
}

void
service_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void
service_status(const char *status)
{
    sd_notifyf(0, "STATUS=%s", status);
}

void
service_reloading(void)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(clock_monotonic_ns() / 1000));
}

void
service_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

int
service_sockets(void)
{
    int n = sd_listen_fds(1);
    return n > 0 ? n : 0;
}
