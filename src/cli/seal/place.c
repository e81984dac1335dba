#include "cli/seal/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/terminal.h"

#define FOLDER_FLAGS (O_PATH | O_DIRECTORY | O_CLOEXEC)

static gage_rc
open_unnamed(struct place *p, struct gage_err *err)
{
    char path[PATH_MAX];
    const char *folder = getenv("TMPDIR");
    p->unnamed = true;
    snprintf(path, sizeof path, "%s/gage-XXXXXX", folder != NULL && folder[0] == '/' ? folder : "/tmp");
    p->file.fd = mkostemp(path, O_CLOEXEC);
    if (p->file.fd < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "no temporary file can be made (TMPDIR names the folder for it)");
    unlink(path);
    return GAGE_DONE;
}

/* ---- the folder ---- */

static gage_rc
join(char path[PATH_MAX], const char *folder, const char *name, struct gage_err *err)
{
    int n = snprintf(path, PATH_MAX, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name);
    REQUIRE(n > 0 && n < PATH_MAX - 32, err, GAGE_E_LIMIT, "the path of the file is too long");
    return GAGE_DONE;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

static const char *
name_in(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* The folder itself, and its absolute path, so that the record of a file on its way holds from anywhere. */
static gage_rc
find_folder(struct place *p, const char *target, struct gage_err *err)
{
    char folder[PATH_MAX], real[PATH_MAX];
    struct stat ours, there;
    const char *name = name_in(target);
    size_t n = (size_t)(name - target);
    REQUIRE(strlen(target) < PATH_MAX - 32 && name[0] != '\0', err, GAGE_E_USAGE, "%.100s names no file", target);
    snprintf(folder, sizeof folder, "%.*s", n == 0 ? 1 : (int)n, n == 0 ? "." : target);
    p->folder = open(folder, FOLDER_FLAGS);
    if (p->folder < 0 || realpath(folder, real) == NULL || fstat(p->folder, &ours) != 0 || stat(real, &there) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot use the folder %.100s", folder);
    REQUIRE(same_file(&ours, &there), err, GAGE_E_IO, "the folder %.100s became another one meanwhile", folder);
    return join(p->target, real, name, err);
}

static gage_rc
sync_folder(int folder, const char *target, struct gage_err *err)
{
    AUTO(gage_fd) fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot sync the folder of %.150s", target);
    return GAGE_DONE;
}

/* ---- the file ---- */

gage_rc
place_open(struct place *p, const char *target, bool force, struct gage_err *err)
{
    struct stat st;
    *p = PLACE_CLOSED;
    if (target == NULL)
        return open_unnamed(p, err);
    TRY(find_folder(p, target, err));
    REQUIRE(force || fstatat(p->folder, name_in(p->target), &st, AT_SYMLINK_NOFOLLOW) != 0, err, GAGE_E_EXISTS,
            "%.150s exists already: choose another --output, or --force to replace it", target);
    return draft_open(p->folder, p->target, &p->file, err);
}

gage_rc
place_write(struct place *p, gage_slice bytes, struct gage_err *err)
{
    return file_write_fd(p->file.fd, p->unnamed ? "a temporary file" : p->target, bytes, err);
}

gage_rc
place_sync(struct place *p, struct gage_err *err)
{
    if (fsync(p->file.fd) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot write %.150s", p->target);
    return GAGE_DONE;
}

gage_rc
place_keep(struct place *p, struct gage_err *err)
{
    int sys = draft_name(&p->file);
    if (sys != 0)
        return gage_fail_sys(err, GAGE_E_IO, sys, "cannot put a file into the folder of %.150s", p->target);
    int n = snprintf(p->temporary, sizeof p->temporary, "%.*s%s", (int)(name_in(p->target) - p->target), p->target,
                     p->file.name);
    REQUIRE(n > 0 && (size_t)n < sizeof p->temporary, err, GAGE_E_LIMIT, "the path of the file is too long");
    TRY(place_sync(p, err));
    return sync_folder(p->folder, p->target, err);
}

/* ---- into place ---- */

/* Moves within a folder, without overwriting; 0 or errno. Where the file system cannot do that in one step, link and unlink. */
static int
move(int folder, const char *from, const char *to, bool force)
{
    if (force)
        return renameat(folder, from, folder, to) == 0 ? 0 : errno;
    if (renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return errno;
    return linkat(folder, from, folder, to, 0) == 0 && unlinkat(folder, from, 0) == 0 ? 0 : errno;
}

/* Another process that used the keyring took our file for one that a crash had left, and moved it. */
static bool
in_place(const struct place *p)
{
    struct stat ours, there;
    return fstat(p->file.fd, &ours) == 0 && fstatat(p->folder, name_in(p->target), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           same_file(&ours, &there);
}

static int
put_in_place(struct place *p, bool force)
{
    const char *name = name_in(p->target);
    if (p->file.name[0] == '\0')
        return force ? draft_rename(&p->file, name) : draft_link(&p->file, name);
    int sys = move(p->folder, p->file.name, name, force);
    return sys == ENOENT && in_place(p) ? 0 : sys;
}

gage_rc
place_commit(struct place *p, bool force, bool durable, struct gage_err *err)
{
    int sys = put_in_place(p, force);
    REQUIRE(sys != EEXIST, err, GAGE_E_EXISTS,
            "%.150s exists already: nothing was overwritten; choose another --output, or --force to replace it",
            p->target);
    if (sys != 0)
        return gage_fail_sys(err, GAGE_E_IO, sys, "cannot put %.150s in place", p->target);
    place_leave(p);
    return durable ? sync_folder(p->folder, p->target, err) : GAGE_DONE;
}

gage_rc
place_copy_out(struct place *p, struct gage_err *err)
{
    uint8_t bytes[65536];
    ssize_t n;
    if (lseek(p->file.fd, 0, SEEK_SET) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "the temporary file cannot be read again");
    while ((n = read(p->file.fd, bytes, sizeof bytes)) > 0)
        TRY(file_write_fd(STDOUT_FILENO, "standard output", gage_slice_of(bytes, (size_t)n), err));
    explicit_bzero(bytes, sizeof bytes);
    if (n < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "the temporary file cannot be read again");
    return GAGE_DONE;
}

void
place_leave(struct place *p)
{
    p->file.name[0] = '\0';
}

void
place_drop(struct place *p)
{
    draft_free(&p->file);
    gage_close_fd(&p->folder);
}

/* ---- after a crash ---- */

/* The temporary file is gone: its message was put in place, unless this is another folder than it was then (a disk that is not there). */
static bool
finish_moved(int folder, const char *temporary, const char *target)
{
    struct stat st;
    if (fstatat(folder, name_in(target), &st, AT_SYMLINK_NOFOLLOW) != 0)
        say("a message that was verified before a crash was put into %s and has been moved since; if that folder is "
            "another one now, it is in %s",
            target, temporary);
    return true;
}

static bool
finish_move(int folder, const char *temporary, const char *target)
{
    int sys = move(folder, name_in(temporary), name_in(target), false);
    if (sys != 0)
        say("a message that was verified before a crash waits in %s: %s", temporary,
            sys == EEXIST ? "its place is taken; move it yourself" : "it cannot be moved to its place now");
    else
        say("finished what a crash interrupted: %s", target);
    return sys == 0;
}

static bool
finish_in(int folder, const char *temporary, const char *target)
{
    struct stat from, to;
    if (fstatat(folder, name_in(temporary), &from, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT && finish_moved(folder, temporary, target);
    if (!S_ISREG(from.st_mode) || from.st_uid != geteuid()) {
        say("%s is not the file that gage left there before a crash: move it out of the way", temporary);
        return false;
    }
    if (fstatat(folder, name_in(target), &to, AT_SYMLINK_NOFOLLOW) == 0 && same_file(&from, &to))
        return unlinkat(folder, name_in(temporary), 0) == 0;
    return finish_move(folder, temporary, target);
}

/* What is done is forgotten: so it is on the disk first. Who moved it, we or another, may not have seen to that. */
bool
place_finish(void *context, const char *temporary, const char *target)
{
    char path[PATH_MAX];
    (void)context;
    int n = snprintf(path, sizeof path, "%.*s", (int)(name_in(temporary) - temporary), temporary);
    bool whole = n > 0 && (size_t)n < sizeof path && strncmp(target, path, (size_t)n) == 0 && target[n] != '\0' &&
                 strchr(target + n, '/') == NULL;
    if (whole && n > 1)
        path[n - 1] = '\0'; /* without its slash, which would follow a link */
    AUTO(gage_fd) folder = whole ? open(path, FOLDER_FLAGS | O_NOFOLLOW) : -1;
    if (folder < 0) {
        say("a message that was verified before a crash waits in %s: that folder is not there; bring it back, or make "
            "it "
            "anew to forget the message",
            temporary);
        return false;
    }
    if (!finish_in(folder, temporary, target))
        return false;
    struct gage_err err = {0};
    gage_rc rc = sync_folder(folder, target, &err);
    if (!gage_ok(rc))
        say("%s", err.text);
    return gage_ok(rc);
}
