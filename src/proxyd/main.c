/* gage-proxyd: purge, read, part with the witness, open, drop, sandbox, loop. That order is the security argument: the process that
 * looks at clients' programs leaves before there are keys; sockets and keys are opened while we may; then privileges go, then system
 * calls and paths, and only then the first byte of a client is read. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/mechs.h"
#include "app/service.h"
#include "base/file.h"
#include "base/log.h"
#include "proxyd/audit.h"
#include "proxyd/contexts.h"
#include "proxyd/explain.h"
#include "proxyd/extract.h"
#include "proxyd/krb_aes.h"
#include "proxyd/krb_context.h"
#include "proxyd/landlock.h"
#include "proxyd/metrics.h"
#include "proxyd/options.h"
#include "app/output.h"
#include "proxyd/process.h"
#include "proxyd/server.h"
#include "proxyd/trace.h"
#include "proxyd/witness.h"

#ifdef LOOK_FOR_LEAKS /* a build of script/sanitize address */
#include <sanitizer/lsan_interface.h>
#endif

#define TICK_MS 250
#define POLLED_MAX 256
#define TRACE_LEVEL 3
#define SCRAPERS_MAX 8 /* clients of the metrics socket that have not sent their request yet */

static struct server server;

struct daemon {
    struct options options;
    struct conf_source source;
    char user_socket[SOCKET_PATH_MAX];
    int signals;
    int sockets; /* passed by the service manager */
    struct listener *metrics;
    int scrapers[SCRAPERS_MAX]; /* 0: none */
    bool kernel_told;
};

static void
log_warnings(const struct conf *conf)
{
    for (size_t i = 0; i < conf->warning_count; i++)
        LOG(&ev_config_warning, F_TEXT("warning", conf->warnings[i]));
}

static gage_rc
apply_options(const struct options *o, struct conf *conf, struct gage_err *err)
{
    static const char origin[] = "the command line";
    if (o->debug)
        TRY(conf_take_origin(conf, "debug", origin, err));
    if (o->syslog_status)
        TRY(conf_take_origin(conf, "syslog_status", origin, err));
    if (o->debug_level >= 0)
        TRY(conf_take_origin(conf, "debug_level", origin, err));
    conf->settings.debug = conf->settings.debug || o->debug;
    conf->settings.syslog_status = conf->settings.syslog_status || o->syslog_status;
    if (o->debug_level >= 0)
        conf->settings.debug_level = o->debug_level;
    return GAGE_DONE;
}

static gage_rc
read_conf(struct daemon *d, struct conf **conf, struct gage_err *err)
{
    TRY(conf_read(&d->source, conf, err));
    gage_rc rc = apply_options(&d->options, *conf, err);
    if (!gage_ok(rc))
        conf_unref(conf);
    return rc;
}

/* ---- once ---- */

/* Our own GSS calls must not come back to us; in user mode there may be a system daemon behind, which is the point. */
static void
set_environment(const struct conf *conf, bool user_mode)
{
    if (!user_mode)
        setenv("GSS_USE_PROXY", "no", 1);
    else /* the session's GSSPROXY_SOCKET is our own: the plugin would ask us again */
        setenv("GSSPROXY_SOCKET", CONF_DEFAULT_SOCKET, 1);
    trace_prepare();
    const char *cache = conf->settings.replay_cache;
    if (cache != NULL)
        setenv("KRB5RCACHENAME", strcmp(cache, "none") == 0 ? "none:" : cache, 1);
    else if (!user_mode && getenv("KRB5RCACHENAME") == NULL && getenv("KRB5RCACHEDIR") == NULL && geteuid() == 0 &&
             gage_ok(folder_make(PROCESS_REPLAY_FOLDER, 0700, NULL)))
        setenv("KRB5RCACHENAME", PROCESS_REPLAY_CACHE, 1);
}

static gage_rc
block_signals(int *fd, struct gage_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    *fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (*fd < 0)
        return gage_fail_sys(err, GAGE_E_INTERNAL, errno, "cannot receive signals");
    return GAGE_DONE;
}

static void
tell_kernel(struct daemon *d)
{
    struct epoch *e = server_epoch(&server);
    for (size_t i = 0; i < e->conf->service_count && !d->kernel_told; i++) {
        if (!e->conf->services[i].kernel_nfsd)
            continue;
        d->kernel_told = true;
        kernel_register(e->conf->settings.kernel_registration);
    }
    epoch_unref(&e);
}

static gage_rc
give_up_privileges(const struct daemon *d, const struct conf *conf, struct gage_err *err)
{
    const struct proxyd_settings *settings = &conf->settings;
    struct gage_err why;
    if (settings->run_as_user != NULL && !d->options.user_mode)
        TRY(process_become(settings->run_as_user, settings->state_dir, err));
    if (!settings->sandbox)
        return GAGE_DONE;
    if (!gage_ok(process_sandbox(&why)))
        LOG(&ev_sandbox, F_TEXT("missing", why.text));
    if (settings->landlock && !gage_ok(landlock_close(conf, &d->source, &why)))
        LOG(&ev_sandbox, F_TEXT("missing", why.text));
    return GAGE_DONE;
}

/* Before any key is read: it must not have them. */
static gage_rc
start_witness(const struct proxyd_settings *settings, struct gage_err *err)
{
    return settings->sandbox || settings->run_as_user != NULL ? witness_start(settings->sandbox, err) : GAGE_DONE;
}

/* Everything up to the ready line. */
static gage_rc
start(struct daemon *d, struct conf *conf, struct gage_err *err)
{
    bool user_mode = d->options.user_mode;
    server.user_mode = user_mode;
    set_environment(conf, user_mode);
    gage_rc rc = start_witness(&conf->settings, err);
    if (gage_ok(rc))
        rc = block_signals(&d->signals, err);
    if (gage_ok(rc))
        rc = server_init(&server, user_mode ? NULL : conf->settings.state_dir, err);
    server.user_mode = user_mode;
    if (gage_ok(rc) && user_mode && getenv("GSS_USE_PROXY") != NULL)
        contexts_keep_half_open(server.engine.contexts);
    if (gage_ok(rc) && conf->settings.metrics_socket != NULL)
        rc = listen_open(conf->settings.metrics_socket, true, &d->metrics, err);
    if (!gage_ok(rc)) {
        conf_unref(&conf);
        return rc;
    }
    TRY(server_apply(&server, conf, d->sockets, err));
    struct epoch *e = server_epoch(&server);
    if (!user_mode)
        process_write_pid(e->conf->settings.pid_file, getenv("NOTIFY_SOCKET") != NULL);
    rc = give_up_privileges(d, e->conf, err);
    if (gage_ok(rc))
        rc = output_begin(&ev_log_lost, err);
    if (gage_ok(rc))
        rc = audit_begin(err);
    trace_set(e->conf->settings.debug_level >= TRACE_LEVEL);
    if (gage_ok(rc))
        rc = pool_start(&server, err);
    if (gage_ok(rc)) {
        output_say("Initialization complete.");
        output_finish(); /* before standard error may become something else */
        process_ready();
        rc = audit_follow_stderr(err);
    }
    epoch_unref(&e);
    return rc;
}

/* ---- for ever ---- */

static void
reload(struct daemon *d)
{
    struct gage_err err;
    struct conf *conf = NULL;
    service_reloading();
    gage_rc rc = d->options.user_mode ? GAGE_DONE : read_conf(d, &conf, &err);
    if (gage_ok(rc) && conf != NULL) {
        rc = landlock_admits(conf, &d->source, &err);
        if (!gage_ok(rc))
            conf_unref(&conf);
    }
    if (gage_ok(rc) && conf != NULL) {
        log_warnings(conf);
        int64_t level = conf->settings.debug_level;
        rc = server_apply(&server, conf, 0, &err);
        if (gage_ok(rc)) {
            trace_set(level >= TRACE_LEVEL);
            krb_context_forget(INT64_MAX); /* they trace as when they were made */
        }
    }
    server_renew_keys(&server);
    if (gage_ok(rc)) {
        output_say("New config loaded successfully.");
        tell_kernel(d);
    } else {
        LOG(&ev_reload_failed, F_ERR(&err));
    }
    service_ready("serving");
}

/* False where the daemon is to end. */
static bool
take_signals(struct daemon *d)
{
    struct signalfd_siginfo info;
    while (read(d->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo != SIGHUP)
            return false;
        reload(d);
    }
    return true;
}

/* A new client takes a place; with none free, the one that waited longest goes. */
static void
accept_scraper(struct daemon *d)
{
    int fd = accept4(d->metrics->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (d->scrapers[0] > 0)
        close(d->scrapers[0]);
    memmove(d->scrapers, d->scrapers + 1, sizeof d->scrapers - sizeof d->scrapers[0]);
    d->scrapers[SCRAPERS_MAX - 1] = fd;
}

static void
answer_scraper(int *fd)
{
    metrics_answer(&server, *fd);
    *fd = 0;
}

/* User mode ends when nobody asked for something for a while, and the service manager starts it again with the next request; where we
 * opened the socket, nobody would. */
static bool
idled_out(const struct daemon *d)
{
    int64_t limit = d->options.idle_timeout * 1000;
    if (!d->options.user_mode || d->sockets == 0 || limit == 0)
        return false;
    return now_ms() - __atomic_load_n(&server.last_activity_ms, __ATOMIC_RELAXED) >= limit;
}

static bool
poll_once(struct daemon *d)
{
    struct pollfd polled[POLLED_MAX] = {{d->signals, POLLIN, 0}, {d->metrics != NULL ? d->metrics->fd : -1, POLLIN, 0}};
    struct listener *listeners[POLLED_MAX] = {NULL};
    nfds_t n = 2;
    for (int i = 0; i < SCRAPERS_MAX; i++)
        polled[n++] = (struct pollfd){d->scrapers[i] > 0 ? d->scrapers[i] : -1, POLLIN, 0};
    for (struct listener *l = server.listeners; l != NULL && n < POLLED_MAX; l = l->next) {
        listeners[n] = l;
        polled[n++] = (struct pollfd){l->fd, POLLIN, 0};
    }
    if (poll(polled, n, TICK_MS) <= 0)
        return true;
    for (nfds_t i = 2 + SCRAPERS_MAX; i < n; i++)
        if (polled[i].revents != 0)
            listen_accept(&server, listeners[i]);
    for (int i = 0; i < SCRAPERS_MAX; i++)
        if (polled[2 + i].revents != 0)
            answer_scraper(&d->scrapers[i]);
    if (polled[1].revents != 0)
        accept_scraper(d);
    return polled[0].revents == 0 || take_signals(d);
}

static void
serve(struct daemon *d)
{
    int64_t next_tick = 0;
    while (poll_once(d)) {
        if (now_ms() >= next_tick) {
            server_tick(&server);
            next_tick = now_ms() + TICK_MS;
        }
        if (idled_out(d)) {
            output_say("Terminating, after idling");
            break;
        }
    }
    service_stopping();
    listen_close(&d->metrics);
    server_stop(&server);
    audit_finish();
    output_finish();
}

/* ---- actions ---- */

static int
fail(const struct gage_err *err)
{
    LOG(&ev_start_failed, F_ERR(err));
    output_finish();
    return gage_exit_status(err->code);
}

static int
run(struct daemon *d, struct conf *conf)
{
    struct gage_err err;
    log_warnings(conf);
    d->sockets = service_sockets(); /* passed to this process, not to its child */
    if (!d->options.interactive && !gage_ok(process_background(&err)))
        return fail(&err);
    if (!gage_ok(start(d, conf, &err))) {
        listen_close(&d->metrics);
        return fail(&err);
    }
    service_ready("serving");
    tell_kernel(d);
    serve(d);
#ifdef LOOK_FOR_LEAKS
    __lsan_do_leak_check(); /* ends with a report, if there is one; _exit does not look */
#endif
    _exit(0); /* threads may be inside the GSS library: no destructor runs under them */
}

/* As the client sees it: its environment is this one. */
static gage_rc
explain_to(const struct daemon *d, const struct conf *conf)
{
    const char *socket = getenv("GSSPROXY_SOCKET");
    const struct explain_client client = {.uid = d->options.for_uid >= 0 ? (uid_t)d->options.for_uid : geteuid(),
                                          .program = d->options.for_program,
                                          .socket = d->options.socket == NULL && socket != NULL ? socket
                                                                                                : conf->default_socket};
    log_warnings(conf);
    return explain(conf, &client) ? GAGE_DONE : gage_rc_of(GAGE_E_CONFIG);
}

static int
act(struct daemon *d, struct conf *conf)
{
    struct gage_err err;
    AUTO(gage_buf) text = GAGE_BUF(16 << 20);
    gage_rc rc = GAGE_DONE;
    switch (d->options.action) {
    case ACTION_CHECK:
        log_warnings(conf);
        printf("the configuration is good: %zu service%s\n", conf->service_count, conf->service_count == 1 ? "" : "s");
        break;
    case ACTION_PRINT_CONFIG:
        conf_show(conf, &text);
        rc = file_write_fd(STDOUT_FILENO, "standard output", gage_buf_slice(&text), &err);
        break;
    case ACTION_EXPLAIN:
        rc = explain_to(d, conf);
        conf_unref(&conf);
        return gage_ok(rc) ? 0 : gage_exit_status(rc.code);
    case ACTION_EXTRACT:
        set_environment(conf, false);
        rc = extract_ccache(conf, conf->settings.state_dir, d->options.extract_ccache, d->options.into_ccache, &err);
        break;
    default:
        return run(d, conf);
    }
    conf_unref(&conf);
    return gage_ok(rc) ? 0 : fail(&err);
}

int
main(int argc, char **argv)
{
    struct daemon d = {.signals = -1};
    struct gage_err err;
    struct conf *conf = NULL;
    process_harden();
    (void)krb_aes_begin(); /* without it calls are slower, and that is all */
    gage_rc rc = options_read(argc, argv, &d.options, &err);
    if (!gage_ok(rc))
        return fail(&err);
    if (d.options.action == ACTION_VERSION || d.options.action == ACTION_HELP) {
        printf("%s", d.options.action == ACTION_HELP ? options_help : "gage-proxyd " GAGE_VERSION "\n");
        return 0;
    }
    (void)mechs_find(NULL); /* the OTC mechanism is optional: a service that names it will say so */
    d.source = (struct conf_source){d.options.config, d.options.config_dir, d.options.socket, d.options.user_mode};
    if (d.options.user_mode && d.options.socket == NULL && d.options.action == ACTION_SERVE) {
        rc = process_user_socket(d.user_socket, sizeof d.user_socket, &err);
        if (!gage_ok(rc))
            return fail(&err);
        d.source.socket = d.user_socket;
    }
    rc = read_conf(&d, &conf, &err);
    return gage_ok(rc) ? act(&d, conf) : fail(&err);
}
