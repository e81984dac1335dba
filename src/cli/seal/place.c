#include "cli/seal/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/encode.h"
#include "cli/terminal.h"

static gage_rc
open_unnamed(struct place *p, struct gage_err *err)
{
    char path[PATH_MAX];
    const char *folder = getenv("TMPDIR");
    p->unnamed = true;
    snprintf(path, sizeof path, "%s/gage-XXXXXX", folder != NULL && folder[0] == '/' ? folder : "/tmp");
    p->fd = mkostemp(path, O_CLOEXEC);
    if (p->fd < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "no temporary file can be made (TMPDIR names the folder for it)");
    unlink(path);
    return GAGE_DONE;
}

/* The folder as an absolute path, so that the record of a file on its way holds from anywhere. */
static gage_rc
find_folder(struct place *p, const char *target, struct gage_err *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(target, '/'), *name = slash == NULL ? target : slash + 1;
    REQUIRE(strlen(target) < PATH_MAX - 32 && name[0] != '\0', err, GAGE_E_USAGE, "%.100s names no file", target);
    snprintf(folder, sizeof folder, "%.*s",
             slash == NULL     ? 1
             : slash == target ? 1
                               : (int)(slash - target),
             slash == NULL ? "." : target);
    if (realpath(folder, p->folder) == NULL)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot use the folder %.100s", folder);
    int n = snprintf(p->target, sizeof p->target, "%s/%s", strcmp(p->folder, "/") == 0 ? "" : p->folder, name);
    REQUIRE(n > 0 && (size_t)n < sizeof p->target - 32, err, GAGE_E_LIMIT, "the path of the file is too long");
    return GAGE_DONE;
}

gage_rc
place_open(struct place *p, const char *target, bool force, struct gage_err *err)
{
    struct stat st;
    uint8_t random[8];
    AUTO(gage_buf) hex = GAGE_BUF(32);
    *p = PLACE_CLOSED;
    if (target == NULL)
        return open_unnamed(p, err);
    TRY(find_folder(p, target, err));
    REQUIRE(force || lstat(p->target, &st) != 0, err, GAGE_E_EXISTS,
            "%.150s exists already: choose another --output, or --force to replace it", target);
    TRY(rng_fill(&gage_system_rng, random, sizeof random));
    put_hex(&hex, SLICE_OF(random));
    int n = snprintf(p->temporary, sizeof p->temporary, "%s/.gage-%.16s", strcmp(p->folder, "/") == 0 ? "" : p->folder,
                     (const char *)hex.p);
    REQUIRE(n > 0 && (size_t)n < sizeof p->temporary, err, GAGE_E_LIMIT, "the path of the file is too long");
    p->fd = open(p->temporary, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0600);
    if (p->fd < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot create a file in %.150s", p->folder);
    return GAGE_DONE;
}

gage_rc
place_write(struct place *p, gage_slice bytes, struct gage_err *err)
{
    return file_write_fd(p->fd, p->unnamed ? "a temporary file" : p->target, bytes, err);
}

gage_rc
place_sync(struct place *p, struct gage_err *err)
{
    if (fsync(p->fd) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot write %.150s", p->target);
    return GAGE_DONE;
}

/* Moves without overwriting; 0 or errno. Where the file system cannot do that in one step, link and unlink. */
static int
move(const char *from, const char *to, bool force)
{
    if (force)
        return rename(from, to) == 0 ? 0 : errno;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return errno;
    return link(from, to) == 0 && unlink(from) == 0 ? 0 : errno;
}

/* Another process that used the keyring took our file for one that a crash had left, and moved it. */
static bool
in_place(const struct place *p)
{
    struct stat ours, there;
    return fstat(p->fd, &ours) == 0 && lstat(p->target, &there) == 0 && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

gage_rc
place_commit(struct place *p, bool force, bool durable, struct gage_err *err)
{
    int sys = move(p->temporary, p->target, force);
    if (sys == ENOENT && in_place(p))
        sys = 0;
    REQUIRE(sys != EEXIST, err, GAGE_E_EXISTS,
            "%.150s exists already: nothing was overwritten; choose another --output, or --force to replace it",
            p->target);
    if (sys != 0)
        return gage_fail_sys(err, GAGE_E_IO, sys, "cannot put %.150s in place", p->target);
    p->placed = true;
    return durable ? folder_sync(p->folder, err) : GAGE_DONE;
}

gage_rc
place_copy_out(struct place *p, struct gage_err *err)
{
    uint8_t bytes[65536];
    ssize_t n;
    if (lseek(p->fd, 0, SEEK_SET) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "the temporary file cannot be read again");
    while ((n = read(p->fd, bytes, sizeof bytes)) > 0)
        TRY(file_write_fd(STDOUT_FILENO, "standard output", gage_slice_of(bytes, (size_t)n), err));
    explicit_bzero(bytes, sizeof bytes);
    if (n < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "the temporary file cannot be read again");
    return GAGE_DONE;
}

void
place_drop(struct place *p)
{
    if (p->fd >= 0 && !p->placed && !p->unnamed)
        unlink(p->temporary);
    gage_close_fd(&p->fd);
}

bool
place_finish(void *context, const char *temporary, const char *target)
{
    struct stat from, to;
    (void)context;
    if (lstat(temporary, &from) != 0)
        return errno == ENOENT; /* it has been moved */
    if (lstat(target, &to) == 0 && from.st_ino == to.st_ino && from.st_dev == to.st_dev)
        return unlink(temporary) == 0;
    int sys = move(temporary, target, false);
    if (sys != 0) {
        say("a message that was verified before a crash waits in %s: %s", temporary,
            sys == EEXIST ? "its place is taken; move it yourself" : "it cannot be moved to its place now");
        return false;
    }
    say("finished what a crash interrupted: %s", target);
    return true;
}
