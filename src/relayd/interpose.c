/* The program's own recv, send, sendmsg, shutdown, epoll_wait and epoll_ctl: the dynamic linker resolves a library's calls to them before the C
 * library's (ELF symbol interposition). Descriptors that are no wire, of this program's other libraries, go straight on. */
#include <dlfcn.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "relayd/wire.h"

#define SHOWN __attribute__((visibility("default")))

SHOWN ssize_t recv(int fd, void *to, size_t n, int flags);
SHOWN ssize_t send(int fd, const void *from, size_t n, int flags);
SHOWN ssize_t sendmsg(int fd, const struct msghdr *message, int flags);
SHOWN int shutdown(int fd, int how);
SHOWN int epoll_wait(int fd, struct epoll_event *events, int max, int ms);
SHOWN int epoll_ctl(int fd, int what, int of, struct epoll_event *event);

static struct {
    ssize_t (*recv)(int, void *, size_t, int);
    ssize_t (*send)(int, const void *, size_t, int);
    ssize_t (*sendmsg)(int, const struct msghdr *, int);
    int (*shutdown)(int, int);
    int (*epoll_wait)(int, struct epoll_event *, int, int);
    int (*epoll_ctl)(int, int, int, struct epoll_event *);
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
    find("epoll_ctl", &next.epoll_ctl);
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

/* Whether the descriptor takes connections. */
static bool
listens(int fd)
{
    int yes = 0;
    socklen_t n = sizeof yes;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &n) == 0 && yes != 0;
}

/* A new connection wakes one of a listener's threads, not all: the first that sleeps. So while there is little to do, one thread does it,
 * and nothing is handed from processor to processor. */
int
epoll_ctl(int fd, int what, int of, struct epoll_event *event)
{
    if (next.epoll_ctl == NULL)
        find_all();
    if (what != EPOLL_CTL_ADD || event->events != EPOLLIN || !listens(of))
        return next.epoll_ctl(fd, what, of, event);
    struct epoll_event alone = {EPOLLIN | EPOLLEXCLUSIVE, event->data};
    return next.epoll_ctl(fd, what, of, &alone);
}

int
wire_ready(void)
{
    return ready;
}
