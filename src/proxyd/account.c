/* One uid's share. */
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
