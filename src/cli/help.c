#include <stdio.h>
#include <string.h>

#include "cli/args.h"

#define HELP_WIDTH 79
#define HELP_COLUMN 26

/* Prints text folded at HELP_WIDTH, from column `at`, further lines indented by `indent`. */
static void
print_folded(const char *text, int at, int indent)
{
    int column = at;
    while (*text != '\0') {
        int word = (int)strcspn(text, " ");
        if (column > indent && column + 1 + word > HELP_WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void
print_option(const char *name, const char *value, const char *help)
{
    int width = printf("  --%s%s%s", name, value != NULL ? " " : "", value != NULL ? value : "");
    if (width + 2 > HELP_COLUMN) {
        putchar('\n');
        width = 0;
    }
    printf("%*s", HELP_COLUMN - width, "");
    print_folded(help, HELP_COLUMN, HELP_COLUMN);
}

void
help_of_command(const struct command *command)
{
    bool operands = command->operands != NULL && command->operands[0] != '\0';
    printf("usage: gage %s [OPTION...]%s%s\n\n", command->name, operands ? " " : "", operands ? command->operands : "");
    print_folded(command->explanation, 0, 0);
    printf("\noptions:\n");
    for (const struct opt *opt = command->options; opt->name != NULL; opt++)
        print_option(opt->name, opt->value, opt->help);
    print_option("help", NULL, "show this");
}

void
help_of_all(const struct command *const *commands)
{
    for (; *commands != NULL; commands++) {
        const struct command *command = *commands;
        int width = printf("  %s %s", command->name, command->operands);
        if (width + 2 > HELP_COLUMN) {
            putchar('\n');
            width = 0;
        }
        printf("%*s", HELP_COLUMN - width, "");
        print_folded(command->summary, HELP_COLUMN, HELP_COLUMN);
    }
}
