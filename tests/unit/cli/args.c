#include "unit/test.h"

#include "cli/args.h"
#include "cli/commands.h"
#include "cli/routes.h"

struct sample {
    bool flag;
    const char *text;
    int64_t time, number;
    struct opt_list list;
};

static const struct opt sample_rows[] = {
    {"flag", NULL, "", OPT_FLAG, offsetof(struct sample, flag)},
    {"text", "T", "", OPT_TEXT, offsetof(struct sample, text)},
    {"time", "T", "", OPT_DURATION, offsetof(struct sample, time)},
    {"number", "N", "", OPT_NUMBER, offsetof(struct sample, number)},
    {"allow", "NAME", "", OPT_LIST, offsetof(struct sample, list)},
    OPT_END,
};
static const struct command sample = {
    .name = "sample",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 2,
    .options = sample_rows,
    .options_size = sizeof(struct sample),
};

#define ARGC_MAX 16

/* Parses words that are not to be changed in place. */
static gage_rc
parse(const char *const words[], struct sample *out, struct operands *operands, bool *help, struct gage_err *err)
{
    static char copies[ARGC_MAX][64];
    static char *argv[ARGC_MAX + 1];
    int argc = 1;
    argv[0] = copies[0];
    strcpy(copies[0], "sample");
    for (; words[argc - 1] != NULL; argc++) {
        strcpy(copies[argc], words[argc - 1]);
        argv[argc] = copies[argc];
    }
    argv[argc] = NULL;
    memset(out, 0, sizeof *out);
    return args_parse(&sample, argc, argv, out, operands, help, err);
}

TEST(reads_every_kind_of_option_and_the_operands_between)
{
    struct sample o;
    struct operands operands;
    bool help;
    const char *words[] = {"--flag", "one",     "--text=x y", "--time",    "2h", "--number",
                           "0",      "--allow", "a",          "--allow=b", "-",  NULL};
    assert_ok(parse(words, &o, &operands, &help, NULL));
    assert_true(o.flag);
    assert_string_equal(o.text, "x y");
    assert_int_equal(o.time, 7200);
    assert_int_equal(o.number, 0);
    assert_int_equal(o.list.n, 2);
    assert_string_equal(o.list.text[1], "b");
    assert_int_equal(operands.n, 2);
    assert_string_equal(operands.text[0], "one");
    assert_string_equal(operands.text[1], "-");
    assert_false(help);
}

TEST(refuses_what_is_not_in_the_table_without_showing_values)
{
    static const char *const bad[][4] = {
        {"f", "--nonsense=hidden", NULL}, {"f", "--text", NULL},
        {"f", "--flag=hidden", NULL},     {"f", "-x", NULL},
        {"f", "--time=hidden", NULL},     {"f", "--time=0", NULL},
        {"f", "--number=-1", NULL},       {"f", "--number=1x", NULL},
        {"--flag", "--flag", "f", NULL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sample o;
        struct operands operands;
        struct gage_err err = {0};
        bool help;
        assert_code(parse(bad[i], &o, &operands, &help, &err), GAGE_E_USAGE);
        assert_true(err.text[0] != '\0');
        assert_null(strstr(err.text, "hidden"));
    }
}

TEST(counts_operands)
{
    struct sample o;
    struct operands operands;
    bool help;
    assert_code(parse((const char *[]){NULL}, &o, &operands, &help, NULL), GAGE_E_USAGE);
    assert_code(parse((const char *[]){"a", "b", "c", NULL}, &o, &operands, &help, NULL), GAGE_E_USAGE);
    assert_ok(parse((const char *[]){"--", "--flag", NULL}, &o, &operands, &help, NULL));
    assert_false(o.flag);
}

TEST(help_needs_no_operands)
{
    struct sample o;
    struct operands operands;
    bool help;
    assert_ok(parse((const char *[]){"--help", NULL}, &o, &operands, &help, NULL));
    assert_true(help);
}

TEST(knows_a_link_when_it_sees_one)
{
    assert_true(args_is_link("https://relay.example/v1/m/1#AAAA"));
    assert_true(args_is_link("HTTPS://relay.example/v1/m/1?v=a%23AAAA"));
    assert_true(args_is_link("gage://relay.example/v1/m/1#AAAA"));
    assert_true(args_is_link("gage+http://127.0.0.1/v1/m/1#AAAA"));
    assert_true(args_is_link("relay.example/v1/m/1#AAAA"));
    assert_true(args_is_link(" https://relay.example/v1/m/1#AAAA"));
    assert_false(args_is_link("https://relay.example"));
    assert_false(args_is_link("file#1.txt"));
    assert_false(args_is_link("-"));
}

static void
check_options(const struct command *c)
{
    for (const struct opt *o = c->options; o->name != NULL; o++) {
        assert_true(o->help[0] != '\0' && o->offset < c->options_size);
        assert_int_equal(o->kind == OPT_FLAG, o->value == NULL);
        for (const struct opt *other = c->options; other < o; other++) {
            assert_string_not_equal(other->name, o->name);
            assert_int_not_equal(other->offset, o->offset);
        }
    }
}

static const struct {
    const struct group *group;
    const char *program;
} groups[] = {{&group_transfer, "gage-transfer"},
              {&group_stream, "gage-stream"},
              {&group_pair, "gage-pair"},
              {&group_seal, "gage-seal"}};

TEST(every_command_has_a_well_formed_row_and_its_route)
{
    size_t route = 0;
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++) {
        for (size_t i = 0; groups[g].group->commands[i] != NULL; i++, route++) {
            const struct command *c = groups[g].group->commands[i];
            assert_ptr_equal(command_find(groups[g].group, c->name), c);
            assert_non_null(c->run);
            assert_true(c->summary[0] != '\0' && c->explanation[0] != '\0' && c->operands != NULL);
            assert_true(c->max_operands >= c->min_operands && c->options_size <= ARGS_OPTIONS_MAX);
            check_options(c);
            assert_string_equal(routes[route].command, c->name);
            assert_string_equal(routes[route].program, groups[g].program);
            assert_string_equal(route_of(c->name), groups[g].program);
        }
        assert_null(command_find(groups[g].group, "nonsense"));
    }
    assert_null(routes[route].command);
    assert_string_equal(route_of("nonsense"), routes[0].program);
}

TEST_MAIN(CASE(reads_every_kind_of_option_and_the_operands_between),
          CASE(refuses_what_is_not_in_the_table_without_showing_values), CASE(counts_operands),
          CASE(help_needs_no_operands), CASE(knows_a_link_when_it_sees_one),
          CASE(every_command_has_a_well_formed_row_and_its_route))
