#include "proxyd/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "app/service.h"
#include "base/clock.h"
#include "base/log.h"
#include "proxyd/audit.h"
#include "proxyd/contexts.h"
#include "proxyd/known.h"
#include "proxyd/krb_aes.h"
#include "proxyd/krb_context.h"
#include "proxyd/metrics.h"
#include "proxyd/warm.h"

#define DESCRIPTORS_KEPT 128 /* for keytabs, caches, NSS, KDCs */
#define HALF_MESSAGE_MS 60000
#define STOP_MS 5000

int64_t
now_ms(void)
{
    return clock_monotonic_ns() / 1000000;
}

/* ---- beginning ---- */

/* As many descriptors as we may have; how many connections that allows. */
static int
raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    if (limit.rlim_max > 65536)
        limit.rlim_max = 65536;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        getrlimit(RLIMIT_NOFILE, &limit);
    return (int)limit.rlim_cur;
}

gage_rc
server_init(struct server *s, const char *state_dir, struct gage_err *err)
{
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->watch_lock, NULL);
    s->slot_count = raise_descriptors();
    s->slots = calloc((size_t)s->slot_count, sizeof(struct conn *));
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    s->engine.warm = warm_new();
    s->engine.contexts = contexts_new();
    s->engine.known = known_new();
    s->last_activity_ms = now_ms();
    REQUIRE(s->slots != NULL && s->engine.warm != NULL && s->engine.contexts != NULL && s->engine.known != NULL, err,
            GAGE_E_NOMEM, "out of memory");
    if (s->epoll < 0)
        return gage_fail_sys(err, GAGE_E_INTERNAL, errno, "cannot make an epoll set");
    return vault_open(state_dir, clock_now(), &s->engine.vault, err);
}

/* ---- configurations ---- */

struct epoch *
server_epoch(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    struct epoch *e = s->epoch;
    __atomic_add_fetch(&e->refs, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&s->lock);
    return e;
}

void
epoch_unref(struct epoch **pointer)
{
    struct epoch *e = *pointer;
    *pointer = NULL;
    if (e == NULL || __atomic_sub_fetch(&e->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    conf_unref(&e->conf);
    free(e->gates);
    free(e);
}

/* The gate of that name; made where there is none yet. With server.lock held. */
static struct gate *
gate_of(struct server *s, const char *name)
{
    for (struct gate *g = s->gates; g != NULL; g = g->next)
        if (strcmp(g->name, name) == 0)
            return g;
    struct gate *g = gate_new(name);
    if (g == NULL)
        return NULL;
    g->next = s->gates;
    s->gates = g;
    return g;
}

/* Takes the configuration. With server.lock held. */
static struct epoch *
epoch_new(struct server *s, struct conf *conf)
{
    struct epoch *e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->refs = 1;
    e->gates = calloc(conf->service_count, sizeof(struct gate *));
    for (size_t i = 0; e->gates != NULL && i < conf->service_count; i++) {
        e->gates[i] = gate_of(s, conf->services[i].name);
        if (e->gates[i] == NULL) {
            free(e->gates);
            e->gates = NULL;
        }
    }
    if (e->gates == NULL) {
        free(e);
        return NULL;
    }
    e->conf = conf;
    return e;
}

static struct listener *
find_listener(struct listener *list, const char *path)
{
    while (list != NULL && strcmp(list->path, path) != 0)
        list = list->next;
    return list;
}

static void
close_all(struct listener **list)
{
    while (*list != NULL) {
        struct listener *l = *list;
        *list = l->next;
        listen_close(&l);
    }
}

/* Opens what the configuration needs and neither `have` nor *fresh has. */
static gage_rc
open_missing(const struct server *s, const struct conf *conf, struct listener **fresh, struct gage_err *err)
{
    for (size_t i = 0; i < conf->service_count; i++) {
        const char *path = service_socket(conf, &conf->services[i]);
        struct listener *l = NULL;
        const struct listener *open = find_listener(s->listeners, path);
        if ((open != NULL && listen_leads_to(open)) || find_listener(*fresh, path) != NULL)
            continue;
        TRY(listen_open(path, s->user_mode, &l, err));
        l->next = *fresh;
        *fresh = l;
    }
    return GAGE_DONE;
}

static bool
needed(const struct conf *conf, const char *path)
{
    for (size_t i = 0; i < conf->service_count; i++)
        if (strcmp(service_socket(conf, &conf->services[i]), path) == 0)
            return true;
    return false;
}

/* Moves what is no longer needed, or what somebody else removed, from the server's list to *old. */
static void
collect_old(struct server *s, const struct conf *conf, struct listener **old)
{
    for (struct listener **p = &s->listeners; *p != NULL;) {
        struct listener *l = *p;
        if (needed(conf, l->path) && listen_leads_to(l)) {
            p = &l->next;
            continue;
        }
        *p = l->next;
        l->next = *old;
        *old = l;
    }
}

static void
append(struct listener **list, struct listener *more)
{
    while (*list != NULL)
        list = &(*list)->next;
    *list = more;
}

static gage_rc
adopt(struct server *s, const struct conf *conf, int inherited, struct gage_err *err)
{
    for (int i = 0; i < inherited; i++) {
        struct listener *l = NULL;
        TRY(listen_adopt(SERVICE_FIRST_FD + i, conf->default_socket, &l, err));
        if (s->user_mode) /* the one socket there is, wherever the manager put it */
            snprintf(l->path, sizeof l->path, "%s", conf->default_socket);
        append(&s->listeners, l);
    }
    return GAGE_DONE;
}

static void
set_limits(struct server *s, const struct proxyd_settings *settings)
{
    int64_t room = s->slot_count - DESCRIPTORS_KEPT;
    room = room > 16 ? room : 16;
    s->conn_limit = settings->max_connections < room ? settings->max_connections : room;
    __atomic_store_n(&s->limit_requests, settings->max_requests_per_uid, __ATOMIC_RELAXED);
    __atomic_store_n(&s->limit_bytes, settings->max_bytes_per_uid, __ATOMIC_RELAXED);
}

gage_rc
server_apply(struct server *s, struct conf *conf, int inherited, struct gage_err *err)
{
    struct listener *fresh = NULL, *old = NULL;
    gage_rc rc = adopt(s, conf, inherited, err);
    if (gage_ok(rc))
        rc = open_missing(s, conf, &fresh, err);
    if (gage_ok(rc))
        rc = audit_open(conf->settings.audit, err);
    if (!gage_ok(rc)) {
        close_all(&fresh);
        conf_unref(&conf);
        return rc;
    }
    pthread_mutex_lock(&s->lock);
    struct epoch *before = s->epoch, *e = epoch_new(s, conf);
    if (e != NULL) {
        conf->generation = ++s->generations;
        s->epoch = e;
        collect_old(s, conf, &old);
        append(&s->listeners, fresh);
        set_limits(s, &conf->settings);
    }
    pthread_mutex_unlock(&s->lock);
    if (e == NULL) {
        close_all(&fresh);
        conf_unref(&conf);
        return gage_fail(err, GAGE_E_NOMEM, "out of memory");
    }
    COUNT(reloads_total);
    close_all(&old);
    epoch_unref(&before);
    return GAGE_DONE;
}

/* ---- every second ---- */

#define KERBEROS_KEYS_S 60 /* so long is a derived key kept that nobody uses */

static bool
overdue(struct conn *c, int64_t now, int64_t idle_ms)
{
    pthread_mutex_lock(&c->lock);
    int64_t half_ms = idle_ms > 0 && idle_ms < HALF_MESSAGE_MS ? idle_ms : HALF_MESSAGE_MS;
    bool half = c->record_began != 0 && now - c->record_began > half_ms;
    bool idle = idle_ms > 0 && c->peer.uid != 0 && c->in_flight == 0 && now - c->last_active > idle_ms;
    pthread_mutex_unlock(&c->lock);
    return half || idle;
}

static void
close_idle(struct server *s, int64_t idle_ms)
{
    int64_t now = now_ms();
    for (;;) {
        struct conn *victims[64];
        size_t count = 0;
        pthread_mutex_lock(&s->lock);
        for (struct conn *c = s->conns; c != NULL && count < 64; c = c->next) {
            if (!overdue(c, now, idle_ms))
                continue;
            __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
            victims[count++] = c;
        }
        pthread_mutex_unlock(&s->lock);
        for (size_t i = 0; i < count; i++) {
            COUNT(connections_idle_total);
            conn_kill(victims[i]);
            conn_unref(victims[i]);
        }
        if (count < 64)
            return;
    }
}

void
server_tick(struct server *s)
{
    struct epoch *e = server_epoch(s);
    int64_t idle_ms = e->conf->settings.idle_timeout * 1000, now = clock_now();
    uint64_t generation = e->conf->generation;
    epoch_unref(&e);
    requests_expire(s);
    close_idle(s, idle_ms);
    warm_sweep(s->engine.warm, now, generation);
    krb_aes_forget(now - KERBEROS_KEYS_S);
    krb_context_forget(now); /* a change of krb5.conf is noticed within a second */
    if (now / 3600 != s->hour) {
        s->hour = now / 3600;
        server_renew_keys(s);
        contexts_sweep(s->engine.contexts, now);
    }
}

void
server_renew_keys(struct server *s)
{
    struct gage_err err;
    if (!gage_ok(vault_rotate(s->engine.vault, clock_now(), &err)))
        LOG(&ev_keys_failed, F_ERR(&err));
}

/* ---- the end ---- */

/* Whether a call is being executed that may still be answered in its time. */
static bool
busy(struct server *s, int64_t now)
{
    bool any = false;
    pthread_mutex_lock(&s->watch_lock);
    for (const struct request *r = s->watched; r != NULL && !any; r = r->watch_next)
        any = now < r->deadline_ms || __atomic_load_n(&r->answered, __ATOMIC_ACQUIRE) == 0;
    pthread_mutex_unlock(&s->watch_lock);
    return any;
}

void
server_stop(struct server *s)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    close_all(&s->listeners);
    __atomic_store_n(&s->stopping, 1,
                     __ATOMIC_RELEASE); /* else clients that go on asking would be served until the time is over */
    for (int64_t now = now_ms(), until = now + STOP_MS; busy(s, now) && now < until; now = now_ms()) {
        nanosleep(&pause, NULL);
        requests_expire(s);
    }
}
