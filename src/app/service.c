#include "app/service.h"

#include <systemd/sd-daemon.h>

#include "base/clock.h"

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
