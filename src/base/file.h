/* file.h - files that survive a crash: read whole, replace atomically, install without overwriting, lock. */
#ifndef GAGE_BASE_FILE_H
#define GAGE_BASE_FILE_H

#include <sys/types.h>
#include <unistd.h>

#include "base/bytes.h"

/* Appends the whole file; GAGE_E_NOT_FOUND, GAGE_E_LIMIT (longer than out->max allows) or GAGE_E_IO. */
gage_rc file_read(const char *path, gage_buf *out, struct gage_err *err);
/* The same from a descriptor, to its end (a pipe or terminal is fine). `what` names it in the sentence. */
gage_rc file_read_fd(int fd, const char *what, gage_buf *out, struct gage_err *err);
/* Writes everything, over short writes and EINTR. */
gage_rc file_write_fd(int fd, const char *what, gage_slice bytes, struct gage_err *err);

/* Replaces or creates the file: temporary file in the same folder, fsync, rename, fsync of the folder. After a crash the
 * file holds either the old or the new bytes, whole; once this returns done, the new ones. */
gage_rc file_replace(const char *path, gage_slice bytes, mode_t mode, struct gage_err *err);
/* Creates the file with these bytes, or GAGE_E_EXISTS: a draft (base/draft.h), fsync, link, fsync of the folder. Never overwrites. */
gage_rc file_install(const char *path, gage_slice bytes, mode_t mode, struct gage_err *err);
/* Removes the file durably; a file that is not there is fine. */
gage_rc file_remove(const char *path, struct gage_err *err);
/* Makes the folder and missing parents, each with `mode`; an existing one is fine. */
gage_rc folder_make(const char *path, mode_t mode, struct gage_err *err);
/* Makes earlier creations, renames and removals in the folder durable. */
gage_rc folder_sync(const char *path, struct gage_err *err);

/* Takes an exclusive lock on the file (made if needed, mode 0600) without waiting; GAGE_E_STATE where another process
 * holds it. The lock lasts until *fd is closed; its holder may remove the file before. */
gage_rc file_lock(const char *path, int *fd, struct gage_err *err);

static inline void
gage_close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
/* A descriptor closed at scope end: AUTO(gage_fd) fd = -1; */
typedef int gage_fd;
GAGE_AUTO_DEFINE(gage_fd, gage_close_fd)

#endif
