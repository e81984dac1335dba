#include "cli/tunnel/service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/listener.h>

#include "app/service.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/tunnel/allow.h"
#include "cli/tunnel/events.h"
#include "cli/tunnel/metrics.h"
#include "cli/tunnel/program.h"
#include "cli/tunnel/stdio.h"
#include "cli/tunnel/tunnel.h"

#define THREADS_MAX 16
#define LISTENERS_MAX 8
#define SECOND ((int64_t)1000000000)
#define RETRY_MS 200
#define CROWDED_MS 500
#define MUTE_NS (2 * SECOND) /* how long a stranger keeps its place where there is none left */

struct service {
    const struct tunnel_options *options;
    const struct tunnel_plan *plan;
    struct tunnel_setup setup;
    struct tunnel_host host;
    struct address wire_to, application_at;
    struct event_base *base;
    struct workers *workers;
    struct evconnlistener *listeners[LISTENERS_MAX];
    size_t listener_n;
    struct event *on_term, *on_int, *on_child, *drained, *retry, *crowded;
    LIST_HEAD(, tunnel) tunnels;
    struct metrics metrics;
    struct metrics_server *metrics_server;
    struct stdio *stdio;
    struct gage_err outcome; /* of the one connection */
    bool draining, paused;
    bool single, served; /* there is one connection that counts, and it has been */
};

static uint64_t
most_connections(const struct service *s)
{
    return s->options->max_connections > 0 ? (uint64_t)s->options->max_connections : 1024;
}

static void
pause_listeners(struct service *s, bool pause)
{
    if (s->paused == pause || s->draining)
        return;
    s->paused = pause;
    if (pause && !s->single)
        TUNNEL_LOG(FULL, F_INT("connections", s->metrics.open));
    for (size_t i = 0; i < s->listener_n; i++) {
        if (pause)
            evconnlistener_disable(s->listeners[i]);
        else
            evconnlistener_enable(s->listeners[i]);
    }
}

/* ---- what tunnels tell ---- */

static void
on_opened(struct tunnel *t, void *context)
{
    struct service *s = context;
    char text[PEER_TEXT_MAX] = "";
    s->metrics.handshaking--;
    if (gage_stream_phase(t->stream) == GAGE_STREAM_CLEAR) {
        s->metrics.clear++;
        TUNNEL_LOG(CLEAR, F_TEXT("address", t->peer_at));
        return;
    }
    const struct gage_stream_peer *peer = gage_stream_peer(t->stream);
    s->metrics.protected ++;
    peer_text(peer, text);
    TUNNEL_LOG(PROTECTED, F_TEXT("address", t->peer_at), F_TEXT("peer", text),
               F_TEXT("records", records_name(peer->records)),
               F_TEXT("role", peer->initiator ? "initiator" : "acceptor"));
}

static void
on_expiring(struct tunnel *t, void *context)
{
    (void)context;
    TUNNEL_LOG(EXPIRING, F_TEXT("address", t->peer_at));
}

static void
stop_when_empty(struct service *s)
{
    if (LIST_EMPTY(&s->tunnels) && (s->draining || (s->single && s->served)))
        event_base_loopbreak(s->base);
}

static void
on_over(struct tunnel *t, const struct gage_err *err, void *context)
{
    struct service *s = context;
    LIST_REMOVE(t, link);
    s->metrics.open--;
    s->metrics.handshaking -= t->announced ? 0 : 1;
    s->metrics.bytes_out += t->bytes_out;
    s->metrics.bytes_in += t->bytes_in;
    if (err->code != GAGE_OK) {
        s->metrics.failed++;
        if (t->child > 0)
            kill((pid_t)-t->child, SIGTERM); /* an end of file would look like the peer's */
        if (!s->single || s->plan->listen_at != NULL)
            TUNNEL_LOG(FAILED, F_TEXT("address", t->peer_at), F_ERR(err));
    } else {
        TUNNEL_LOG(CLOSED, F_TEXT("address", t->peer_at), F_INT("sent", t->bytes_out), F_INT("received", t->bytes_in));
    }
    if (s->single && (t->announced || s->plan->listen_at == NULL)) {
        s->outcome = *err;
        s->served = true;
    }
    if (s->paused && s->stdio == NULL && s->metrics.open < most_connections(s))
        pause_listeners(s, false);
    stop_when_empty(s);
}

/* ---- the application's side ---- */

static gage_rc
start_program(struct service *s, struct tunnel *t, struct gage_err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return gage_fail_sys(err, GAGE_E_IO, errno, "no socket for the program of --exec");
    gage_rc rc = program_start(s->options->exec, t, pair[1], &t->child, err);
    close(pair[1]);
    if (gage_ok(rc))
        return tunnel_attach(t, pair[0], false, err);
    close(pair[0]);
    return rc;
}

static gage_rc
connect_application(struct service *s, struct tunnel *t, struct gage_err *err)
{
    const struct sockaddr *at = (const struct sockaddr *)&s->application_at.found[0].at;
    for (size_t i = 0; i < s->application_at.n; i++) {
        at = (const struct sockaddr *)&s->application_at.found[i].at;
        AUTO(gage_fd) fd = address_socket(at);
        if (fd < 0)
            break;
        bool done = connect(fd, at, s->application_at.found[i].len) == 0;
        if (!done && errno != EINPROGRESS)
            continue;
        int owned = fd;
        fd = -1;
        return tunnel_attach(t, owned, !done, err);
    }
    return gage_fail_sys(err, GAGE_E_UNAVAILABLE, errno, "the application behind this end cannot be connected to");
}

static gage_rc
on_ready(struct tunnel *t, void *context, struct gage_err *err)
{
    struct service *s = context;
    int fd;
    if (s->plan->application != NULL)
        return connect_application(s, t, err);
    if (s->options->exec != NULL)
        return start_program(s, t, err);
    REQUIRE(s->stdio == NULL, err, GAGE_E_REFUSED, "standard input and output serve another connection already");
    TRY(stdio_open(&fd, &s->stdio, err));
    pause_listeners(s, true);
    return tunnel_attach(t, fd, false, err);
}

/* ---- taking connections ---- */

static gage_rc
add_tunnel(struct service *s, int wire, const struct address *to, int application, struct gage_err *err)
{
    struct tunnel *t;
    TRY(tunnel_new(&s->host, wire, to, application, &t, err));
    LIST_INSERT_HEAD(&s->tunnels, t, link);
    s->metrics.connections++;
    s->metrics.open++;
    s->metrics.handshaking++;
    return GAGE_DONE;
}

/* How many of this source are not authenticated yet. Only looked for while there are many at all. */
static bool
source_has_enough(const struct service *s, const char *source)
{
    int64_t most = s->options->max_handshakes > 0 ? s->options->max_handshakes : 256, found = 0;
    const struct tunnel *t;
    if (s->metrics.handshaking < (uint64_t)most)
        return false;
    LIST_FOREACH(t, &s->tunnels, link)
    found += !t->announced && strcmp(t->source, source) == 0;
    return found >= most;
}

static bool
refuse_source(struct service *s, const struct sockaddr *from, int len)
{
    char source[ADDRESS_TEXT_MAX];
    if (!s->plan->accept_wire || from->sa_family == AF_UNIX)
        return false;
    address_source(from, (socklen_t)len, source);
    if (!source_has_enough(s, source))
        return false;
    s->metrics.limited++;
    TUNNEL_LOG(LIMITED, F_TEXT("source", source));
    return true;
}

/* No place is left: connections that have not authenticated for a while give theirs up, so that mute peers keep nobody out. */
static void
on_crowded(evutil_socket_t fd, short what, void *context)
{
    struct service *s = context;
    const struct timeval again = {.tv_usec = CROWDED_MS * 1000};
    struct tunnel *t, *next;
    int64_t since = clock_monotonic_ns() - MUTE_NS;
    (void)fd;
    (void)what;
    if (!s->paused || s->draining || s->metrics.open < most_connections(s))
        return;
    event_add(s->crowded, &again);
    for (t = LIST_FIRST(&s->tunnels); t != NULL; t = next) {
        next = LIST_NEXT(t, link);
        if (!t->announced && !t->working && t->started < since)
            tunnel_abort(t, GAGE_E_LIMIT,
                         "it had not authenticated yet, and its place was needed: --max-connections is reached");
    }
}

static void
on_connection(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int len, void *context)
{
    struct service *s = context;
    struct gage_err err;
    (void)listener;
    if (refuse_source(s, from, len)) {
        close(fd);
        return;
    }
    bool wire = s->plan->accept_wire;
    gage_rc rc = add_tunnel(s, wire ? fd : -1, wire ? NULL : &s->wire_to, wire ? -1 : fd, &err);
    if (!gage_ok(rc)) {
        s->metrics.failed++;
        TUNNEL_LOG(FAILED, F_ERR(&err));
        return;
    }
    if (s->metrics.open >= most_connections(s)) {
        pause_listeners(s, true);
        if (wire)
            on_crowded(-1, 0, s);
    }
}

static void
on_retry(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    pause_listeners(context, false);
}

/* No descriptors: wait a little instead of being woken for ever. */
static void
on_accept_error(struct evconnlistener *listener, void *context)
{
    struct service *s = context;
    const struct timeval soon = {.tv_usec = RETRY_MS * 1000};
    (void)listener;
    pause_listeners(s, true);
    event_add(s->retry, &soon);
}

static gage_rc
add_listener(struct service *s, int fd, struct gage_err *err)
{
    REQUIRE(s->listener_n < LISTENERS_MAX, err, GAGE_E_LIMIT, "more than %d listening sockets", LISTENERS_MAX);
    address_tune(fd);
    struct evconnlistener *listener =
        evconnlistener_new(s->base, on_connection, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    REQUIRE(listener != NULL, err, GAGE_E_NOMEM, "no memory to listen");
    evconnlistener_set_error_cb(listener, on_accept_error);
    s->listeners[s->listener_n++] = listener;
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    char text[ADDRESS_TEXT_MAX] = "passed socket";
    if (getsockname(fd, (struct sockaddr *)&at, &len) == 0)
        address_text((struct sockaddr *)&at, len, text);
    TUNNEL_LOG(LISTENING, F_TEXT("address", text));
    return GAGE_DONE;
}

/* Sockets that the service manager passed take the place of the address. */
static gage_rc
open_listeners(struct service *s, struct gage_err *err)
{
    int passed = service_sockets(), fd;
    for (int i = 0; i < passed; i++)
        TRY(add_listener(s, SERVICE_FIRST_FD + i, err));
    if (passed > 0)
        return GAGE_DONE;
    struct address at;
    TRY(address_parse(s->plan->listen_at, true, &at, err));
    TRY(address_listen(&at, &fd, err));
    return add_listener(s, fd, err);
}

/* ---- signals ---- */

static void
on_drained(evutil_socket_t fd, short what, void *context)
{
    struct service *s = context;
    (void)fd;
    (void)what;
    TUNNEL_LOG(CUT, F_INT("connections", s->metrics.open));
    while (!LIST_EMPTY(&s->tunnels))
        tunnel_abort(LIST_FIRST(&s->tunnels), GAGE_E_CANCELLED, "the service ends, and the time to drain is over");
}

static void
on_end_signal(evutil_socket_t number, short what, void *context)
{
    struct service *s = context;
    int64_t patience = s->options->drain_timeout > 0 ? s->options->drain_timeout : 10;
    const struct timeval tv = {.tv_sec = (time_t)patience};
    (void)number;
    (void)what;
    if (s->draining || s->single) {
        s->served = s->single;
        while (!LIST_EMPTY(&s->tunnels))
            tunnel_abort(LIST_FIRST(&s->tunnels), GAGE_E_CANCELLED, "ended by a signal");
        event_base_loopbreak(s->base);
        return;
    }
    service_stopping();
    TUNNEL_LOG(DRAINING, F_INT("connections", s->metrics.open));
    for (size_t i = 0; i < s->listener_n; i++)
        evconnlistener_free(s->listeners[i]);
    s->listener_n = 0;
    s->draining = true;
    event_add(s->drained, &tv);
    stop_when_empty(s);
}

static void
on_child(evutil_socket_t number, short what, void *context)
{
    struct service *s = context;
    struct tunnel *t;
    pid_t pid;
    (void)number;
    (void)what;
    /* A program's end is seen as the end of its socket; but a number whose group is gone may soon be somebody else's. */
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        LIST_FOREACH(t, &s->tunnels, link)
        t->child = t->child == pid && kill(-pid, 0) != 0 ? 0 : t->child;
    }
}

/* ---- start and end ---- */

static gage_rc
make_events(struct service *s, struct gage_err *err)
{
    s->on_term = evsignal_new(s->base, SIGTERM, on_end_signal, s);
    s->on_int = evsignal_new(s->base, SIGINT, on_end_signal, s);
    s->on_child = evsignal_new(s->base, SIGCHLD, on_child, s);
    s->drained = evtimer_new(s->base, on_drained, s);
    s->retry = evtimer_new(s->base, on_retry, s);
    s->crowded = evtimer_new(s->base, on_crowded, s);
    REQUIRE(s->on_term != NULL && s->on_int != NULL && s->on_child != NULL && s->drained != NULL && s->retry != NULL &&
                s->crowded != NULL,
            err, GAGE_E_NOMEM, "no memory for the loop");
    event_add(s->on_term, NULL);
    event_add(s->on_int, NULL);
    event_add(s->on_child, NULL);
    return GAGE_DONE;
}

static gage_rc
open_metrics(struct service *s, struct gage_err *err)
{
    struct address at;
    int fd;
    if (s->options->metrics == NULL)
        return GAGE_DONE;
    TRY(address_parse(s->options->metrics, true, &at, err));
    TRY(address_listen(&at, &fd, err));
    return metrics_serve(s->base, fd, &s->metrics, &s->metrics_server, err);
}

static gage_rc
prepare(struct service *s, struct gage_err *err)
{
    const struct tunnel_plan *plan = s->plan;
    if (plan->wire_to != NULL)
        TRY(address_parse(plan->wire_to, false, &s->wire_to, err));
    if (plan->application != NULL)
        TRY(address_parse(plan->application, false, &s->application_at, err));
    TRY(tunnel_setup_make(s->options, s->wire_to.host, plan->accept_wire ? GAGE_STREAM_ACCEPTOR : GAGE_STREAM_INITIATOR,
                          &s->setup, err));
    s->base = event_base_new();
    REQUIRE(s->base != NULL, err, GAGE_E_NOMEM, "no memory for the loop");
    TRY(workers_new(s->base, THREADS_MAX, &s->workers, err));
    int64_t connect_s = s->options->connect_timeout > 0 ? s->options->connect_timeout : 30;
    s->host = (struct tunnel_host){.base = s->base,
                                   .workers = s->workers,
                                   .stream = &s->setup.config,
                                   .connect_ns = connect_s * SECOND,
                                   .idle_ns = s->options->idle_timeout * SECOND,
                                   .context = s,
                                   .ready = on_ready,
                                   .opened = on_opened,
                                   .expiring = on_expiring,
                                   .over = on_over};
    TRY(make_events(s, err));
    return open_metrics(s, err);
}

static gage_rc
start(struct service *s, struct gage_err *err)
{
    if (s->plan->listen_at == NULL)
        return add_tunnel(s, -1, &s->wire_to, -1, err);
    TRY(open_listeners(s, err));
    service_ready("taking connections");
    return GAGE_DONE;
}

static void
cleanup(struct service *s)
{
    struct event *events[] = {s->on_term, s->on_int, s->on_child, s->drained, s->retry, s->crowded};
    for (size_t i = 0; i < s->listener_n; i++)
        evconnlistener_free(s->listeners[i]);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i] != NULL)
            event_free(events[i]);
    metrics_end(&s->metrics_server);
    bool over = workers_free(&s->workers);
    if (s->base != NULL)
        event_base_free(s->base);
    if (over) /* else a step still uses them */
        tunnel_setup_cleanup(&s->setup);
}

gage_rc
tunnel_service_run(const struct tunnel_options *options, const struct tunnel_plan *plan, struct gage_err *err)
{
    struct service s = {.options = options, .plan = plan};
    s.single = plan->listen_at == NULL || (plan->accept_wire && plan->application == NULL && options->exec == NULL);
    log_set_level(!s.single ? LOG_LEVEL_INFO : plan->listen_at != NULL ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARNING);
    LIST_INIT(&s.tunnels);
    gage_rc rc = prepare(&s, err);
    if (gage_ok(rc))
        rc = start(&s, err);
    if (gage_ok(rc)) {
        event_base_dispatch(s.base);
        if (s.stdio != NULL)
            rc = stdio_finish(s.stdio, err);
        if (s.outcome.code != GAGE_OK) {
            *err = s.outcome;
            rc = gage_rc_of(s.outcome.code);
        }
    }
    cleanup(&s);
    return rc;
}
