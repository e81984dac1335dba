/* What gage-proxyd says about itself: this command knows nothing of its configuration. */
#include "cli/doctor.h"

#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/mechs.h"
#include "base/file.h"

#define OUTPUT_MAX 65536

extern char **environ;

struct teller {
    void (*tell)(void *, const struct finding *);
    void *context;
};

static void
take(char *to, size_t size, gage_slice text)
{
    snprintf(to, size, "%.*s", (int)text.n, (const char *)text.p);
}

/* One line: verdict, topic, found, fix; tabs between. */
static bool
tell_line(const struct teller *t, gage_slice line)
{
    static const char *const words[] = {"good", "note", "bad"};
    gage_slice field[4] = {SLICE_NONE, SLICE_NONE, SLICE_NONE, SLICE_NONE};
    struct finding f = {.verdict = BAD, .code = GAGE_E_CONFIG};
    char topic[40];
    for (size_t i = 0; i < 4; i++) {
        const uint8_t *tab = i < 3 && line.n > 0 ? memchr(line.p, '\t', line.n) : NULL;
        size_t n = tab != NULL ? (size_t)(tab - line.p) : line.n;
        field[i] = gage_slice_of(line.p, n);
        if (tab == NULL && i < 3)
            return false;
        line = tab != NULL ? gage_slice_of(tab + 1, line.n - n - 1) : SLICE_NONE;
    }
    for (size_t i = 0; i < 3; i++)
        if (slice_equal(field[0], slice_str(words[i])))
            f.verdict = (enum verdict)i;
    take(topic, sizeof topic, field[1]);
    f.topic = topic;
    take(f.text, sizeof f.text, field[2]);
    take(f.fix, sizeof f.fix, field[3]);
    t->tell(t->context, &f);
    return true;
}

/* The reason in a line of the daemon's log. */
static void
tell_failure(const struct teller *t, gage_slice said)
{
    static const char key[] = "reason=\"";
    struct finding f = {.topic = "proxy", .verdict = BAD, .code = GAGE_E_CONFIG};
    const uint8_t *reason = said.n > 0 ? memmem(said.p, said.n, key, sizeof key - 1) : NULL;
    if (reason != NULL) {
        gage_slice rest = gage_slice_of(reason + sizeof key - 1, said.n - (size_t)(reason - said.p) - (sizeof key - 1));
        const uint8_t *end = memchr(rest.p, '\n', rest.n);
        size_t n = end != NULL ? (size_t)(end - rest.p) : rest.n;
        take(f.text, sizeof f.text, gage_slice_of(rest.p, n > 0 ? n - 1 : 0));
    } else {
        snprintf(f.text, sizeof f.text, "gage-proxyd could not be asked");
    }
    snprintf(f.fix, sizeof f.fix, "%s",
             reason != NULL ? "correct that (gage-proxyd --check), or run this as root where files may not be read"
                            : "install gage whole, so that PREFIX/sbin/gage-proxyd lies beside PREFIX/bin/gage");
    t->tell(t->context, &f);
}

static pid_t
start(const struct doctor_proxy *p, const char *program, int output)
{
    const char *argv[12] = {program, "--explain"};
    size_t n = 2;
    const struct {
        const char *option, *value;
    } given[] = {{"--config", p->config}, {"--for-uid", p->uid}, {"--for-program", p->program}};
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
        if (given[i].value == NULL)
            continue;
        argv[n++] = given[i].option;
        argv[n++] = given[i].value;
    }
    posix_spawn_file_actions_t actions;
    pid_t child = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    if (posix_spawn(&child, program, &actions, NULL, (char *const *)(uintptr_t)argv, environ) != 0)
        child = -1;
    posix_spawn_file_actions_destroy(&actions);
    return child;
}

static void
ask(const struct doctor_proxy *p, gage_buf *said)
{
    char prefix[PATH_MAX], program[PATH_MAX + 32];
    int pipes[2], status;
    if (!gage_ok(install_prefix(prefix, sizeof prefix, NULL)) || pipe2(pipes, O_CLOEXEC) != 0)
        return;
    snprintf(program, sizeof program, "%s/sbin/gage-proxyd", prefix);
    pid_t child = start(p, program, pipes[1]);
    close(pipes[1]);
    if (child > 0) {
        (void)file_read_fd(pipes[0], "gage-proxyd", said, NULL);
        waitpid(child, &status, 0);
    }
    close(pipes[0]);
}

void
doctor_proxy(const struct doctor_proxy *proxy, void (*tell)(void *, const struct finding *), void *context)
{
    const struct teller t = {tell, context};
    AUTO(gage_buf) said = GAGE_BUF(OUTPUT_MAX);
    size_t told = 0;
    ask(proxy, &said);
    gage_slice rest = gage_buf_slice(&said);
    while (rest.n > 0) {
        const uint8_t *end = memchr(rest.p, '\n', rest.n);
        size_t n = end != NULL ? (size_t)(end - rest.p) : rest.n;
        told += tell_line(&t, gage_slice_of(rest.p, n));
        rest = end != NULL ? gage_slice_of(end + 1, rest.n - n - 1) : SLICE_NONE;
    }
    if (told == 0)
        tell_failure(&t, gage_buf_slice(&said));
}
