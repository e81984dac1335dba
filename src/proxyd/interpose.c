/* The program's own fcntl: the dynamic linker resolves libkrb5's calls to it before the C library's (ELF symbol interposition). A thread that
 * has said until when it waits for locks (lock_until_ns) waits no longer; everything else goes straight on. */
#undef _FILE_OFFSET_BITS /* else the header makes this function's name another's */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <time.h>

#include "base/clock.h"
#include "proxyd/users_file.h"

#define SHOWN __attribute__((visibility("default")))

typedef int (*fcntl_function)(int fd, int command, ...);

/* dlsym gives an object pointer where C wants a function pointer (POSIX says they convert). */
static fcntl_function
next_fcntl(void)
{
    static fcntl_function next;
    fcntl_function found = __atomic_load_n(&next, __ATOMIC_RELAXED);
    if (found == NULL) {
        *(void **)&found = dlsym(RTLD_NEXT, "fcntl");
        __atomic_store_n(&next, found, __ATOMIC_RELAXED);
    }
    return found;
}

static int
wait_for_lock(int fd, int command, void *lock)
{
    struct timespec pause = {.tv_nsec = 250000};
    while (next_fcntl()(fd, command, lock) != 0) {
        if (errno != EAGAIN && errno != EACCES)
            return -1;
        if (clock_monotonic_ns() >= lock_until_ns) {
            errno = ETIMEDOUT;
            return -1;
        }
        nanosleep(&pause, NULL);
        pause.tv_nsec = pause.tv_nsec < 16000000 ? pause.tv_nsec * 2 : pause.tv_nsec;
    }
    return 0;
}

SHOWN int
fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (lock_until_ns != 0 && (command == F_SETLKW || command == F_OFD_SETLKW))
        return wait_for_lock(fd, command == F_SETLKW ? F_SETLK : F_OFD_SETLK, argument);
    return next_fcntl()(fd, command, argument);
}

/* As a libkrb5 calls it that was built for large files. */
SHOWN int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));
