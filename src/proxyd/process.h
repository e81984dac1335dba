/* process.h - what the daemon does to itself: background, user, user mode's folder, sandbox. */
#ifndef GAGE_PROXYD_PROCESS_H
#define GAGE_PROXYD_PROCESS_H

#include "proxyd/conf.h"

/* Forks; the parent waits until the child says that it serves (process_ready) and exits with 0, or with the child's status where it does
 * not get that far. Returns in the child. */
gage_rc process_background(struct gage_err *err);
/* The child, or the unit of a service manager, writes its number, while it still may. */
void process_write_pid(const char *pid_file, bool managed);
/* The child's word; gives up the terminal. */
void process_ready(void);
/* Becomes the user for good, keeping no privilege. The state folder, and the default replay cache where it is the one in use, become that user's. */
gage_rc process_become(const char *user, const char *state_dir, struct gage_err *err);
#define PROCESS_REPLAY_FOLDER "/run/gssproxy"
#define PROCESS_REPLAY_FILE                                                                                            \
    PROCESS_REPLAY_FOLDER "/replay" /* of user and group of the daemon; on tmpfs: it outlives us and not the machine */
#define PROCESS_REPLAY_CACHE "file2:" PROCESS_REPLAY_FILE
/* User mode's socket, $XDG_RUNTIME_DIR/gssproxy/default.sock, whose folder is made. */
gage_rc process_user_socket(char *path, size_t size, struct gage_err *err);
/* No new privileges, of root's powers four, and no system call that serving never needs (sandbox.c). What could not be had is logged and not fatal. */
gage_rc process_sandbox(struct gage_err *err);

#endif
