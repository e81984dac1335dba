/* From a record to its answer: matching, the gate, executing, replying, the deadline. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxyd/audit.h"
#include "proxyd/metrics.h"
#include "proxyd/procs.h"
#include "proxyd/selinux.h"
#include "proxyd/server.h"

/* ---- matching ---- */

const struct service *
match_service(const struct conf *conf, const struct peer *peer, const char *socket)
{
    for (size_t i = 0; i < conf->service_count; i++) {
        const struct service *s = &conf->services[i];
        if ((s->allow_any_uid || s->euid == peer->uid) && strcmp(service_socket(conf, s), socket) == 0 &&
            (s->program == NULL || (peer->same_program && strcmp(s->program, peer->program) == 0)) &&
            (s->selinux_context == NULL || selinux_equal(s->selinux_context, peer->selinux)))
            return s;
    }
    return NULL;
}

/* ---- the watch ---- */

static void
watch(struct server *s, struct request *r)
{
    pthread_mutex_lock(&s->watch_lock);
    r->watch_next = s->watched;
    if (s->watched != NULL)
        s->watched->watch_previous = r;
    s->watched = r;
    pthread_mutex_unlock(&s->watch_lock);
}

static void
unwatch(struct server *s, struct request *r)
{
    pthread_mutex_lock(&s->watch_lock);
    *(r->watch_previous != NULL ? &r->watch_previous->watch_next : &s->watched) = r->watch_next;
    if (r->watch_next != NULL)
        r->watch_next->watch_previous = r->watch_previous;
    pthread_mutex_unlock(&s->watch_lock);
}

/* ---- answering ---- */

/* True for the one who may answer. */
static bool
claim_answer(struct request *r)
{
    return __atomic_exchange_n(&r->answered, 1, __ATOMIC_ACQ_REL) == 0;
}

static void
begin_reply(gage_buf *reply, uint32_t xid, enum rpc_answer answer)
{
    put_u32(reply, 0);
    rpc_put_reply(reply, xid, answer);
}

static void
send_reply(struct request *r, gage_buf *reply)
{
    if (!gage_ok(record_finish(reply, NULL))) {
        buf_reset(reply);
        begin_reply(reply, r->rpc.xid, ANSWER_SYSTEM_ERR);
        (void)record_finish(reply, NULL);
    }
    conn_send(r->conn, reply);
}

static void
answer_only(struct request *r, enum rpc_answer answer)
{
    AUTO(gage_buf) reply = GAGE_BUF(256);
    begin_reply(&reply, r->rpc.xid, answer);
    send_reply(r, &reply);
}

static void
answer_refusal(struct request *r, OM_uint32 major, int minor, const char *text)
{
    AUTO(gage_buf) reply = GAGE_BUF(4096);
    struct gss_status status;
    status_clear(&status);
    status_fail(&status, major, minor, "%s", text);
    begin_reply(&reply, r->rpc.xid, ANSWER_SUCCESS);
    enum rpc_answer answer = execute_refusal(r->rpc.procedure, &status, &reply);
    if (answer != ANSWER_SUCCESS)
        answer_only(r, answer);
    else
        send_reply(r, &reply);
}

static void
finish(struct request *r)
{
    int64_t bytes = (int64_t)r->message.n;
    unwatch(r->conn->server, r);
    gage_buf_free(&r->message);
    conn_done(r->conn, bytes);
    conn_unref(r->conn);
    epoch_unref(&r->epoch);
    free(r);
}

/* A request that is late: what its answer needs, while the request itself goes on and ends when it ends. */
struct late {
    struct conn *conn;
    uint32_t xid, procedure;
    char service[64];
};

static void
answer_late(struct late *l)
{
    struct request stand_in = {.conn = l->conn, .rpc = {.xid = l->xid, .procedure = l->procedure}};
    COUNT(requests_late_total);
    LOG(&ev_request_late, F_TEXT("service", l->service), F_TEXT("procedure", proc_name(l->procedure)),
        F_INT("uid", l->conn->peer.uid), F_INT("pid", l->conn->peer.pid));
    answer_refusal(&stand_in, GSS_S_FAILURE, ETIMEDOUT,
                   "the call took longer than call_deadline: the KDC or the name service does not answer");
    conn_unref(l->conn);
}

#define LONG_MS 100 /* a call that takes longer lets its connection be read meanwhile */

/* Lets some of them be read; false where there may be more. */
static bool
release_some(struct server *s, int64_t now)
{
    struct conn *conns[64];
    size_t count = 0;
    pthread_mutex_lock(&s->watch_lock);
    for (struct request *r = s->watched; r != NULL && count < sizeof conns / sizeof conns[0]; r = r->watch_next) {
        if (r->released || now - r->arrived_us / 1000 < LONG_MS)
            continue;
        r->released = true;
        __atomic_add_fetch(&r->conn->refs, 1, __ATOMIC_RELAXED);
        conns[count++] = r->conn;
    }
    pthread_mutex_unlock(&s->watch_lock);
    for (size_t i = 0; i < count; i++) {
        conn_release(conns[i]);
        conn_unref(conns[i]);
    }
    return count < sizeof conns / sizeof conns[0];
}

/* Answers some of them; false where there may be more. */
static bool
answer_some_late(struct server *s, int64_t now)
{
    struct late late[64];
    size_t count = 0;
    pthread_mutex_lock(&s->watch_lock);
    for (struct request *r = s->watched; r != NULL && count < sizeof late / sizeof late[0]; r = r->watch_next) {
        if (now < r->deadline_ms || !claim_answer(r))
            continue;
        late[count] = (struct late){r->conn, r->rpc.xid, r->rpc.procedure, ""};
        snprintf(late[count].service, sizeof late[count].service, "%s", r->service->name);
        __atomic_add_fetch(&r->conn->refs, 1, __ATOMIC_RELAXED);
        count++;
    }
    pthread_mutex_unlock(&s->watch_lock);
    for (size_t i = 0; i < count; i++)
        answer_late(&late[i]);
    return count < sizeof late / sizeof late[0];
}

void
requests_expire(struct server *s)
{
    int64_t now = now_ms();
    while (!release_some(s, now))
        ;
    while (!answer_some_late(s, now))
        ;
}

/* ---- executing ---- */

static void
log_outcome(const struct call *call, const struct request *r, enum rpc_answer answer, int64_t took)
{
    const struct proxyd_settings *settings = &call->conf->settings;
    bool good = answer == ANSWER_SUCCESS && gss_good(&call->status);
    const char *result = answer != ANSWER_SUCCESS ? rpc_answer_name(answer) : call->status.major_text;
    if (!good && answer == ANSWER_SUCCESS)
        LOG(&ev_call_failed, F_TEXT("service", call->service->name), F_TEXT("procedure", proc_name(r->rpc.procedure)),
            F_INT("uid", call->peer->uid), F_INT("pid", call->peer->pid), F_TEXT("status", call->status.major_text),
            F_TEXT("reason", call->status.minor_text));
    else if (settings->debug || settings->debug_level > 0 || settings->syslog_status)
        LOG(&ev_call, F_TEXT("service", call->service->name), F_TEXT("procedure", proc_name(r->rpc.procedure)),
            F_INT("uid", call->peer->uid), F_INT("pid", call->peer->pid), F_TEXT("status", result), F_INT("us", took));
}

static void
count_outcome(uint32_t procedure, bool good, int64_t took)
{
    COUNT(calls[procedure]);
    if (!good)
        COUNT(failures[procedure]);
    __atomic_add_fetch(&metrics.microseconds[procedure], (uint64_t)took, __ATOMIC_RELAXED);
}

static void
execute_request(struct request *r)
{
    AUTO(gage_buf) reply = GAGE_BUF(RECORD_MAX + RECORD_HEADER_LEN);
    struct call call = {.engine = &r->conn->server->engine,
                        .conf = r->epoch->conf,
                        .service = r->service,
                        .peer = &r->conn->peer,
                        .now = clock_now(),
                        .acting_uid = r->conn->peer.uid};
    int64_t began = clock_monotonic_ns();
    begin_reply(&reply, r->rpc.xid, ANSWER_SUCCESS);
    enum rpc_answer answer = execute(&call, r->rpc.procedure, r->rpc.args, &reply);
    if (claim_answer(r)) {
        if (answer == ANSWER_SUCCESS)
            send_reply(r, &reply);
        else
            answer_only(r, answer);
    }
    int64_t took = (clock_monotonic_ns() - began) / 1000;
    if (answer != ANSWER_SUCCESS)
        COUNT(messages_bad_total);
    count_outcome(r->rpc.procedure, answer == ANSWER_SUCCESS && gss_good(&call.status), took);
    audit_call(&call, r->rpc.procedure, took);
    log_outcome(&call, r, answer, took);
}

void
request_run(struct request *r)
{
    struct gate *g = r->gate;
    enum rpc_answer answer = rpc_call_check(&r->rpc);
    if (answer != ANSWER_SUCCESS) {
        if (claim_answer(r))
            answer_only(r, answer);
        finish(r);
        return;
    }
    const struct gate_rules rules = {r->service->max_blocked, r->service->max_queued, r->service->allow_any_uid};
    enum admission admission = gate_enter(g, &rules, r->conn->peer.uid, &r->turn);
    if (admission == QUEUED)
        return;
    if (admission == REFUSED) {
        COUNT(requests_refused_total);
        LOG(&ev_request_refused, F_TEXT("service", r->service->name), F_INT("uid", r->conn->peer.uid));
        if (claim_answer(r))
            answer_refusal(r, GSS_S_UNAVAILABLE, EAGAIN, "too many calls of the service wait (max_queued): try again");
        finish(r);
        return;
    }
    while (r != NULL) {
        if (__atomic_load_n(&r->answered, __ATOMIC_ACQUIRE) == 0)
            execute_request(r);
        struct turn *next = gate_leave(g, &r->turn);
        finish(r);
        r = (struct request *)(void *)next;
    }
}

/* ---- coming ---- */

struct request *
request_new(struct conn *conn, gage_buf *message)
{
    struct server *s = conn->server;
    struct request *r = calloc(1, sizeof *r);
    struct gage_err err;
    if (r == NULL)
        return NULL;
    r->conn = conn;
    r->message = buf_move(message);
    r->arrived_us = clock_monotonic_ns() / 1000;
    __atomic_store_n(&s->last_activity_ms, now_ms(), __ATOMIC_RELAXED);
    r->epoch = server_epoch(s);
    r->service = match_service(r->epoch->conf, &conn->peer, conn->socket);
    gage_rc rc = rpc_call_parse(gage_buf_slice(&r->message), &r->rpc, &err);
    if (!gage_ok(rc)) {
        COUNT(messages_bad_total);
        LOG(&ev_bad_message, F_INT("uid", conn->peer.uid), F_INT("pid", conn->peer.pid), F_ERR(&err));
    } else if (r->service == NULL) {
        COUNT(requests_unmatched_total);
        LOG(&ev_no_service, F_INT("uid", conn->peer.uid), F_INT("pid", conn->peer.pid),
            F_TEXT("program", conn->peer.program), F_TEXT("socket", conn->socket));
    }
    if (!gage_ok(rc) || r->service == NULL) {
        *message = buf_move(&r->message);
        epoch_unref(&r->epoch);
        free(r);
        return NULL;
    }
    r->gate = r->epoch->gates[r->service->index];
    r->deadline_ms = now_ms() + r->service->call_deadline * 1000;
    watch(s, r);
    return r;
}
