#include "cli/tunnel/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#define TEXT_MAX 8192
#define REQUEST_MAX 8192
#define PATIENCE_S 5
#define ASKERS_MAX 16

struct metrics_server {
    const struct metrics *metrics;
    struct evconnlistener *listener;
    unsigned askers;
};

static void
put_row(gage_buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    char text[512];
    snprintf(text, sizeof text, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, type, name, value);
    put_bytes(out, slice_str(text));
}

void
metrics_format(const struct metrics *m, gage_buf *out)
{
#define ROW_(member, name, type, help) put_row(out, name, type, help, m->member);
    METRICS(ROW_)
#undef ROW_
}

static void
hang_up(struct bufferevent *asker, void *context)
{
    struct metrics_server *s = context;
    s->askers--;
    bufferevent_free(asker);
}

static void
on_event(struct bufferevent *asker, short what, void *context)
{
    (void)what;
    hang_up(asker, context);
}

/* Every request that is whole gets the one answer there is. */
static void
on_request(struct bufferevent *asker, void *context)
{
    struct metrics_server *s = context;
    struct evbuffer *in = bufferevent_get_input(asker);
    if (evbuffer_search(in, "\r\n\r\n", 4, NULL).pos < 0) {
        if (evbuffer_get_length(in) > REQUEST_MAX)
            hang_up(asker, s);
        return;
    }
    AUTO(gage_buf) body = GAGE_BUF(TEXT_MAX);
    metrics_format(s->metrics, &body);
    evbuffer_add_printf(bufferevent_get_output(asker),
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: %zu\r\n"
                        "Connection: close\r\n\r\n",
                        body.n);
    bufferevent_write(asker, body.p, body.n);
    bufferevent_disable(asker, EV_READ);
    bufferevent_setcb(asker, NULL, hang_up, on_event, s);
}

static void
on_asker(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int len, void *context)
{
    struct metrics_server *s = context;
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    (void)from;
    (void)len;
    struct bufferevent *asker =
        s->askers < ASKERS_MAX ? bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE)
                               : NULL;
    if (asker == NULL) {
        evutil_closesocket(fd);
        return;
    }
    s->askers++;
    bufferevent_setcb(asker, on_request, NULL, on_event, s);
    bufferevent_set_timeouts(asker, &patience, &patience);
    bufferevent_enable(asker, EV_READ | EV_WRITE);
}

gage_rc
metrics_serve(struct event_base *base, int fd, const struct metrics *metrics, struct metrics_server **out,
              struct gage_err *err)
{
    struct metrics_server *s = calloc(1, sizeof *s);
    if (s != NULL)
        s->listener = evconnlistener_new(base, on_asker, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (s == NULL || s->listener == NULL) {
        free(s);
        evutil_closesocket(fd);
        return gage_fail(err, GAGE_E_NOMEM, "no memory to serve metrics");
    }
    s->metrics = metrics;
    *out = s;
    return GAGE_DONE;
}

void
metrics_end(struct metrics_server **server)
{
    if (*server == NULL)
        return;
    evconnlistener_free((*server)->listener);
    free(*server);
    *server = NULL;
}
