#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "proxyd/metrics.h"
#include "proxyd/server.h"

#define BACKLOG 4096
#define ACCEPTS_AT_ONCE 256

static gage_rc
new_listener(int fd, const char *path, bool inherited, struct listener **out, struct gage_err *err)
{
    struct listener *l = calloc(1, sizeof *l);
    REQUIRE(l != NULL, err, GAGE_E_NOMEM, "out of memory");
    l->fd = fd;
    l->inherited = inherited;
    snprintf(l->path, sizeof l->path, "%s", path);
    *out = l;
    return GAGE_DONE;
}

/* A socket that nobody listens on any more is in the way; one that somebody does is somebody's. */
static gage_rc
clear_path(const struct sockaddr_un *address, struct gage_err *err)
{
    struct stat st;
    if (lstat(address->sun_path, &st) != 0)
        return GAGE_DONE;
    REQUIRE(S_ISSOCK(st.st_mode), err, GAGE_E_EXISTS, "%s exists and is not a socket", address->sun_path);
    AUTO(gage_fd) probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    REQUIRE(probe >= 0 && (connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 && errno != EAGAIN),
            err, GAGE_E_STATE, "another daemon listens on %s: stop it first", address->sun_path);
    unlink(address->sun_path);
    return GAGE_DONE;
}

/* A folder that is missing is made so that clients can reach the socket in it: our umask would shut them out. */
static void
make_folder_of(const char *path)
{
    char folder[SOCKET_PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path || (size_t)(slash - path) >= sizeof folder)
        return;
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    if (mkdir(folder, 0755) == 0)
        (void)!chmod(folder, 0755);
}

gage_rc
listen_open(const char *path, bool user_mode, struct listener **out, struct gage_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    REQUIRE(strlen(path) < sizeof address.sun_path, err, GAGE_E_CONFIG, "the socket's path is too long: %s", path);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    make_folder_of(path);
    TRY(clear_path(&address, err));
    AUTO(gage_fd) fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot make a socket");
    mode_t old = umask(user_mode ? 0177 : 0111); /* the service decides who is served, not the file's mode */
    int bound = bind(fd, (const struct sockaddr *)&address, sizeof address);
    int sys = errno;
    umask(old);
    if (bound != 0)
        return gage_fail_sys(err, GAGE_E_IO, sys, "cannot make the socket %s", path);
    if (listen(fd, BACKLOG) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot listen on %s", path);
    TRY(new_listener(fd, path, false, out, err));
    fd = -1;
    struct stat st;
    if (lstat(path, &st) == 0) {
        (*out)->device = st.st_dev;
        (*out)->inode = st.st_ino;
    }
    return GAGE_DONE;
}

gage_rc
listen_adopt(int fd, const char *fallback_path, struct listener **out, struct gage_err *err)
{
    struct sockaddr_un address = {0};
    socklen_t n = sizeof address;
    bool named = getsockname(fd, (struct sockaddr *)&address, &n) == 0 && address.sun_family == AF_UNIX &&
                 address.sun_path[0] == '/';
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return new_listener(fd, named ? address.sun_path : fallback_path, true, out, err);
}

bool
listen_leads_to(const struct listener *l)
{
    struct stat st;
    return l->inherited || (lstat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode);
}

void
listen_close(struct listener **listener)
{
    struct listener *l = *listener;
    *listener = NULL;
    if (l == NULL)
        return;
    if (!l->inherited && listen_leads_to(l))
        unlink(l->path);
    close(l->fd);
    free(l);
}

/* No descriptor is left: the one kept for this is given up so that the client that waits can be turned away, not spun on. */
static void
turn_away(struct server *s, struct listener *l)
{
    COUNT(connections_refused_total);
    pthread_mutex_lock(&s->lock);
    int64_t connections = s->conn_count;
    pthread_mutex_unlock(&s->lock);
    LOG(&ev_conn_descriptors, F_INT("connections", connections));
    if (s->spare_fd >= 0)
        close(s->spare_fd);
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void
listen_accept(struct server *s, struct listener *l)
{
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            conn_new(s, fd, l->path);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE)
            turn_away(s, l);
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}
