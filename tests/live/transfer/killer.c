/* killer.c - preloaded into a program under test: kills it with SIGKILL just before its Nth call that the outside could notice.
 *
 * GAGE_KILL_AT=N   the call to die before, counted from 1 over all threads; unset or 0: never
 * GAGE_KILL_COUNT=FILE   a file whose length tells, in bytes, how many such calls were made so far
 * GAGE_KILL_FROM=FILE    counting begins once this file exists */
#undef _FILE_OFFSET_BITS /* both names of each pair are wrapped */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;
static long kill_at;
static const char *from;
static int count_fd = -1;

/* bin/gage only becomes the program that runs the command: that one is under test. */
static int
will_become_another(void)
{
    static const char end[] = "/bin/gage";
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self), length = sizeof end - 1;
    return n > length && memcmp(self + n - length, end, sizeof end - 1) == 0;
}

__attribute__((constructor)) static void
begin(void)
{
    if (will_become_another())
        return;
    const char *at = getenv("GAGE_KILL_AT"), *count = getenv("GAGE_KILL_COUNT");
    from = getenv("GAGE_KILL_FROM");
    kill_at = at != NULL ? strtol(at, NULL, 10) : 0;
    if (count != NULL)
        count_fd = open(count, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    unsetenv("LD_PRELOAD");
}

/* Raw system calls: what is counted must not count itself. */
static void
one_call(void)
{
    if (from != NULL && syscall(SYS_access, from, F_OK) != 0)
        return;
    if (count_fd >= 0)
        syscall(SYS_write, count_fd, ".", 1);
    if (atomic_fetch_add(&calls, 1) + 1 == kill_at)
        syscall(SYS_kill, getpid(), SIGKILL);
}

/* Defines a wrapper that counts and then calls the real function. */
#define WRAP(result, name, parameters, arguments)                                                                      \
    __attribute__((visibility("default"))) result name parameters;                                                     \
    result name parameters                                                                                             \
    {                                                                                                                  \
        static result(*real) parameters;                                                                               \
        if (real == NULL)                                                                                              \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                                                                 \
        one_call();                                                                                                    \
        return real arguments;                                                                                         \
    }

WRAP(int, fsync, (int fd), (fd))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(ssize_t, pwrite64, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at))
WRAP(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n))
WRAP(ssize_t, send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(ssize_t, sendto, (int fd, const void *p, size_t n, int flags, const struct sockaddr *to, socklen_t m),
     (fd, p, n, flags, to, m))
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
WRAP(ssize_t, recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(int, connect, (int fd, const struct sockaddr *to, socklen_t n), (fd, to, n))
WRAP(int, rename, (const char *a, const char *b), (a, b))
WRAP(int, renameat, (int x, const char *a, int y, const char *b), (x, a, y, b))
WRAP(int, renameat2, (int x, const char *a, int y, const char *b, unsigned flags), (x, a, y, b, flags))
WRAP(int, link, (const char *a, const char *b), (a, b))
WRAP(int, linkat, (int x, const char *a, int y, const char *b, int flags), (x, a, y, b, flags))
WRAP(int, unlink, (const char *a), (a))
WRAP(int, unlinkat, (int x, const char *a, int flags), (x, a, flags))
WRAP(int, ftruncate, (int fd, off_t n), (fd, n))
WRAP(int, ftruncate64, (int fd, off64_t n), (fd, n))
WRAP(int, mkdir, (const char *a, mode_t mode), (a, mode))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(int, flock, (int fd, int what), (fd, what))
WRAP(int, mkostemp, (char *a, int flags), (a, flags))
