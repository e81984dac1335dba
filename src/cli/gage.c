/* gage: finds the program that runs a command and becomes it.
 *
 * Touches nothing: it holds no secret beyond what its arguments are, which the program looks at first. Uses the C library alone, so that a
 * command loads what it needs and nothing else. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gage/error.h>

#include "cli/routes.h"

#define FROM_BIN "lib/gage" /* from the prefix, where bin is */

static int
fail(const char *what, const char *path)
{
    fprintf(stderr, "gage: %s %s: install gage whole\n", what, path);
    return gage_exit_status(GAGE_E_NOT_FOUND);
}

/* PREFIX/lib/gage/PROGRAM for PREFIX/bin/gage; false where /proc does not tell. */
static bool
find_program(const char *program, char path[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return false;
    self[n] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(self, '/');
        if (slash == NULL)
            return false;
        *slash = '\0';
    }
    n = snprintf(path, PATH_MAX, "%s/" FROM_BIN "/%s", self, program);
    return n > 0 && n < PATH_MAX;
}

/* Returns only on failure. */
static int
become(const char *program, char **argv)
{
    char path[PATH_MAX];
    if (!find_program(program, path))
        return fail("cannot tell where this program is installed (/proc is not mounted?), so cannot find", program);
    execv(path, argv);
    return fail("cannot run", path);
}

/* Has the program print its commands. */
static int
ask(const char *program)
{
    char name[] = "gage", option[] = "--commands", *argv[] = {name, option, NULL};
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(become(program, argv));
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return child < 0 ? fail("cannot start", program) : WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int
help(void)
{
    const char *last = "";
    printf("usage: gage COMMAND [OPTION...] [OPERAND...]\n\n"
           "Hands credentials from one machine to another through a relay that cannot read them.\n\ncommands:\n");
    for (const struct route *route = routes; route->command != NULL; route++) {
        int status = strcmp(route->program, last) == 0 ? 0 : ask(route->program);
        if (status != 0)
            return status;
        last = route->program;
    }
    printf("\n`gage COMMAND --help` lists a command's options; `gage --version` says which gage this is.\n"
           "The manual is gage(1); configuration is in gage.conf(5).\n");
    return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
    bool asked = argc > 1 && strcmp(argv[1], "help") == 0;
    int status = EXIT_SUCCESS;
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        printf("gage %s\n", GAGE_VERSION);
    else if (argc > 1 && (strcmp(argv[1], "--help") == 0 || (asked && argc == 2)))
        status = help();
    else
        return become(route_of(argc < 2 ? "" : argv[asked ? 2 : 1]), argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "gage: standard output cannot be written\n");
        return gage_exit_status(GAGE_E_IO);
    }
    return status;
}
