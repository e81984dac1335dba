#include "proxyd/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxyd/audit.h"
#include "proxyd/contexts.h"
#include "app/output.h"
#include "proxyd/server.h"
#include "rpc/proc.h"

struct metrics metrics;

static void
put_head(gage_buf *out, const char *name, const char *meaning, const char *type)
{
    char line[256];
    snprintf(line, sizeof line, "# HELP gage_proxyd_%s %s.\n# TYPE gage_proxyd_%s %s\n", name, meaning, name, type);
    put_bytes(out, slice_str(line));
}

static void
put_value(gage_buf *out, const char *name, const char *labels, double value)
{
    char line[256];
    snprintf(line, sizeof line, "gage_proxyd_%s%s %.15g\n", name, labels, value);
    put_bytes(out, slice_str(line));
}

static void
put_calls(gage_buf *out, const char *name, const char *meaning, const uint64_t *values, double scale)
{
    put_head(out, name, meaning, "counter");
    for (uint32_t p = 0; p <= GSSX_PROC_LAST; p++) {
        char labels[64];
        snprintf(labels, sizeof labels, "{procedure=\"%s\"}", proc_name(p));
        put_value(out, name, labels, (double)__atomic_load_n(&values[p], __ATOMIC_RELAXED) * scale);
    }
}

static void
put_gates(struct server *s, gage_buf *out)
{
    put_head(out, "calls_inside", "Calls inside GSS or NSS now", "gauge");
    put_head(out, "calls_queued", "Calls that wait for their turn", "gauge");
    pthread_mutex_lock(&s->lock);
    for (struct gate *g = s->gates; g != NULL; g = g->next) {
        AUTO(gage_buf) labels = GAGE_BUF(200);
        put_bytes(&labels, SLICE_LITERAL("{service=\""));
        for (const char *c = g->name; *c != '\0' && labels.n < 150; c++)
            put_u8(&labels, *c == '"' || *c == '\\' || *c == '\n' ? '_' : (uint8_t)*c);
        put_bytes(&labels, gage_slice_of("\"}", 3));
        pthread_mutex_lock(&g->lock);
        int64_t inside = g->inside, queued = g->queued;
        pthread_mutex_unlock(&g->lock);
        put_value(out, "calls_inside", (const char *)labels.p, (double)inside);
        put_value(out, "calls_queued", (const char *)labels.p, (double)queued);
    }
    pthread_mutex_unlock(&s->lock);
}

void
metrics_show(struct server *s, gage_buf *out)
{
#define METRIC_SHOW_(name, meaning)                                                                                    \
    put_head(out, #name, meaning, "counter");                                                                          \
    put_value(out, #name, "", (double)__atomic_load_n(&metrics.name, __ATOMIC_RELAXED));
    METRICS(METRIC_SHOW_)
#undef METRIC_SHOW_
    put_calls(out, "calls_total", "Calls executed", metrics.calls, 1);
    put_calls(out, "call_failures_total", "Calls that ended with a GSS failure", metrics.failures, 1);
    put_calls(out, "call_seconds_total", "Time inside calls", metrics.microseconds, 1e-6);
    put_head(out, "log_lines_lost_total", "Lines of the log that nobody took", "counter");
    put_value(out, "log_lines_lost_total", "", (double)output_lost());
    put_head(out, "audit_lines_lost_total", "Audit lines that nobody took, or that could not be written", "counter");
    put_value(out, "audit_lines_lost_total", "", (double)audit_lost());
    put_head(out, "connections", "Connections now", "gauge");
    pthread_mutex_lock(&s->lock);
    int64_t connections = s->conn_count;
    pthread_mutex_unlock(&s->lock);
    put_value(out, "connections", "", (double)connections);
    put_head(out, "contexts", "Security contexts kept in the daemon", "gauge");
    put_value(out, "contexts", "", (double)contexts_count(s->engine.contexts));
    put_head(out, "threads", "Worker threads", "gauge");
    put_value(out, "threads", "", (double)__atomic_load_n(&s->threads, __ATOMIC_RELAXED));
    put_gates(s, out);
}

void
metrics_answer(struct server *s, int fd)
{
    AUTO(gage_buf) body = GAGE_BUF(1 << 20);
    char head[160];
    char request[1024];
    (void)recv(fd, request, sizeof request, MSG_DONTWAIT);
    metrics_show(s, &body);
    int n =
        snprintf(head, sizeof head,
                 "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %zu\r\n\r\n", body.n);
    /* The socket's buffer takes it all, or the client gets a part: nobody waits for a client here. */
    if (send(fd, head, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE) == n)
        (void)!send(fd, body.p, body.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(fd, SHUT_WR);
    close(fd);
}
