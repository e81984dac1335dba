/* args.h - the form of a command line: tables of options, and the one parser that reads them.
 *
 * A command owns a struct for its options and a table that says which option fills which member. The same
 * table yields the --help text and the shell completion, and a test compares it with the manual. */
#ifndef GAGE_CLI_ARGS_H
#define GAGE_CLI_ARGS_H

#include <stddef.h>

#include "base/rc.h"

enum opt_kind {
    OPT_FLAG,     /* bool: set to true */
    OPT_TEXT,     /* const char *: borrowed from argv */
    OPT_DURATION, /* int64_t: seconds, 1 or more; "24h" */
    OPT_NUMBER,   /* int64_t: 0 or more */
    OPT_LIST,     /* struct opt_list: may be given more than once */
};

#define OPT_LIST_MAX 32
struct opt_list {
    const char *text[OPT_LIST_MAX];
    size_t n;
};

/* One option: --name VALUE. `offset` is the member of the command's options struct that it fills. */
struct opt {
    const char *name;
    const char *value; /* what the help calls the value; NULL for flags */
    const char *help;
    enum opt_kind kind;
    size_t offset;
};
#define OPT_END                                                                                                        \
    {                                                                                                                  \
        NULL, NULL, NULL, OPT_FLAG, 0                                                                                  \
    }

/* A command's operands, as they stood on the command line. */
struct operands {
    char **text;
    size_t n;
};

struct command {
    const char *name;
    const char *operands; /* as --help shows them: "FILE|-" */
    size_t min_operands, max_operands;
    const char *summary;       /* one line for the list of commands */
    const char *explanation;   /* a paragraph for `gage NAME --help` */
    const struct opt *options; /* ends with OPT_END */
    size_t options_size;       /* of the struct they fill: at most ARGS_OPTIONS_MAX bytes */
    gage_rc (*run)(const void *options, const struct operands *operands, struct gage_err *err);
};

#define ARGS_OPTIONS_MAX 2048

/* Reads argv[1..] into the struct that the command's table describes (zeroed first by the caller) and *operands, which
 * borrows argv's strings (argv is reordered: operands last). *help is set, and nothing else checked, where --help is among the options.
 * GAGE_E_USAGE names the option at fault and never shows its value. */
gage_rc args_parse(const struct command *command, int argc, char **argv, void *options, struct operands *operands,
                   bool *help, struct gage_err *err);

/* Whether an argument looks like an invitation link: it carries a secret, and must not be on a command line, where
 * every user of the machine can read it. */
bool args_is_link(const char *text);

/* Writes the help of one command, or a line for each of `commands` (ending with a NULL), to standard output. */
void help_of_command(const struct command *command);
void help_of_all(const struct command *const *commands);

#endif
