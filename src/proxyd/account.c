/* One uid's share. */
#include <stdlib.h>
#include <sys/epoll.h>

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
    if (ended)
        free(a);
}

bool
account_full(const struct server *s, const struct account *a)
{
    return __atomic_load_n(&a->requests, __ATOMIC_SEQ_CST) >= __atomic_load_n(&s->limit_requests, __ATOMIC_RELAXED) ||
           __atomic_load_n(&a->bytes, __ATOMIC_SEQ_CST) >= __atomic_load_n(&s->limit_bytes, __ATOMIC_RELAXED);
}

void
account_unstall(struct server *s, struct account *a)
{
    if (!__atomic_load_n(&a->stalled, __ATOMIC_SEQ_CST) || account_full(s, a) ||
        !__atomic_exchange_n(&a->stalled, false, __ATOMIC_SEQ_CST))
        return;
    pthread_mutex_lock(&s->lock);
    for (struct conn *c = s->conns; c != NULL; c = c->next) {
        if (c->account != a)
            continue;
        pthread_mutex_lock(&c->lock);
        bool stalled = c->stalled && !c->dead;
        pthread_mutex_unlock(&c->lock);
        if (!stalled)
            continue;
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLOUT | EPOLLONESHOT, .data.u64 = c->key};
        epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &event);
    }
    pthread_mutex_unlock(&s->lock);
}
