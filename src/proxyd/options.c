#include "proxyd/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

const char options_help[] =
    "usage: gage-proxyd [OPTION...]\n"
    "  -D, --daemon              run in the background (default)\n"
    "  -i, --interactive         run in the foreground\n"
    "  -c, --config FILE         main configuration file (default /etc/gssproxy/gssproxy.conf)\n"
    "  -C, --configdir DIR       folder of NN-*.conf files (default /etc/gssproxy, none with --config)\n"
    "  -s, --socket PATH         default socket (default /var/lib/gssproxy/default.sock)\n"
    "  -u, --userproxy           serve one's own session, on $XDG_RUNTIME_DIR/gssproxy/default.sock\n"
    "      --idle-timeout N      user mode, started by its socket, ends after N idle seconds (default 1000)\n"
    "  -d, --debug               the same as --debug-level=1\n"
    "      --debug-level N       log each request from 1 on\n"
    "      --syslog-status       log the GSS status of calls\n"
    "      --check               read the configuration, say what is wrong, and end\n"
    "      --print-config        print the configuration in force, with the origin of each value, and end\n"
    "      --explain             say why a client is served or refused, and what to do, and end\n"
    "      --for-uid UID         the client that --explain is about (default: who runs this)\n"
    "      --for-program PATH    its executable\n"
    "      --extract-ccache CC   get the credential out of a ticket cache that gssproxy's plugin encrypted\n"
    "      --into-ccache CC      where --extract-ccache puts it (default: the default cache)\n"
    "      --version             print the version and end\n"
    "  -?, --help                print this and end; --usage does the same\n";

enum {
    OPT_DEBUG_LEVEL = 256,
    OPT_SYSLOG,
    OPT_IDLE,
    OPT_CHECK,
    OPT_PRINT,
    OPT_EXPLAIN,
    OPT_FOR_UID,
    OPT_FOR_PROGRAM,
    OPT_EXTRACT,
    OPT_INTO,
    OPT_VERSION,
    OPT_HELP
};

static const struct option table[] = {
    {"daemon", no_argument, NULL, 'D'},
    {"interactive", no_argument, NULL, 'i'},
    {"config", required_argument, NULL, 'c'},
    {"configdir", required_argument, NULL, 'C'},
    {"socket", required_argument, NULL, 's'},
    {"userproxy", no_argument, NULL, 'u'},
    {"idle-timeout", required_argument, NULL, OPT_IDLE},
    {"debug", no_argument, NULL, 'd'},
    {"debug-level", required_argument, NULL, OPT_DEBUG_LEVEL},
    {"syslog-status", no_argument, NULL, OPT_SYSLOG},
    {"check", no_argument, NULL, OPT_CHECK},
    {"print-config", no_argument, NULL, OPT_PRINT},
    {"explain", no_argument, NULL, OPT_EXPLAIN},
    {"for-uid", required_argument, NULL, OPT_FOR_UID},
    {"for-program", required_argument, NULL, OPT_FOR_PROGRAM},
    {"extract-ccache", required_argument, NULL, OPT_EXTRACT},
    {"into-ccache", required_argument, NULL, OPT_INTO},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {"usage", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static gage_rc
read_number(const char *name, const char *text, int64_t max, int64_t *value, struct gage_err *err)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    REQUIRE(end != text && *end == '\0' && errno == 0 && *value >= 0 && *value <= max, err, GAGE_E_USAGE,
            "%s takes a number from 0 to %lld", name, (long long)max);
    return GAGE_DONE;
}

static gage_rc
take(int option, const char *value, struct options *o, struct gage_err *err)
{
    int64_t number = 0;
    switch (option) {
    case 'i':
        o->interactive = true;
        break;
    case 'c':
        o->config = value;
        break;
    case 'C':
        o->config_dir = value;
        break;
    case 's':
        o->socket = value;
        break;
    case 'u':
        o->user_mode = true;
        break;
    case 'd':
        o->debug = true;
        break;
    case OPT_SYSLOG:
        o->syslog_status = true;
        break;
    case OPT_CHECK:
        o->action = ACTION_CHECK;
        break;
    case OPT_PRINT:
        o->action = ACTION_PRINT_CONFIG;
        break;
    case OPT_EXPLAIN:
        o->action = ACTION_EXPLAIN;
        break;
    case OPT_FOR_PROGRAM:
        o->for_program = value;
        break;
    case OPT_EXTRACT:
        o->action = ACTION_EXTRACT;
        o->extract_ccache = value;
        break;
    case OPT_INTO:
        o->into_ccache = value;
        break;
    case OPT_VERSION:
        o->action = ACTION_VERSION;
        break;
    case OPT_HELP:
        o->action = ACTION_HELP;
        break;
    case OPT_IDLE:
        return read_number("--idle-timeout", value, 31536000, &o->idle_timeout, err);
    case OPT_FOR_UID:
        return read_number("--for-uid", value, UINT32_MAX - 1, &o->for_uid, err);
    case OPT_DEBUG_LEVEL:
        TRY(read_number("--debug-level", value, 100, &number, err));
        o->debug_level = (int)number;
        break;
    default:
        return gage_fail(err, GAGE_E_USAGE, "see gage-proxyd --help");
    }
    return GAGE_DONE;
}

gage_rc
options_read(int argc, char **argv, struct options *o, struct gage_err *err)
{
    *o = (struct options){.debug_level = -1, .idle_timeout = 1000, .for_uid = -1};
    bool daemon = false;
    for (int at = 1, option; (option = getopt_long(argc, argv, "DiuC:c:s:d?", table, NULL)) != -1; at = optind) {
        if (option == '?' && strcmp(argv[at], "-?") == 0) /* getopt says the same of what it does not know */
            TRY(take(OPT_HELP, NULL, o, err));
        else if (option == 'D')
            daemon = true;
        else
            TRY(take(option, optarg, o, err));
    }
    REQUIRE(optind == argc, err, GAGE_E_USAGE, "there is no argument \"%.40s\": see gage-proxyd --help", argv[optind]);
    REQUIRE(!(daemon && o->interactive), err, GAGE_E_USAGE, "--daemon and --interactive exclude each other");
    REQUIRE(o->into_ccache == NULL || o->action == ACTION_EXTRACT, err, GAGE_E_USAGE,
            "--into-ccache goes with --extract-ccache");
    REQUIRE((o->for_uid < 0 && o->for_program == NULL) || o->action == ACTION_EXPLAIN, err, GAGE_E_USAGE,
            "--for-uid and --for-program go with --explain");
    return GAGE_DONE;
}
