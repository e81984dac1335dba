/* process.h - what the daemon does to itself: background, user, user mode's folder, sandbox. */
#ifndef GAGE_PROXYD_PROCESS_H
#define GAGE_PROXYD_PROCESS_H

#include "proxyd/conf.h"

/* Forks; the parent waits until the child says that it serves (process_ready) and exits with 0, or with the child's status where it does
 * not get that far. Returns in the child. */
gage_rc process_background(struct gage_err *err);
/* The child's word; writes the pid file; gives up the terminal. */
void process_ready(const char *pid_file);
/* Becomes the user for good, keeping no privilege. */
gage_rc process_become(const char *user, const char *state_dir, struct gage_err *err);
/* User mode's socket, $XDG_RUNTIME_DIR/gssproxy/default.sock, whose folder is made. */
gage_rc process_user_socket(char *path, size_t size, struct gage_err *err);
/* No new privileges, and no system call that serving never needs (sandbox.c). What could not be had is logged and not fatal. */
gage_rc process_sandbox(bool landlock, struct gage_err *err);

#endif
