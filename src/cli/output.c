#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/encode.h"

void
output_free(output *out)
{
    gage_close_fd(&out->folder);
    *out = (output){.folder = -1};
}

/* ---- where ---- */

/* The folder by path, and its absolute name. */
static gage_rc
open_folder(const char *path, output *out, struct gage_err *err)
{
    char link[64];
    out->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (out->folder < 0)
        return gage_fail_sys(err, errno == ENOENT ? GAGE_E_NOT_FOUND : GAGE_E_IO, errno, "cannot open the folder %s",
                             path);
    snprintf(link, sizeof link, "/proc/self/fd/%d", out->folder);
    ssize_t n = readlink(link, out->folder_path, sizeof out->folder_path - 1);
    REQUIRE(n > 0 && (size_t)n < sizeof out->folder_path - 1, err, GAGE_E_IO, "cannot tell where the folder %s is",
            path);
    out->folder_path[n] = '\0';
    return GAGE_DONE;
}

gage_rc
output_open(const char *where, output *out, struct gage_err *err)
{
    char parent[PATH_MAX];
    struct stat st;
    *out = (output){.folder = -1};
    if (where == NULL)
        return open_folder(".", out, err);
    REQUIRE(strcmp(where, "-") != 0, err, GAGE_E_USAGE,
            "--output - is not possible: what is received is installed once and recorded, and a pipe cannot be; name a "
            "file");
    if (where[0] != '\0' && stat(where, &st) == 0 && S_ISDIR(st.st_mode))
        return open_folder(where, out, err);
    const char *slash = strrchr(where, '/');
    const char *name = slash != NULL ? slash + 1 : where;
    size_t n = slash == NULL ? 0 : (size_t)(slash - where);
    REQUIRE(name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0, err, GAGE_E_NOT_FOUND,
            "--output names a folder that is not there");
    REQUIRE(strlen(name) <= OUTPUT_NAME_MAX && n < sizeof parent, err, GAGE_E_LIMIT, "--output is too long");
    memcpy(parent, where, n);
    parent[n] = '\0';
    TRY(open_folder(slash == NULL ? "." : slash == where ? "/" : parent, out, err));
    memcpy(out->name, name, strlen(name) + 1);
    return GAGE_DONE;
}

gage_rc
output_check_name(gage_slice name, struct gage_err *err)
{
    REQUIRE(name.n > 0 && name.n <= OUTPUT_NAME_MAX && utf8_printable(name) && memchr(name.p, '/', name.n) == NULL &&
                !slice_equal(name, SLICE_LITERAL(".")) && !slice_equal(name, SLICE_LITERAL("..")),
            err, GAGE_E_REFUSED,
            "the sender gave the file a name that is no plain file name: choose one with --output");
    REQUIRE(name.p[0] != '.', err, GAGE_E_REFUSED,
            "the sender gave the file a name that begins with a dot, which may change how your account behaves: choose "
            "a name with "
            "--output");
    return GAGE_DONE;
}

gage_rc
output_take_name(output *out, gage_slice name, struct gage_err *err)
{
    TRY(output_check_name(name, err));
    memcpy(out->name, name.p, name.n);
    out->name[name.n] = '\0';
    return GAGE_DONE;
}

gage_rc
output_path(const output *out, char path[PATH_MAX], struct gage_err *err)
{
    bool root = strcmp(out->folder_path, "/") == 0;
    int n = snprintf(path, PATH_MAX, "%s/%s", root ? "" : out->folder_path, out->name);
    REQUIRE(n > 0 && n < PATH_MAX, err, GAGE_E_LIMIT, "the path of the file is too long");
    return GAGE_DONE;
}

/* ---- install ---- */

gage_rc
output_check_free(const output *out, struct gage_err *err)
{
    struct stat st;
    REQUIRE(fstatat(out->folder, out->name, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT, err, GAGE_E_EXISTS,
            "%s exists already in %s: choose another name with --output, or --force to replace it", out->name,
            out->folder_path);
    return GAGE_DONE;
}

/* A file in the folder that has no final name yet: none at all, or a temporary one where the file system cannot do that. */
typedef struct {
    int folder, fd;
    char name[48]; /* empty: none */
} draft;

static void
draft_free(draft *d)
{
    if (d->name[0] != '\0')
        unlinkat(d->folder, d->name, 0);
    gage_close_fd(&d->fd);
}
GAGE_AUTO_DEFINE(draft, draft_free)

static gage_rc
random_name(char name[48], struct gage_err *err)
{
    uint8_t random[8];
    AUTO(gage_buf) hex = GAGE_BUF(32);
    TRY(rng_fill(&gage_system_rng, random, sizeof random));
    put_hex(&hex, SLICE_OF(random));
    snprintf(name, 48, ".gage-%.16s", (const char *)hex.p);
    return GAGE_DONE;
}

static gage_rc
draft_open(const output *out, draft *d, struct gage_err *err)
{
    d->folder = out->folder;
    d->fd = openat(out->folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (d->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT || errno == EINVAL)) {
        char name[48];
        TRY(random_name(name, err));
        d->fd = openat(out->folder, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0600);
        if (d->fd >= 0)
            memcpy(d->name, name, sizeof name);
    }
    if (d->fd < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot create a file in %s", out->folder_path);
    return GAGE_DONE;
}

/* Gives the draft a further name; 0 or errno. */
static int
draft_link(const draft *d, const char *name)
{
    char from[64];
    if (d->name[0] != '\0')
        return linkat(d->folder, d->name, d->folder, name, 0) == 0 ? 0 : errno;
    snprintf(from, sizeof from, "/proc/self/fd/%d", d->fd);
    return linkat(AT_FDCWD, from, d->folder, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

/* rename(2) needs a name to rename. */
static gage_rc
replace(const output *out, draft *d, struct gage_err *err)
{
    struct stat st;
    REQUIRE(fstatat(out->folder, out->name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode), err, GAGE_E_EXISTS,
            "%s is a folder: nothing was replaced", out->name);
    if (d->name[0] == '\0') {
        char name[48];
        TRY(random_name(name, err));
        int sys = draft_link(d, name);
        if (sys != 0)
            return gage_fail_sys(err, GAGE_E_IO, sys, "cannot put a file into %s", out->folder_path);
        memcpy(d->name, name, sizeof name);
    }
    if (renameat(out->folder, d->name, out->folder, out->name) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot replace %s in %s", out->name, out->folder_path);
    d->name[0] = '\0';
    return GAGE_DONE;
}

static gage_rc
link_final(const output *out, draft *d, struct gage_err *err)
{
    int sys = draft_link(d, out->name);
    REQUIRE(
        sys != EEXIST, err, GAGE_E_EXISTS,
        "%s exists already in %s: nothing was overwritten; choose another name with --output, or --force to replace it",
        out->name, out->folder_path);
    if (sys != 0)
        return gage_fail_sys(err, GAGE_E_IO, sys, "cannot put %s into %s", out->name, out->folder_path);
    return GAGE_DONE;
}

gage_rc
output_install(const output *out, gage_slice content, mode_t mode, bool force, struct gage_err *err)
{
    AUTO(draft) d = {.fd = -1};
    TRY(draft_open(out, &d, err));
    TRY(file_write_fd(d.fd, out->name, content, err));
    if (fchmod(d.fd, mode & 0777) != 0 || fsync(d.fd) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot write %s into %s", out->name, out->folder_path);
    TRY(force ? replace(out, &d, err) : link_final(out, &d, err));
    if (fsync(out->folder) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot sync the folder %s", out->folder_path);
    return GAGE_DONE;
}

bool
output_holds(const output *out, gage_slice content)
{
    struct stat st;
    AUTO(gage_fd) fd = openat(out->folder, out->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size != (off_t)content.n)
        return false;
    AUTO(gage_buf) there = GAGE_BUF(content.n + 1);
    if (!gage_ok(file_read_fd(fd, out->name, &there, NULL)))
        return false;
    return slice_equal(gage_buf_slice(&there), content);
}
