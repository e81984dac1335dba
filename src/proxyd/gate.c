#include "proxyd/gate.h"

#include <stdlib.h>
#include <string.h>

/* One uid's calls; exists while it has any. */
struct gate_line {
    struct gate_line *next;  /* of its bucket */
    struct gate_line *after; /* has its turn next; of those that wait */
    uid_t uid;
    int64_t inside, queued;
    struct turn *first, *last;
};

struct gate *
gate_new(const char *name)
{
    struct gate *g = calloc(1, sizeof *g);
    if (g == NULL || (g->name = strdup(name)) == NULL) {
        free(g);
        return NULL;
    }
    pthread_mutex_init(&g->lock, NULL);
    return g;
}

void
gate_free(struct gate **gate)
{
    struct gate *g = *gate;
    *gate = NULL;
    if (g == NULL)
        return;
    free(g->spare);
    pthread_mutex_destroy(&g->lock);
    free(g->name);
    free(g);
}

/* ---- lines; with the lock held ---- */

/* The uid's line; made where there is none. NULL where memory is short. */
static struct gate_line *
line_of(struct gate *g, uid_t uid)
{
    struct gate_line **bucket = &g->lines[uid % GATE_BUCKETS], *line = *bucket;
    while (line != NULL && line->uid != uid)
        line = line->next;
    if (line != NULL)
        return line;
    line = g->spare != NULL ? g->spare : malloc(sizeof *line);
    if (line == NULL)
        return NULL;
    g->spare = NULL;
    *line = (struct gate_line){.next = *bucket, .uid = uid};
    *bucket = line;
    return line;
}

/* Ends a line without calls; one is kept for the next uid. */
static void
end_line(struct gate *g, struct gate_line *line)
{
    struct gate_line **p = &g->lines[line->uid % GATE_BUCKETS];
    if (line->inside > 0 || line->queued > 0)
        return;
    while (*p != line)
        p = &(*p)->next;
    *p = line->next;
    if (g->spare == NULL)
        g->spare = line;
    else
        free(line);
}

static void
append_line(struct gate *g, struct gate_line *line)
{
    line->after = NULL;
    *(g->last != NULL ? &g->last->after : &g->first) = line;
    g->last = line;
}

/* Whether somebody who has `own` of what `free` are left of may have one more. */
static bool
within_share(const struct gate *g, int64_t own, int64_t left)
{
    return left > 0 && (!g->rules.shared || own == 0 || own < left);
}

static bool
may_enter(const struct gate *g, const struct gate_line *line)
{
    return within_share(g, line->inside, g->rules.places - g->inside);
}

static void
go_in(struct gate *g, struct gate_line *line)
{
    g->inside++;
    line->inside++;
}

/* ---- coming ---- */

static enum admission
wait_in(struct gate *g, struct gate_line *line, struct turn *turn)
{
    if (!within_share(g, line->queued, g->rules.queue - g->queued))
        return REFUSED;
    if (line->queued == 0)
        append_line(g, line);
    *(line->queued > 0 ? &line->last->next : &line->first) = turn;
    line->last = turn;
    line->queued++;
    g->queued++;
    return QUEUED;
}

enum admission
gate_enter(struct gate *g, const struct gate_rules *rules, uid_t uid, struct turn *turn)
{
    enum admission result = REFUSED;
    pthread_mutex_lock(&g->lock);
    g->rules = *rules;
    struct gate_line *line = line_of(g, uid);
    *turn = (struct turn){NULL, line};
    if (line != NULL && line->queued == 0 && may_enter(g, line)) {
        go_in(g, line);
        result = ADMITTED;
    } else if (line != NULL) {
        result = wait_in(g, line, turn);
    }
    if (result == REFUSED && line != NULL)
        end_line(g, line);
    pthread_mutex_unlock(&g->lock);
    return result;
}

/* ---- going ---- */

/* Takes the first line out whose uid may have a place; it goes to the end where more of its calls wait. */
static struct gate_line *
next_line(struct gate *g)
{
    struct gate_line *before = NULL, *line = g->first;
    while (line != NULL && !may_enter(g, line)) { /* these have calls inside: no more of them than places */
        before = line;
        line = line->after;
    }
    if (line == NULL)
        return NULL;
    *(before != NULL ? &before->after : &g->first) = line->after;
    g->last = g->last == line ? before : g->last;
    if (line->queued > 1)
        append_line(g, line);
    return line;
}

struct turn *
gate_leave(struct gate *g, struct turn *turn)
{
    struct turn *next = NULL;
    pthread_mutex_lock(&g->lock);
    g->inside--;
    turn->line->inside--;
    struct gate_line *line = next_line(g);
    if (line != NULL) {
        next = line->first;
        line->first = next->next;
        next->next = NULL;
        line->queued--;
        g->queued--;
        go_in(g, line);
    }
    end_line(g, turn->line);
    turn->line = NULL;
    pthread_mutex_unlock(&g->lock);
    return next;
}
