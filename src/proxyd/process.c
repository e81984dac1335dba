#include "proxyd/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "proxyd/feed.h"

static int ready_pipe = -1;

/* In the parent: ends as the child begins. */
static void
wait_for_child(int from, pid_t child)
{
    char byte;
    int status = 0;
    if (read(from, &byte, 1) == 1)
        _exit(0);
    waitpid(child, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

gage_rc
process_background(struct gage_err *err)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return gage_fail_sys(err, GAGE_E_INTERNAL, errno, "cannot make a pipe");
    pid_t child = fork();
    if (child < 0)
        return gage_fail_sys(err, GAGE_E_INTERNAL, errno, "cannot fork");
    if (child > 0) {
        close(pipes[1]);
        wait_for_child(pipes[0], child);
    }
    close(pipes[0]);
    setsid();
    ready_pipe = pipes[1];
    return GAGE_DONE;
}

/* A line of standard error, with systemd's prefix where it is one of the log. */
static void
to_syslog(char *line)
{
    bool level = line[0] == '<' && line[1] >= '0' && line[1] <= '7' && line[2] == '>';
    syslog(level ? line[1] - '0' : LOG_INFO, "%s", level ? line + 3 : line);
}

/* Where gssproxy's go: nobody else would see them. */
static void
turn_to_syslog(int null)
{
    int fd;
    openlog("gage-proxyd", LOG_PID | LOG_NDELAY, LOG_AUTHPRIV);
    if (!gage_ok(feed_begin(to_syslog, &fd, NULL))) {
        dup2(null, STDERR_FILENO);
        return;
    }
    log_set_prefix(true);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

/* systemd.exec(5): the variable is inherited by what the service starts, and names the device and inode of the stream it is true of. */
static bool
is_journal(const struct stat *st)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char ours[64];
    snprintf(ours, sizeof ours, "%ju:%ju", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
    return stream != NULL && strcmp(stream, ours) == 0;
}

/* A journal or file stays; a terminal or somebody's pipe is let go, so that nobody waits for its end: then syslog gets the lines. */
static void
let_go_of_output(void)
{
    AUTO(gage_fd) null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct stat st;
    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (fstat(STDERR_FILENO, &st) != 0 || !(S_ISREG(st.st_mode) || is_journal(&st)))
        turn_to_syslog(null);
}

void
process_write_pid(const char *pid_file, bool managed)
{
    char text[16];
    snprintf(text, sizeof text, "%d\n", (int)getpid());
    if ((ready_pipe >= 0 || managed) && pid_file != NULL && pid_file[0] != '\0')
        (void)file_replace(pid_file, slice_str(text), 0644, NULL);
}

void
process_ready(void)
{
    if (ready_pipe < 0)
        return;
    let_go_of_output();
    ssize_t ignored = write(ready_pipe, "", 1);
    (void)ignored;
    close(ready_pipe);
    ready_pipe = -1;
}

/* What the daemon goes on writing as that user. What is not there is no failure; what cannot be had shows when it is used. */
static void
hand_over(const char *state_dir, uid_t uid, gid_t gid)
{
    static const char *const names[] = {"", "/gage-handles.key", "/gage-handles.key.lock"};
    char path[4096];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s%s", state_dir, names[i]);
        (void)!lchown(path, uid, gid);
    }
    const char *replay = getenv("KRB5RCACHENAME");
    if (replay == NULL || strcmp(replay, PROCESS_REPLAY_CACHE) != 0)
        return;
    (void)!lchown(PROCESS_REPLAY_FOLDER, uid, gid);
    (void)!lchown(PROCESS_REPLAY_FILE, uid, gid);
}

gage_rc
process_become(const char *user, const char *state_dir, struct gage_err *err)
{
    struct passwd entry, *found = NULL;
    char buffer[16384];
    (void)getpwnam_r(user, &entry, buffer, sizeof buffer, &found);
    REQUIRE(found != NULL, err, GAGE_E_CONFIG, "run_as_user = %s: there is no such user", user);
    if (found->pw_uid == geteuid())
        return GAGE_DONE;
    hand_over(state_dir, found->pw_uid, found->pw_gid);
    if (initgroups(user, found->pw_gid) != 0 || setresgid(found->pw_gid, found->pw_gid, found->pw_gid) != 0 ||
        setresuid(found->pw_uid, found->pw_uid, found->pw_uid) != 0)
        return gage_fail_sys(err, GAGE_E_CONFIG, errno, "cannot become the user %s", user);
    REQUIRE(found->pw_uid == 0 || setuid(0) != 0, err, GAGE_E_INTERNAL, "privileges came back after becoming %s", user);
    return GAGE_DONE;
}

gage_rc
process_user_socket(char *path, size_t size, struct gage_err *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct stat st;
    REQUIRE(runtime != NULL && runtime[0] == '/' && stat(runtime, &st) == 0 && S_ISDIR(st.st_mode), err, GAGE_E_CONFIG,
            "user mode needs $XDG_RUNTIME_DIR, or --socket");
    int n = snprintf(path, size, "%s/gssproxy", runtime);
    REQUIRE(n > 0 && (size_t)n + 16 < size, err, GAGE_E_CONFIG, "$XDG_RUNTIME_DIR is too long");
    TRY(folder_make(path, 0700, err));
    snprintf(path + n, size - (size_t)n, "/default.sock");
    return GAGE_DONE;
}
