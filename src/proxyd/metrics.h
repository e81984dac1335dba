/* metrics.h - counters, and their Prometheus text form (0.0.4). */
#ifndef GAGE_PROXYD_METRICS_H
#define GAGE_PROXYD_METRICS_H

#include "base/bytes.h"
#include "rpc/call.h"

#define METRICS(X)                                                                                                     \
    X(connections_total, "Connections accepted")                                                                       \
    X(connections_refused_total, "Connections closed at a limit")                                                      \
    X(connections_idle_total, "Connections closed for being idle")                                                     \
    X(requests_unmatched_total, "Requests that no service matched")                                                    \
    X(requests_refused_total, "Requests refused because too many waited")                                              \
    X(requests_late_total, "Requests answered at their deadline, before they were done")                               \
    X(messages_bad_total, "Messages that were not calls, or whose arguments did not decode")                           \
    X(reloads_total, "Configurations put in force")

struct metrics {
#define METRIC_MEMBER_(name, meaning) uint64_t name;
    METRICS(METRIC_MEMBER_)
#undef METRIC_MEMBER_
    uint64_t calls[GSSX_PROC_LAST + 1], failures[GSSX_PROC_LAST + 1], microseconds[GSSX_PROC_LAST + 1];
};
extern struct metrics metrics;
#define COUNT(name) __atomic_add_fetch(&metrics.name, 1, __ATOMIC_RELAXED)

struct server;
/* Appends everything. */
void metrics_show(struct server *server, gage_buf *out);
/* Answers one client of the metrics socket and closes it: whatever it asks, it gets the metrics by HTTP/1.0. */
void metrics_answer(struct server *server, int fd);

#endif
