#include "relayd/settings.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB ((int64_t)1024)
#define DAY ((int64_t)86400)
#define AT(member) offsetof(struct settings, member)

/* clang-format off */
static const struct conf_key keys[] = {
    {"relay", "listen", CONF_TEXT, AT(listen), NULL, 0, 0,
     "Where to serve: ADDR:PORT, [ADDR6]:PORT or unix:PATH, several separated by spaces. Port 0 takes a free one. Not needed with socket activation."},
    {"relay", "public_url", CONF_TEXT, AT(public_url), NULL, 0, 0,
     "The https URL under which clients reach the relay; links are made from it and never from a Host field. Without one, a loopback listener's own address."},
    {"relay", "tls_cert", CONF_TEXT, AT(tls_cert), NULL, 0, 0,
     "PEM file with the certificate chain. Without one, a relay that listens on loopback only makes a self-signed one beside its store."},
    {"relay", "tls_key", CONF_TEXT, AT(tls_key), NULL, 0, 0, "PEM file with the private key."},
    {"relay", "store", CONF_TEXT, AT(store), NULL, 0, 0, "sqlite:///PATH, or postgresql://... as libpq takes it. Needed."},
    {"relay", "store_key", CONF_TEXT, AT(store_key), NULL, 0, 0,
     "File with the 32 bytes under which claims are hashed. By default PATH.key beside a SQLite store; needed for PostgreSQL."},
    {"relay", "metrics", CONF_TEXT, AT(metrics), NULL, 0, 0,
     "ADDR:PORT or unix:PATH that serves /metrics and /healthz in clear. Only loopback addresses and unix sockets, unless metrics_reachable."},
    {"relay", "metrics_reachable", CONF_BOOL, AT(metrics_reachable), "no", 0, 0,
     "Let metrics be served on an address that others can reach: in clear, to whoever asks, how much the relay is used. For a network of your own."},
    {"relay", "insecure_http", CONF_BOOL, AT(insecure_http), "no", 0, 0,
     "Serve HTTP without TLS, for a reverse proxy on the same machine. Only on loopback addresses and unix sockets."},
    {"relay", "threads", CONF_INT, AT(threads), "2", 1, 64, "Threads that serve each listener."},
    {"relay", "batch_max", CONF_INT, AT(batch_max), "256", 1, 4096,
     "Changes that are made durable together at most. 1 is one commit for each, which the benchmark compares with."},
    {"relay", "connections", CONF_INT, AT(connections), "16000", 8, 1000000,
     "Connections at once, over all listeners; less where the limit on open files allows less."},
    {"relay", "preview_image", CONF_TEXT, AT(preview_image), NULL, 0, 0,
     "https URL of the picture that every preview page shows, instead of the one each mailbox names (which tells its host who looks)."},
    {"relay", "sweep_interval", CONF_SECONDS, AT(sweep_interval), "60s", 1, 3600,
     "How often expired mailboxes are removed from the store, and removed bytes made unrecoverable. They are not served in between either."},
    {"limits", "payload_max", CONF_BYTES, AT(payload_max), "64K", 1 * KIB, 16 * KIB * KIB, "Longest payload (its type and data together) of a mailbox."},
    {"limits", "body_memory", CONF_BYTES, AT(body_memory), "64M", 1 * KIB * KIB, 64 * KIB * KIB * KIB,
     "Memory that request bodies and answers in progress may take together; beyond it, 503."},
    {"limits", "mailboxes", CONF_INT, AT(mailboxes), "1000000", 1, INT64_MAX, "Mailboxes at once."},
    {"limits", "store_bytes", CONF_BYTES, AT(store_bytes), "16G", 1 * KIB * KIB, INT64_MAX,
     "Space that mailboxes may reserve together. Each reserves room for two payloads of the largest size when it is made."},
    {"limits", "expiration", CONF_SECONDS, AT(expiration), "48h", 60, 366 * DAY, "Life of a mailbox whose creator asks for none."},
    {"limits", "expiration_max", CONF_SECONDS, AT(expiration_max), "30d", 60, 366 * DAY, "Longest life; longer ones asked for are shortened to it."},
    {"limits", "wait_max", CONF_SECONDS, AT(wait_max), "60s", 1, 100, "Longest wait of a read that waits."},
    {"limits", "head_timeout", CONF_SECONDS, AT(head_timeout), "10s", 1, 600, "Time from a connection or request's first byte to the end of its head."},
    {"limits", "body_timeout", CONF_SECONDS, AT(body_timeout), "30s", 1, 600, "Time from a request's first byte to the end of its body."},
    {"limits", "idle_timeout", CONF_SECONDS, AT(idle_timeout), "60s", 1, 3600, "A connection on which nothing moves is closed after this."},
    {"limits", "connections_per_prefix", CONF_INT, AT(connections_per_prefix), "256", 1, 1000000, "Connections at once from one address prefix (IPv4 /24, IPv6 /56); of an IPv6 /48 four times, of a /32 sixteen times as many, as with the two rates below."},
    {"limits", "requests_per_minute", CONF_INT, AT(requests_per_minute), "1200", 0, 10000000, "Requests a minute from one prefix; beyond it, 429. 0: any number."},
    {"limits", "creates_per_minute", CONF_INT, AT(creates_per_minute), "60", 0, 10000000, "New mailboxes a minute from one prefix; beyond it, 429. 0: any number."},
    {"limits", "limit_loopback", CONF_BOOL, AT(limit_loopback), "no", 0, 0,
     "Whether the three limits by prefix hold for loopback and unix sockets too, where usually a reverse proxy or a test is."},
};
/* clang-format on */

const struct conf_table settings_table = {keys, sizeof keys / sizeof keys[0]};

enum { OPT_CONFIG = 256, OPT_CHECK, OPT_HELP, OPT_VERSION, OPT_SETTING };

/* Options that set a key: name, key of [relay] (or [limits]), and whether it takes no argument. */
static const struct {
    const char *option, *section, *key;
    bool flag;
} settings_options[] = {
    {"listen", "relay", "listen", false},     {"public-url", "relay", "public_url", false},
    {"tls-cert", "relay", "tls_cert", false}, {"tls-key", "relay", "tls_key", false},
    {"store", "relay", "store", false},       {"store-key", "relay", "store_key", false},
    {"metrics", "relay", "metrics", false},   {"insecure-http", "relay", "insecure_http", true},
    {"threads", "relay", "threads", false},   {"payload-max", "limits", "payload_max", false},
};
#define SETTING_OPTIONS (sizeof settings_options / sizeof settings_options[0])

static void
fill_options(struct option *options)
{
    size_t n = 0;
    for (; n < SETTING_OPTIONS; n++)
        options[n] =
            (struct option){settings_options[n].option, settings_options[n].flag ? no_argument : required_argument,
                            NULL, OPT_SETTING + (int)n};
    options[n++] = (struct option){"config", required_argument, NULL, OPT_CONFIG};
    options[n++] = (struct option){"check", no_argument, NULL, OPT_CHECK};
    options[n++] = (struct option){"help", no_argument, NULL, OPT_HELP};
    options[n++] = (struct option){"version", no_argument, NULL, OPT_VERSION};
    options[n] = (struct option){0};
}

/* --listen may be given several times: the addresses are joined, and replace those of the file. */
static gage_rc
set_listen(struct settings *settings, const char *value, bool *seen, struct gage_err *err)
{
    char joined[2048];
    int n = snprintf(joined, sizeof joined, "%s%s%s", *seen && settings->listen ? settings->listen : "",
                     *seen ? " " : "", value);
    REQUIRE(n > 0 && (size_t)n < sizeof joined, err, GAGE_E_USAGE, "the addresses of --listen are too long together");
    *seen = true;
    return conf_set(conf_find(&settings_table, "relay", "listen"), settings, joined, "--listen", err);
}

static gage_rc
set_option(struct settings *settings, int which, const char *value, bool *listen_seen, struct gage_err *err)
{
    char where[64];
    snprintf(where, sizeof where, "--%s", settings_options[which].option);
    if (strcmp(settings_options[which].key, "listen") == 0)
        return set_listen(settings, value, listen_seen, err);
    const struct conf_key *key =
        conf_find(&settings_table, settings_options[which].section, settings_options[which].key);
    return conf_set(key, settings, settings_options[which].flag ? "yes" : value, where, err);
}

/* One pass over the arguments: `settings` NULL only collects the command. */
static gage_rc
read_options(int argc, char **argv, struct settings *settings, struct command *command, struct gage_err *err)
{
    struct option options[SETTING_OPTIONS + 5];
    bool listen_seen = false;
    int c;
    fill_options(options);
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
        if (c == OPT_CONFIG)
            command->config = optarg;
        else if (c == OPT_CHECK)
            command->check = true;
        else if (c == OPT_HELP || c == 'h')
            command->help = true;
        else if (c == OPT_VERSION)
            command->version = true;
        else if (c >= OPT_SETTING && settings != NULL)
            TRY(set_option(settings, c - OPT_SETTING, optarg, &listen_seen, err));
        else if (c == '?' || c == ':')
            return gage_fail(err, GAGE_E_USAGE, "%s %s; gage-relayd --help lists the options",
                             c == '?' ? "unknown option" : "no value for", argv[optind - 1]);
    }
    REQUIRE(optind == argc, err, GAGE_E_USAGE, "gage-relayd takes options only; --help lists them");
    return GAGE_DONE;
}

gage_rc
settings_read(int argc, char **argv, struct settings *settings, struct command *command, struct gage_err *err)
{
    *command = (struct command){0};
    TRY(conf_defaults(&settings_table, settings, err));
    TRY(read_options(argc, argv, NULL, command, err));
    if (command->config != NULL)
        TRY(conf_load(&settings_table, settings, command->config, err));
    return read_options(argc, argv, settings, command, err);
}

static gage_rc
check_url(const char *url, const char *what, struct gage_err *err)
{
    size_t n = strlen(url);
    REQUIRE(strncmp(url, "https://", 8) == 0 && n > 8 && n <= 512, err, GAGE_E_CONFIG, "%s must start with https://",
            what);
    for (size_t i = 0; i < n; i++)
        REQUIRE(url[i] > 0x20 && url[i] < 0x7f && strchr("\"<>\\^`{|}#", url[i]) == NULL, err, GAGE_E_CONFIG,
                "%s holds a byte that does not belong into a URL", what);
    return GAGE_DONE;
}

gage_rc
settings_check(const struct settings *settings, struct gage_err *err)
{
    REQUIRE(settings->store != NULL, err, GAGE_E_CONFIG,
            "no store is set; try --store sqlite:///var/lib/gage-relayd/relay.db");
    REQUIRE((settings->tls_cert == NULL) == (settings->tls_key == NULL), err, GAGE_E_CONFIG,
            "tls_cert and tls_key go together; one of them is missing");
    REQUIRE(!settings->insecure_http || settings->tls_cert == NULL, err, GAGE_E_CONFIG,
            "insecure_http and tls_cert contradict each other");
    REQUIRE(settings->expiration <= settings->expiration_max, err, GAGE_E_CONFIG, "expiration is above expiration_max");
    if (settings->public_url != NULL) {
        TRY(check_url(settings->public_url, "public_url", err));
        REQUIRE(strchr(settings->public_url + 8, '?') == NULL, err, GAGE_E_CONFIG, "public_url must not hold a query");
    }
    if (settings->preview_image != NULL)
        TRY(check_url(settings->preview_image, "preview_image", err));
    return GAGE_DONE;
}

void
settings_free(struct settings *settings)
{
    conf_free(&settings_table, settings);
}

void
settings_help(void)
{
    printf(
        "usage: gage-relayd --listen ADDR:PORT --store URL [options]\n\noptions (each sets the key of that name):\n");
    for (size_t i = 0; i < SETTING_OPTIONS; i++)
        printf("  --%s%s\n", settings_options[i].option, settings_options[i].flag ? "" : " VALUE");
    printf("  --config FILE  --check  --version  --help\n\nkeys of the configuration file:\n");
    for (size_t i = 0; i < settings_table.count; i++)
        printf("  [%s] %s (%s)\n      %s\n", keys[i].section, keys[i].key,
               keys[i].fallback != NULL ? keys[i].fallback : "unset", keys[i].meaning);
}
