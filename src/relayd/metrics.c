#include "relayd/metrics.h"

#include <stdio.h>
#include <string.h>

#include "app/output.h"
#include "relayd/body.h"

#define TEXT_MAX (64 * 1024)

struct metrics metrics;

/* Answers by route (the last row: none) and status class. */
static _Atomic uint64_t answered[ROUTES_MAX + 1][6];

void
metrics_answered(const struct route *route, unsigned status)
{
    size_t row = route != NULL ? (size_t)(route - routes) : ROUTES_MAX;
    answered[row][status / 100 % 6]++;
}

static void
put_metric(gage_buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    char text[512];
    snprintf(text, sizeof text, "# HELP gage_relay_%s %s\n# TYPE gage_relay_%s %s\ngage_relay_%s %llu\n", name, help,
             name, type, name, (unsigned long long)value);
    put_text(out, text);
}

static void
put_answers(gage_buf *out)
{
    put_text(out, "# HELP gage_relay_answers_total Answers by request and status class.\n# TYPE "
                  "gage_relay_answers_total counter\n");
    for (size_t row = 0; row <= ROUTES_MAX; row++)
        for (unsigned class = 2; class < 6; class ++) {
            char text[160];
            const char *name = row < routes_count ? routes[row].name : row == ROUTES_MAX ? "none" : NULL;
            if (name == NULL)
                continue;
            snprintf(text, sizeof text, "gage_relay_answers_total{request=\"%s\",status=\"%uxx\"} %llu\n", name, class,
                     (unsigned long long)answered[row][class]);
            put_text(out, text);
        }
}

static void
put_store(const struct relay *relay, gage_buf *out)
{
    struct store_stats s;
    store_stats(relay->store, &s);
    put_metric(out, "mailboxes", "gauge", "Mailboxes that exist.", s.mailboxes);
    put_metric(out, "mailboxes_limit", "gauge", "Mailboxes that may exist.", s.mailboxes_max);
    put_metric(out, "reserved_bytes", "gauge", "Space that mailboxes reserve.", s.reserved_bytes);
    put_metric(out, "reserved_bytes_limit", "gauge", "Space that they may reserve.", s.reserved_max);
    put_metric(out, "store_queued", "gauge", "Operations that wait for the store.", s.queued);
    put_metric(out, "store_operations_total", "counter", "Operations done through the store's queue.", s.operations);
    put_metric(out, "store_immediate_total", "counter",
               "Of them, those done at once by the thread that took the request.", s.immediate);
    put_metric(out, "store_direct_reads_total", "counter", "Reads done without it.", s.reads_direct);
    put_metric(out, "store_batches_total", "counter", "Transactions committed.", s.batches);
    put_metric(out, "store_batches_failed_total", "counter", "Transactions that failed.", s.batches_failed);
    put_metric(out, "store_refused_queue_total", "counter", "Operations refused for want of queue room.",
               s.refused_queue);
    put_metric(out, "store_refused_full_total", "counter", "New mailboxes refused for want of room.", s.refused_full);
    put_metric(out, "swept_total", "counter", "Mailboxes removed because they had expired.", s.swept);
    put_metric(out, "store_healthy", "gauge", "1 while the store works.", gage_ok(store_health(relay->store, NULL)));
}

void
metrics_print(const struct relay *relay, gage_buf *out)
{
    put_answers(out);
    put_metric(out, "connections", "gauge", "Connections.", (uint64_t)relay->connections);
    put_metric(out, "connections_refused_total", "counter", "Connections refused for the limit of their prefix.",
               metrics.connections_refused);
    put_metric(out, "connections_late_total", "counter", "Connections cut because they were too slow.",
               wire_counts.late);
    put_metric(out, "tls_handshakes_total", "counter", "TLS handshakes finished.", wire_counts.handshakes);
    put_metric(out, "tls_handshakes_failed_total", "counter", "TLS handshakes that failed.",
               wire_counts.handshakes_failed);
    put_metric(out, "refused_heads_total", "counter", "Requests that the guard refused.", wire_counts.refused);
    put_metric(out, "requests", "gauge", "Requests in progress, waiting reads included.", (uint64_t)relay->requests);
    put_metric(out, "waiting_reads", "gauge", "Reads that wait for a change.", waiters_count(relay->waiters));
    put_metric(out, "wakes_total", "counter", "Waits that ended.", metrics.wakes);
    put_metric(out, "body_bytes", "gauge", "Memory of bodies and answers in progress.", (uint64_t)relay->body_memory);
    put_metric(out, "log_lines_lost_total", "counter", "Lines of the log that nobody took.", output_lost());
    put_store(relay, out);
}

static enum MHD_Result
reply(struct MHD_Connection *connection, unsigned status, const char *type, gage_slice body)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.n, (void *)(uintptr_t)body.p, MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", type);
    enum MHD_Result done = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return done;
}

static enum MHD_Result
handle(void *context, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
       const char *upload, size_t *upload_n, void **state)
{
    static int begun;
    AUTO(gage_buf) text = GAGE_BUF(TEXT_MAX);
    struct relay *relay = context;
    if (*state == NULL) {
        *state = &begun;
        return MHD_YES;
    }
    *upload_n = 0;
    if (strcmp(method, "GET") != 0)
        return reply(connection, 405, "text/plain", SLICE_LITERAL("GET only\n"));
    if (strcmp(path, "/metrics") == 0) {
        metrics_print(relay, &text);
        return reply(connection, 200, "text/plain; version=0.0.4", gage_buf_slice(&text));
    }
    if (strcmp(path, "/healthz") != 0)
        return reply(connection, 404, "text/plain", SLICE_LITERAL("there is /metrics and /healthz\n"));
    bool well = !relay->draining && gage_ok(store_health(relay->store, NULL));
    return reply(connection, well ? 200 : 503, "application/json",
                 well ? SLICE_LITERAL("{\"status\":\"ok\"}") : SLICE_LITERAL("{\"status\":\"not ok\"}"));
}

gage_rc
metrics_start(struct relay *relay, int listen_fd, struct MHD_Daemon **out, struct gage_err *err)
{
    *out = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_PEDANTIC_CHECKS, 0, NULL, NULL, handle, relay,
                            MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT, 32u,
                            MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)8192,
                            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    REQUIRE(*out != NULL, err, GAGE_E_INTERNAL, "libmicrohttpd cannot serve the metrics socket");
    return GAGE_DONE;
}
