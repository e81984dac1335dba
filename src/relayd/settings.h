/* settings.h - what an operator can set: one table of keys for the file, the command line, the manual page. */
#ifndef GAGE_RELAYD_SETTINGS_H
#define GAGE_RELAYD_SETTINGS_H

#include "app/conf.h"

#define LISTENERS_MAX 16

struct settings {
    /* [relay]: read at the start only */
    char *listen; /* ADDR:PORT, [ADDR6]:PORT or unix:PATH, separated by spaces or commas */
    char *public_url;
    char *tls_cert, *tls_key;
    char *store, *store_key;
    char *metrics;
    bool insecure_http, metrics_reachable;
    int64_t threads;
    int64_t batch_max;
    int64_t connections;
    char *preview_image;
    int64_t sweep_interval; /* seconds */
    /* [limits]: read again on SIGHUP */
    int64_t payload_max, body_memory;
    int64_t mailboxes, store_bytes;
    int64_t expiration, expiration_max;
    int64_t wait_max;
    int64_t head_timeout, body_timeout, idle_timeout;
    int64_t connections_per_prefix, requests_per_minute, creates_per_minute;
    bool limit_loopback;
};

extern const struct conf_table settings_table;

/* What the command line asked for besides settings. */
struct command {
    bool check, help, version;
    const char *config; /* borrowed from argv, NULL: none */
};

/* Defaults, then the file --config names, then the options. GAGE_E_USAGE or GAGE_E_CONFIG with a sentence. */
gage_rc settings_read(int argc, char **argv, struct settings *settings, struct command *command, struct gage_err *err);
/* What must hold between settings (certificate with key, a store, a public URL that is one, ...). */
gage_rc settings_check(const struct settings *settings, struct gage_err *err);
void settings_free(struct settings *settings);
/* Prints the options and keys, for --help. */
void settings_help(void);

#endif
