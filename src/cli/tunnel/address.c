#include "cli/tunnel/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"

#define BACKLOG 1024
#define LOCAL_SEND_QUEUE (384 * 1024)
#define LOCAL_RECEIVE_QUEUE (512 * 1024)

static bool
is_loopback(const struct sockaddr *at)
{
    if (at->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)at)->sin_addr.s_addr) >> 24 == 127;
    return at->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)at)->sin6_addr);
}

/* Whether the other end is a process of this machine. */
static bool
is_local(int fd)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    return getpeername(fd, (struct sockaddr *)&at, &len) == 0 && is_loopback((struct sockaddr *)&at);
}

/* Nothing on the way within a machine can be congested. Where the system's choice paces what it sends (BBR), its timers alone cost a
 * third of the CPU time of a transfer (bench/stream); Reno does not, and every kernel has it. Takes effect before the connection stands. */
static void
do_not_pace(int fd)
{
    static const char reno[] = "reno";
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, reno, sizeof reno - 1);
}

int
address_socket(const struct sockaddr *at)
{
    int fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && is_loopback(at))
        do_not_pace(fd);
    return fd;
}

static gage_rc
parse_unix(const char *path, struct address *address, struct gage_err *err)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    REQUIRE(path[0] != '\0' && strlen(path) < sizeof un.sun_path, err, GAGE_E_USAGE,
            "the path of a unix socket has 1 to %zu bytes", sizeof un.sun_path - 1);
    memcpy(un.sun_path, path, strlen(path) + 1);
    memcpy(&address->found[0].at, &un, sizeof un);
    address->found[0].len = sizeof un;
    address->n = 1;
    return GAGE_DONE;
}

/* Splits at the last colon; a bracketed host loses its brackets. */
static gage_rc
split(const char *text, char host[256], const char **port, struct gage_err *err)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon == NULL ? 0 : (size_t)(colon - text);
    const char *start = text;
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        start++;
        n -= 2;
    }
    *port = colon == NULL ? text : colon + 1;
    REQUIRE(n < 256 && **port != '\0' && strlen(*port) <= 5 && strspn(*port, "0123456789") == strlen(*port), err,
            GAGE_E_USAGE, "%.60s is no address: HOST:PORT, [IPv6]:PORT, PORT or unix:PATH", text);
    memcpy(host, start, n);
    host[n] = '\0';
    return GAGE_DONE;
}

gage_rc
address_parse(const char *text, bool listening, struct address *address, struct gage_err *err)
{
    const char *port;
    *address = (struct address){.n = 0};
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, address, err);
    TRY(split(text, address->host, &port, err));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = listening ? AI_PASSIVE : 0}, *all = NULL;
    int failed = getaddrinfo(address->host[0] != '\0' ? address->host : NULL, port, &hints, &all);
    REQUIRE(failed == 0, err, GAGE_E_NOT_FOUND, "%.60s cannot be resolved: %s", text, gai_strerror(failed));
    /* All addresses of this machine: the IPv6 wildcard serves IPv4 too. */
    for (int want = listening && address->host[0] == '\0' ? AF_INET6 : AF_UNSPEC; address->n == 0; want = AF_UNSPEC) {
        for (struct addrinfo *a = all; a != NULL && address->n < ADDRESS_FOUND_MAX; a = a->ai_next) {
            if (want != AF_UNSPEC && a->ai_family != want)
                continue;
            memcpy(&address->found[address->n].at, a->ai_addr, a->ai_addrlen);
            address->found[address->n++].len = a->ai_addrlen;
        }
    }
    freeaddrinfo(all);
    return GAGE_DONE;
}

void
address_text(const struct sockaddr *at, socklen_t len, char text[ADDRESS_TEXT_MAX])
{
    char host[80], port[8];
    if (at->sa_family == AF_UNIX ||
        getnameinfo(at, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(text, ADDRESS_TEXT_MAX, "unix");
    else
        snprintf(text, ADDRESS_TEXT_MAX, at->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

void
address_source(const struct sockaddr *at, socklen_t len, char text[ADDRESS_TEXT_MAX])
{
    struct sockaddr_storage of = {.ss_family = AF_UNSPEC};
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&of;
    memcpy(&of, at, len < sizeof of ? len : sizeof of);
    if (of.ss_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        memset(six->sin6_addr.s6_addr + 8, 0, 8);
    address_text((const struct sockaddr *)&of, len, text);
    char *colon = strrchr(text, ':');
    if (colon != NULL)
        *colon = '\0';
}

void
address_tune(int fd)
{
    const int on = 1, send = LOCAL_SEND_QUEUE, receive = LOCAL_RECEIVE_QUEUE;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* refused by unix sockets, which have no delay */
    /* Between two processes of one machine a queue of more than two turns gives nothing, and its bytes have left the cache when they are
     * read; with less than two turns one side waits for the other (bench/stream). Across a network the kernel sizes them by the round trip. */
    if (is_local(fd)) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send, sizeof send);
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof receive);
    }
}

/* A unix socket that nobody answers at was left behind by a process that died. */
static void
remove_stale(const struct sockaddr_un *un)
{
    struct stat st;
    AUTO(gage_fd) probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe >= 0 && lstat(un->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        connect(probe, (const struct sockaddr *)un, sizeof *un) != 0 && errno == ECONNREFUSED)
        unlink(un->sun_path);
}

gage_rc
address_listen(const struct address *address, int *fd, struct gage_err *err)
{
    const struct sockaddr *at = (const struct sockaddr *)&address->found[0].at;
    char text[ADDRESS_TEXT_MAX];
    const int on = 1, off = 0;
    AUTO(gage_fd) made = address_socket(at); /* accepted connections inherit what it is set to */
    address_text(at, address->found[0].len, text);
    if (made < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "no socket for %s", text);
    if (at->sa_family == AF_UNIX)
        remove_stale((const struct sockaddr_un *)at);
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at->sa_family == AF_INET6)
        setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(made, at, address->found[0].len) != 0 || listen(made, BACKLOG) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot listen at %s", text);
    *fd = made;
    made = -1;
    return GAGE_DONE;
}
