#include "base/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/encode.h"

void
draft_free(draft *d)
{
    if (d->name[0] != '\0')
        unlinkat(d->folder, d->name, 0);
    d->name[0] = '\0';
    gage_close_fd(&d->fd);
}

static void
path_by_descriptor(const draft *d, char path[64])
{
    snprintf(path, 64, "/proc/self/fd/%d", d->fd);
}

static bool
random_name(char name[DRAFT_NAME_MAX])
{
    uint8_t random[8];
    AUTO(gage_buf) hex = GAGE_BUF(32);
    if (!gage_ok(rng_fill(&gage_system_rng, random, sizeof random)))
        return false;
    put_hex(&hex, SLICE_OF(random));
    snprintf(name, DRAFT_NAME_MAX, ".gage-%.16s", hex.bad ? "" : (const char *)hex.p);
    return !hex.bad;
}

/* Without a name, if it could get one later. */
static bool
open_unnamed(draft *d)
{
    char path[64];
    d->fd = openat(d->folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    path_by_descriptor(d, path);
    if (d->fd >= 0 && access(path, F_OK) != 0) {
        gage_close_fd(&d->fd);
        errno = EOPNOTSUPP;
    }
    return d->fd >= 0;
}

static void
open_named(draft *d)
{
    char name[DRAFT_NAME_MAX];
    if (!random_name(name))
        return;
    d->fd = openat(d->folder, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0600);
    if (d->fd >= 0)
        memcpy(d->name, name, sizeof name);
}

gage_rc
draft_open(int folder, const char *where, draft *d, struct gage_err *err)
{
    *d = (draft){.folder = folder, .fd = -1};
    if (!open_unnamed(d) && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT || errno == EINVAL))
        open_named(d);
    if (d->fd < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot create a file in %s", where);
    return GAGE_DONE;
}

int
draft_link(const draft *d, const char *name)
{
    char from[64];
    if (d->name[0] != '\0')
        return linkat(d->folder, d->name, d->folder, name, 0) == 0 ? 0 : errno;
    path_by_descriptor(d, from);
    return linkat(AT_FDCWD, from, d->folder, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

int
draft_name(draft *d)
{
    char name[DRAFT_NAME_MAX];
    if (d->name[0] != '\0')
        return 0;
    int sys = random_name(name) ? draft_link(d, name) : EIO;
    if (sys == 0)
        memcpy(d->name, name, sizeof name);
    return sys;
}

int
draft_rename(draft *d, const char *name)
{
    int sys = draft_name(d); /* rename(2) needs a name to rename */
    if (sys != 0)
        return sys;
    if (renameat(d->folder, d->name, d->folder, name) != 0)
        return errno;
    d->name[0] = '\0';
    return 0;
}
