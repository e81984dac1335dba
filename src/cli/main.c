/* One of the programs behind gage, the command: a one-shot process of the person who runs it. GROUP is whose commands it has; gage.c says which
 * program runs a command.
 *
 * Touches: the state folder, the configuration files, the files named on its command line, the terminal, one relay over HTTPS (or,
 * for the stream commands, the sockets they name). Holds link secrets and contents while it runs: no core dump, no ptrace by
 * others, memory wiped on release. An argument that carries a secret is refused before anything else looks at it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/conf.h"
#include "app/service.h"
#include "base/secret.h"
#include "cli/commands.h"
#include "cli/routes.h"
#include "cli/terminal.h"

/* Secrets end here: what ps shows of this process is overwritten, whatever becomes of the command. */
static gage_rc
refuse_secrets_in_argv(int argc, char **argv, struct gage_err *err)
{
    bool allowed = false, found = false;
    for (int i = 1; i < argc; i++)
        allowed = allowed || strcmp(argv[i], "--link-in-argv") == 0;
    if (allowed)
        return GAGE_DONE;
    for (int i = 1; i < argc; i++) {
        const char *equals = argv[i][0] == '-' ? strchr(argv[i], '=') : NULL;
        if (args_is_link(argv[i]) || (equals != NULL && args_is_link(equals + 1))) {
            gage_wipe(argv[i], strlen(argv[i]));
            found = true;
        }
    }
    REQUIRE(!found, err, GAGE_E_USAGE,
            "an invitation is a secret, and other users of this machine can read command lines: run `gage accept` and "
            "paste it when "
            "asked, or pipe it into `gage accept -` (--link-in-argv, if nobody else uses this machine)");
    return GAGE_DONE;
}

static gage_rc
unknown_command(const char *name, struct gage_err *err)
{
    const char *names[64];
    size_t n = 0;
    for (; routes[n].command != NULL && n < 64; n++)
        names[n] = routes[n].command;
    const char *near = nearest_word(name, names, n);
    if (near != NULL)
        return gage_fail(err, GAGE_E_USAGE, "%.40s is not a command of gage: did you mean %s?", name, near);
    return gage_fail(err, GAGE_E_USAGE, "%.40s is not a command of gage: see gage --help", name);
}

static gage_rc
run_command(const struct command *command, int argc, char **argv, struct gage_err *err)
{
    _Alignas(max_align_t) char options[ARGS_OPTIONS_MAX] = {0};
    struct operands operands;
    bool help;
    REQUIRE(command->options_size <= sizeof options, err, GAGE_E_INTERNAL, "the options do not fit");
    TRY(args_parse(command, argc, argv, options, &operands, &help, err));
    if (help) {
        help_of_command(command);
        return GAGE_DONE;
    }
    return command->run(options, &operands, err);
}

static gage_rc
run(int argc, char **argv, struct gage_err *err)
{
    REQUIRE(argc >= 2, err, GAGE_E_USAGE, "which command? gage --help lists them");
    TRY(refuse_secrets_in_argv(argc, argv, err));
    if (strcmp(argv[1], "--commands") == 0) { /* asked by gage --help */
        help_of_all(GROUP.commands);
        return GAGE_DONE;
    }
    bool help = strcmp(argv[1], "help") == 0 && argc > 2;
    const struct command *command = command_find(&GROUP, argv[help ? 2 : 1]);
    if (command != NULL && help) {
        help_of_command(command);
        return GAGE_DONE;
    }
    if (command == NULL)
        return unknown_command(argv[help ? 2 : 1], err);
    return run_command(command, argc - 1, argv + 1, err);
}

/* Ends as the signal would have ended it, so that a shell's loop stops too. */
static void
die_of(int number)
{
    signal(number, SIG_DFL);
    raise(number);
}

int
main(int argc, char **argv)
{
    struct gage_err err = {0};
    process_harden();
    if (GROUP.start != NULL)
        GROUP.start();
    terminal_start(false);
    gage_rc rc = run(argc, argv, &err);
    waiting_done();
    if (gage_ok(rc) && (fflush(stdout) != 0 || ferror(stdout)))
        rc = gage_fail(&err, GAGE_E_IO, "standard output cannot be written");
    if (!gage_ok(rc)) {
        err.code = rc.code;
        say_failure(&err);
    }
    if (interrupted() != 0)
        die_of(interrupted());
    return gage_exit_status(rc.code);
}
