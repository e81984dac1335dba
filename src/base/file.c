#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/draft.h"

#define LOCK_TRIES 100

gage_rc
file_read_fd(int fd, const char *what, gage_buf *out, struct gage_err *err)
{
    for (;;) {
        uint8_t extra[4096];
        ssize_t n = read(fd, extra, sizeof extra);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return gage_fail_sys(err, GAGE_E_IO, errno, "cannot read %s", what);
        if (n == 0)
            return GAGE_DONE;
        put_bytes(out, gage_slice_of(extra, (size_t)n));
        explicit_bzero(extra, (size_t)n);
        if (out->starved)
            return buf_check(out, err);
        REQUIRE(!out->bad, err, GAGE_E_LIMIT, "%s is longer than %zu bytes", what, out->max);
    }
}

gage_rc
file_read(const char *path, gage_buf *out, struct gage_err *err)
{
    AUTO(gage_fd) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return gage_fail_sys(err, errno == ENOENT ? GAGE_E_NOT_FOUND : GAGE_E_IO, errno, "cannot open %s", path);
    return file_read_fd(fd, path, out, err);
}

gage_rc
file_write_fd(int fd, const char *what, gage_slice bytes, struct gage_err *err)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return gage_fail_sys(err, GAGE_E_IO, errno, "cannot write %s", what);
        bytes = gage_slice_of(bytes.p + n, bytes.n - (size_t)n);
    }
    return GAGE_DONE;
}

/* The folder a path lies in: "." where it names none. */
static gage_rc
folder_of(const char *path, char folder[PATH_MAX], struct gage_err *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    REQUIRE(n < PATH_MAX, err, GAGE_E_LIMIT, "path is too long");
    memcpy(folder, slash == NULL ? "." : path, n);
    folder[n] = '\0';
    return GAGE_DONE;
}

gage_rc
folder_sync(const char *path, struct gage_err *err)
{
    AUTO(gage_fd) fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot sync the folder %s", path);
    return GAGE_DONE;
}

static gage_rc
sync_parent(const char *path, struct gage_err *err)
{
    char folder[PATH_MAX];
    TRY(folder_of(path, folder, err));
    return folder_sync(folder, err);
}

/* Writes and syncs a temporary file beside `path`; its name goes to `temporary`. */
static gage_rc
write_temporary(const char *path, gage_slice bytes, mode_t mode, char temporary[PATH_MAX], struct gage_err *err)
{
    int n = snprintf(temporary, PATH_MAX, "%s.XXXXXX", path);
    REQUIRE(n > 0 && n < PATH_MAX, err, GAGE_E_LIMIT, "path is too long");
    AUTO(gage_fd) fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot create a file beside %s", path);
    gage_rc rc = file_write_fd(fd, temporary, bytes, err);
    if (gage_ok(rc) && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
        rc = gage_fail_sys(err, GAGE_E_IO, errno, "cannot sync %s", temporary);
    if (!gage_ok(rc))
        unlink(temporary);
    return rc;
}

gage_rc
file_replace(const char *path, gage_slice bytes, mode_t mode, struct gage_err *err)
{
    char temporary[PATH_MAX];
    TRY(write_temporary(path, bytes, mode, temporary, err));
    if (rename(temporary, path) != 0) {
        int sys = errno;
        unlink(temporary);
        return gage_fail_sys(err, GAGE_E_IO, sys, "cannot put %s in place", path);
    }
    return sync_parent(path, err);
}

static gage_rc
write_draft(const draft *d, const char *path, gage_slice bytes, mode_t mode, struct gage_err *err)
{
    TRY(file_write_fd(d->fd, path, bytes, err));
    if (fchmod(d->fd, mode) != 0 || fsync(d->fd) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot write %s", path);
    return GAGE_DONE;
}

gage_rc
file_install(const char *path, gage_slice bytes, mode_t mode, struct gage_err *err)
{
    char where[PATH_MAX];
    const char *slash = strrchr(path, '/');
    AUTO(draft) d = DRAFT_CLOSED;
    TRY(folder_of(path, where, err));
    AUTO(gage_fd) folder = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot create %s", path);
    TRY(draft_open(folder, where, &d, err));
    TRY(write_draft(&d, path, bytes, mode, err));
    int sys = draft_link(&d, slash != NULL ? slash + 1 : path);
    REQUIRE(sys != EEXIST, err, GAGE_E_EXISTS, "%s exists already; nothing was overwritten", path);
    if (sys != 0 || fsync(folder) != 0)
        return gage_fail_sys(err, GAGE_E_IO, sys != 0 ? sys : errno, "cannot put %s in place", path);
    return GAGE_DONE;
}

gage_rc
file_remove(const char *path, struct gage_err *err)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot remove %s", path);
    return sync_parent(path, err);
}

gage_rc
folder_make(const char *path, mode_t mode, struct gage_err *err)
{
    char partial[PATH_MAX];
    size_t n = strlen(path);
    REQUIRE(n > 0 && n < sizeof partial, err, GAGE_E_LIMIT, "path is empty or too long");
    memcpy(partial, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (partial[i] != '/' && partial[i] != '\0')
            continue;
        partial[i] = '\0';
        if (mkdir(partial, mode) != 0 && errno != EEXIST)
            return gage_fail_sys(err, GAGE_E_IO, errno, "cannot make the folder %s", partial);
        partial[i] = path[i];
    }
    struct stat st;
    REQUIRE(stat(path, &st) == 0 && S_ISDIR(st.st_mode), err, GAGE_E_IO, "%s is not a folder", path);
    return GAGE_DONE;
}

/* *stale: who had the lock removed the file between our opening and our locking it: the lock is on nothing. */
static gage_rc
lock_once(const char *path, int *fd, bool *stale, struct gage_err *err)
{
    struct stat st;
    AUTO(gage_fd) lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot open the lock file %s", path);
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        REQUIRE(errno == EWOULDBLOCK, err, GAGE_E_IO, "cannot lock %s", path);
        return gage_fail(err, GAGE_E_STATE, "another process is working on %s", path);
    }
    *stale = fstat(lock, &st) != 0 || st.st_nlink == 0;
    if (*stale)
        return GAGE_DONE;
    *fd = lock;
    lock = -1;
    return GAGE_DONE;
}

gage_rc
file_lock(const char *path, int *fd, struct gage_err *err)
{
    bool stale = true;
    for (int i = 0; i < LOCK_TRIES && stale; i++)
        TRY(lock_once(path, fd, &stale, err));
    REQUIRE(!stale, err, GAGE_E_STATE, "other processes make and remove %s all the time", path);
    return GAGE_DONE;
}
