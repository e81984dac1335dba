#include "interposer/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/secret.h"
#include "rpc/record.h"

#define LIMIT_NS ((int64_t)POOL_SECONDS * 1000000000)
#define FIRST_READ 8192 /* a reply with a context has 2 to 4 KiB */

/* A connection, and by what it is known to be still ours. */
struct channel {
    int fd; /* -1: none */
    bool busy;
    uint64_t used; /* greater is later */
    int64_t until; /* by clock_monotonic_ns: the end of what its call waits for now */
    uid_t uid;
    gid_t gid;
    dev_t dev;
    ino_t ino;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t freed;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct channel channels[POOL_MAX];
static uint64_t uses;
static char secure_path[PATH_MAX]; /* of a program with more privileges than its caller */
static pthread_once_t secure_once = PTHREAD_ONCE_INIT;
static pid_t owner; /* whose they are: a child that ran no fork handlers is told by this */

static void
prepare(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&freed, &attributes);
    pthread_condattr_destroy(&attributes);
    for (size_t i = 0; i < POOL_MAX; i++)
        channels[i].fd = -1;
}

/* Named by the executable, which its caller cannot choose as it can argv[0]. */
static void
name_secure_path(void)
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(program, '/');
    if (slash != NULL)
        snprintf(secure_path, sizeof secure_path, "%s.%s", POOL_PATH_DEFAULT, slash + 1);
}

bool
pool_is_secure(void)
{
    return getauxval(AT_SECURE) != 0;
}

const char *
pool_path(void)
{
    if (pool_is_secure()) {
        pthread_once(&secure_once, name_secure_path);
        return secure_path;
    }
    const char *path = secure_getenv("GSSPROXY_SOCKET");
    return path != NULL && path[0] != '\0' ? path : POOL_PATH_DEFAULT;
}

/* ---- one connection ---- */

/* Whether the descriptor is what we opened: programs close what they do not know and get its number for something else. */
static bool
is_ours(const struct channel *c)
{
    struct stat now;
    return fstat(c->fd, &now) == 0 && now.st_dev == c->dev && now.st_ino == c->ino;
}

static void
hang_up(struct channel *c)
{
    if (c->fd >= 0 && is_ours(c))
        close(c->fd);
    c->fd = -1;
}

/* The kernel's limit of each wait begins anew after a signal: whether this one is to be waited on after it. */
static bool
goes_on(const struct channel *c)
{
    if (errno != EINTR)
        return false;
    if (clock_monotonic_ns() < c->until)
        return true;
    errno = EAGAIN;
    return false;
}

/* A descriptor above those of the standard streams: a program that closed one still writes to it. */
static int
make_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return above;
}

static int
dial(struct channel *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = POOL_SECONDS};
    struct stat made;
    const char *path = pool_path();
    size_t n = strlen(path);
    if (n >= sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, path, n);
    int fd = make_socket(), result;
    if (fd < 0)
        return errno;
    /* The limits hold for connecting too, while the daemon's queue is full. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
        result = -1;
    else
        do
            result = connect(fd, (struct sockaddr *)&address, (socklen_t)sizeof address);
        while (result != 0 && goes_on(c));
    if (result != 0 || fstat(fd, &made) != 0) {
        int error = errno == EAGAIN ? ETIMEDOUT : errno;
        close(fd);
        return error;
    }
    c->fd = fd;
    c->uid = geteuid();
    c->gid = getegid();
    c->dev = made.st_dev;
    c->ino = made.st_ino;
    return 0;
}

/* ---- the pool ---- */

static struct channel *
latest_idle(void)
{
    struct channel *best = NULL;
    for (size_t i = 0; i < POOL_MAX; i++) {
        struct channel *c = &channels[i];
        if (!c->busy && c->fd >= 0 && (best == NULL || c->used > best->used))
            best = c;
    }
    return best;
}

static struct channel *
empty_place(void)
{
    for (size_t i = 0; i < POOL_MAX; i++)
        if (!channels[i].busy && channels[i].fd < 0)
            return &channels[i];
    return NULL;
}

/* A child begins with none: closing its copies does not end the connections of the parent. */
static void
disown_all(void)
{
    for (size_t i = 0; i < POOL_MAX; i++) {
        hang_up(&channels[i]);
        channels[i].busy = false;
    }
    owner = getpid();
}

/* An idle connection, or a place for one. NULL where none came free in time. */
static struct channel *
take(bool kept)
{
    struct channel *c = NULL;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += POOL_SECONDS;
    pthread_once(&once, prepare);
    pthread_mutex_lock(&lock);
    if (owner != getpid())
        disown_all();
    for (;;) {
        while ((c = latest_idle()) != NULL && (!kept || c->uid != geteuid() || c->gid != getegid() || !is_ours(c)))
            hang_up(c);
        if (c == NULL)
            c = empty_place();
        if (c != NULL || pthread_cond_timedwait(&freed, &lock, &until) == ETIMEDOUT)
            break;
    }
    if (c != NULL) {
        c->busy = true;
        c->used = ++uses;
        c->until = clock_monotonic_ns() + LIMIT_NS;
    }
    pthread_mutex_unlock(&lock);
    return c;
}

static void
give_back(struct channel *c, bool keep)
{
    pthread_mutex_lock(&lock);
    if (!keep)
        hang_up(c);
    c->busy = false;
    pthread_cond_signal(&freed);
    pthread_mutex_unlock(&lock);
}

void
pool_before_fork(void)
{
    pthread_once(&once, prepare);
    pthread_mutex_lock(&lock);
}

void
pool_after_fork(bool child)
{
    if (child) {
        disown_all();
        prepare(); /* whoever waited is not in this process */
    }
    pthread_mutex_unlock(&lock);
}

/* ---- one request, one reply ---- */

static enum fate
send_all(const struct channel *c, gage_slice record, int *error)
{
    while (record.n > 0) {
        ssize_t n = send(c->fd, record.p, record.n, MSG_NOSIGNAL);
        if (n < 0 && goes_on(c))
            continue;
        if (n < 0) {
            *error = errno == EAGAIN ? ETIMEDOUT : errno;
            return errno == EAGAIN ? FATE_LATE : FATE_UNREAD;
        }
        record = gage_slice_of(record.p + n, record.n - (size_t)n);
    }
    return FATE_ANSWERED;
}

/* The kernel tells a peer that ended with our bytes unread (ECONNRESET) from one that had read them. */
static enum fate
receive_some(const struct channel *c, uint8_t *to, size_t room, size_t *got, int *error)
{
    for (;;) {
        ssize_t n = recv(c->fd, to, room, 0);
        *got = n > 0 ? (size_t)n : 0;
        if (n > 0)
            return FATE_ANSWERED;
        if (n < 0 && goes_on(c))
            continue;
        *error = n == 0 ? ECONNRESET : errno == EAGAIN ? ETIMEDOUT : errno;
        if (n == 0)
            return FATE_LOST;
        return errno == EAGAIN ? FATE_LATE : errno == ECONNRESET ? FATE_UNREAD : FATE_LOST;
    }
}

/* Hands received bytes to the record; false where they are none, or go past its end. */
static bool
feed(struct record_in *in, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        uint8_t *to;
        size_t want = record_want(in, &to);
        size_t part = want < n ? want : n;
        if (part == 0)
            return false;
        memcpy(to, bytes, part);
        if (!gage_ok(record_got(in, part, NULL)))
            return false;
        bytes += part;
        n -= part;
    }
    return true;
}

static enum fate
receive_record(struct channel *c, struct record_in *in, int *error)
{
    uint8_t first[FIRST_READ];
    *error = EBADMSG;
    for (bool begun = false; !in->complete; begun = true) {
        uint8_t *to = first;
        size_t want = begun ? record_want(in, &to) : sizeof first, n;
        if (want == 0)
            return FATE_BAD;
        enum fate fate = receive_some(c, to, want, &n, error);
        if (fate != FATE_ANSWERED)
            return begun && fate == FATE_UNREAD ? FATE_LOST : fate;
        bool good = begun ? gage_ok(record_got(in, n, NULL)) : feed(in, first, n);
        if (!begun)
            gage_wipe(first, n);
        if (!good)
            return FATE_BAD;
        if (!begun && !in->complete)
            c->until = clock_monotonic_ns() + LIMIT_NS;
        if (!in->complete && clock_monotonic_ns() > c->until) {
            *error = ETIMEDOUT;
            return FATE_LATE;
        }
    }
    return FATE_ANSWERED;
}

/* Whether the reply answers this request, by the number that both begin with. What else comes on the connection is another call's. */
static bool
answers(gage_slice record, gage_slice reply)
{
    struct reader asked = read_from(record), told = read_from(reply);
    get_u32(&asked); /* the record's header */
    return get_u32(&asked) == get_u32(&told) && read_ok(&asked) && read_ok(&told);
}

static enum fate
talk(struct channel *c, gage_slice record, gage_buf *reply, int *error)
{
    struct record_in in;
    enum fate fate = send_all(c, record, error);
    if (fate != FATE_ANSWERED)
        return fate;
    record_init(&in);
    fate = receive_record(c, &in, error);
    if (fate == FATE_ANSWERED)
        *reply = record_take(&in);
    record_cleanup(&in);
    if (fate == FATE_ANSWERED && !answers(record, gage_buf_slice(reply))) {
        *error = EBADMSG;
        return FATE_BAD;
    }
    return fate;
}

static enum fate
try_once(bool kept, gage_slice record, gage_buf *reply, int *error)
{
    struct channel *c = take(kept);
    if (c == NULL) {
        *error = ETIMEDOUT;
        return FATE_UNREACHABLE;
    }
    *error = c->fd >= 0 ? 0 : dial(c);
    enum fate fate = *error == 0 ? talk(c, record, reply, error) : FATE_UNREACHABLE;
    give_back(c, fate == FATE_ANSWERED);
    return fate;
}

enum fate
pool_exchange(gage_slice record, bool again, gage_buf *reply, int *error)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before); /* the lock, and a place in the pool, would be nobody's */
    enum fate fate = try_once(true, record, reply, error);
    if (fate == FATE_UNREAD || (fate == FATE_LOST && again))
        fate = try_once(false, record, reply, error);
    pthread_setcancelstate(before, &before);
    return fate;
}
