#include "cli/tunnel/tunnel.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "cli/tunnel/pump.h"

static void on_wire(evutil_socket_t fd, short what, void *context);
static void on_application(evutil_socket_t fd, short what, void *context);
static void on_time(evutil_socket_t fd, short what, void *context);
static void advance(struct tunnel *t);

/* ---- descriptors and events ---- */

static gage_rc
watch(struct tunnel *t, struct tunnel_side *side, int fd, event_callback_fn callback, struct gage_err *err)
{
    address_tune(fd);
    side->fd = fd;
    side->readable = event_new(t->host->base, fd, EV_READ | EV_PERSIST, callback, t);
    side->writable = event_new(t->host->base, fd, EV_WRITE | EV_PERSIST, callback, t);
    REQUIRE(side->readable != NULL && side->writable != NULL, err, GAGE_E_NOMEM, "no memory for a connection");
    return GAGE_DONE;
}

static void
unwatch(struct tunnel_side *side)
{
    if (side->readable != NULL)
        event_free(side->readable);
    if (side->writable != NULL)
        event_free(side->writable);
    gage_close_fd(&side->fd);
    side->readable = side->writable = NULL;
    side->reading = side->writing = side->connecting = false;
}

static void
turn(struct event *event, bool *on, bool wanted)
{
    if (event == NULL || *on == wanted)
        return;
    if (wanted)
        event_add(event, NULL);
    else
        event_del(event);
    *on = wanted;
}

/* Makes the close of this socket a reset, where its kind has one. */
static void
reset_on_close(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* ---- the end ---- */

static void
destroy(struct tunnel *t)
{
    pump_drop(&t->wire);
    pump_drop(&t->application);
    if (t->kept != NULL)
        gage_wipe(t->kept, t->kept_n);
    free(t->kept);
    if (t->timer != NULL)
        event_free(t->timer);
    gage_stream_free(&t->stream);
    free(t);
}

/* Closes everything and tells the host; the memory waits for a GSS step that still runs. One that has not begun is not begun any more:
 * behind a mute KDC they would pile up. */
static void
finish(struct tunnel *t, const struct gage_err *err)
{
    if (t->dead)
        return;
    t->dead = true;
    if (err->code != GAGE_OK) {
        pump_last_words(t);
        reset_on_close(t->application.fd);
    }
    t->host->over(t, err, t->host->context);
    unwatch(&t->wire);
    unwatch(&t->application);
    if (t->timer != NULL)
        event_del(t->timer);
    if (!t->working || workers_cancel(t->host->workers, t))
        destroy(t);
}

static void
fail(struct tunnel *t, gage_rc rc, struct gage_err *err)
{
    err->code = rc.code;
    finish(t, err);
}

void
tunnel_abort(struct tunnel *t, enum gage_code code, const char *why)
{
    struct gage_err err = {.code = GAGE_OK};
    fail(t, gage_fail(&err, code, "%s", why), &err);
}

/* ---- GSS steps ---- */

static void
step_done(void *owner)
{
    struct tunnel *t = owner;
    struct gage_err err = {.code = GAGE_OK};
    t->working = t->starved = false;
    if (t->dead) {
        destroy(t);
        return;
    }
    gage_rc rc = gage_stream_work_done(t->stream, clock_monotonic_ns(), &err);
    if (!gage_ok(rc))
        fail(t, rc, &err);
    else
        advance(t);
}

static gage_rc
start_step(struct tunnel *t, struct gage_err *err)
{
    gage_stream_work *work = gage_stream_work_due(t->stream);
    if (work == NULL)
        return GAGE_DONE;
    t->working = true;
    gage_rc rc = workers_run(t->host->workers, work, step_done, t, err);
    if (!gage_ok(rc))
        t->working = false;
    return rc;
}

/* ---- connecting the wire ---- */

static gage_rc
try_next(struct tunnel *t, int sys, struct gage_err *err)
{
    unwatch(&t->wire);
    while (t->wire_next < t->wire_to->n) {
        size_t i = t->wire_next++;
        const struct sockaddr *at = (const struct sockaddr *)&t->wire_to->found[i].at;
        socklen_t len = t->wire_to->found[i].len;
        int fd = address_socket(at);
        if (fd < 0)
            return gage_fail_sys(err, GAGE_E_IO, errno, "no socket");
        address_text(at, len, t->peer_at);
        if (connect(fd, at, len) == 0 || errno == EINPROGRESS) {
            t->wire.connecting = true;
            return watch(t, &t->wire, fd, on_wire, err);
        }
        sys = errno;
        close(fd);
    }
    return gage_fail_sys(err, GAGE_E_UNAVAILABLE, sys, "cannot connect to %s", t->peer_at);
}

/* True once the socket is connected; false where the next address is being tried. */
static gage_rc
check_connected(struct tunnel *t, struct tunnel_side *side, bool *connected, struct gage_err *err)
{
    int sys = 0;
    socklen_t len = sizeof sys;
    *connected = false;
    if (getsockopt(side->fd, SOL_SOCKET, SO_ERROR, &sys, &len) != 0)
        sys = errno;
    if (sys != 0 && side == &t->wire)
        return try_next(t, sys, err);
    if (sys != 0)
        return gage_fail_sys(err, GAGE_E_UNAVAILABLE, sys, "the application behind this end cannot be connected to");
    side->connecting = false;
    address_tune(side->fd); /* only now it is known who is there */
    *connected = true;
    if (side == &t->wire)
        return gage_stream_new(t->host->stream, clock_monotonic_ns(), &t->stream, err);
    return GAGE_DONE;
}

/* ---- what to wait for ---- */

static void
choose_events(struct tunnel *t)
{
    struct tunnel_side *w = &t->wire, *a = &t->application;
    bool out_blocked = w->pending_n > 0 || (t->stream != NULL && gage_stream_output(t->stream).n > 0);
    bool wire_full = t->kept_n >= GAGE_STREAM_FRAME_MAX;
    turn(w->readable, &w->reading,
         !w->connecting && !w->read_ended && !t->fin && a->pending_n == 0 && !wire_full &&
             !(t->announced && (a->fd < 0 || a->connecting)));
    turn(w->writable, &w->writing, w->connecting || out_blocked);
    turn(a->readable, &a->reading,
         !a->connecting && !a->read_ended && !out_blocked && t->stream != NULL && gage_stream_may_send(t->stream));
    turn(a->writable, &a->writing, a->connecting || a->pending_n > 0);
}

static int64_t
sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void
choose_timer(struct tunnel *t)
{
    int64_t when = INT64_MAX, now = clock_monotonic_ns();
    if (t->stream != NULL)
        when = gage_stream_next_time(t->stream);
    else if (t->host->connect_ns > 0)
        when = t->started + t->host->connect_ns;
    if (t->application.connecting && t->host->connect_ns > 0)
        when = sooner(when, t->attached + t->host->connect_ns);
    if (t->announced && t->host->idle_ns > 0)
        when = sooner(when, t->moved + t->host->idle_ns);
    if (when == t->timer_at)
        return;
    t->timer_at = when;
    if (when == INT64_MAX) {
        event_del(t->timer);
        return;
    }
    int64_t wait = when > now ? when - now : 0;
    /* Rounded up, so that what is due then is due. */
    struct timeval tv = {.tv_sec = (time_t)(wait / 1000000000), .tv_usec = (suseconds_t)(wait % 1000000000 / 1000 + 1)};
    event_add(t->timer, &tv);
}

/* ---- one turn ---- */

/* The stream has opened: the host hears of it and brings the application. */
static gage_rc
announce(struct tunnel *t, struct gage_err *err)
{
    enum gage_stream_phase phase = gage_stream_phase(t->stream);
    if (t->announced || (phase != GAGE_STREAM_PROTECTED && phase != GAGE_STREAM_CLEAR))
        return GAGE_DONE;
    t->announced = true;
    t->moved = clock_monotonic_ns();
    t->host->opened(t, t->host->context);
    return t->application.fd < 0 ? t->host->ready(t, t->host->context, err) : GAGE_DONE;
}

static bool
all_ended(const struct tunnel *t)
{
    return t->wire.read_ended && t->application.read_ended && t->end_made && t->wire.pending_n == 0 &&
           t->application.pending_n == 0 && t->wire.write_ended && t->application.write_ended;
}

static gage_rc
turn_once(struct tunnel *t, struct gage_err *err)
{
    TRY(pump_consume(t, err)); /* what was kept may be digestible now */
    TRY(start_step(t, err));
    TRY(announce(t, err));
    TRY(pump_consume(t, err)); /* data that came with the handshake, for an application that is there only now */
    TRY(pump_fin(t, err));
    TRY(announce(t, err)); /* a short plain message and its end */
    TRY(pump_flush(t, err));
    /* Room at the application is no event of the wire: whole frames that were kept for the lack of it go on now, or never. */
    while (pump_may_consume(t)) {
        TRY(pump_consume(t, err));
        TRY(pump_flush(t, err));
    }
    return pump_ends(t, err);
}

static void
advance(struct tunnel *t)
{
    struct gage_err err = {.code = GAGE_OK};
    gage_rc rc = t->stream != NULL ? turn_once(t, &err) : GAGE_DONE;
    if (!gage_ok(rc)) {
        fail(t, rc, &err);
        return;
    }
    if (t->stream != NULL && all_ended(t)) {
        finish(t, &err);
        return;
    }
    choose_events(t);
    choose_timer(t);
}

static void
on_side(struct tunnel *t, struct tunnel_side *side, short what)
{
    struct gage_err err = {.code = GAGE_OK};
    gage_rc rc = GAGE_DONE;
    bool connected = true;
    if (side->connecting)
        rc = check_connected(t, side, &connected, &err);
    else if ((what & EV_READ) != 0)
        rc = side == &t->wire ? pump_from_wire(t, &err) : pump_from_application(t, &err);
    if (!gage_ok(rc))
        fail(t, rc, &err);
    else
        advance(t);
}

static void
on_wire(evutil_socket_t fd, short what, void *context)
{
    struct tunnel *t = context;
    (void)fd;
    on_side(t, &t->wire, what);
}

static void
on_application(evutil_socket_t fd, short what, void *context)
{
    struct tunnel *t = context;
    (void)fd;
    on_side(t, &t->application, what);
}

static void
on_time(evutil_socket_t fd, short what, void *context)
{
    struct tunnel *t = context;
    struct gage_err err = {.code = GAGE_OK};
    enum gage_stream_event event = GAGE_STREAM_NOTHING;
    int64_t now = clock_monotonic_ns();
    gage_rc rc = GAGE_DONE;
    (void)fd;
    (void)what;
    t->timer_at = 0;
    if (t->stream == NULL)
        rc = gage_fail(&err, GAGE_E_TIMEOUT, "no connection to %s in time", t->peer_at);
    else if (t->application.connecting && t->host->connect_ns > 0 && now >= t->attached + t->host->connect_ns)
        rc = gage_fail(&err, GAGE_E_TIMEOUT, "the application behind this end does not answer");
    else if (t->announced && t->host->idle_ns > 0 && now >= t->moved + t->host->idle_ns)
        rc = gage_fail(&err, GAGE_E_TIMEOUT, "nothing moved for as long as --idle-timeout allows");
    else
        rc = gage_stream_tick(t->stream, now, &event, &err);
    t->starved = false; /* a passive side may have looked long enough */
    if (event == GAGE_STREAM_EXPIRING)
        t->host->expiring(t, t->host->context);
    if (!gage_ok(rc))
        fail(t, rc, &err);
    else
        advance(t);
}

/* ---- the object ---- */

gage_rc
tunnel_attach(struct tunnel *t, int fd, bool connecting, struct gage_err *err)
{
    t->application.connecting = connecting;
    t->attached = clock_monotonic_ns();
    return watch(t, &t->application, fd, on_application, err);
}

/* Name and source of an accepted peer. */
static void
name_peer(struct tunnel *t, int fd)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    if (getpeername(fd, (struct sockaddr *)&at, &len) != 0)
        at.ss_family = AF_UNIX;
    address_text((struct sockaddr *)&at, len, t->peer_at);
    address_source((struct sockaddr *)&at, len, t->source);
}

static gage_rc
start(struct tunnel *t, int fd, int application, struct gage_err *err)
{
    t->timer = event_new(t->host->base, -1, 0, on_time, t);
    REQUIRE(t->timer != NULL, err, GAGE_E_NOMEM, "no memory for a connection");
    if (application >= 0)
        TRY(tunnel_attach(t, application, false, err));
    if (fd < 0)
        return try_next(t, 0, err);
    name_peer(t, fd);
    TRY(watch(t, &t->wire, fd, on_wire, err));
    return gage_stream_new(t->host->stream, t->started, &t->stream, err);
}

gage_rc
tunnel_new(const struct tunnel_host *host, int fd, const struct address *to, int application, struct tunnel **out,
           struct gage_err *err)
{
    struct tunnel *t = calloc(1, sizeof *t);
    if (t == NULL) {
        gage_close_fd(&fd);
        gage_close_fd(&application);
        return gage_fail(err, GAGE_E_NOMEM, "no memory for a connection");
    }
    t->host = host;
    t->wire.fd = fd; /* ours from here on */
    t->application.fd = application;
    t->wire_to = to;
    t->started = clock_monotonic_ns();
    gage_rc rc = start(t, fd, application, err);
    if (!gage_ok(rc)) {
        unwatch(&t->wire);
        unwatch(&t->application);
        destroy(t);
        return rc;
    }
    *out = t;
    choose_events(t);
    choose_timer(t);
    return GAGE_DONE;
}
