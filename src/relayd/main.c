/* gage-relayd: the mailbox relay.
 *
 * What this process touches: its listening sockets; certificate and key (read at the start and on SIGHUP); its store and the store's key;
 * standard output (the addresses it serves) and standard error (events). It opens no other file, runs no program and connects nowhere but
 * to PostgreSQL where that is its store. The service file gives it a user of its own and no capability. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <malloc.h>
#include <microhttpd.h>

#include "app/output.h"
#include "app/service.h"
#include "base/clock.h"
#include "relayd/chores.h"
#include "relayd/events.h"
#include "relayd/front.h"
#include "relayd/listener.h"
#include "relayd/metrics.h"

#define DRAIN_NS INT64_C(10000000000)
#define OTHER_FILES 64 /* descriptors that are no client's */

static struct relay relay = {.tls = {.lock = PTHREAD_MUTEX_INITIALIZER}};
static struct listener listeners[LISTENERS_MAX], metrics_listener;
static size_t listeners_count;
static struct MHD_Daemon *daemons[LISTENERS_MAX], *metrics_daemon;

static void
on_wake(void *context, const uint8_t *tag, enum store_role writer, uint64_t version)
{
    waiters_wake(relay.waiters, tag);
}

static void
on_report(void *context, bool serious, const struct gage_err *err)
{
    if (err == NULL)
        LOG_BARE(&event_store_works);
    else
        LOG(serious ? &event_store_trouble : &event_store_warning, F_ERR(err));
}

/* ---- files and limits ---- */

static void
raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int64_t room = files.rlim_cur == RLIM_INFINITY ? INT64_MAX : (int64_t)files.rlim_cur - OTHER_FILES;
    if (relay.settings.connections <= room)
        return;
    relay.settings.connections = room > 8 ? room : 8;
    LOG(&event_files_limited, F_INT("connections", relay.settings.connections));
}

/* The certificate in force: the configured one, or one of our own beside the store where only this machine can reach us. */
static gage_rc
load_certificate(const struct settings *settings, bool make, struct gage_err *err)
{
    static const char prefix[] = "sqlite://";
    char cert[4096], key[4096];
    if (settings->tls_cert != NULL)
        return tls_load(&relay.tls, settings->tls_cert, settings->tls_key, err);
    REQUIRE(strncmp(settings->store, prefix, sizeof prefix - 1) == 0, err, GAGE_E_CONFIG,
            "there is no certificate: set tls_cert and tls_key (one is made only beside a SQLite store)");
    if (!make)
        return GAGE_DONE;
    snprintf(cert, sizeof cert, "%s.tls-cert.pem", settings->store + sizeof prefix - 1);
    snprintf(key, sizeof key, "%s.tls-key.pem", settings->store + sizeof prefix - 1);
    TRY(tls_self_signed(cert, key, err));
    return tls_load(&relay.tls, cert, key, err);
}

/* ---- listeners ---- */

static gage_rc
check_listener(const struct listener *listener, struct gage_err *err)
{
    const struct settings *s = &relay.settings;
    REQUIRE(listener->local || !s->insecure_http, err, GAGE_E_CONFIG,
            "insecure_http is only for loopback addresses and unix sockets, and %s is neither", listener->name);
    REQUIRE(listener->local || s->tls_cert != NULL, err, GAGE_E_CONFIG,
            "%s can be reached from outside: it needs tls_cert and tls_key", listener->name);
    REQUIRE(listener->local || s->public_url != NULL, err, GAGE_E_CONFIG,
            "%s can be reached from outside: set public_url, from which links are made", listener->name);
    return GAGE_DONE;
}

static gage_rc
add_listener(const struct listener *listener, struct gage_err *err)
{
    REQUIRE(listeners_count < LISTENERS_MAX, err, GAGE_E_CONFIG, "more than %d listeners", LISTENERS_MAX);
    listeners[listeners_count++] = *listener;
    return check_listener(listener, err);
}

static gage_rc
open_metrics(bool bind_it, struct gage_err *err)
{
    TRY(listener_open(relay.settings.metrics, false, &metrics_listener, err));
    REQUIRE(metrics_listener.local || relay.settings.metrics_reachable, err, GAGE_E_CONFIG,
            "metrics are in clear and for anybody who reaches %s: name a loopback address or a unix socket, or set "
            "metrics_reachable",
            metrics_listener.name);
    return bind_it ? listener_open(relay.settings.metrics, true, &metrics_listener, err) : GAGE_DONE;
}

static gage_rc
open_listeners(bool bind_them, struct gage_err *err)
{
    struct listener listener;
    int passed = bind_them ? service_sockets() : 0;
    for (int i = 0; i < passed; i++) {
        TRY(listener_adopt(SERVICE_FIRST_FD + i, &listener, err));
        TRY(add_listener(&listener, err));
    }
    const char *list = relay.settings.listen != NULL ? relay.settings.listen : "";
    for (const char *p = list + strspn(list, ", "); *p != '\0'; p += strspn(p, ", ")) {
        char one[256];
        size_t n = strcspn(p, ", ");
        snprintf(one, sizeof one, "%.*s", (int)n, p);
        TRY(listener_open(one, bind_them, &listener, err));
        TRY(add_listener(&listener, err));
        p += n;
    }
    REQUIRE(listeners_count > 0 || !bind_them, err, GAGE_E_CONFIG, "nowhere to listen: try --listen 127.0.0.1:8443");
    return relay.settings.metrics != NULL ? open_metrics(bind_them, err) : GAGE_DONE;
}

static gage_rc
choose_public_url(struct gage_err *err)
{
    const char *scheme = relay.tls_on ? "https" : "http";
    if (relay.settings.public_url != NULL)
        snprintf(relay.public_url, sizeof relay.public_url, "%s", relay.settings.public_url);
    else if (strncmp(listeners[0].name, "unix:", 5) != 0)
        snprintf(relay.public_url, sizeof relay.public_url, "%s://%s", scheme, listeners[0].name);
    else
        return gage_fail(err, GAGE_E_CONFIG, "on a unix socket public_url is needed: links are made from it");
    for (size_t n = strlen(relay.public_url); n > 0 && relay.public_url[n - 1] == '/'; n--)
        relay.public_url[n - 1] = '\0';
    return GAGE_DONE;
}

/* ---- start ---- */

static gage_rc
open_store(struct gage_err *err)
{
    const struct settings *s = &relay.settings;
    struct store_options options = {
        .url = s->store,
        .key_file = s->store_key,
        .limits = {(uint64_t)s->mailboxes, (uint64_t)s->store_bytes},
        .queue_max = 16384,
        .batch_max = (size_t)s->batch_max,
        .wake = on_wake,
        .report = on_report,
    };
    return store_open(&options, &relay.store, err);
}

static gage_rc
open_parts(struct gage_err *err)
{
    relay.tls_on = !relay.settings.insecure_http;
    relay_take_limits(&relay, &relay.settings);
    raise_file_limit();
    TRY(wire_table_new(err));
    TRY(open_listeners(true, err));
    TRY(choose_public_url(err));
    TRY(peers_new(&relay.peers, err));
    TRY(waiters_new(&relay.waiters, err));
    TRY(open_store(err));
    if (relay.tls_on)
        TRY(load_certificate(&relay.settings, true, err));
    return front_check_in_path(&relay, err);
}

/* One line an address: "listening https://127.0.0.1:41234 pin sha256//...", then "ready". */
static void
announce(void)
{
    for (size_t i = 0; i < listeners_count; i++) {
        bool is_unix = strncmp(listeners[i].name, "unix:", 5) == 0;
        printf("listening %s%s", is_unix ? "" : relay.tls_on ? "https://" : "http://", listeners[i].name);
        printf(relay.tls_on ? " pin %s\n" : "\n", relay.tls.pin);
    }
    if (metrics_daemon != NULL)
        printf("metrics http://%s\n", metrics_listener.name);
    printf("ready\n");
    fflush(stdout);
    if (relay.tls_on && relay.settings.tls_cert == NULL)
        LOG_BARE(&event_self_signed);
    LOG(&event_started, F_INT("listeners", listeners_count));
    service_ready("serving");
}

static gage_rc
start(struct gage_err *err)
{
    TRY(open_parts(err));
    TRY(output_begin(&event_log_lost, err));
    TRY(chores_start(&relay, err));
    for (size_t i = 0; i < listeners_count; i++)
        TRY(front_start(&relay, listeners[i].fd, &daemons[i], err));
    if (relay.settings.metrics != NULL)
        TRY(metrics_start(&relay, metrics_listener.fd, &metrics_daemon, err));
    announce();
    return GAGE_DONE;
}

/* ---- signals ---- */

/* A certificate of the operator's is never exchanged for one of our own: clients that pinned or trusted it would be lost. */
static gage_rc
reload_certificate(const struct settings *fresh, struct gage_err *err)
{
    static bool configured;
    configured = configured || relay.settings.tls_cert != NULL;
    REQUIRE(fresh->tls_cert != NULL || !configured, err, GAGE_E_CONFIG,
            "tls_cert is gone from the configuration: the certificate and the limits in force stay; put it back, or "
            "restart the relay to serve without it");
    TRY(load_certificate(fresh, true, err));
    configured = fresh->tls_cert != NULL;
    return GAGE_DONE;
}

static gage_rc
reload(int argc, char **argv, struct gage_err *err)
{
    struct command command;
    struct settings fresh = {0};
    gage_rc rc = settings_read(argc, argv, &fresh, &command, err);
    if (gage_ok(rc))
        rc = settings_check(&fresh, err);
    if (gage_ok(rc) && relay.tls_on)
        rc = reload_certificate(&fresh, err);
    if (gage_ok(rc)) {
        relay_take_limits(&relay, &fresh);
        store_set_limits(relay.store, &(struct store_limits){(uint64_t)fresh.mailboxes, (uint64_t)fresh.store_bytes});
    }
    settings_free(&fresh);
    return rc;
}

static void
on_hup(int argc, char **argv)
{
    struct gage_err err;
    service_reloading();
    if (gage_ok(reload(argc, argv, &err)))
        LOG_BARE(&event_reloaded);
    else
        LOG(&event_reload_failed, F_ERR(&err));
    service_ready("serving");
}

static void
pause_ms(long ms)
{
    nanosleep(&(struct timespec){0, ms * 1000000}, NULL);
}

/* Takes no new connection, ends the waits, lets what is in progress finish. Returns how many requests did not. */
static int64_t
drain(void)
{
    int64_t until = clock_monotonic_ns() + DRAIN_NS - INT64_C(1500000000);
    relay.draining = true;
    for (size_t i = 0; i < listeners_count; i++) {
        int fd = MHD_quiesce_daemon(daemons[i]);
        if (fd >= 0)
            close(fd);
        if (strncmp(listeners[i].name, "unix:", 5) == 0)
            unlink(listeners[i].name + 5);
    }
    waiters_drain(relay.waiters);
    while (relay.requests > 0 && clock_monotonic_ns() < until)
        pause_ms(5);
    return relay.requests;
}

static void
stop(void)
{
    LOG_BARE(&event_stopping);
    service_stopping();
    int64_t left = drain();
    LOG(&event_stopped, F_INT("left", left));
    /* What is left hangs on a client or the disk. Nothing of it was acknowledged, and the store survives the end of the process at any
     * moment; waiting for threads that may never come back would only delay it. */
    if (left > 0) {
        output_finish();
        _exit(0);
    }
    for (size_t i = 0; i < listeners_count; i++)
        MHD_stop_daemon(daemons[i]);
    if (metrics_daemon != NULL)
        MHD_stop_daemon(metrics_daemon);
    chores_stop();
    store_close(&relay.store);
    peers_free(&relay.peers);
    waiters_free(&relay.waiters);
    tls_cleanup(&relay.tls);
    settings_free(&relay.settings);
    output_finish();
}

static void
serve(const sigset_t *signals, int argc, char **argv)
{
    int which;
    for (;;) {
        if (sigwait(signals, &which) != 0)
            continue;
        if (which != SIGHUP)
            break;
        on_hup(argc, argv);
    }
    stop();
}

/* --check: everything that can be said without serving. */
static gage_rc
check(struct gage_err *err)
{
    TRY(open_listeners(false, err));
    if (!relay.settings.insecure_http)
        TRY(load_certificate(&relay.settings, false, err));
    printf("the configuration is good\n");
    return GAGE_DONE;
}

static gage_rc
run(int argc, char **argv, struct gage_err *err)
{
    struct command command;
    sigset_t signals;
    TRY(settings_read(argc, argv, &relay.settings, &command, err));
    if (command.help || command.version) {
        command.help ? settings_help() : (void)printf("gage-relayd %s\n", GAGE_VERSION);
        return GAGE_DONE;
    }
    TRY(settings_check(&relay.settings, err));
    if (command.check)
        return check(err);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    TRY(start(err));
    serve(&signals, argc, argv);
    return GAGE_DONE;
}

int
main(int argc, char **argv)
{
    struct gage_err err;
    process_harden();
    mallopt(M_ARENA_MAX, 4); /* threads here free what others allocated: more arenas only hold more memory */
    /* TLS takes and gives back 17 KB a record: memory that goes to the system in between comes back page by page, by faults. */
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
    mallopt(M_TOP_PAD, 256 << 10);
    gage_rc rc = run(argc, argv, &err);
    if (gage_ok(rc))
        return 0;
    LOG(&event_failed, F_ERR(&err));
    output_finish();
    fprintf(stderr, "gage-relayd: %s\n", err.text);
    exit(gage_exit_status(rc.code));
}
