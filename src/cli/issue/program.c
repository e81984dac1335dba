#include "cli/issue/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/encode.h"
#include "cli/records.h"
#include "cli/terminal.h"

#define PREFIX "work-"
#define ENVIRONMENT_MAX 4096
#define VARIABLES_MAX 16
#define FILE_MAX 65536

extern char **environ;

/* ---- the folder ---- */

/* Only files lie in it. */
static void
remove_folder(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL)
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    (void)rmdir(path);
}

/* The state folder, locked: shared by who makes a folder in it, until that is locked itself; alone by who removes those that are not. Otherwise a
 * folder would look abandoned between its making and its locking. -1 where the lock is not to be had. */
static int
lock_state(int how)
{
    int fd = open(records_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, how) != 0) {
        if (errno != EINTR)
            gage_close_fd(&fd);
    }
    return fd;
}

/* Those whose maker is gone: nobody holds their lock. Left to the next where somebody is making one. */
static void
remove_stale(void)
{
    AUTO(gage_fd) alone = lock_state(LOCK_EX | LOCK_NB);
    DIR *dir = alone < 0 ? NULL : opendir(records_folder());
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/%s", records_folder(), entry->d_name);
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0 || n < 0 || (size_t)n >= sizeof path)
            continue;
        AUTO(gage_fd) lock = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
            remove_folder(path);
    }
    if (dir != NULL)
        closedir(dir);
}

gage_rc
workshop_open(workshop *w, struct gage_err *err)
{
    *w = WORKSHOP_CLOSED;
    remove_stale();
    AUTO(gage_fd) making = lock_state(LOCK_SH);
    int n = snprintf(w->path, sizeof w->path, "%s/" PREFIX "XXXXXX", records_folder());
    REQUIRE(n > 0 && (size_t)n < sizeof w->path - 64, err, GAGE_E_LIMIT, "the path of the state folder is too long");
    if (making < 0 || mkdtemp(w->path) == NULL) {
        w->path[0] = '\0';
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot make a folder in %s", records_folder());
    }
    w->lock = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->lock < 0 || flock(w->lock, LOCK_EX | LOCK_NB) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot lock %s", w->path);
    return GAGE_DONE;
}

void
workshop_close(workshop *w)
{
    if (w->path[0] != '\0')
        remove_folder(w->path);
    w->path[0] = '\0';
    gage_close_fd(&w->lock);
}

void
workshop_file(const workshop *w, const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%.*s/%s", PATH_MAX - 64, w->path, name);
}

gage_rc
workshop_write(const workshop *w, const char *name, gage_slice bytes, struct gage_err *err)
{
    char path[PATH_MAX];
    workshop_file(w, name, path);
    AUTO(gage_fd) fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "cannot create %s", path);
    return file_write_fd(fd, path, bytes, err);
}

gage_rc
workshop_read(const workshop *w, const char *name, gage_buf *out, struct gage_err *err)
{
    char path[PATH_MAX];
    AUTO(gage_buf) bytes = GAGE_BUF(FILE_MAX);
    workshop_file(w, name, path);
    TRY(file_read(path, &bytes, err));
    put_bytes(out, gage_buf_slice(&bytes));
    return buf_check(out, err);
}

/* ---- the program ---- */

/* A descriptor from which the program reads the input, whatever its length, without anybody having to write meanwhile. */
static gage_rc
input_open(gage_slice input, int *fd, struct gage_err *err)
{
    AUTO(gage_fd) memory = memfd_create("input", MFD_CLOEXEC);
    if (memory < 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "no memory for a program's input");
    TRY(file_write_fd(memory, "a program's input", input, err));
    if (lseek(memory, 0, SEEK_SET) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "a program's input");
    *fd = memory;
    memory = -1;
    return GAGE_DONE;
}

/* Our environment without GAGE_*, then the variables, in `text` one after the other. */
static void
make_environment(const struct program_variable *variables, size_t n, char **all, gage_buf *text)
{
    size_t at[VARIABLES_MAX], count = 0;
    for (size_t i = 0; i < n && i < VARIABLES_MAX; i++) {
        at[i] = text->n;
        put_bytes(text, slice_str(variables[i].name));
        put_u8(text, '=');
        put_bytes(text, slice_str(variables[i].value));
        put_u8(text, 0);
    }
    for (char **v = environ; *v != NULL && count < ENVIRONMENT_MAX; v++)
        if (strncmp(*v, "GAGE_", 5) != 0)
            all[count++] = *v;
    for (size_t i = 0; i < n && i < VARIABLES_MAX && !text->bad; i++)
        all[count++] = (char *)text->p + at[i];
    all[count] = NULL;
}

static int
spawn(const char *const argv[], char **environment, int in, int out, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    char **words = NULL;
    memcpy(&words, &argv, sizeof words); /* posix_spawn changes none of them */
    int failed = posix_spawnp(pid, argv[0], &actions, &attributes, words, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failed;
}

static gage_rc
start(const char *const argv[], const struct program_variable *variables, size_t n, gage_slice input, int *out,
      pid_t *pid, struct gage_err *err)
{
    AUTO(gage_fd) in = -1;
    AUTO(gage_buf) text = GAGE_BUF(65536);
    int pipe_ends[2];
    TRY(input_open(input, &in, err));
    char **environment = calloc(ENVIRONMENT_MAX + VARIABLES_MAX + 1, sizeof *environment);
    REQUIRE(environment != NULL, err, GAGE_E_NOMEM, "no memory for a program's environment");
    make_environment(variables, n, environment, &text);
    int failed = pipe2(pipe_ends, O_CLOEXEC) != 0 ? errno : 0;
    if (failed == 0) {
        failed = spawn(argv, environment, in, pipe_ends[1], pid);
        close(pipe_ends[1]);
        *out = pipe_ends[0];
    }
    free(environment);
    if (failed != 0)
        return gage_fail_sys(err, failed == ENOENT ? GAGE_E_NOT_FOUND : GAGE_E_IO, failed, "cannot run %s", argv[0]);
    return GAGE_DONE;
}

static gage_rc
await_end(pid_t pid, int *status, struct gage_err *err)
{
    int how = 0;
    while (waitpid(pid, &how, 0) < 0)
        REQUIRE(errno == EINTR, err, GAGE_E_INTERNAL, "a program that was started is not there");
    *status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    return GAGE_DONE;
}

/* To its end; a read that a signal cut short ends it too. */
static gage_rc
read_output(int fd, gage_buf *out, struct gage_err *err)
{
    for (;;) {
        uint8_t bytes[4096];
        ssize_t n = read(fd, bytes, sizeof bytes);
        REQUIRE(interrupted() == 0, err, GAGE_E_CANCELLED, "interrupted");
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return GAGE_DONE;
        put_bytes(out, gage_slice_of(bytes, (size_t)n));
        explicit_bzero(bytes, (size_t)n);
        REQUIRE(!out->bad, err, GAGE_E_LIMIT, "the program wrote more than %zu bytes", out->max);
    }
}

gage_rc
program_run(const char *const argv[], const struct program_variable *variables, size_t n, gage_slice input,
            gage_buf *out, int *status, struct gage_err *err)
{
    AUTO(gage_fd) from = -1;
    pid_t pid = 0;
    waiting_done();
    TRY(start(argv, variables, n, input, &from, &pid, err));
    gage_rc rc = read_output(from, out, err);
    if (!gage_ok(rc))
        kill(pid, SIGTERM);
    gage_close_fd(&from);
    TRY(await_end(pid, status, gage_ok(rc) ? err : NULL));
    return rc;
}

gage_rc
tool_run(const char *const argv[], struct gage_err *err)
{
    int status = 0;
    AUTO(gage_buf) out = GAGE_BUF(FILE_MAX);
    TRY(program_run(argv, NULL, 0, SLICE_NONE, &out, &status, err));
    REQUIRE(status == 0, err, GAGE_E_IO, "%s failed with status %d: its own words are above", argv[0], status);
    return GAGE_DONE;
}
