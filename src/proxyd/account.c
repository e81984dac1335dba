/* One uid's share, and the connections that wait for it to shrink. */
#include <stdlib.h>

#include "proxyd/server.h"

struct account *
account_get(struct server *s, uid_t uid)
{
    struct account *a = s->accounts;
    while (a != NULL && a->uid != uid)
        a = a->next;
    if (a == NULL) {
        a = calloc(1, sizeof *a);
        if (a == NULL)
            return NULL;
        a->uid = uid;
        pthread_mutex_init(&a->lock, NULL);
        a->next = s->accounts;
        s->accounts = a;
    }
    a->refs++;
    return a;
}

void
account_put(struct server *s, struct account *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    bool ended = --a->refs == 0;
    struct account **p = &s->accounts;
    while (ended && *p != a)
        p = &(*p)->next;
    if (ended)
        *p = a->next;
    pthread_mutex_unlock(&s->lock);
    if (!ended)
        return;
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* ---- the share ---- */

static int64_t
limit_of(const int64_t *limit)
{
    return __atomic_load_n(limit, __ATOMIC_RELAXED);
}

static bool
is_full(const struct server *s, const struct account *a)
{
    return __atomic_load_n(&a->requests, __ATOMIC_SEQ_CST) >= limit_of(&s->limit_requests) ||
           __atomic_load_n(&a->bytes, __ATOMIC_SEQ_CST) >= limit_of(&s->limit_bytes);
}

/* Adds where it is below the limit before. */
static bool
add_below(int64_t *count, int64_t limit, int64_t n)
{
    int64_t before = __atomic_load_n(count, __ATOMIC_RELAXED);
    do {
        if (before >= limit)
            return false;
    } while (!__atomic_compare_exchange_n(count, &before, before + n, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return true;
}

bool
account_begin(const struct server *s, struct account *a)
{
    if (!add_below(&a->requests, limit_of(&s->limit_requests), 1))
        return false;
    if (add_below(&a->bytes, limit_of(&s->limit_bytes), RECORD_MAX))
        return true;
    __atomic_sub_fetch(&a->requests, 1, __ATOMIC_SEQ_CST);
    return false;
}

/* ---- those who wait for it ---- */

/* With account.lock held. */
static void
link_last(struct account *a, struct conn *c)
{
    c->stalled_next = NULL;
    c->stalled_previous = a->last_stalled;
    if (a->last_stalled != NULL)
        a->last_stalled->stalled_next = c;
    else
        __atomic_store_n(&a->stalled, c, __ATOMIC_SEQ_CST);
    a->last_stalled = c;
    __atomic_store_n(&c->stalled, true, __ATOMIC_RELAXED);
}

/* With account.lock held. */
static void
unlink_stalled(struct account *a, struct conn *c)
{
    if (c->stalled_previous != NULL)
        c->stalled_previous->stalled_next = c->stalled_next;
    else
        __atomic_store_n(&a->stalled, c->stalled_next, __ATOMIC_SEQ_CST);
    if (c->stalled_next != NULL)
        c->stalled_next->stalled_previous = c->stalled_previous;
    else
        a->last_stalled = c->stalled_previous;
    __atomic_store_n(&c->stalled, false, __ATOMIC_RELAXED);
}

void
account_forget(struct conn *c)
{
    if (!__atomic_load_n(&c->stalled, __ATOMIC_RELAXED)) /* only who holds conn.lock sets it */
        return;
    pthread_mutex_lock(&c->account->lock);
    if (c->stalled)
        unlink_stalled(c->account, c);
    pthread_mutex_unlock(&c->account->lock);
}

bool
account_stall(const struct server *s, struct conn *c)
{
    struct account *a = c->account;
    if (c->claimed == 0 && is_full(s, a)) {
        pthread_mutex_lock(&a->lock);
        if (!c->stalled)
            link_last(a, c);
        pthread_mutex_unlock(&a->lock);
        if (is_full(s, a)) /* looked at once more: what shrank the share meanwhile may not have seen it */
            return true;
    }
    account_forget(c);
    return false;
}

/* The one that waits longest, off the list, with a reference; NULL for none. */
static struct conn *
take_first(struct account *a)
{
    pthread_mutex_lock(&a->lock);
    struct conn *c = a->stalled;
    if (c != NULL) {
        unlink_stalled(a, c);
        __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED); /* conn_kill takes it off before it lets go of its own */
    }
    pthread_mutex_unlock(&a->lock);
    return c;
}

void
account_unstall(struct server *s, struct account *a)
{
    while (__atomic_load_n(&a->stalled, __ATOMIC_SEQ_CST) != NULL && !is_full(s, a)) {
        struct conn *c = take_first(a);
        if (c == NULL)
            return;
        bool comes = conn_resume(c);
        conn_unref(c);
        if (comes)
            return;
    }
}
