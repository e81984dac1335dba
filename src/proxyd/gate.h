/* gate.h - the places of a service: at most so many of its calls are inside GSS or NSS at once, because any of them may block. The others
 * wait, and the uids that wait take turns, however many calls each of them has waiting.
 *
 * Where a service serves several uids, one uid gets a further place, in the house or in the queue, only while more are free than it has: alone
 * it fills half of them, and another finds room. Memory is bounded by places and queue. Thread-safe; no I/O. */
#ifndef GAGE_PROXYD_GATE_H
#define GAGE_PROXYD_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GATE_BUCKETS 64

struct gate_line;

/* What waits or is inside: part of a request, which outlives it. */
struct turn {
    struct turn *next; /* behind it, of the same uid */
    struct gate_line *line;
};

/* As the service's configuration has it. */
struct gate_rules {
    int64_t places, queue; /* at least 1 */
    bool shared;           /* by several uids */
};

/* Of one service; shared by all configurations that name it. */
struct gate {
    struct gate *next;
    char *name;
    int64_t connections; /* atomic */
    pthread_mutex_t lock;
    int64_t inside, queued; /* under lock, as what follows */
    struct gate_rules rules;
    struct gate_line *lines[GATE_BUCKETS], *first, *last; /* by uid; those that wait, in the order of their turns */
    struct gate_line *spare;
};

enum admission { ADMITTED, QUEUED, REFUSED };

/* A gate of that name without anybody; NULL where memory is short. It lives as long as the process (tests: gate_free, when empty). */
struct gate *gate_new(const char *name);
void gate_free(struct gate **gate);
/* ADMITTED: goes on, and calls gate_leave afterwards. QUEUED: a gate_leave will give it. REFUSED: the queue is full, or this uid's share of
 * it, or memory is short. */
enum admission gate_enter(struct gate *gate, const struct gate_rules *rules, uid_t uid, struct turn *turn);
/* The call is over; gives the next one, which is inside now, or NULL. */
struct turn *gate_leave(struct gate *gate, struct turn *turn);

#endif
