#include "cli/seal/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

gage_rc
with_file(const char *file, gage_rc (*work)(void *context, int fd, const char *file, struct gage_err *err),
          void *context, struct gage_err *err)
{
    if (strcmp(file, "-") == 0)
        return work(context, STDIN_FILENO, "-", err);
    AUTO(gage_fd) fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return gage_fail_sys(err, errno == ENOENT ? GAGE_E_NOT_FOUND : GAGE_E_IO, errno, "cannot open %.150s", file);
    return work(context, fd, file, err);
}

bool
is_folder(const char *path)
{
    struct stat st;
    return path != NULL && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}
