/* Registration with the kernel's NFS server: a write of "1" to its file, inside which the kernel connects to our socket. It can block for
 * 15 s, so it has a thread of its own. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "proxyd/server.h"

#define RETRY_SECONDS 2
#define KERNELS_SOCKET "/run/gssproxy.sock"
#define NOBODY_THERE (-1)

/* What went wrong: 0, an errno, or that the kernel found nobody at its socket, which opening the file cannot tell. */
static int
write_registration(const char *file)
{
    AUTO(gage_fd) fd = open(file, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    if (write(fd, "1", 1) == 1)
        return 0;
    return errno == ENOENT || errno == ECONNREFUSED ? NOBODY_THERE : errno;
}

static const char *
reason(int failed, char *text, size_t size)
{
    if (failed == 0)
        return "";
    if (failed == NOBODY_THERE)
        return "the kernel found nobody at " KERNELS_SOCKET ", where it asks: set socket = " KERNELS_SOCKET
               " in the service that has kernel_nfsd";
    return strerror_r(failed, text, size);
}

static void
say(const struct log_event *event, const char *file, int failed)
{
    char text[96];
    LOG(event, F_TEXT("file", file), F_TEXT("reason", reason(failed, text, sizeof text)));
}

/* Each state is said once, when it begins. */
static void *
register_until_done(void *context)
{
    char *file = context;
    int said = 0;
    for (;;) {
        int failed = write_registration(file);
        if (failed == 0)
            break;
        if (failed != said)
            say(failed == ENOENT  ? &ev_kernel_waits
                : failed == EBUSY ? &ev_kernel_busy
                                  : &ev_kernel_failed,
                file, failed);
        said = failed;
        nanosleep(&(struct timespec){.tv_sec = RETRY_SECONDS}, NULL);
    }
    say(&ev_kernel_done, file, 0);
    free(file);
    return NULL;
}

void
kernel_register(const char *file)
{
    pthread_t thread;
    char *copy = strdup(file);
    int failed = copy != NULL ? pthread_create(&thread, NULL, register_until_done, copy) : ENOMEM;
    if (failed != 0) {
        say(&ev_kernel_failed, file, failed);
        free(copy);
        return;
    }
    pthread_detach(thread);
}
