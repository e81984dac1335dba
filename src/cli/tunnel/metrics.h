/* metrics.h - counters of a tunnel service, served in Prometheus' text format over a listener of their own. */
#ifndef GAGE_CLI_TUNNEL_METRICS_H
#define GAGE_CLI_TUNNEL_METRICS_H

#include "base/bytes.h"

struct event_base;

/* One row each: member, name, type, help. */
#define METRICS(X)                                                                                                     \
    X(connections, "gage_stream_connections_total", "counter", "connections taken or made")                            \
    X(protected, "gage_stream_protected_total", "counter", "connections that became protected")                        \
    X(clear, "gage_stream_clear_total", "counter", "connections that went on in the clear")                            \
    X(failed, "gage_stream_failed_total", "counter", "connections that failed, handshake included")                    \
    X(limited, "gage_stream_limited_total", "counter", "connections not taken: --max-handshakes")                      \
    X(bytes_out, "gage_stream_sent_bytes_total", "counter", "bytes of applications to peers, of ended connections")    \
    X(bytes_in, "gage_stream_received_bytes_total", "counter", "bytes of peers to applications, of ended connections") \
    X(open, "gage_stream_connections", "gauge", "connections open now")                                                \
    X(handshaking, "gage_stream_handshakes", "gauge", "of these, not yet authenticated")

struct metrics {
#define METRIC_MEMBER_(member, name, type, help) uint64_t member;
    METRICS(METRIC_MEMBER_)
#undef METRIC_MEMBER_
};

void metrics_format(const struct metrics *metrics, gage_buf *out);

/* Serves them on the listening socket, which it owns, until metrics_end. */
struct metrics_server;
gage_rc metrics_serve(struct event_base *base, int fd, const struct metrics *metrics, struct metrics_server **out,
                      struct gage_err *err);
void metrics_end(struct metrics_server **server);

#endif
