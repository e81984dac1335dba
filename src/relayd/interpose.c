/* The program's own recv, send, sendmsg, shutdown and epoll_wait: the dynamic linker resolves a library's calls to them before the C
 * library's (ELF symbol interposition). Descriptors that are no wire, of this program's other libraries, go straight on. */
#include <dlfcn.h>
#include <errno.h>
#include <sys/epoll.h>

#include "relayd/wire.h"

#define SHOWN __attribute__((visibility("default")))

SHOWN ssize_t recv(int fd, void *to, size_t n, int flags);
SHOWN ssize_t send(int fd, const void *from, size_t n, int flags);
SHOWN ssize_t sendmsg(int fd, const struct msghdr *message, int flags);
SHOWN int shutdown(int fd, int how);
SHOWN int epoll_wait(int fd, struct epoll_event *events, int max, int ms);

static struct {
    ssize_t (*recv)(int, void *, size_t, int);
    ssize_t (*send)(int, const void *, size_t, int);
    ssize_t (*sendmsg)(int, const struct msghdr *, int);
    int (*shutdown)(int, int);
    int (*epoll_wait)(int, struct epoll_event *, int, int);
} next;

/* dlsym gives an object pointer where C wants a function pointer (POSIX says they convert). */
static void
find(const char *name, void *slot)
{
    *(void **)slot = dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void
find_all(void)
{
    find("recv", &next.recv);
    find("send", &next.send);
    find("sendmsg", &next.sendmsg);
    find("shutdown", &next.shutdown);
    find("epoll_wait", &next.epoll_wait);
}

ssize_t
system_recv(int fd, void *to, size_t n, int flags)
{
    if (next.recv == NULL)
        find_all();
    return next.recv(fd, to, n, flags);
}

ssize_t
system_send(int fd, const void *from, size_t n, int flags)
{
    if (next.send == NULL)
        find_all();
    return next.send(fd, from, n, flags);
}

ssize_t
system_sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (next.sendmsg == NULL)
        find_all();
    return next.sendmsg(fd, message, flags);
}

int
system_shutdown(int fd, int how)
{
    if (next.shutdown == NULL)
        find_all();
    return next.shutdown(fd, how);
}

ssize_t
recv(int fd, void *to, size_t n, int flags)
{
    struct wire *wire = wire_of(fd);
    return wire != NULL ? wire_recv(wire, to, n) : system_recv(fd, to, n, flags);
}

ssize_t
send(int fd, const void *from, size_t n, int flags)
{
    struct wire *wire = wire_of(fd);
    return wire != NULL ? wire_send(wire, from, n) : system_send(fd, from, n, flags);
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct wire *wire = wire_of(fd);
    return wire != NULL ? wire_sendmsg(wire, message) : system_sendmsg(fd, message, flags);
}

int
shutdown(int fd, int how)
{
    struct wire *wire = wire_of(fd);
    return wire != NULL ? wire_shutdown(wire, how) : system_shutdown(fd, how);
}

static _Thread_local int ready;

int
epoll_wait(int fd, struct epoll_event *events, int max, int ms)
{
    if (next.epoll_wait == NULL)
        find_all();
    return ready = next.epoll_wait(fd, events, max, ms);
}

int
wire_ready(void)
{
    return ready;
}
