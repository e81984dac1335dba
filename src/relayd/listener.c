#include "relayd/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096
#define SILENT_SECONDS 1

union address {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct sockaddr_storage storage;
};

static bool
parse_port(const char *text, in_port_t *port)
{
    unsigned number = 0;
    size_t n = strlen(text);
    if (n == 0 || n > 5)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    *port = htons((uint16_t)number);
    return number <= 65535;
}

static gage_rc
parse_inet(const char *text, union address *address, socklen_t *n, struct gage_err *err)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    bool six = length > 2 && text[0] == '[' && text[length - 1] == ']';
    size_t from = six ? 1 : 0;
    length -= six ? 2 : 0;
    REQUIRE(colon != NULL && length > 0 && length < sizeof host, err, GAGE_E_CONFIG,
            "%.100s is neither ADDR:PORT, [ADDR6]:PORT nor unix:PATH", text);
    memcpy(host, text + from, length);
    host[length] = '\0';
    *address = (union address){0};
    *n = six ? sizeof address->in6 : sizeof address->in4;
    address->any.sa_family = six ? AF_INET6 : AF_INET;
    void *to = six ? (void *)&address->in6.sin6_addr : (void *)&address->in4.sin_addr;
    in_port_t *port = six ? &address->in6.sin6_port : &address->in4.sin_port;
    REQUIRE(inet_pton(address->any.sa_family, host, to) == 1 && parse_port(colon + 1, port), err, GAGE_E_CONFIG,
            "%.100s is not a numeric address and port", text);
    return GAGE_DONE;
}

static gage_rc
parse(const char *text, union address *address, socklen_t *n, struct gage_err *err)
{
    if (strncmp(text, "unix:", 5) != 0)
        return parse_inet(text, address, n, err);
    *address = (union address){.un = {.sun_family = AF_UNIX}};
    REQUIRE(text[5] == '/' && strlen(text + 5) < sizeof address->un.sun_path, err, GAGE_E_CONFIG,
            "%.100s: a socket's path is absolute and shorter than %zu bytes", text, sizeof address->un.sun_path);
    snprintf(address->un.sun_path, sizeof address->un.sun_path, "%s", text + 5);
    *n = sizeof address->un;
    return GAGE_DONE;
}

static bool
is_local(const union address *address)
{
    if (address->any.sa_family == AF_INET)
        return ntohl(address->in4.sin_addr.s_addr) >> 24 == 127;
    if (address->any.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&address->in6.sin6_addr);
    return address->any.sa_family == AF_UNIX;
}

static void
name_it(const union address *address, struct listener *out)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->in4.sin_addr, host, sizeof host);
        snprintf(out->name, sizeof out->name, "%s:%u", host, ntohs(address->in4.sin_port));
    } else if (address->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address->in6.sin6_addr, host, sizeof host);
        snprintf(out->name, sizeof out->name, "[%s]:%u", host, ntohs(address->in6.sin6_port));
    } else {
        snprintf(out->name, sizeof out->name, "unix:%s", address->un.sun_path);
    }
    out->local = is_local(address);
}

/* An old socket file, of a relay that was killed, makes way; another file does not. */
static gage_rc
make_way(const union address *address, struct gage_err *err)
{
    struct stat old;
    if (address->any.sa_family != AF_UNIX || lstat(address->un.sun_path, &old) != 0)
        return GAGE_DONE;
    REQUIRE(S_ISSOCK(old.st_mode), err, GAGE_E_CONFIG, "%s exists and is not a socket", address->un.sun_path);
    unlink(address->un.sun_path);
    return GAGE_DONE;
}

/* Every client speaks first, so a connection is taken when its first bytes are here: one waking less. One that stays silent for a second is
 * taken all the same, and its time for a head begins. */
static void
wait_for_bytes(int fd, const union address *address)
{
    int seconds = SILENT_SECONDS;
    if (address->any.sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
}

static gage_rc
bind_socket(int fd, const char *text, const union address *address, socklen_t n, struct gage_err *err)
{
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    wait_for_bytes(fd, address);
    TRY(make_way(address, err));
    if (bind(fd, &address->any, n) != 0 || listen(fd, BACKLOG) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot listen on %.100s", text);
    if (address->any.sa_family == AF_UNIX)
        chmod(address->un.sun_path, 0660);
    return GAGE_DONE;
}

gage_rc
listener_open(const char *text, bool bind_it, struct listener *out, struct gage_err *err)
{
    union address address;
    socklen_t n = 0;
    *out = (struct listener){.fd = -1};
    TRY(parse(text, &address, &n, err));
    name_it(&address, out);
    if (!bind_it)
        return GAGE_DONE;
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot make a socket for %.100s", text);
    gage_rc rc = bind_socket(fd, text, &address, n, err);
    if (!gage_ok(rc)) {
        close(fd);
        return rc;
    }
    return listener_adopt(fd, out, err);
}

gage_rc
listener_adopt(int fd, struct listener *out, struct gage_err *err)
{
    union address address = {0};
    socklen_t n = sizeof address;
    *out = (struct listener){.fd = fd};
    if (getsockname(fd, &address.any, &n) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "descriptor %d is not a socket", fd);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    name_it(&address, out);
    return GAGE_DONE;
}
