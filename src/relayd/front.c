#include "relayd/front.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "relayd/body.h"
#include "relayd/metrics.h"
#include "relayd/routes.h"

/* What libmicrohttpd may keep of a connection: the guard's largest head (GUARD_HEAD_MAX), its fields' records and the answer's head. Ten
 * thousand waiting connections hold ten thousand of these. */
#define POOL_BYTES ((size_t)6144)

/* ---- a request's head ---- */

/* RFC 9110 media type, parameters aside. */
static bool
is_json(const char *type)
{
    static const char json[] = "application/json";
    size_t n = sizeof json - 1;
    return type != NULL && strncasecmp(type, json, n) == 0 &&
           (type[n] == '\0' || type[n] == ';' || type[n] == ' ' || type[n] == '\t');
}

/* The canonical form of a request id is a UUID's lower case, or the visible ASCII as it is (C3: it should be a UUID). */
static bool
take_request_id(struct request *request, const char *text)
{
    uint8_t uuid[UUID_LEN];
    size_t n = strlen(text);
    if (n == 0 || n > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7f)
            return false;
    struct request_id *id = request->id = calloc(1, sizeof *id);
    if (id == NULL)
        return false;
    memcpy(id->text, text, n + 1);
    bool is_uuid = gage_ok(uuid_parse(gage_slice_of(text, n), uuid));
    id->key_n = is_uuid ? UUID_LEN : n;
    memcpy(id->key, is_uuid ? (const char *)uuid : text, id->key_n);
    return true;
}

static unsigned
check_route(struct request *request, const char *path, const char *method)
{
    request->route = route_find(method, path_parse(path, request->mailbox), &request->allow);
    if (request->route == NULL)
        return request->allow != NULL ? 405 : 404;
    return 0;
}

/* Looks at what the head alone tells; the answer waits until the body has been read. */
static void
read_head(struct request *request, const char *path, const char *method)
{
    const char *id = request_header(request, "Mailbox-Request-ID");
    request->early = check_route(request, path, method);
    if (id != NULL && !take_request_id(request, id) && request->early == 0)
        request->early = 400;
    request->retry = request->route != NULL && request->route->path == PATH_HEALTH
                         ? 0
                         : peers_spend(request->relay->peers, request->wire->peer, PEER_REQUESTS,
                                       request->relay->limits.requests_per_minute);
    if (request->retry > 0)
        request->early = 429;
    if (request->route != NULL && request->route->body != BODY_NONE)
        request->body = GAGE_BUF((size_t)(request->relay->limits.payload_max + BODY_SLACK));
}

/* ---- a request's body ---- */

static void
take_body(struct request *request, const char *bytes, size_t n)
{
    if (request->early != 0 || request->route->body == BODY_NONE || request->body_too_long)
        return;
    if (request->body.n + n > request->body.max) {
        request->body_too_long = true;
        gage_buf_free(&request->body);
        return;
    }
    if (!request_reserve(request, (int64_t)n)) {
        request->early = 503;
        gage_buf_free(&request->body);
        return;
    }
    put_bytes(&request->body, gage_slice_of(bytes, n));
}

/* ---- the whole request ---- */

static void
answer_early(struct request *request)
{
    switch (request->early) {
    case 404:
        answer_problem(request, 404, "there is nothing at this path");
        break;
    case 405:
        answer_problem(request, 405, "this path takes %s", request->allow);
        answer_header(request, "Allow", request->allow);
        break;
    case 429:
        answer_problem(request, 429, "too many requests from your network; try again in %u s", request->retry);
        answer_number(request, "Retry-After", request->retry);
        break;
    case 503:
        answer_problem(request, 503, "the relay has too much in progress; try again");
        break;
    default:
        answer_problem(request, 400, "Mailbox-Request-ID is not 1 to 128 visible ASCII characters");
        break;
    }
}

/* R23, A24: the claim is a UUID; A3: what changes something needs a request id. */
static bool
check_ids(struct request *request)
{
    const char *claim = request_header(request, "Mailbox-Device-Claim");
    if (request->route->claim && (claim == NULL || !gage_ok(uuid_parse(slice_str(claim), request->claim)))) {
        answer_problem(request, 401, "Mailbox-Device-Claim is missing or not a UUID");
        return false;
    }
    if (request->route->request_id && request->id == NULL) {
        answer_problem(request, 400, "Mailbox-Request-ID is missing; a fresh UUID makes the request safe to repeat");
        return false;
    }
    return true;
}

static bool
parse_body(struct request *request)
{
    struct gage_err err;
    enum body_kind kind = request->route->body;
    if (kind == BODY_NONE || (kind == BODY_OPTIONAL && request->body.n == 0))
        return true;
    if (!is_json(request_header(request, "Content-Type"))) {
        answer_problem(request, 415, "this needs a body of type application/json");
        return false;
    }
    if (!gage_ok(buf_check(&request->body, &err)) ||
        !gage_ok(body_parse(gage_buf_slice(&request->body), &request->document, &err))) {
        answer_problem(request, 400, "%s", err.text);
        return false;
    }
    gage_buf_free(&request->body);
    return true;
}

/* The request is here whole. */
static void
start(struct request *request)
{
    if (request->early != 0)
        answer_early(request);
    else if (request->body_too_long)
        answer_problem(request, 413, "the body is too long: a payload may have %lld bytes",
                       (long long)request->relay->limits.payload_max);
    else if (check_ids(request) && parse_body(request))
        request->route->start(request);
}

/* Gives the answer to the library. If bytes of a next request are here already, the connection takes a round through suspension first:
 * the library looks for more only after an event, and for bytes that TLS or the guard hold there would be none. */
static enum MHD_Result
queue_answer(struct request *request)
{
    int64_t now = clock_monotonic_ns();
    if (!request->suspended && wire_has_more(request->wire)) {
        request_suspend(request);
        request->phase = PHASE_READY;
        MHD_resume_connection(request->connection);
        return MHD_YES;
    }
    if (request->response == NULL)
        return MHD_NO;
    request->phase = PHASE_QUEUED;
    metrics_answered(request->route, request->status);
    wire_set_deadline(request->wire,
                      now + request->relay->limits.idle_timeout * INT64_C(1000000000) + request->reserved * 60000);
    return MHD_queue_response(request->connection, request->status, request->response);
}

static struct request *
request_new(struct relay *relay, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct wire *wire = info != NULL ? info->socket_context : NULL;
    struct request *request = wire != NULL ? calloc(1, sizeof *request) : NULL;
    if (request == NULL)
        return NULL;
    *request = (struct request){.relay = relay, .connection = connection, .wire = wire};
    relay->requests++;
    return request;
}

static void
request_free(struct request *request)
{
    struct relay *relay = request->relay;
    request_drop_op(request);
    if (request->response != NULL)
        MHD_destroy_response(request->response);
    json_decref(request->document);
    free(request->id);
    gage_buf_free(&request->body);
    gage_buf_free(&request->display);
    gage_buf_free(&request->token);
    atomic_fetch_sub(&relay->body_memory, request->reserved);
    gage_wipe(request->claim, sizeof request->claim);
    free(request);
    relay->requests--;
}

/* ---- what libmicrohttpd calls ---- */

static enum MHD_Result
handle(void *context, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
       const char *upload, size_t *upload_n, void **state)
{
    struct request *request = *state;
    if (request == NULL) {
        request = request_new(context, connection);
        if (request == NULL)
            return MHD_NO;
        *state = request;
        read_head(request, path, method);
        return MHD_YES;
    }
    if (*upload_n > 0) {
        take_body(request, upload, *upload_n);
        *upload_n = 0;
        return MHD_YES;
    }
    if (request->phase == PHASE_BODY)
        start(request);
    else if (request->phase == PHASE_RESUMED)
        request->route->answer(request);
    return request->phase == PHASE_READY ? queue_answer(request) : MHD_YES;
}

static void
completed(void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode how)
{
    struct request *request = *state;
    if (request == NULL)
        return;
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        wire_next(request->wire);
    request_free(request);
    *state = NULL;
}

static const struct sockaddr *
address_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info != NULL ? info->client_addr : NULL;
}

static void
connection_began(struct relay *relay, struct MHD_Connection *connection, void **socket_context)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct wire *wire = wire_new(info->connect_fd, relay->tls_on ? &relay->tls : NULL, &relay->wire_limits);
    relay->connections++;
    *socket_context = wire;
    if (wire == NULL) {
        system_shutdown(info->connect_fd, SHUT_RDWR);
        return;
    }
    wire->connection = connection;
    wire->peer = peers_enter(relay->peers, address_of(connection), relay->limits.connections_per_prefix,
                             relay->limits.limit_loopback);
    if (wire->peer == NULL) {
        metrics.connections_refused++;
        system_shutdown(wire->fd, SHUT_RDWR);
    }
}

static void
connection_changed(void *context, struct MHD_Connection *connection, void **socket_context,
                   enum MHD_ConnectionNotificationCode what)
{
    struct relay *relay = context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        connection_began(relay, connection, socket_context);
        return;
    }
    struct wire *wire = *socket_context;
    if (wire != NULL)
        peers_leave(relay->peers, wire->peer);
    wire_free(&wire);
    *socket_context = NULL;
    relay->connections--;
}

static enum MHD_Result
admit(void *context, const struct sockaddr *address, socklen_t n)
{
    struct relay *relay = context;
    return relay->connections < relay->settings.connections ? MHD_YES : MHD_NO;
}

/* Paths are compared as they came: a percent-encoded mailbox id is not an id. */
static size_t
leave_as_is(void *context, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

static struct MHD_Daemon *
start_daemon(struct relay *relay, int listen_fd, unsigned threads)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO | MHD_USE_PEDANTIC_CHECKS;
    if (listen_fd < 0)
        flags |= MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC;
    struct MHD_OptionItem items[] = {
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)connection_changed, relay},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)completed, relay},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)leave_as_is, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)POOL_BYTES, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)relay->settings.connections, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL},
        {listen_fd < 0 ? MHD_OPTION_END : MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL},
        {threads < 2 ? MHD_OPTION_END : MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(flags, 0, admit, relay, handle, relay, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
}

gage_rc
front_start(struct relay *relay, int listen_fd, struct MHD_Daemon **out, struct gage_err *err)
{
    *out = start_daemon(relay, listen_fd, (unsigned)relay->settings.threads);
    REQUIRE(*out != NULL, err, GAGE_E_INTERNAL, "libmicrohttpd cannot serve a listening socket");
    return GAGE_DONE;
}

/* ---- the check at the start ---- */

static const char honest[] = "GET /healthz HTTP/1.1\r\nHost: check\r\nConnection: close\r\n\r\n";
static const char smuggled[] =
    "GET /healthz HTTP/1.1\r\nHost: check\r\nContent-Length: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/* Sends the request over a socket pair and reads the first bytes of the answer. */
static bool
ask_self(struct MHD_Daemon *daemon, const char *text, char answer[16])
{
    static const struct sockaddr_storage nobody = {.ss_family = AF_UNIX};
    static const struct timeval patience = {.tv_sec = 10};
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bool asked = MHD_add_connection(daemon, pair[1], (const struct sockaddr *)(const void *)&nobody,
                                    sizeof(sa_family_t)) == MHD_YES &&
                 system_send(pair[0], text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text) &&
                 system_recv(pair[0], answer, 12, MSG_WAITALL) == 12;
    close(pair[0]);
    return asked;
}

gage_rc
front_check_in_path(struct relay *relay, struct gage_err *err)
{
    char good[16] = "", bad[16] = "";
    bool tls_on = relay->tls_on;
    uint64_t calls = wire_counts.calls, refused = wire_counts.refused;
    relay->tls_on = false;
    struct MHD_Daemon *daemon = start_daemon(relay, -1, 1);
    bool asked = daemon != NULL && ask_self(daemon, honest, good) && ask_self(daemon, smuggled, bad);
    if (daemon != NULL)
        MHD_stop_daemon(daemon);
    relay->tls_on = tls_on;
    bool seen = wire_counts.calls > calls + 2 && wire_counts.refused == refused + 1;
    REQUIRE(asked && seen && memcmp(good, "HTTP/1.1 ", 9) == 0 && memcmp(bad, "HTTP/1.1 400", 12) == 0, err,
            GAGE_E_INTERNAL,
            "libmicrohttpd's calls do not come through the guard on this system; it would serve unprotected, so it "
            "does not");
    return GAGE_DONE;
}
