/* libkrb5 opens the file that $KRB5_TRACE names for each of its contexts. /dev/stderr cannot be opened where standard error is a socket, as
 * under systemd: so it is a pipe, whose lines become lines of the log. */
#include "proxyd/trace.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxyd/feed.h"
#include "app/output.h"
#include "proxyd/server.h"

/* The variable's place in the environment. Other threads look into that at any time, so it is changed where it stands: its first letter
 * shows or hides it. */
static char slot[] = "-RB5_TRACE=/proc/self/fd/----------";
static bool ours, begun;

void
trace_prepare(void)
{
    ours = getenv("KRB5_TRACE") == NULL && putenv(slot) == 0;
}

bool
trace_ours(void)
{
    return ours;
}

static void
take_line(char *line)
{
    const struct log_field text = F_TEXT("text", line);
    output_event(&ev_krb5_trace, &text, 1);
}

static bool
begin(void)
{
    struct gage_err err;
    int fd;
    if (!gage_ok(feed_begin(take_line, &fd, &err))) {
        LOG(&ev_thread_failed, F_ERR(&err));
        return false;
    }
    snprintf(slot + 1, sizeof slot - 1, "RB5_TRACE=/proc/self/fd/%d", fd);
    return true;
}

void
trace_set(bool on)
{
    if (!ours || (!on && !begun))
        return;
    begun = begun || begin();
    __atomic_store_n(&slot[0], on && begun ? 'K' : '-', __ATOMIC_RELEASE);
}
