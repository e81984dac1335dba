#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/draft.h"
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
            err, GAGE_E_REFUSED, "the sender gave the file a name that is no plain file name");
    REQUIRE(name.p[0] != '.', err, GAGE_E_REFUSED,
            "the sender gave the file a name that begins with a dot, which may change how your account behaves");
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

static gage_rc
replace(const output *out, draft *d, struct gage_err *err)
{
    struct stat st;
    REQUIRE(fstatat(out->folder, out->name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode), err, GAGE_E_EXISTS,
            "%s is a folder: nothing was replaced", out->name);
    int sys = draft_rename(d, out->name);
    if (sys != 0)
        return gage_fail_sys(err, GAGE_E_IO, sys, "cannot replace %s in %s", out->name, out->folder_path);
    return GAGE_DONE;
}

static gage_rc
link_final(const output *out, draft *d, struct gage_err *err)
{
    int sys = draft_link(d, out->name);
    REQUIRE(sys != EEXIST, err, GAGE_E_EXISTS, "%s exists already in %s: nothing was overwritten", out->name,
            out->folder_path);
    if (sys != 0)
        return gage_fail_sys(err, GAGE_E_IO, sys, "cannot put %s into %s", out->name, out->folder_path);
    return GAGE_DONE;
}

gage_rc
output_install(const output *out, gage_slice content, mode_t mode, bool force, struct gage_err *err)
{
    AUTO(draft) d = DRAFT_CLOSED;
    TRY(draft_open(out->folder, out->folder_path, &d, err));
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
