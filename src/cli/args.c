#include "cli/args.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define OPTIONS_A_COMMAND 40
#define HELP_INDEX 1000

bool
args_is_link(const char *text)
{
    /* Also without its scheme, or with a blank or quote in front, as a paste may leave it. */
    bool uri =
        strncasecmp(text, "http:", 5) == 0 || strncasecmp(text, "https:", 6) == 0 || strstr(text, "/v1/m/") != NULL;
    return strncasecmp(text, "gage:", 5) == 0 || strncasecmp(text, "gage+http:", 10) == 0 ||
           (uri && (strchr(text, '#') != NULL || strstr(text, "%23") != NULL));
}

static gage_rc
number_parse(const char *text, int64_t *number)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
        return gage_rc_of(GAGE_E_FORMAT);
    *number = n;
    return GAGE_DONE;
}

static gage_rc
list_add(struct opt_list *list, const char *name, const char *value, struct gage_err *err)
{
    REQUIRE(list->n < OPT_LIST_MAX, err, GAGE_E_LIMIT, "--%s was given more than %d times", name, OPT_LIST_MAX);
    list->text[list->n++] = value;
    return GAGE_DONE;
}

/* Stores one option's value in its member. */
static gage_rc
store(const struct opt *opt, const char *value, void *options, struct gage_err *err)
{
    void *member = (char *)options + opt->offset;
    switch (opt->kind) {
    case OPT_FLAG:
        *(bool *)member = true;
        return GAGE_DONE;
    case OPT_TEXT:
        *(const char **)member = value;
        return GAGE_DONE;
    case OPT_DURATION:
        REQUIRE(gage_ok(duration_parse(value, member)) && *(int64_t *)member > 0, err, GAGE_E_USAGE,
                "--%s wants a duration such as 90s, 30m, 24h or 7d", opt->name);
        return GAGE_DONE;
    case OPT_NUMBER:
        REQUIRE(gage_ok(number_parse(value, member)), err, GAGE_E_USAGE, "--%s wants a whole number", opt->name);
        return GAGE_DONE;
    case OPT_LIST:
        return list_add(member, opt->name, value, err);
    }
    return gage_rc_of(GAGE_E_INTERNAL);
}

/* The table in the form that getopt_long reads; `val` is 1 more than the row's number. */
static size_t
getopt_table(const struct command *command, struct option table[OPTIONS_A_COMMAND + 2])
{
    size_t n = 0;
    for (; command->options[n].name != NULL && n < OPTIONS_A_COMMAND; n++)
        table[n] = (struct option){.name = command->options[n].name,
                                   .has_arg = command->options[n].kind == OPT_FLAG ? no_argument : required_argument,
                                   .val = (int)n + 1};
    table[n] = (struct option){.name = "help", .val = HELP_INDEX};
    table[n + 1] = (struct option){0};
    return n;
}

/* What to say of an argument that getopt did not understand; the value behind "=" is left out. */
static gage_rc
bad_option(const struct command *command, const char *argument, int c, struct gage_err *err)
{
    int name_len = (int)strcspn(argument, "=");
    if (c == ':')
        return gage_fail(err, GAGE_E_USAGE, "%.*s wants a value: see gage %s --help", name_len, argument,
                         command->name);
    return gage_fail(err, GAGE_E_USAGE, "%.*s is not an option of gage %s, or not of this form: see gage %s --help",
                     name_len > 40 ? 40 : name_len, argument, command->name, command->name);
}

static gage_rc
check_operands(const struct command *command, const struct operands *operands, struct gage_err *err)
{
    REQUIRE(operands->n >= command->min_operands, err, GAGE_E_USAGE, "gage %s wants %s: see gage %s --help",
            command->name, command->operands, command->name);
    REQUIRE(operands->n <= command->max_operands, err, GAGE_E_USAGE, "gage %s takes at most %zu operand%s, not %zu",
            command->name, command->max_operands, command->max_operands == 1 ? "" : "s", operands->n);
    return GAGE_DONE;
}

gage_rc
args_parse(const struct command *command, int argc, char **argv, void *options, struct operands *operands, bool *help,
           struct gage_err *err)
{
    struct option table[OPTIONS_A_COMMAND + 2];
    bool seen[OPTIONS_A_COMMAND] = {false};
    getopt_table(command, table);
    *help = false;
    optind = 0; /* glibc: start anew, so that the tests may parse more than once */
    opterr = 0;
    for (;;) {
        int c = getopt_long(argc, argv, ":", table, NULL);
        if (c == -1)
            break;
        if (c == HELP_INDEX) {
            *help = true;
            return GAGE_DONE;
        }
        if (c == '?' || c == ':')
            return bad_option(command, argv[optind - 1], c, err);
        const struct opt *opt = &command->options[c - 1];
        REQUIRE(!seen[c - 1] || opt->kind == OPT_LIST, err, GAGE_E_USAGE, "--%s was given twice", opt->name);
        seen[c - 1] = true;
        TRY(store(opt, optarg, options, err));
    }
    *operands = (struct operands){argv + optind, (size_t)(argc - optind)};
    return check_operands(command, operands, err);
}
