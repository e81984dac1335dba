/* files.h - the files that gage seal and gage unseal are given. */
#ifndef GAGE_CLI_SEAL_FILES_H
#define GAGE_CLI_SEAL_FILES_H

#include "base/file.h"

/* Opens the file, or takes standard input for "-", and hands it to `work`. GAGE_E_NOT_FOUND, GAGE_E_IO, or what `work` says. */
gage_rc with_file(const char *file, gage_rc (*work)(void *context, int fd, const char *file, struct gage_err *err),
                  void *context, struct gage_err *err);
/* Whether the path (NULL: no) is a folder. */
bool is_folder(const char *path);

#endif
