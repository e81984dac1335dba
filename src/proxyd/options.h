/* options.h - the command line: gssproxy's options, and ours beside them. */
#ifndef GAGE_PROXYD_OPTIONS_H
#define GAGE_PROXYD_OPTIONS_H

#include "base/rc.h"

enum options_action {
    ACTION_SERVE,
    ACTION_CHECK,
    ACTION_PRINT_CONFIG,
    ACTION_EXTRACT,
    ACTION_EXPLAIN,
    ACTION_VERSION,
    ACTION_HELP
};

struct options {
    enum options_action action;
    bool interactive, user_mode, debug, syslog_status;
    int debug_level; /* -1: not given */
    int64_t idle_timeout;
    const char *config, *config_dir, *socket, *extract_ccache, *into_ccache, *for_program;
    int64_t for_uid; /* -1: not given */
};

gage_rc options_read(int argc, char **argv, struct options *options, struct gage_err *err);
extern const char options_help[];

#endif
